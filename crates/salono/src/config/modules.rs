//! The module files of Kurento: `modules/<namespace>/<Class>.conf.*` beside the main file, or below
//! the folders of `--modules-config-path`; and the variables of its container image that stand for
//! the same keys.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::import::{Import, Imported, Meaning};
use super::{load, tree};

/// Most module files that are read.
const MAX_FILES: usize = 256;

/// Folders in folders that are looked into.
const MAX_DEPTH: usize = 8;

/// Variables of Kurento's container image, with the class and the key that each sets.
pub(super) const VARIABLES: &[(&str, &str, &str)] = &[
    ("KMS_MIN_PORT", "BaseRtpEndpoint", "minPort"),
    ("KMS_MAX_PORT", "BaseRtpEndpoint", "maxPort"),
    ("KMS_MTU", "BaseRtpEndpoint", "mtu"),
    ("KMS_EXTERNAL_IPV4", "WebRtcEndpoint", "externalIPv4"),
    ("KMS_EXTERNAL_IPV6", "WebRtcEndpoint", "externalIPv6"),
    (
        "KMS_NETWORK_INTERFACES",
        "WebRtcEndpoint",
        "networkInterfaces",
    ),
    ("KMS_ICE_TCP", "WebRtcEndpoint", "iceTcp"),
    ("KMS_STUN_IP", "WebRtcEndpoint", "stunServerAddress"),
    ("KMS_STUN_PORT", "WebRtcEndpoint", "stunServerPort"),
    ("KMS_TURN_URL", "WebRtcEndpoint", "turnURL"),
    (
        "KMS_PEM_CERTIFICATE_RSA",
        "WebRtcEndpoint",
        "pemCertificateRSA",
    ),
    (
        "KMS_PEM_CERTIFICATE_ECDSA",
        "WebRtcEndpoint",
        "pemCertificateECDSA",
    ),
];

/// Reads all module files below `folders`. As with Kurento, a module file that cannot be used is a
/// remark and no error. Paths in them are relative to `base`.
pub(super) fn read(folders: &[PathBuf], base: &Path, import: &mut Import) {
    let mut files = Vec::new();
    for folder in folders {
        collect(folder, &mut Vec::new(), &mut files);
    }
    for (file, names) in files {
        read_file(&file, &names, base, import);
    }
}

/// Files with the names of the folders that lead to them, in order.
fn collect(folder: &Path, names: &mut Vec<String>, files: &mut Vec<(PathBuf, Vec<String>)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.is_dir() {
            if names.len() < MAX_DEPTH {
                names.push(name.to_owned());
                collect(&path, names, files);
                names.pop();
            }
        } else if tree::name_and_format(name).is_some() && files.len() < MAX_FILES {
            files.push((path, names.clone()));
        }
    }
}

fn read_file(file: &Path, folders: &[String], base: &Path, import: &mut Import) {
    let Some((class, format)) = file
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(tree::name_and_format)
    else {
        return;
    };
    let read = load::read_text(file)
        .map_err(|error| error.to_string())
        .and_then(|text| tree::parse(format, &text));
    match read {
        Ok(document) => import.take_all(file, &document, |key, value| match folders {
            [namespace] if namespace == "kurento" => meaning(class, key, value, base),
            _ => Meaning::Nothing("there is no such module here"),
        }),
        Err(error) => import.report.push(Imported {
            file: file.to_owned(),
            key: "(the file)".to_owned(),
            became: format!("not used: {error}"),
        }),
    }
}

/// What a key of a class means; relative paths are relative to `base`.
pub(super) fn meaning(class: &str, key: &str, value: &Value, base: &Path) -> Meaning {
    let text = text(value);
    if text.is_empty() {
        return Meaning::Nothing("it is empty");
    }
    match class {
        "BaseRtpEndpoint" => base_rtp(key, &text),
        "WebRtcEndpoint" => web_rtc(key, &text, base),
        "SdpEndpoint" => sdp(key, value),
        "MediaElement" => {
            let ours = match key {
                "encoderBitrate" => "endpoint.encoder_bitrate",
                "minEncoderBitrate" => "endpoint.min_encoder_bitrate",
                "maxEncoderBitrate" => "endpoint.max_encoder_bitrate",
                _ => return UNKNOWN,
            };
            whole::<i32>(ours, &text)
        }
        "UriEndpoint" if key == "defaultPath" => Meaning::is("endpoint.default_path", text),
        "HttpEndpoint" => match key {
            "serverAddress" => Meaning::is("endpoint.upload_host", text),
            "announcedAddress" => Meaning::is("endpoint.upload_announce", text),
            // The files that come with Kurento write the one, its program reads the other.
            "serverPort" | "port" => whole::<u16>("endpoint.upload_port", &text),
            _ => UNKNOWN,
        },
        "Composite" => {
            let ours = match key {
                "width" => "endpoint.composite_width",
                "height" => "endpoint.composite_height",
                "framerate" => "endpoint.composite_framerate",
                _ => return UNKNOWN,
            };
            whole::<u16>(ours, &text)
        }
        "PlayerEndpoint" if key == "rtspClientPortRange" => {
            Meaning::Nothing("RTSP sources are asked for TCP where UDP does not get through")
        }
        "RecorderEndpoint" if key == "gapsFix" => {
            Meaning::Nothing("recordings keep the time of gaps, whatever is said")
        }
        _ => UNKNOWN,
    }
}

const UNKNOWN: Meaning = Meaning::Nothing("there is no such setting here");

fn base_rtp(key: &str, text: &str) -> Meaning {
    match key {
        // One firewall rule lets both through: the shards take the first ports of the range.
        "minPort" => match text.parse::<u16>() {
            Ok(port) => Meaning::Is(vec![
                ("media.port", port.into()),
                ("endpoint.rtp_port_min", port.into()),
            ]),
            Err(_) => Meaning::Nothing("it is no port"),
        },
        "maxPort" => whole::<u16>("endpoint.rtp_port_max", text),
        "mtu" => whole::<i32>("endpoint.mtu", text),
        _ => UNKNOWN,
    }
}

fn web_rtc(key: &str, text: &str, base: &Path) -> Meaning {
    let path = |ours| Meaning::is(ours, base.join(text).display().to_string());
    match key {
        "externalIPv4" | "externalIPv6" if text == "auto" => Meaning::Nothing(
            "the public address is not looked up: write it down, or set stunServerAddress, \
                 which tells it",
        ),
        "externalIPv4" => Meaning::is("media.announce_v4", text),
        "externalIPv6" => Meaning::is("media.announce_v6", text),
        "networkInterfaces" => Meaning::is("media.interfaces", names(text)),
        "stunServerAddress" => Meaning::is("endpoint.stun_address", text),
        "stunServerPort" => whole::<u16>("endpoint.stun_port", text),
        "turnURL" => Meaning::is("endpoint.turn_url", text),
        "iceTcp" => truth("endpoint.ice_tcp", text),
        "pemCertificateRSA" => path("endpoint.certificate_rsa"),
        "pemCertificateECDSA" => path("endpoint.certificate_ecdsa"),
        // Another folder for files that are named relative to it.
        "configPath" => Meaning::Nothing("paths are relative to the main file"),
        "qos-dscp" => Meaning::is("endpoint.qos_dscp", text),
        "enable-h265" => truth("endpoint.h265", text),
        _ => UNKNOWN,
    }
}

fn sdp(key: &str, value: &Value) -> Meaning {
    let ours = match key {
        "audioCodecs" => "endpoint.audio_codecs",
        "videoCodecs" => "endpoint.video_codecs",
        "numAudioMedias" | "numVideoMedias" => {
            return Meaning::Nothing("an offer has one audio and one video m-line");
        }
        _ => return UNKNOWN,
    };
    let Some(entries) = value.as_array() else {
        return Meaning::Nothing("it is no list");
    };
    let names: Option<Vec<figment::value::Value>> = entries
        .iter()
        .map(|entry| Some(entry.get("name")?.as_str()?.into()))
        .collect();
    match names {
        Some(names) => Meaning::is(ours, names),
        None => Meaning::Nothing("an entry has no name"),
    }
}

/// A whole number.
fn whole<T: std::str::FromStr + Into<figment::value::Value>>(
    ours: &'static str,
    text: &str,
) -> Meaning {
    match text.parse::<T>() {
        Ok(number) => Meaning::is(ours, number),
        Err(_) => Meaning::Nothing("it is no number in range"),
    }
}

/// 1 or 0, true or false.
fn truth(ours: &'static str, text: &str) -> Meaning {
    match text {
        "1" | "true" => Meaning::is(ours, true),
        "0" | "false" => Meaning::is(ours, false),
        _ => Meaning::Nothing("it is neither true nor false"),
    }
}

fn names(text: &str) -> Vec<figment::value::Value> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(figment::value::Value::from)
        .collect()
}

/// A value as the INI format would write it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}
