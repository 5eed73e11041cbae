//! What people can rely on when they configure.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use figment::Figment;
use figment::providers::Serialized;

use super::*;

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("salono-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn variable(name: &str, value: &str) -> (OsString, OsString) {
    (name.into(), value.into())
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let defaults = serde_json::to_value(Config::default()).unwrap();
    let mut names: Vec<String> = Vec::new();
    for (name, value) in defaults.as_object().unwrap() {
        match value.as_object() {
            Some(section) => names.extend(section.keys().map(|key| format!("{name}.{key}"))),
            None => names.push(name.clone()),
        }
    }
    let mut documented: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    names.sort();
    documented.sort_unstable();
    assert_eq!(names, documented);
}

#[test]
fn sections_follow_each_other_so_that_the_listing_is_a_file() {
    let mut sections: Vec<&str> = KEYS
        .iter()
        .map(|key| key.name.split_once('.').map_or("", |(section, _)| section))
        .collect();
    sections.dedup();
    assert_eq!(sections, ["", "log", "web", "media", "kurento", "room"]);
}

#[test]
fn defaults_are_a_valid_configuration() {
    let defaults = Config::default();
    let again: Config = Figment::from(Serialized::defaults(&defaults))
        .extract()
        .unwrap();
    assert_eq!(defaults, again);
}

#[test]
fn flags_win_over_variables_over_the_file_over_imports() {
    let folder = Folder::new("precedence");
    let import = folder.file(
        "kurento.conf.json",
        r#"{ "mediaServer": { "net": { "websocket": { "port": 1, "path": "imported" } } },
             "metadata": "imported" }"#,
    );
    let file = folder.file(
        "salono.toml",
        "[kurento]\nlisten = \"127.0.0.1:2\"\npath = \"/file\"\nmax_objects = 5\n",
    );
    let environment = [variable("SALONO_KURENTO_LISTEN", "127.0.0.1:3")];
    let flags = vec![Setting::new(
        "kurento.listen",
        "127.0.0.1:4",
        "flag --kurento",
    )];
    let loaded = load(Some(&file), &[import], environment, flags).unwrap();
    let kurento = loaded.config.kurento;
    assert_eq!(kurento.listen.to_string(), "127.0.0.1:4");
    assert_eq!(kurento.path, "/file");
    assert_eq!(kurento.metadata, "imported");
    assert_eq!(kurento.max_objects, 5);
    assert_eq!(loaded.sources["kurento.listen"], "flag --kurento");
    assert!(loaded.sources["kurento.path"].ends_with("salono.toml"));
    assert!(loaded.sources["kurento.metadata"].ends_with("kurento.conf.json (metadata)"));
}

#[test]
fn an_unknown_key_is_an_error_that_names_it_and_the_nearest_one() {
    let folder = Folder::new("unknown");
    for (text, key, nearest) in [
        ("[web]\nhtpps = \"off\"", "web.htpps", "web.https"),
        ("[media]\nkurento = \"off\"", "media.kurento", "media.port"),
        ("max_rooms = 3", "max_rooms", "room.max_rooms"),
        ("[rooms]\nmax_rooms = 3", "rooms", "room.kms"),
        ("[web.tls]\ncert = \"x\"", "web.tls", "web.https"),
        ("log = 3", "log", "log.format"),
    ] {
        let file = folder.file("salono.toml", text);
        let error = load(Some(&file), &[], [], Vec::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("unknown key `{key}`")), "{error}");
        assert!(error.contains("did you mean `"), "{error} {nearest}");
        if key.contains("htpps") || key == "max_rooms" {
            assert!(error.contains(nearest), "{error}");
        }
    }
}

#[test]
fn a_wrong_value_is_an_error_that_names_key_and_source() {
    let folder = Folder::new("wrong");
    for (text, key) in [
        ("[media]\nport = 70000", "media.port"),
        ("[media]\nips = [\"nowhere\"]", "media.ips"),
        ("[web]\nhttps = \"8443\"", "web.https"),
        ("[room]\nmax_rooms = -1", "room.max_rooms"),
        ("[log]\nformat = \"xml\"", "log.format"),
    ] {
        let file = folder.file("salono.toml", text);
        let error = load(Some(&file), &[], [], Vec::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(key) && error.contains("salono.toml"),
            "{error}"
        );
    }
    let environment = [variable("SALONO_MEDIA_PORT", "many")];
    let error = load(None, &[], environment, Vec::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("SALONO_MEDIA_PORT"), "{error}");
}

#[test]
fn a_broken_file_is_an_error_that_names_it() {
    let folder = Folder::new("broken");
    let file = folder.file("salono.toml", "[web\n");
    let error = load(Some(&file), &[], [], Vec::new()).unwrap_err();
    assert!(error.to_string().contains("salono.toml"), "{error}");
    let error = load(Some(&folder.0.join("none.toml")), &[], [], Vec::new()).unwrap_err();
    assert!(error.to_string().contains("none.toml"), "{error}");
}

#[test]
fn a_certificate_needs_its_key() {
    let environment = [variable("SALONO_WEB_TLS_CERT", "cert.pem")];
    let error = load(None, &[], environment, Vec::new()).unwrap_err();
    assert!(error.to_string().contains("--tls-key"), "{error}");
}

#[test]
fn variables_are_read_as_their_keys_need_them() {
    let environment = [
        variable("SALONO_KURENTO_METADATA", "17"),
        variable("SALONO_ROOM_KMS", "ws://a:1/kurento, ws://b:2/kurento"),
        variable("SALONO_ROOM_MAX_VIDEO_RECV_KBPS", "600"),
        variable("SALONO_ROOM_ALLOW_CLOSE", "true"),
        variable("SALONO_MEDIA_ANNOUNCE_V4", "203.0.113.7"),
        variable("SALONO_MEDIA_PROT", "1"),
        variable("SALONO_BIN", "target/debug/salono"),
    ];
    let loaded = load(None, &[], environment, Vec::new()).unwrap();
    let room = &loaded.config.room;
    assert_eq!(loaded.config.kurento.metadata, "17");
    assert_eq!(room.kms, ["ws://a:1/kurento", "ws://b:2/kurento"]);
    assert_eq!(room.max_video_recv_kbps, Some(600));
    assert!(room.allow_close);
    assert_eq!(
        loaded.config.media.announce_v4.unwrap().to_string(),
        "203.0.113.7"
    );
    assert_eq!(loaded.unknown_variables, ["SALONO_MEDIA_PROT"]);
}

#[test]
fn kurento_files_are_taken_over_with_their_modules() {
    let folder = Folder::new("kurento");
    let main = folder.file(
        "kurento.conf.json",
        r#"{
          "mediaServer": {
            "resources": { "garbageCollectorPeriod": 60, "disableRequestCache": true,
                           "exceptionLimit": "0.8" }, // a remark
            "net": { "websocket": { "port": 9000, "address": "127.0.0.1", "path": "kurento",
                                    "threads": 10, "secure": { "port": 8433 } } }
          }
        }"#,
    );
    folder.file(
        "modules/kurento/WebRtcEndpoint.conf.ini",
        "; remark\nexternalIPv4=198.51.100.1\nstunServerAddress=192.0.2.1\nnetworkInterfaces=lo,eth9\n",
    );
    folder.file(
        "modules/kurento/BaseRtpEndpoint.conf.ini",
        "minPort=40000\nmaxPort=50000\n",
    );
    folder.file(
        "modules/kurento/SdpEndpoint.conf.json",
        "{ \"numAudioMedias\": 1, }",
    );
    folder.file("modules/kurento/Broken.conf.json", "{");
    let loaded = load(None, &[main], [], Vec::new()).unwrap();
    let Config { kurento, media, .. } = loaded.config;
    assert_eq!(kurento.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(kurento.path, "/kurento");
    assert_eq!(
        (kurento.session_period_s, kurento.request_cache),
        (60, false)
    );
    assert_eq!(media.announce_v4.unwrap().to_string(), "198.51.100.1");
    assert_eq!(media.interfaces, ["lo", "eth9"]);
    assert_eq!(media.port, 40_000);
    for key in [
        "stunServerAddress",
        "maxPort",
        "numAudioMedias",
        "(the file)",
    ] {
        let report = loaded.imported.iter().find(|report| report.key == key);
        assert!(report.unwrap().became.starts_with("not used: "), "{key}");
    }
    assert_eq!(loaded.imported.len(), 15, "{:#?}", loaded.imported);
}

#[test]
fn a_kurento_without_an_address_listens_everywhere_as_the_original_does() {
    let folder = Folder::new("everywhere");
    let text = r#"{ "mediaServer": { "net": { "websocket": { "port": 8888 } } } }"#;
    let main = folder.file("kurento.conf.json", text);
    let loaded = load(None, &[main], [], Vec::new()).unwrap();
    assert_eq!(loaded.config.kurento.listen.to_string(), "[::]:8888");
}

#[test]
fn room_application_files_are_taken_over() {
    let folder = Folder::new("room");
    let file = folder.file(
        "kurento-room-demo.conf.json",
        r#"{
          "kms": { "uris": ["ws://a:8888/kurento", "ws://b:8888/kurento", "ws://a:8888/kurento"] },
          "kurento": { "client": { "requestTimeout": 15000 } },
          "demo": { "loopback": { "remote": true, "andLocal": false }, "authRegex": ".*",
                    "hatCoords": { "offsetXPercent": -0.35F } },
          "updateSpeakerInterval": 1500, "thresholdSpeaker": -40
        }"#,
    );
    let loaded = load(None, &[file], [], Vec::new()).unwrap();
    let room = loaded.config.room;
    assert_eq!(room.kms, ["ws://a:8888/kurento", "ws://b:8888/kurento"]);
    assert_eq!(room.kms_request_timeout_ms, 15_000);
    assert!(room.loopback_remote && !room.loopback_and_local);
    assert_eq!(
        (room.update_speaker_interval_ms, room.threshold_speaker_db),
        (1500, -40)
    );
}

#[test]
fn other_json_is_no_import() {
    let folder = Folder::new("other");
    let file = folder.file("package.json", "{ \"name\": 1 }");
    let error = load(None, &[file], [], Vec::new()).unwrap_err();
    assert!(error.to_string().contains("neither"), "{error}");
}
