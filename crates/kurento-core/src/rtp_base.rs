//! `BaseRtpEndpoint` and `SdpEndpoint`: what endpoints have in common.

use crate::{
    Config, ObjectModel,
    call::{Call, Outcome, Then},
    negotiation::Negotiation,
};
use salono_kurento_model::{Error, KURENTO, Map, Value, tagged};
use salono_media_api::{Bandwidth, Bitrate, ConnectionState, ElementKey, Op};

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
}

#[derive(Debug, Clone, Copy, Default)]
struct BandwidthLimits {
    min_video_recv: i32,
    max_video_recv: i32,
    max_audio_recv: i32,
    min_video_send: i32,
    max_video_send: i32,
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
        }
    }

    /// Reads a property, or changes one that concerns nobody else.
    fn property(&mut self, call: &Call<'_>) -> Option<Value> {
        match call.operation {
            "getMinVideoRecvBandwidth" => return Some(self.limits.min_video_recv.into()),
            "getMaxVideoRecvBandwidth" => return Some(self.limits.max_video_recv.into()),
            "getMaxAudioRecvBandwidth" => return Some(self.limits.max_audio_recv.into()),
            "getMinVideoSendBandwidth" => return Some(self.limits.min_video_send.into()),
            "getMaxVideoSendBandwidth" => return Some(self.limits.max_video_send.into()),
            "getMtu" => return Some(self.mtu.into()),
            "getMediaState" => return Some(connection_state(self.media).into()),
            "getConnectionState" => return Some(connection_state(self.connection).into()),
            "getRembParams" => return Some(tagged(KURENTO, "RembParams", self.remb.clone())),
            "setMtu" => self.mtu = call.int("mtu").unwrap_or_default(),
            "setRembParams" => {
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
                limits.min_video_send =
                    at_most(value("minVideoSendBandwidth"), limits.max_video_send);
                Bandwidth::MinVideoSend(kbps(limits.min_video_send))
            }
            "MaxVideoSendBandwidth" => {
                limits.max_video_send =
                    at_least(value("maxVideoSendBandwidth"), limits.min_video_send);
                Bandwidth::MaxVideoSend(kbps(limits.max_video_send))
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
        // Kurento's own 500 kbit/s are answered to those who ask, but throttle nobody: only what an
        // operator or a program has set is kept to.
        let untouched = Config::default();
        if limits.max_video_send == untouched.max_video_send_kbps
            && limits.min_video_send == untouched.min_video_send_kbps
        {
            return;
        }
        for bandwidth in [
            Bandwidth::MinVideoSend(kbps(limits.min_video_send)),
            Bandwidth::MaxVideoSend(kbps(limits.max_video_send)),
        ] {
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
