//! The `modules/kurento/*.conf.ini` and `*.conf.json` files beside `kurento.conf.json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::import::{Import, Imported, Meaning};
use super::{lenient, load};

/// Most module files that are read.
const MAX_FILES: usize = 256;

/// Reads all module files that belong to the main file `path`. As with Kurento, a module file
/// that cannot be used is a remark and no error.
pub(super) fn read(path: &Path, import: &mut Import) {
    let Some(folder) = path.parent() else {
        return;
    };
    let folder = folder.join("modules/kurento");
    let Ok(entries) = fs::read_dir(&folder) else {
        return;
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .take(MAX_FILES)
        .collect();
    files.sort();
    for file in files {
        let Some((class, format)) = file
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.split_once(".conf."))
        else {
            continue;
        };
        let (class, format) = (class.to_owned(), format.to_owned());
        let remark = |import: &mut Import, became: String| {
            import.report.push(Imported {
                file: file.clone(),
                key: "(the file)".to_owned(),
                became,
            });
        };
        let text = match load::read_text(&file) {
            Ok(text) => text,
            Err(error) => {
                remark(import, format!("not used: {error}"));
                continue;
            }
        };
        match format.as_str() {
            "ini" => {
                for (key, value) in ini(&text) {
                    import.take(&file, key, meaning(&class, key, value));
                }
            }
            "json" => match lenient::parse(&text) {
                Ok(document) => import.take_all(&file, &document, |key, value| {
                    meaning(&class, key, &self::text(value))
                }),
                Err(error) => remark(import, format!("not used: {error}")),
            },
            _ => remark(import, "not used: only ini and json are read".to_owned()),
        }
    }
}

/// What a key of a class means.
pub(super) fn meaning(class: &str, key: &str, value: &str) -> Meaning {
    const TURN: &str = "the server is reached directly: announce its public address instead";
    if value.is_empty() {
        return Meaning::Nothing("it is empty");
    }
    match (class, key) {
        ("BaseRtpEndpoint", "minPort") => match value.parse::<u16>() {
            Ok(port) => Meaning::is("media.port", port),
            Err(_) => Meaning::Nothing("it is no port"),
        },
        ("BaseRtpEndpoint", "maxPort") => {
            Meaning::Nothing("there is one port per shard, from media.port on")
        }
        ("BaseRtpEndpoint", "mtu") => Meaning::Nothing("packets keep the size they come with"),
        ("WebRtcEndpoint", "externalIPv4" | "externalIPv6") if value == "auto" => {
            Meaning::Nothing("the public address is not looked up: write it down")
        }
        ("WebRtcEndpoint", "externalIPv4") => Meaning::is("media.announce_v4", value),
        ("WebRtcEndpoint", "externalIPv6") => Meaning::is("media.announce_v6", value),
        ("WebRtcEndpoint", "networkInterfaces") => Meaning::is(
            "media.interfaces",
            value
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(figment::value::Value::from)
                .collect::<Vec<_>>(),
        ),
        ("WebRtcEndpoint", "stunServerAddress" | "stunServerPort" | "turnURL") => {
            Meaning::Nothing(TURN)
        }
        ("WebRtcEndpoint", "iceTcp") => Meaning::Nothing("media goes over UDP only"),
        ("WebRtcEndpoint", "pemCertificateRSA" | "pemCertificateECDSA") => {
            Meaning::Nothing("DTLS uses a certificate made at each start")
        }
        ("WebRtcEndpoint", "qos-dscp") => Meaning::Nothing("packets are not marked"),
        ("SdpEndpoint", _) => Meaning::Nothing("offers name every codec that can be forwarded"),
        ("MediaElement", _) => Meaning::Nothing("nothing is encoded here"),
        (
            "PlayerEndpoint" | "RecorderEndpoint" | "HttpEndpoint" | "UriEndpoint" | "Composite",
            _,
        ) => Meaning::Nothing("this class is not implemented yet"),
        _ => Meaning::Nothing("there is no such setting here"),
    }
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

/// The `key=value` lines; `;` and `#` start comments, sections are not told apart.
fn ini(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with([';', '#', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::ini;

    #[test]
    fn only_assignments_of_an_ini_file_count() {
        let text =
            "; comment\n# another=1\n[section]\n minPort = 40000 \nturnURL=u:p@h:1?t=udp\n\nx";
        let pairs: Vec<_> = ini(text).collect();
        assert_eq!(pairs, [("minPort", "40000"), ("turnURL", "u:p@h:1?t=udp")]);
    }
}
