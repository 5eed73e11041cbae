//! Names of Kurento 6 that Kurento 7 no longer has.
//!
//! Clients of version 6 still use them. They are no part of any class, so that nobody finds them in a
//! descriptor; a server takes them besides the current ones. Most were deprecated in version 6 in
//! favour of the names that remain, with equal members, so that only the name differs.

use serde_json::{Map, Value};

/// Events: the former name, and the one that took its place.
const EVENTS: &[(&str, &str)] = &[
    ("DataChannelClose", "DataChannelClosed"),
    ("OnDataChannelClosed", "DataChannelClosed"),
    ("DataChannelOpen", "DataChannelOpened"),
    ("OnDataChannelOpened", "DataChannelOpened"),
    ("OnIceCandidate", "IceCandidateFound"),
    ("IceComponentStateChange", "IceComponentStateChanged"),
    ("OnIceComponentStateChanged", "IceComponentStateChanged"),
    ("OnIceGatheringDone", "IceGatheringDone"),
    ("MediaFlowInStateChange", "MediaFlowInStateChanged"),
    ("MediaFlowOutStateChange", "MediaFlowOutStateChanged"),
    (
        "MediaTranscodingStateChange",
        "MediaTranscodingStateChanged",
    ),
];

/// An operation that was renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormerOperation {
    /// Its name in version 6.
    pub name: &'static str,
    /// Its name now.
    pub current: &'static str,
    /// Former and current name of its parameter.
    pub param: Option<(&'static str, &'static str)>,
}

const fn getter(name: &'static str, current: &'static str) -> FormerOperation {
    FormerOperation {
        name,
        current,
        param: None,
    }
}

const fn setter(
    name: &'static str,
    current: &'static str,
    param: (&'static str, &'static str),
) -> FormerOperation {
    FormerOperation {
        name,
        current,
        param: Some(param),
    }
}

/// The misspelt names were there besides the right ones.
const OPERATIONS: &[FormerOperation] = &[
    getter("getChilds", "getChildren"),
    getter("getMinOutputBitrate", "getMinEncoderBitrate"),
    getter("getMinOuputBitrate", "getMinEncoderBitrate"),
    getter("getMaxOutputBitrate", "getMaxEncoderBitrate"),
    getter("getMaxOuputBitrate", "getMaxEncoderBitrate"),
    setter(
        "setMinOutputBitrate",
        "setMinEncoderBitrate",
        ("minOutputBitrate", "minEncoderBitrate"),
    ),
    setter(
        "setMinOuputBitrate",
        "setMinEncoderBitrate",
        ("minOuputBitrate", "minEncoderBitrate"),
    ),
    setter(
        "setMaxOutputBitrate",
        "setMaxEncoderBitrate",
        ("maxOutputBitrate", "maxEncoderBitrate"),
    ),
    setter(
        "setMaxOuputBitrate",
        "setMaxEncoderBitrate",
        ("maxOuputBitrate", "maxEncoderBitrate"),
    ),
    setter(
        "setOutputBitrate",
        "setEncoderBitrate",
        ("bitrate", "encoderBitrate"),
    ),
    getter("getExternalAddress", "getExternalIPv4"),
    setter(
        "setExternalAddress",
        "setExternalIPv4",
        ("externalAddress", "externalIPv4"),
    ),
];

/// One address could be of either family.
const EXTERNAL_IPV6: FormerOperation = setter(
    "setExternalAddress",
    "setExternalIPv6",
    ("externalAddress", "externalIPv6"),
);

/// The current name of an event; the same text when it is none of the former names.
#[must_use]
pub fn current_event(name: &str) -> &str {
    let renamed = EVENTS.iter().find(|(former, _)| *former == name);
    renamed.map_or(name, |(_, current)| current)
}

/// The former names of an event.
pub fn former_events(current: &str) -> impl Iterator<Item = &'static str> {
    EVENTS
        .iter()
        .filter(move |(_, now)| *now == current)
        .map(|(former, _)| *former)
}

/// What an operation of version 6 is called now, with these parameters.
#[must_use]
pub fn former_operation(name: &str, params: Option<&Value>) -> Option<FormerOperation> {
    let operation = OPERATIONS
        .iter()
        .find(|operation| operation.name == name)
        .copied()?;
    let value = operation
        .param
        .and_then(|(former, _)| params?.get(former)?.as_str());
    if operation.current == "setExternalIPv4" && value.is_some_and(|value| value.contains(':')) {
        return Some(EXTERNAL_IPV6);
    }
    Some(operation)
}

impl FormerOperation {
    /// The parameters under their current names. Anything but an object is left as it is.
    #[must_use]
    pub fn rename(&self, params: Option<&Value>) -> Option<Value> {
        let Some((former, current)) = self.param else {
            return params.cloned();
        };
        let Some(members) = params.and_then(Value::as_object) else {
            return params.cloned();
        };
        let renamed: Map<String, Value> = members
            .iter()
            .map(|(name, value)| {
                let name = if name == former { current } else { name };
                (name.to_owned(), value.clone())
            })
            .collect();
        Some(renamed.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;
    use serde_json::json;

    #[test]
    fn every_former_name_stands_for_one_that_exists_and_hides_none() {
        let registry = Registry::built_in();
        let classes = [
            "kurento.WebRtcEndpoint",
            "kurento.MediaElement",
            "kurento.MediaObject",
        ];
        let classes = classes.map(|name| registry.class(name).unwrap());
        for (former, current) in EVENTS {
            assert!(classes.iter().any(|class| class.supports_event(current)));
            assert!(!classes.iter().any(|class| class.supports_event(former)));
            assert_eq!(current_event(former), *current);
            assert!(former_events(current).any(|name| name == *former));
        }
        for operation in OPERATIONS.iter().chain([&EXTERNAL_IPV6]) {
            let current = classes
                .iter()
                .find_map(|class| class.operation(operation.current))
                .unwrap();
            let param = current.params.first().map(|param| param.name.as_str());
            assert_eq!(param, operation.param.map(|(_, current)| current));
            let hides =
                |class: &&std::sync::Arc<crate::Class>| class.operation(operation.name).is_some();
            assert!(!classes.iter().any(hides));
        }
    }

    #[test]
    fn parameters_come_under_their_current_names() {
        let given = json!({"externalAddress": "2001:db8::1", "other": 1});
        let operation = former_operation("setExternalAddress", Some(&given)).unwrap();
        assert_eq!(operation.current, "setExternalIPv6");
        assert_eq!(
            operation.rename(Some(&given)),
            Some(json!({"externalIPv6": "2001:db8::1", "other": 1}))
        );
        let given = json!({"externalAddress": "192.0.2.1"});
        let operation = former_operation("setExternalAddress", Some(&given)).unwrap();
        assert_eq!(operation.current, "setExternalIPv4");
        let operation = former_operation("getChilds", None).unwrap();
        assert_eq!(operation.rename(Some(&json!([1]))), Some(json!([1])));
        assert_eq!(former_operation("getChildren", None), None);
    }
}
