//! What the embedded descriptors declare, as clients see it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use salono_kurento_model::{Action, ComplexType, Registry, RegistryError, Type, Value};

#[test]
fn ancestors_come_nearest_first_and_qualified() {
    let registry = Registry::built_in();
    let class = registry.class("WebRtcEndpoint").unwrap();
    assert_eq!(class.qualified_name(), "kurento.WebRtcEndpoint");
    assert_eq!(
        class.hierarchy(),
        [
            "kurento.BaseRtpEndpoint",
            "kurento.SdpEndpoint",
            "kurento.SessionEndpoint",
            "kurento.Endpoint",
            "kurento.MediaElement",
            "kurento.MediaObject"
        ]
    );
    for name in ["MediaPipeline", "ServerManager"] {
        assert_eq!(
            registry.class(name).unwrap().hierarchy(),
            ["kurento.MediaObject"]
        );
    }
    assert!(registry.is_a("WebRtcEndpoint", "kurento.MediaElement"));
    assert!(registry.is_a("WebRtcEndpoint", "WebRtcEndpoint"));
    assert!(!registry.is_a("MediaPipeline", "MediaElement"));
}

#[test]
fn names_are_simple_or_in_a_namespace_never_in_a_built_in_module() {
    let registry = Registry::built_in();
    for name in [
        "PassThrough",
        "kurento.PassThrough",
        "chroma.ChromaFilter",
        "ChromaFilter",
    ] {
        assert!(registry.class(name).is_some(), "{name}");
    }
    for name in [
        "core.PassThrough",
        "elements.WebRtcEndpoint",
        "kurento.ChromaFilter",
        "",
        ".",
    ] {
        assert!(registry.class(name).is_none(), "{name}");
    }
}

#[test]
fn modules_list_their_factories_as_server_info_does() {
    let registry = Registry::built_in();
    let factories = |name: &str| {
        let module = registry.modules().iter().find(|module| module.name == name);
        module.unwrap().factories.clone()
    };
    assert_eq!(
        factories("core"),
        ["HubPort", "MediaPipeline", "PassThrough"]
    );
    assert_eq!(
        factories("elements"),
        [
            "AlphaBlending",
            "Composite",
            "Dispatcher",
            "DispatcherOneToMany",
            "HttpPostEndpoint",
            "Mixer",
            "PlayerEndpoint",
            "RecorderEndpoint",
            "RtpEndpoint",
            "WebRtcEndpoint"
        ]
    );
    assert_eq!(
        factories("filters"),
        [
            "FaceOverlayFilter",
            "GStreamerFilter",
            "ImageOverlayFilter",
            "ZBarFilter"
        ]
    );
    let names: Vec<&str> = registry
        .modules()
        .iter()
        .map(|module| &*module.name)
        .collect();
    assert_eq!(names[..3], ["core", "elements", "filters"]);
    assert_eq!(names.len(), 13);
}

#[test]
fn accessors_exist_as_far_as_the_property_allows() {
    let registry = Registry::built_in();
    let class = registry.class("WebRtcEndpoint").unwrap();
    for name in [
        "getId",
        "getMediaPipeline",
        "getParent",
        "getChildren",
        "getCreationTime",
        "getName",
        "setName",
        "getICECandidatePairs",
        "getIceConnectionState",
        "getDtlsConnectionState",
        "setMaxVideoSendBandwidth",
        "generateOffer",
        "getStats",
        "connect",
    ] {
        assert!(class.operation(name).is_some(), "{name}");
    }
    for name in [
        "setId",
        "setParent",
        "setChildren",
        "setCreationTime",
        "setMediaPipeline",
        "setICECandidatePairs",
        "setMediaState",
        "getchildren",
        "noSuchOperation",
        "play",
    ] {
        assert!(class.operation(name).is_none(), "{name}");
    }
    let setter = class.operation("setName").unwrap();
    assert_eq!(setter.action, Action::Set("name".to_owned()));
    assert_eq!(setter.params[0].name, "name");
}

#[test]
fn events_are_those_of_the_class_and_its_ancestors() {
    let registry = Registry::built_in();
    assert!(registry.event_supported("WebRtcEndpoint", "IceCandidateFound"));
    assert!(registry.event_supported("WebRtcEndpoint", "MediaStateChanged"));
    assert!(registry.event_supported("WebRtcEndpoint", "Error"));
    assert!(!registry.event_supported("WebRtcEndpoint", "CodeFound"));
    assert!(!registry.event_supported("WebRtcEndpoint", "kurento.Error"));
    for class in registry.classes() {
        assert!(class.supports_event("Error"), "{}", class.name());
        for event in class.events() {
            assert!(
                registry.event(event).is_some(),
                "{event} of {}",
                class.name()
            );
        }
    }
    let event = registry.event("IceCandidateFound").unwrap();
    let members: Vec<&str> = event.fields.iter().map(|field| &*field.name).collect();
    assert_eq!(
        members,
        ["source", "timestampMillis", "tags", "type", "candidate"]
    );
    assert!(event.is_media());
    assert!(!registry.event("ObjectCreated").unwrap().is_media());
}

#[test]
fn types_of_the_same_name_stay_apart() {
    let registry = Registry::built_in();
    assert_eq!(
        registry.resolve("chroma", "WindowParam"),
        Some(Type::Struct("chroma.WindowParam".into()))
    );
    assert_eq!(
        registry.resolve("pointerdetector", "WindowParam"),
        Some(Type::Struct("pointerdetector.WindowParam".into()))
    );
    let Some(ComplexType::Struct(stats)) = registry.complex_type("RTCInboundRTPStreamStats") else {
        panic!("a struct");
    };
    let first: Vec<&str> = stats
        .fields
        .iter()
        .take(4)
        .map(|field| &*field.name)
        .collect();
    assert_eq!(first, ["id", "type", "timestampMillis", "ssrc"]);
}

#[test]
fn descriptors_are_served_as_they_are() {
    let registry = Registry::built_in();
    let text = registry.kmd("elements").unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["name"], "elements");
    assert!(registry.kmd("nope").is_none());
}

#[test]
fn a_third_party_module_is_added_without_touching_others() {
    let mut registry = Registry::built_in();
    registry
        .add(
            r#"{ // somebody's
            "name": "wave", "version": "2.0.0",
            "remoteClasses": [
              {"name": "Loud", "extends": "WaveFilter", "constructor": {"params": [
                 {"name": "mediaPipeline", "type": "MediaPipeline", "doc": "raw
break"},
                 {"name": "curve", "type": "Curve[]", "optional": true, "defaultValue": []},
              ]}},
              {"name": "WaveFilter", "extends": "Filter", "abstract": true, "events": ["Peak"]},
            ],
            "complexTypes": [{"typeFormat": "ENUM", "name": "Curve", "values": ["A", "B"]}],
            "events": [{"name": "Peak", "extends": "Media", "properties": []}],
        }"#,
        )
        .unwrap();
    let class = registry.class("wave.Loud").unwrap();
    assert_eq!(
        class.hierarchy()[..2],
        ["wave.WaveFilter", "kurento.Filter"]
    );
    assert!(class.supports_event("Peak"));
    assert_eq!(registry.modules().last().unwrap().factories, ["Loud"]);
}

#[test]
fn a_refused_descriptor_leaves_no_trace() {
    let mut registry = Registry::built_in();
    let cases = [
        r#"{"name": "core", "version": "1"}"#,
        r#"{"name": "a", "version": "1", "remoteClasses": [{"name": "X", "extends": "Nope"}]}"#,
        r#"{"name": "a", "version": "1", "remoteClasses": [{"name": "X", "extends": "X"}]}"#,
        r#"{"name": "a", "version": "1", "remoteClasses": [{"name": "X"}, {"name": "X"}]}"#,
        r#"{"name": "a", "version": "1", "remoteClasses":
            [{"name": "X", "properties": [{"name": "p", "type": "Nope[]"}]}]}"#,
        r#"{"name": "a", "version": "1", "events": [{"name": "E", "extends": "Nope"}]}"#,
        "nonsense",
    ];
    for text in cases {
        let error = registry.add(text).unwrap_err();
        assert!(!error.to_string().is_empty());
        assert!(registry.class("a.X").is_none(), "{text}");
        assert!(registry.class("X").is_none(), "{text}");
        assert_eq!(registry.modules().len(), 13);
    }
    assert!(matches!(
        registry.add(cases[0]),
        Err(RegistryError::DuplicateModule(_))
    ));
}

#[test]
fn an_installed_module_is_carried_out_by_elements_and_may_take_a_place_that_nobody_fills() {
    let mut registry = Registry::built_in();
    let text = registry.kmd("platedetector").unwrap().to_owned();
    registry
        .install(&text, "/m/platedetector.kmd.json")
        .unwrap();
    assert_eq!(registry.modules().len(), 13);
    let class = registry.class("PlateDetectorFilter").unwrap();
    let plugin = class.plugin().unwrap();
    assert_eq!(plugin.file(), "/m/platedetector.kmd.json");
    assert!(plugin.elements().iter().any(|name| name == "platedetector"));
    assert_eq!(
        plugin.method("setPlateWidthPercentage"),
        "setPlateWidthPercentage"
    );
    assert!(class.plugin_operation("setPlateWidthPercentage").is_some());
    assert!(class.plugin_operation("getName").is_none());
    assert_eq!(class.plugin_events().collect::<Vec<_>>(), ["PlateDetected"]);
    assert!(
        registry
            .class("CrowdDetectorFilter")
            .unwrap()
            .plugin()
            .is_none()
    );
    // Twice, or what the server does itself.
    let kmd = |name: &str| registry.kmd(name).unwrap().to_owned();
    for text in [text, kmd("chroma"), kmd("core")] {
        let error = registry.clone().install(&text, "/m/x").unwrap_err();
        assert!(
            matches!(error, RegistryError::DuplicateModule(_)),
            "{error}"
        );
    }
}

#[test]
fn a_section_says_what_names_do_not_and_is_inherited() {
    let mut registry = Registry::built_in();
    let text = r#"{"name": "wave", "version": "1", "remoteClasses": [
        {"name": "Base", "extends": "Filter", "abstract": true, "events": ["Peak"],
         "properties": [{"name": "level", "type": "int"}],
         "salono": {"element": "wavy", "media": ["audio"], "properties": {"level": "lvl"},
                    "events": {"Peak": "on-peak"}}},
        {"name": "Loud", "extends": "Base", "methods": [{"name": "shout"}],
         "constructor": {"params": [{"name": "mediaPipeline", "type": "MediaPipeline"}]},
         "salono": {"methods": {"shout": "do-shout"}, "properties": {"level": "volume"}}}],
        "events": [{"name": "Peak", "extends": "Media"}]}"#;
    registry.install(text, "/m/wave.kmd.json").unwrap();
    let plugin = registry.class("wave.Loud").unwrap().plugin().unwrap();
    assert_eq!(plugin.elements(), ["loud", "wavy"]);
    assert_eq!(plugin.media().unwrap().len(), 1);
    assert_eq!(
        (plugin.property("level"), plugin.property("x")),
        ("volume", "x")
    );
    assert_eq!(
        (plugin.event("Peak"), plugin.method("shout")),
        ("on-peak", "do-shout")
    );
    let class = |rest: &str| {
        format!(r#"{{"name": "a", "version": "1", "remoteClasses": [{{"name": "X", {rest}}}]}}"#)
    };
    let pipeline =
        r#""constructor": {"params": [{"name": "mediaPipeline", "type": "MediaPipeline"}]}"#;
    for (text, word) in [
        (class(r#""extends": "WebRtcEndpoint""#), "extend one of"),
        (class(r#""extends": "Hub""#), "extend one of"),
        (class(&format!(r#""doc": "", {pipeline}"#)), "extend one of"),
        (
            class(r#""extends": "Filter", "constructor": {"params": []}"#),
            "mediaPipeline",
        ),
        (
            class(&format!(
                r#""extends": "Filter", {pipeline}, "salono": {{"methods": {{"go": "x"}}}}"#
            )),
            "'go'",
        ),
        (
            class(&format!(
                r#""extends": "Filter", {pipeline}, "salono": {{"elment": "x"}}"#
            )),
            "elment",
        ),
    ] {
        let error = registry
            .clone()
            .install(&text, "/m/x")
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}
