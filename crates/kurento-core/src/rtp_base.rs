//! `BaseRtpEndpoint` and `SdpEndpoint`: what endpoints have in common.

use crate::{
    Config, ObjectModel,
    adaptation::SentLayer,
    call::{Call, Outcome, Then},
    negotiation::Negotiation,
};
use salono_kurento_model::{Error, KURENTO, Map, Value, tagged};
use salono_media_api::{
    Bandwidth, Bitrate, ConnectionState, ElementKey, Op, RembParams, VideoWish, ViewerKey,
};

/// What Kurento starts with. It is answered to those who ask, but throttles nobody: only what an
/// operator or a program has set is kept to.
const KURENTO_MIN_VIDEO_SEND: i32 = 100;
const KURENTO_MAX_VIDEO_SEND: i32 = 500;

/// State of an endpoint that talks RTP.
#[derive(Debug)]
pub(crate) struct BaseRtp {
    pub(crate) negotiation: Negotiation,
    /// `MediaSessionStarted` was raised; further negotiations do not raise it again.
    pub(crate) session_started: bool,
    /// Kilobits per second; 0 is unlimited.
    limits: BandwidthLimits,
    mtu: i32,
    /// What clients set, complete; empty before.
    remb: Map<String, Value>,
    pub(crate) media: ConnectionState,
    pub(crate) connection: ConnectionState,
    /// What the engine was told that the peer wishes of its video; `None` before it was told anything.
    pub(crate) wish: Option<VideoWish>,
    /// Whose connection the peer is, as the engine was told.
    pub(crate) viewer: Option<ViewerKey>,
    /// The quality of video that the peer is sent, as last told by the engine.
    pub(crate) sent_layer: Option<SentLayer>,
}

#[derive(Debug, Clone, Copy, Default)]
struct BandwidthLimits {
    min_video_recv: i32,
    max_video_recv: i32,
    max_audio_recv: i32,
    /// As set; `None` is Kurento's value, which is not kept to.
    min_video_send: Option<i32>,
    max_video_send: Option<i32>,
}

impl BandwidthLimits {
    fn min_video_send(&self) -> i32 {
        self.min_video_send.unwrap_or(KURENTO_MIN_VIDEO_SEND)
    }

    fn max_video_send(&self) -> i32 {
        self.max_video_send.unwrap_or(KURENTO_MAX_VIDEO_SEND)
    }
}

impl BaseRtp {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            negotiation: Negotiation::New,
            session_started: false,
            limits: BandwidthLimits {
                min_video_send: config.min_video_send_kbps,
                max_video_send: config.max_video_send_kbps,
                ..BandwidthLimits::default()
            },
            mtu: config.endpoints.mtu,
            remb: Map::new(),
            media: ConnectionState::Disconnected,
            connection: ConnectionState::Disconnected,
            wish: None,
            viewer: None,
            sent_layer: None,
        }
    }

    /// Reads a property, or changes one that concerns nobody else.
    fn property(&mut self, call: &Call<'_>) -> Option<Value> {
        match call.operation {
            "getMinVideoRecvBandwidth" => return Some(self.limits.min_video_recv.into()),
            "getMaxVideoRecvBandwidth" => return Some(self.limits.max_video_recv.into()),
            "getMaxAudioRecvBandwidth" => return Some(self.limits.max_audio_recv.into()),
            "getMinVideoSendBandwidth" => return Some(self.limits.min_video_send().into()),
            "getMaxVideoSendBandwidth" => return Some(self.limits.max_video_send().into()),
            "getMtu" => return Some(self.mtu.into()),
            "getMediaState" => return Some(connection_state(self.media).into()),
            "getConnectionState" => return Some(connection_state(self.connection).into()),
            "getRembParams" => return Some(tagged(KURENTO, "RembParams", self.remb.clone())),
            "setMtu" => self.mtu = call.int("mtu").unwrap_or_default(),
            "setRembParams" => {
                // The shard is told by the caller.
                if let Some(Value::Object(members)) = call.params.get("rembParams") {
                    self.remb = members.clone();
                    // Kurento's default for this one is another member's value.
                    if let Some(interval) = members.get("packetsRecvIntervalTop") {
                        self.remb
                            .entry("linealFactorMin")
                            .or_insert_with(|| interval.clone());
                    }
                }
            }
            _ => return None,
        }
        Some(Value::Null)
    }

    /// What was set, with Kurento's values for the rest. Values that make no sense are brought to
    /// the nearest that does.
    fn remb_params(&self) -> RembParams {
        let kurento = RembParams::default();
        let float = |name: &str, default: f64| {
            let value = self.remb.get(name).and_then(Value::as_f64);
            value.filter(|value| value.is_finite()).unwrap_or(default)
        };
        let int = |name: &str, default: u32| {
            let value = self.remb.get(name).and_then(Value::as_i64);
            value.map_or(default, |value| {
                u32::try_from(value.max(0)).unwrap_or(u32::MAX)
            })
        };
        let on_connect = u32::try_from(kurento.on_connect.as_bps()).unwrap_or(u32::MAX);
        RembParams {
            packets_interval_top: int("packetsRecvIntervalTop", kurento.packets_interval_top),
            exponential_factor: float("exponentialFactor", kurento.exponential_factor)
                .clamp(0.0, 10.0),
            linear_factor_min: int("linealFactorMin", kurento.linear_factor_min),
            linear_factor_grade: float("linealFactorGrade", kurento.linear_factor_grade).max(1.0),
            decrement_factor: float("decrementFactor", kurento.decrement_factor).clamp(0.0, 1.0),
            threshold_factor: float("thresholdFactor", kurento.threshold_factor).clamp(0.0, 1.0),
            up_losses: u8::try_from(int("upLosses", u32::from(kurento.up_losses)))
                .unwrap_or(u8::MAX),
            on_connect: Bitrate::bps(u64::from(int("rembOnConnect", on_connect))),
        }
    }

    /// Sets a bandwidth limit; a value that contradicts another one is moved to it.
    pub(crate) fn set_bandwidth(&mut self, call: &Call<'_>) -> Option<Bandwidth> {
        let name = call.operation.strip_prefix("set")?;
        let value = |property: &str| call.int(property).unwrap_or_default().max(0);
        let at_most = |value: i32, max: i32| if max == 0 { value } else { value.min(max) };
        let at_least = |value: i32, min: i32| if value == 0 { 0 } else { value.max(min) };
        let limits = &mut self.limits;
        Some(match name {
            "MinVideoRecvBandwidth" => {
                limits.min_video_recv =
                    at_most(value("minVideoRecvBandwidth"), limits.max_video_recv);
                Bandwidth::MinVideoRecv(kbps(limits.min_video_recv))
            }
            "MaxVideoRecvBandwidth" => {
                limits.max_video_recv =
                    at_least(value("maxVideoRecvBandwidth"), limits.min_video_recv);
                Bandwidth::MaxVideoRecv(kbps(limits.max_video_recv))
            }
            "MaxAudioRecvBandwidth" => {
                limits.max_audio_recv = value("maxAudioRecvBandwidth");
                Bandwidth::MaxAudioRecv(kbps(limits.max_audio_recv))
            }
            "MinVideoSendBandwidth" => {
                let min = at_most(value("minVideoSendBandwidth"), limits.max_video_send());
                limits.min_video_send = Some(min);
                Bandwidth::MinVideoSend(kbps(min))
            }
            "MaxVideoSendBandwidth" => {
                let max = at_least(value("maxVideoSendBandwidth"), limits.min_video_send());
                limits.max_video_send = Some(max);
                Bandwidth::MaxVideoSend(kbps(max))
            }
            _ => return None,
        })
    }
}

impl ObjectModel {
    /// Operations of endpoints; `None` for an element of another class.
    pub(crate) fn call_endpoint(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let pipeline = self.tree.get(call.object)?.pipeline?;
        let element = ElementKey(call.object);
        let endpoint = self.endpoint_mut(call.object)?;
        if let Some(value) = endpoint.property(call) {
            if call.operation == "setRembParams" {
                let params = endpoint.remb_params();
                self.order(pipeline, Op::SetRembParams { element, params });
            }
            return Some(Ok(Outcome::Value(value)));
        }
        if let Some(bandwidth) = endpoint.set_bandwidth(call) {
            self.order(pipeline, Op::SetBandwidth { element, bandwidth });
            return Some(Ok(Outcome::VOID));
        }
        Some(match call.operation {
            "generateOffer" => self.generate_offer(pipeline, call),
            "processOffer" => self.process_offer(pipeline, call),
            "processAnswer" => self.process_answer(pipeline, call),
            "getLocalSessionDescriptor" => self.description(pipeline, call.object, false),
            "getRemoteSessionDescriptor" => self.description(pipeline, call.object, true),
            "requestKeyframe" => {
                let op = |token| Op::RequestKeyframe { token, element };
                Ok(Outcome::Later(self.ask(pipeline, op), Then::Confirm))
            }
            _ => return self.call_web_rtc(pipeline, call),
        })
    }

    pub(crate) fn endpoint_mut(&mut self, key: u64) -> Option<&mut BaseRtp> {
        self.tree.get_mut(key)?.element_mut()?.endpoint_mut()
    }

    /// Tells the engine the limits that a new endpoint starts with.
    pub(crate) fn order_initial_bandwidth(&mut self, key: u64) {
        let Some(pipeline) = self.tree.get(key).and_then(|object| object.pipeline) else {
            return;
        };
        let Some(limits) = self.endpoint_mut(key).map(|endpoint| endpoint.limits) else {
            return;
        };
        let element = ElementKey(key);
        let set = [
            limits
                .min_video_send
                .map(|min| Bandwidth::MinVideoSend(kbps(min))),
            limits
                .max_video_send
                .map(|max| Bandwidth::MaxVideoSend(kbps(max))),
        ];
        for bandwidth in set.into_iter().flatten() {
            self.order(pipeline, Op::SetBandwidth { element, bandwidth });
        }
    }
}

/// Name of a connection state on the wire.
pub(crate) fn connection_state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Disconnected => "DISCONNECTED",
        ConnectionState::Connected => "CONNECTED",
    }
}

fn kbps(value: i32) -> Bitrate {
    Bitrate::kbps(u64::try_from(value).unwrap_or(0))
}
