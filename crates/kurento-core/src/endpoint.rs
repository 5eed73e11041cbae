//! `WebRtcEndpoint`: what it adds to `BaseRtpEndpoint`.

use crate::{
    Config, ObjectModel,
    call::{Call, Outcome, Then},
    ice::IceProperties,
    negotiation::Negotiation,
    rtp_base::BaseRtp,
};
use salono_kurento_model::{Error, ErrorCode, KURENTO, Map, Value, tagged};
use salono_media_api::{
    CertificateKind, DataChannelSpec, DtlsState, ElementKey, IceCandidate, IceState,
    OfferDirection, Op, WebRtcSpec,
};
use std::collections::BTreeMap;

/// A selected candidate pair: `candidate:…` lines of ours and of the peer's.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) local: String,
    pub(crate) remote: String,
}

/// Transport (from 1) and component (1 RTP, 2 RTCP).
pub(crate) type Component = (u16, u16);

/// State of a WebRTC endpoint.
#[derive(Debug)]
pub(crate) struct WebRtc {
    /// Accepts and offers data channels.
    data_channels: bool,
    pub(crate) base: BaseRtp,
    pub(crate) ice_properties: IceProperties,
    pub(crate) ice: BTreeMap<Component, IceState>,
    pub(crate) dtls: BTreeMap<Component, DtlsState>,
    pub(crate) pairs: BTreeMap<Component, Pair>,
    /// Remote candidates so far.
    candidates: usize,
}

impl WebRtc {
    pub(crate) fn new(params: &Map<String, Value>, config: &Config) -> Self {
        let defaults = &config.endpoints;
        Self {
            data_channels: flag(params, "useDataChannels"),
            base: BaseRtp::new(config),
            ice_properties: IceProperties::new(defaults),
            ice: BTreeMap::new(),
            dtls: BTreeMap::new(),
            pairs: BTreeMap::new(),
            candidates: 0,
        }
    }

    /// What the engine makes it from.
    pub(crate) fn spec(params: &Map<String, Value>, config: &Config) -> WebRtcSpec {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        // Only an endpoint that says nothing takes the configured marking.
        let dscp = text("qosDscp").filter(|name| *name != "NO_VALUE");
        WebRtcSpec {
            // Send-only wins where both are asked for.
            direction: if flag(params, "sendonly") {
                OfferDirection::SendOnly
            } else if flag(params, "recvonly") {
                OfferDirection::RecvOnly
            } else {
                OfferDirection::SendRecv
            },
            data_channels: flag(params, "useDataChannels"),
            certificate: text("certificateKeyType").map(|kind| {
                if kind == "ECDSA" {
                    CertificateKind::Ecdsa
                } else {
                    CertificateKind::Rsa
                }
            }),
            dscp: code_point(dscp.unwrap_or(&config.endpoints.qos_dscp)),
        }
    }

    /// Reads a property.
    fn property(&self, call: &Call<'_>) -> Option<Value> {
        if let Some(value) = self.ice_properties.get(call.operation) {
            return Some(value);
        }
        Some(match call.operation {
            "getICECandidatePairs" => self.pair_list(),
            "getIceConnectionState" => self.ice_list(),
            "getDtlsConnectionState" => self.dtls_list(),
            _ => return None,
        })
    }

    fn pair_list(&self) -> Value {
        self.pairs
            .iter()
            .map(|(component, pair)| pair_value(*component, pair))
            .collect()
    }

    fn ice_list(&self) -> Value {
        let entry = |(&(stream, component), state): (&Component, &IceState)| {
            let members = Map::from_iter([
                ("streamId".to_owned(), stream.to_string().into()),
                ("componentId".to_owned(), component.into()),
                ("state".to_owned(), ice_state(*state).into()),
            ]);
            tagged(KURENTO, "IceConnection", members)
        };
        self.ice.iter().map(entry).collect()
    }

    fn dtls_list(&self) -> Value {
        let entry = |(component, state): (&Component, &DtlsState)| {
            let members = Map::from_iter(dtls_members(*component, *state));
            tagged(KURENTO, "DtlsConnection", members)
        };
        self.dtls.iter().map(entry).collect()
    }
}

impl ObjectModel {
    /// Operations that `WebRtcEndpoint` adds; `None` for those of other classes.
    pub(crate) fn call_web_rtc(
        &mut self,
        pipeline: u64,
        call: &Call<'_>,
    ) -> Option<Result<Outcome, Error>> {
        let element = ElementKey(call.object);
        let endpoint = self.web_rtc_mut(call.object)?;
        if let Some(value) = endpoint.property(call) {
            return Some(Ok(Outcome::Value(value)));
        }
        if self.set_ice(pipeline, call) {
            return Some(Ok(Outcome::VOID));
        }
        Some(match call.operation {
            "gatherCandidates" => {
                let op = |token| Op::GatherCandidates { token, element };
                Ok(Outcome::Later(self.ask(pipeline, op), Then::Confirm))
            }
            "addIceCandidate" => self.add_candidate(pipeline, call),
            "createDataChannel" => self.create_data_channel(pipeline, call),
            "closeDataChannel" => self.close_data_channel(pipeline, call),
            _ => return None,
        })
    }

    pub(crate) fn web_rtc_mut(&mut self, key: u64) -> Option<&mut WebRtc> {
        self.tree.get_mut(key)?.element_mut()?.web_rtc_mut()
    }

    fn add_candidate(&mut self, pipeline: u64, call: &Call<'_>) -> Result<Outcome, Error> {
        let member = |name: &str| call.params.get("candidate").and_then(|it| it.get(name));
        let text = |name: &str| member(name).and_then(Value::as_str).unwrap_or_default();
        let mline_index = member("sdpMLineIndex")
            .and_then(Value::as_u64)
            .and_then(|index| u16::try_from(index).ok());
        let Some(mline_index) = mline_index else {
            return Err(Error::new(
                ErrorCode::IceAddCandidateError,
                "Error adding candidate: 'sdpMLineIndex' is out of range",
            ));
        };
        let candidate = IceCandidate {
            candidate: text("candidate").to_owned(),
            mid: text("sdpMid").to_owned(),
            mline_index,
        };
        let limits = self.config.limits;
        if candidate.candidate.len() > limits.text_bytes || candidate.mid.len() > limits.text_bytes
        {
            return Err(Error::new(
                ErrorCode::IceAddCandidateError,
                "Error adding candidate: it is too long",
            ));
        }
        if let Some(endpoint) = self.web_rtc_mut(call.object) {
            if endpoint.candidates >= limits.candidates_per_endpoint {
                return Err(Error::new(
                    ErrorCode::NotEnoughResources,
                    format!(
                        "Reached the limit of {} candidates of one endpoint",
                        limits.candidates_per_endpoint
                    ),
                ));
            }
            endpoint.candidates += 1;
        }
        let element = ElementKey(call.object);
        let token = self.ask(pipeline, |token| Op::AddIceCandidate {
            token,
            element,
            candidate,
        });
        Ok(Outcome::Later(token, Then::Confirm))
    }

    fn create_data_channel(&mut self, pipeline: u64, call: &Call<'_>) -> Result<Outcome, Error> {
        self.check_data_channels(call.object)?;
        // Negative is "no limit", and what is beyond 16 bits is the largest one.
        let limit = |name: &str| {
            call.int(name)
                .filter(|value| *value >= 0)
                .map(|value| u16::try_from(value).unwrap_or(u16::MAX))
        };
        let channel = DataChannelSpec {
            label: call.text("label").unwrap_or_default().to_owned(),
            ordered: call.flag("ordered").unwrap_or(true),
            max_packet_life_time: limit("maxPacketLifeTime"),
            max_retransmits: limit("maxRetransmits"),
            protocol: call.text("protocol").unwrap_or_default().to_owned(),
        };
        if channel.max_packet_life_time.is_some() && channel.max_retransmits.is_some() {
            return Err(Error::new(
                ErrorCode::MediaObjectIllegalParam,
                "Syntax error",
            ));
        }
        let element = ElementKey(call.object);
        let token = self.ask(pipeline, |token| Op::CreateDataChannel {
            token,
            element,
            channel,
        });
        Ok(Outcome::Later(token, Then::Confirm))
    }

    fn close_data_channel(&mut self, pipeline: u64, call: &Call<'_>) -> Result<Outcome, Error> {
        self.check_data_channels(call.object)?;
        let channel = call.int("channelId").unwrap_or_default();
        let Ok(channel) = u16::try_from(channel) else {
            // No channel has such a number.
            return Ok(Outcome::VOID);
        };
        let element = ElementKey(call.object);
        let token = self.ask(pipeline, |token| Op::CloseDataChannel {
            token,
            element,
            channel,
        });
        Ok(Outcome::Later(token, Then::CloseChannel))
    }

    fn check_data_channels(&mut self, key: u64) -> Result<(), Error> {
        let ready = self.web_rtc_mut(key).is_some_and(|endpoint| {
            let negotiated = matches!(
                endpoint.base.negotiation,
                Negotiation::Completed | Negotiation::Answered
            );
            endpoint.data_channels && negotiated
        });
        if ready {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::MediaObjectOperationNotSupported,
            "Data channels are not supported",
        ))
    }
}

/// A pair as properties and events carry it, with the names that version 6 had besides: its Java
/// client takes no pair without.
pub(crate) fn pair_value((stream, component): Component, pair: &Pair) -> Value {
    let members = Map::from_iter([
        ("streamId".to_owned(), stream.to_string().into()),
        ("streamID".to_owned(), stream.to_string().into()),
        ("componentId".to_owned(), component.into()),
        ("componentID".to_owned(), component.into()),
        ("localCandidate".to_owned(), pair.local.as_str().into()),
        ("remoteCandidate".to_owned(), pair.remote.as_str().into()),
    ]);
    tagged(KURENTO, "IceCandidatePair", members)
}

/// Members of a DTLS connection; all ids are texts.
pub(crate) fn dtls_members(
    (stream, component): Component,
    state: DtlsState,
) -> [(String, Value); 4] {
    let name = match state {
        DtlsState::New => "NEW",
        DtlsState::Connecting => "CONNECTING",
        DtlsState::Connected => "CONNECTED",
        DtlsState::Failed => "FAILED",
        DtlsState::Closed => "CLOSED",
    };
    [
        ("streamId".to_owned(), stream.to_string().into()),
        ("componentId".to_owned(), component.to_string().into()),
        (
            "connectionId".to_owned(),
            format!("{stream}-{component}").into(),
        ),
        ("state".to_owned(), name.into()),
    ]
}

/// Name of an ICE state on the wire.
pub(crate) fn ice_state(state: IceState) -> &'static str {
    match state {
        IceState::Disconnected => "DISCONNECTED",
        IceState::Gathering => "GATHERING",
        IceState::Connecting => "CONNECTING",
        IceState::Connected => "CONNECTED",
        IceState::Ready => "READY",
        IceState::Failed => "FAILED",
    }
}

fn flag(params: &Map<String, Value>, name: &str) -> bool {
    params
        .get(name)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

/// The code point of a name in `DSCPValue`; `None` leaves packets unmarked.
fn code_point(name: &str) -> Option<u8> {
    let class = |prefix: &str| name.strip_prefix(prefix)?.parse::<u8>().ok();
    Some(match name {
        "NO_DSCP" | "NO_VALUE" => return None,
        "LE" | "AUDIO_VERYLOW" | "VIDEO_VERYLOW" | "DATA_VERYLOW" => 1,
        "AUDIO_LOW" | "VIDEO_LOW" | "DATA_LOW" | "CHROME_LOW" => 0,
        "AUDIO_MEDIUM" | "AUDIO_HIGH" | "EF" => 46,
        "VIDEO_MEDIUM" | "VIDEO_HIGH" => 36,
        "VIDEO_MEDIUM_THROUGHPUT" => 38,
        "VIDEO_HIGH_THROUGHPUT" => 34,
        "DATA_MEDIUM" => 10,
        "DATA_HIGH" => 18,
        "CHROME_HIGH" | "CHROME_MEDIUM" => 56,
        "CHROME_VERYLOW" => 8,
        "VOICEADMIT" => 44,
        _ => {
            // CSn is 8n; AFxy is 8x + 2y (RFC 2474, RFC 2597).
            if let Some(class) = class("CS").filter(|class| *class < 8) {
                return Some(8 * class);
            }
            let class = class("AF").filter(|class| *class < 50)?;
            8 * (class / 10) + 2 * (class % 10)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_follow_their_rfcs() {
        for (name, value) in [
            ("NO_VALUE", None),
            ("CS0", Some(0)),
            ("CS7", Some(56)),
            ("AF11", Some(10)),
            ("AF43", Some(38)),
            ("EF", Some(46)),
            ("CHROME_HIGH", Some(56)),
            ("LE", Some(1)),
        ] {
            assert_eq!(code_point(name), value, "{name}");
        }
    }
}
