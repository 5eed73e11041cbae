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

fn source(file: &Path) -> Source {
    file.into()
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
    assert_eq!(
        sections,
        [
            "",
            "log",
            "web",
            "media",
            "kurento",
            "endpoint",
            "processor",
            "modules",
            "room"
        ]
    );
}

#[test]
fn what_knows_no_authentication_is_reached_from_this_machine_only() {
    let Listen::At(address) = Config::default().kurento.listen else {
        panic!("the Kurento Protocol is served");
    };
    assert!(address.ip().is_loopback(), "{address}");
    assert!(matches!(Config::default().kurento.tls_listen, Listen::Off));
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
    let loaded = load(Some(&file), &[source(&import)], environment, flags).unwrap();
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
                           "exceptionLimit": "0.7", "killLimit": 0.75, "//killLimit": 1 }, // a remark
            "net": { "websocket": { "port": 9000, "address": "127.0.0.1", "path": "kurento",
                                    "threads": 10, "connqueue": 7, "ipv6": false,
                                    "secure": { "port": 8433, "certificate": "own.pem", "password": "pw" },
                                    "registrar": { "address": "ws://r:1/", "localAddress": "me" } } }
          },
          "metadata": { "rack": 7, "names": ["a"] }
        }"#,
    );
    folder.file(
        "modules/kurento/WebRtcEndpoint.conf.ini",
        "; remark\nexternalIPv4=198.51.100.1\nexternalIPv6=auto\nstunServerAddress=192.0.2.1\n\
         stunServerPort=3479\nturnURL=u:p@192.0.2.2:3478?transport=tcp\niceTcp=0\n\
         networkInterfaces=lo,eth9\npemCertificateRSA=rsa.pem\npemCertificateECDSA=/etc/ec.pem\n\
         qos-dscp=EF\nenable-h265=true\n",
    );
    folder.file(
        "modules/kurento/BaseRtpEndpoint.conf.ini",
        "minPort=40000\nmaxPort=50000\nmtu=1300\n",
    );
    folder.file(
        "modules/kurento/SdpEndpoint.conf.json",
        "{ \"numAudioMedias\": 1, \"audioCodecs\": [{ \"name\": \"PCMU/8000\" }],\n\
         \"videoCodecs\": [{ \"name\": \"H264/90000\" }, { \"name\": \"VP8/90000\" }], }",
    );
    folder.file(
        "modules/kurento/MediaElement.conf.info",
        "encoderBitrate 500000\nminEncoderBitrate 100000\nmaxEncoderBitrate \"0\"\n",
    );
    folder.file(
        "modules/kurento/UriEndpoint.conf.ini",
        "defaultPath=file:///srv/media/\n",
    );
    folder.file(
        "modules/kurento/HttpEndpoint.conf.ini",
        "serverAddress=localhost\nport=9191\nannouncedAddress=media.example.org\n",
    );
    folder.file(
        "modules/kurento/Composite.conf.ini",
        "width=1280\nheight=720\nframerate=30\n",
    );
    folder.file(
        "modules/kurento/PlayerEndpoint.conf.ini",
        "rtspClientPortRange=5000-5100\n",
    );
    folder.file("modules/kurento/Broken.conf.json", "{");
    folder.file("modules/kurento/README", "");
    folder.file("modules/acme/deep/Thing.conf.xml", "<key>1</key>");
    let loaded = load(None, &[source(&main)], [], Vec::new()).unwrap();
    let Config {
        kurento,
        media,
        endpoint,
        ..
    } = loaded.config;
    assert_eq!(kurento.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(kurento.tls_listen.to_string(), "0.0.0.0:8433");
    assert_eq!(kurento.tls_certificate, Some(folder.0.join("own.pem")));
    assert_eq!(kurento.tls_password, "pw");
    assert_eq!(kurento.backlog, 7);
    assert_eq!(kurento.path, "/kurento");
    assert_eq!(kurento.registrar.as_deref(), Some("ws://r:1/"));
    assert_eq!(kurento.registrar_local_address, "me");
    assert_eq!(kurento.exception_limit.to_string(), "0.7");
    assert_eq!(kurento.kill_limit, Some(0.75));
    let metadata: serde_json::Value = serde_json::from_str(&kurento.metadata).unwrap();
    assert_eq!(metadata, serde_json::json!({ "rack": 7, "names": ["a"] }));
    assert_eq!(
        (kurento.session_period_s, kurento.request_cache),
        (60, false)
    );
    assert_eq!(media.announce_v4.unwrap().to_string(), "198.51.100.1");
    assert_eq!(media.interfaces, ["lo", "eth9"]);
    assert_eq!(media.port, 40_000);
    let expected = Endpoint {
        stun_address: "192.0.2.1".to_owned(),
        stun_port: 3_479,
        turn_url: "u:p@192.0.2.2:3478?transport=tcp".to_owned(),
        ice_tcp: false,
        certificate_rsa: Some(folder.0.join("rsa.pem")),
        certificate_ecdsa: Some("/etc/ec.pem".into()),
        qos_dscp: "EF".to_owned(),
        h265: true,
        audio_codecs: vec!["PCMU/8000".to_owned()],
        video_codecs: vec!["H264/90000".to_owned(), "VP8/90000".to_owned()],
        rtp_port_min: 40_000,
        rtp_port_max: 50_000,
        mtu: 1_300,
        encoder_bitrate: 500_000,
        min_encoder_bitrate: 100_000,
        max_encoder_bitrate: 0,
        default_path: "file:///srv/media/".to_owned(),
        composite_width: 1_280,
        composite_height: 720,
        composite_framerate: 30,
        upload_port: 9_191,
        upload_host: "localhost".to_owned(),
        upload_announce: "media.example.org".to_owned(),
        ..Endpoint::default()
    };
    assert_eq!(endpoint, expected);
    // Everything else is reported.
    let unused: Vec<&str> = loaded
        .imported
        .iter()
        .filter(|report| report.became.starts_with("not used: "))
        .map(|report| report.key.as_str())
        .collect();
    let websocket = "mediaServer.net.websocket";
    assert_eq!(
        unused,
        [
            &format!("{websocket}.address"),
            &format!("{websocket}.ipv6"),
            &format!("{websocket}.threads"),
            "key",
            "(the file)",
            "rtspClientPortRange",
            "numAudioMedias",
            "externalIPv6",
        ]
    );
}

#[test]
fn module_files_may_lie_in_other_folders() {
    let folder = Folder::new("elsewhere");
    let main = folder.file(
        "main/kurento.conf.ini",
        "[mediaServer.net.websocket]\nport=1\n",
    );
    folder.file("main/modules/kurento/BaseRtpEndpoint.conf.ini", "mtu=1\n");
    folder.file("one/kurento/BaseRtpEndpoint.conf.ini", "mtu=1111\n");
    folder.file("two/kurento/BaseRtpEndpoint.conf.ini", "maxPort=2222\n");
    let source = Source {
        file: main,
        modules: Some(vec![folder.0.join("one"), folder.0.join("two")]),
    };
    let loaded = load(None, &[source], [], Vec::new()).unwrap();
    let endpoint = loaded.config.endpoint;
    assert_eq!((endpoint.mtu, endpoint.rtp_port_max), (1_111, 2_222));
    assert_eq!(loaded.config.kurento.listen.to_string(), "[::]:1");
}

#[test]
fn variables_of_the_container_image_win_over_files_and_lose_against_ours() {
    let folder = Folder::new("image");
    let main = folder.file("kurento.conf.json", r#"{ "mediaServer": {} }"#);
    folder.file("modules/kurento/BaseRtpEndpoint.conf.ini", "mtu=1111\n");
    let environment = [
        variable("KMS_MTU", "1222"),
        variable("KMS_MIN_PORT", "40000"),
        variable("KMS_MAX_PORT", "41000"),
        variable("KMS_EXTERNAL_IPV4", "auto"),
        variable("KMS_STUN_IP", "192.0.2.1"),
        variable("KMS_STUN_PORT", "3479"),
        variable("KMS_ICE_TCP", "0"),
        variable("KMS_TURN_URL", ""),
        variable("KMS_UID", "1000"),
        variable("SALONO_MEDIA_PORT", "50000"),
    ];
    let loaded = load(None, &[source(&main)], environment, Vec::new()).unwrap();
    let Config {
        endpoint, media, ..
    } = loaded.config;
    assert_eq!(endpoint.mtu, 1_222);
    assert_eq!(
        (endpoint.rtp_port_min, endpoint.rtp_port_max),
        (40_000, 41_000)
    );
    assert_eq!(media.port, 50_000);
    assert_eq!(
        (endpoint.stun_address.as_str(), endpoint.stun_port),
        ("192.0.2.1", 3_479)
    );
    assert!(!endpoint.ice_tcp);
    let report = |name: &str| {
        let mut reports = loaded.imported.iter();
        &reports.find(|report| report.key == name).unwrap().became
    };
    assert!(report("KMS_EXTERNAL_IPV4").contains("write it down"));
    assert!(report("KMS_TURN_URL").contains("empty"));
    assert!(report("KMS_UID").starts_with("not used: "));
}

#[test]
fn a_kurento_without_an_address_listens_everywhere_as_the_original_does() {
    let folder = Folder::new("everywhere");
    let text = r#"{ "mediaServer": { "net": { "websocket": { "port": 8888 } } } }"#;
    let main = folder.file("kurento.conf.json", text);
    let loaded = load(None, &[source(&main)], [], Vec::new()).unwrap();
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
          "demo": { "loopback": { "remote": true, "andLocal": false }, "authRegex": "[a-z]+", "kmsLimit": 1000,
                    "hatCoords": { "offsetXPercent": -0.35F } },
          "updateSpeakerInterval": 1500, "thresholdSpeaker": -40
        }"#,
    );
    let loaded = load(None, &[source(&file)], [], Vec::new()).unwrap();
    let room = loaded.config.room;
    assert_eq!(room.kms, ["ws://a:8888/kurento", "ws://b:8888/kurento"]);
    assert_eq!(room.kms_request_timeout_ms, 15_000);
    assert_eq!((room.creators.as_str(), room.kms_limit), ("[a-z]+", 1000));
    assert_eq!(room.kms_choice, super::KmsChoice::ServiceLevel);
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
    let error = load(None, &[source(&file)], [], Vec::new()).unwrap_err();
    assert!(error.to_string().contains("neither"), "{error}");
}
