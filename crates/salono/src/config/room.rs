//! `kurento-room-demo.conf.json` and `kroombasic.conf.json`, the files of Kurento Room's
//! applications.

use serde_json::Value;

use super::import::Meaning;
use super::modules::text;

/// What a key means.
pub(super) fn meaning(key: &str, value: &Value) -> Meaning {
    let number = || text(value).parse::<i64>().ok();
    let flag = || value.as_bool().or_else(|| text(value).parse().ok());
    match key {
        "kms.uris" => uris(value),
        "kurento.client.requestTimeout" => match number() {
            Some(millis) => Meaning::is("room.kms_request_timeout_ms", millis),
            None => Meaning::Nothing("it is no number of milliseconds"),
        },
        "ws.sessionReconnectionTime" => match number().and_then(|s| s.checked_mul(1000)) {
            Some(millis) => Meaning::is("room.reconnection_grace_ms", millis),
            None => Meaning::Nothing("it is no number of seconds"),
        },
        "ws.maxSessions" => match number() {
            Some(sessions) => Meaning::is("room.max_sessions", sessions),
            None => Meaning::Nothing("it is no number"),
        },
        "updateSpeakerInterval" => match number() {
            Some(millis) => Meaning::is("room.update_speaker_interval_ms", millis),
            None => Meaning::Nothing("it is no number of milliseconds"),
        },
        "thresholdSpeaker" => match number() {
            Some(level) => Meaning::is("room.threshold_speaker_db", level),
            None => Meaning::Nothing("it is no number"),
        },
        "demo.loopback.remote" => match flag() {
            Some(on) => Meaning::is("room.loopback_remote", on),
            None => Meaning::Nothing("it is neither true nor false"),
        },
        "demo.loopback.andLocal" => match flag() {
            Some(on) => Meaning::is("room.loopback_and_local", on),
            None => Meaning::Nothing("it is neither true nor false"),
        },
        "demo.filterType" => Meaning::is("room.filter_request_param", text(value)),
        "demo.hatUrl" => hat(&text(value)),
        "demo.hatCoords.offsetXPercent" => share("room.hat_offset_x", value),
        "demo.hatCoords.offsetYPercent" => share("room.hat_offset_y", value),
        "demo.hatCoords.widthPercent" => share("room.hat_width", value),
        "demo.hatCoords.heightPercent" => share("room.hat_height", value),
        // The demo chooses by service level, the basic application has one media server.
        "demo.kmsLimit" => match number() {
            Some(limit) => Meaning::Is(vec![
                ("room.kms_limit", limit.into()),
                ("room.kms_choice", "service-level".into()),
            ]),
            None => Meaning::Nothing("it is no number"),
        },
        "demo.authRegex" => Meaning::is("room.creators", text(value)),
        "app.uri" => Meaning::Nothing("the server knows its address from the request"),
        _ if key.starts_with("demo.") => Meaning::Nothing("there is no such filter here"),
        _ => Meaning::Nothing("there is no such setting here"),
    }
}

/// A picture by an address of its own.
fn hat(url: &str) -> Meaning {
    if url.contains(':') {
        Meaning::is("room.hat_url", url)
    } else {
        Meaning::Nothing(
            "it names a file of the original's pages: give a whole URL in room.hat_url",
        )
    }
}

fn share(key: &'static str, value: &Value) -> Meaning {
    match text(value).parse::<f64>() {
        Ok(share) if share.is_finite() => Meaning::is(key, share),
        Ok(_) | Err(_) => Meaning::Nothing("it is no number"),
    }
}

fn uris(value: &Value) -> Meaning {
    let Some(uris) = value.as_array() else {
        return Meaning::Nothing("it is no list");
    };
    let mut urls: Vec<String> = uris.iter().map(text).collect();
    if urls.first().is_some_and(|url| url == "autodiscovery") {
        return Meaning::is("room.kms", vec!["autodiscovery".to_owned()]);
    }
    let mut seen = std::collections::BTreeSet::new();
    urls.retain(|url| seen.insert(url.clone()));
    Meaning::is("room.kms", urls)
}
