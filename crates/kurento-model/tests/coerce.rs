//! What the object model accepts from clients, and the exact words of refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use salono_kurento_model::{Class, Error, Map, ParamsOf, Registry, Value, json, unknown_operation};

const PIPELINE: &str = "p_kurento.MediaPipeline";
const ELEMENT: &str = "p_kurento.MediaPipeline/e_kurento.WebRtcEndpoint";

fn objects<'a>(registry: &'a Registry) -> impl Fn(&str) -> Option<&'a Class> {
    move |id| match id {
        PIPELINE => registry.class("MediaPipeline").map(|class| &**class),
        ELEMENT => registry.class("WebRtcEndpoint").map(|class| &**class),
        "manager_ServerManager" => registry.class("ServerManager").map(|class| &**class),
        _ => None,
    }
}

/// Parameters of `Class.operation`, or of the constructor without an operation.
fn check(target: &str, value: Option<Value>) -> Result<Map<String, Value>, Error> {
    let registry = Registry::built_in();
    let (class, operation) = target.split_once('.').unwrap_or((target, ""));
    let class = registry.class(class).unwrap();
    let (params, of) = match class.operation(operation) {
        Some(operation) => (&*operation.params, ParamsOf::Operation),
        None => (class.constructor().unwrap(), ParamsOf::Constructor),
    };
    registry.coerce_params(params, value.as_ref(), of, &objects(&registry))
}

fn accepted(target: &str, value: Value) -> Value {
    Value::Object(check(target, Some(value)).unwrap())
}

fn refused(target: &str, value: Value) -> (i32, String) {
    let error = check(target, Some(value)).unwrap_err();
    (error.code.code(), error.message)
}

#[test]
fn refusals_of_parameters_use_the_protocols_words() {
    let cases = [
        (
            "PassThrough",
            json!({}),
            "'mediaPipeline' parameter should be a string",
        ),
        (
            "PassThrough",
            json!({"mediaPipeline": {}}),
            "'mediaPipeline' parameter should be a string",
        ),
        (
            "PassThrough",
            json!([]),
            "'constructorParams' should be an object",
        ),
        (
            "PassThrough",
            json!("x"),
            "'constructorParams' should be an object",
        ),
        (
            "PlayerEndpoint",
            json!({"mediaPipeline": PIPELINE, "uri": "file:///x", "useEncodedMedia": "yes"}),
            "'useEncodedMedia' parameter should be a boolean",
        ),
        (
            "PlayerEndpoint",
            json!({"mediaPipeline": PIPELINE, "uri": "file:///x", "networkCache": "a"}),
            "'networkCache' parameter should be a integer",
        ),
        (
            "WebRtcEndpoint",
            json!({"mediaPipeline": PIPELINE, "certificateKeyType": "DSA"}),
            "Invalid value for 'CertificateKeyType'",
        ),
        (
            "RtpEndpoint",
            json!({"mediaPipeline": PIPELINE, "crypto": {"crypto": "NOPE"}}),
            "Invalid value for 'CryptoSuite'",
        ),
        (
            "PassThrough.setName",
            json!({}),
            "'name' parameter should be a string",
        ),
        (
            "PassThrough.setName",
            json!("x"),
            "'operationParams' should be an object",
        ),
        (
            "PassThrough.setName",
            json!([]),
            "'operationParams' should be an object",
        ),
        (
            "PassThrough.setEncoderBitrate",
            json!({"encoderBitrate": 99_999_999_999_i64}),
            "'encoderBitrate' parameter should be a integer",
        ),
        (
            "PassThrough.setVideoFormat",
            json!({}),
            "'caps' parameter should be a object",
        ),
        (
            "PassThrough.setVideoFormat",
            json!({"caps": {"codec": "VP8", "framerate": {"numerator": 30}}}),
            "'denominator' property should be a integer",
        ),
        (
            "PassThrough.setVideoFormat",
            json!({"caps": null}),
            "'codec' property should be a string",
        ),
        (
            "PlayerEndpoint.setPosition",
            json!({"position": "1"}),
            "'position' parameter should be a int64",
        ),
        (
            "PlateDetectorFilter.setPlateWidthPercentage",
            json!({"plateWidthPercentage": "1"}),
            "'plateWidthPercentage' parameter should be a double",
        ),
        (
            "CrowdDetectorFilter",
            json!({"mediaPipeline": PIPELINE, "rois": {}}),
            "'rois' parameter should be a list",
        ),
    ];
    for (target, value, words) in cases {
        assert_eq!(
            refused(target, value),
            (40001, words.to_owned()),
            "{target}"
        );
    }
}

#[test]
fn absent_parameters_matter_only_where_one_is_required() {
    let error = check("PassThrough", None).unwrap_err();
    assert_eq!(error.message, "'constructorParams' is required");
    let error = check("PassThrough.setName", None).unwrap_err();
    assert_eq!(error.message, "'name' parameter should be a string");
    for value in [None, Some(json!([])), Some(json!("x")), Some(json!(null))] {
        assert_eq!(
            check("PassThrough.getName", value.clone()).unwrap(),
            Map::new()
        );
        assert_eq!(check("MediaPipeline", value).unwrap(), Map::new());
    }
}

#[test]
fn references_must_name_a_live_object_of_the_class() {
    let connect = |id: &str| refused("PassThrough.connect", json!({"sink": id}));
    assert_eq!(
        connect("nope"),
        (40101, "Object 'nope' not found".to_owned())
    );
    assert_eq!(connect("").1, "Object '' not found");
    assert_eq!(
        connect("newref:3"),
        (
            40109,
            "Object 'newref:3' not found. Possibly using a transactional object without \
             committing the transaction."
                .to_owned()
        )
    );
    assert_eq!(
        connect(PIPELINE),
        (
            40107,
            format!("Object '{PIPELINE}' is not a kurento.MediaElement")
        )
    );
    assert_eq!(
        accepted("PassThrough.connect", json!({"sink": ELEMENT})),
        json!({"sink": ELEMENT})
    );
    let wrong = json!({"mediaPipeline": "manager_ServerManager"});
    assert_eq!(refused("PassThrough", wrong).0, 40107);
}

#[test]
fn obvious_conversions_happen_and_text_is_never_a_number() {
    let name =
        |value: Value| accepted("PassThrough.setName", json!({"name": value}))["name"].clone();
    assert_eq!(name(json!(5)), "5");
    assert_eq!(name(json!(true)), "true");
    assert_eq!(name(json!(null)), "");
    let rate = |value: Value| {
        accepted(
            "PassThrough.setEncoderBitrate",
            json!({"encoderBitrate": value}),
        )["encoderBitrate"]
            .clone()
    };
    assert_eq!(rate(json!(3.0)), 3);
    assert_eq!(rate(json!(-3.7)), -3);
    assert_eq!(rate(json!(true)), 1);
    assert_eq!(rate(json!(null)), 0);
    for value in [
        json!(1e300),
        json!(-1e300),
        json!(u64::MAX),
        json!([]),
        json!({}),
    ] {
        let error = check(
            "PassThrough.setEncoderBitrate",
            Some(json!({"encoderBitrate": value})),
        );
        assert!(error.is_err());
    }
    let flag = |value: Value| {
        accepted(
            "MediaPipeline.setLatencyStats",
            json!({"latencyStats": value}),
        )["latencyStats"]
            .clone()
    };
    assert_eq!(flag(json!(1)), true);
    assert_eq!(flag(json!(0.0)), false);
    assert_eq!(flag(json!(null)), false);
}

#[test]
fn constructors_fill_defaults_in() {
    assert_eq!(
        accepted(
            "WebRtcEndpoint",
            json!({"mediaPipeline": PIPELINE, "sendonly": true, "x": 1})
        ),
        json!({
            "mediaPipeline": PIPELINE, "recvonly": false, "sendonly": true, "useDataChannels": false,
            "certificateKeyType": "RSA", "qosDscp": "NO_VALUE"
        })
    );
    let player = accepted(
        "PlayerEndpoint",
        json!({"mediaPipeline": PIPELINE, "uri": "", "networkCache": null}),
    );
    assert_eq!(player["networkCache"], 2000);
}

#[test]
fn optional_operation_parameters_count_as_an_unbroken_prefix() {
    let connect = |value| accepted("PassThrough.connect", value);
    assert_eq!(
        connect(json!({"sink": ELEMENT, "mediaType": "AUDIO", "sinkMediaDescription": "d"})),
        json!({"sink": ELEMENT, "mediaType": "AUDIO"})
    );
    assert_eq!(
        connect(json!({"sink": ELEMENT, "sourceMediaDescription": "d"})),
        json!({"sink": ELEMENT})
    );
    assert_eq!(
        accepted(
            "PassThrough.isMediaFlowingIn",
            json!({"mediaType": "AUDIO"})
        ),
        json!({"mediaType": "AUDIO"})
    );
}

#[test]
fn structs_get_their_defaults_and_type_names() {
    let remb = accepted(
        "WebRtcEndpoint.setRembParams",
        json!({"rembParams": {"upLosses": 3}}),
    );
    let remb = &remb["rembParams"];
    assert_eq!(remb["upLosses"], 3);
    assert_eq!(remb["packetsRecvIntervalTop"], 100);
    assert_eq!(remb["exponentialFactor"], 0.04);
    assert_eq!(remb["__module__"], "kurento");
    assert_eq!(remb["__type__"], "RembParams");
    assert!(remb.get("linealFactorMin").is_none());
}

#[test]
fn claimed_struct_types_must_exist_and_fit() {
    let add = |module: &str, name: &str| {
        let candidate = json!({
            "candidate": "", "sdpMid": "0", "sdpMLineIndex": 0, "__module__": module, "__type__": name
        });
        check(
            "WebRtcEndpoint.addIceCandidate",
            Some(json!({"candidate": candidate})),
        )
    };
    assert!(add("kurento", "IceCandidate").is_ok());
    let error = add("kurento", "Nope").unwrap_err();
    assert_eq!(error.code.code(), 40003);
    assert_eq!(error.message, "Type Nope does not exist in module kurento");
    let error = add("kurento", "Fraction").unwrap_err();
    assert_eq!(
        (error.code.code(), &*error.message),
        (40003, "Type Fraction is not compatible")
    );
}

#[test]
fn derived_structs_are_accepted_where_their_base_is_declared() {
    let registry = Registry::built_in();
    let kind = registry.resolve("kurento", "Stats").unwrap();
    let value = json!({
        "__module__": "kurento", "__type__": "RTCPeerConnectionStats", "id": "a", "type": "session",
        "timestampMillis": 5, "dataChannelsOpened": 1, "dataChannelsClosed": 0
    });
    let same = registry.coerce(&value, &kind, "stats", &|_| None).unwrap();
    assert_eq!(same, value);
}

#[test]
fn unknown_operations_are_named_with_the_number_of_parameters() {
    let error = unknown_operation("setParent", Some(&json!({"parent": ""})));
    assert_eq!(error.code.code(), 40008);
    assert_eq!(
        error.message,
        "Method 'setParent' with 1 parameters not found"
    );
    assert_eq!(
        unknown_operation("nope", None).message,
        "Method 'nope' with 0 parameters not found"
    );
}

#[test]
fn no_value_is_too_odd_for_any_parameter() {
    let registry = Registry::built_in();
    let class_of = objects(&registry);
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(-1e308),
        json!(""),
        json!("newref:0"),
        json!("\u{0}\u{fffd}"),
        json!([]),
        json!([null, [], {}, "x"]),
        json!({}),
        json!({"__module__": 1, "__type__": []}),
        json!({"__module__": "kurento", "__type__": "MediaType"}),
        json!({"__module__": "kurento", "__type__": ""}),
        json!({"": null}),
    ];
    for class in registry.classes() {
        let constructor = class.constructor().into_iter();
        let operations = class
            .hierarchy()
            .into_iter()
            .chain([class.qualified_name()])
            .filter_map(|name| registry.class(name))
            .flat_map(|class| class.operations())
            .map(|operation| &*operation.params);
        for params in constructor.chain(operations) {
            for value in &odd {
                let given = params
                    .iter()
                    .map(|param| (param.name.clone(), value.clone()));
                let given = Value::Object(given.collect());
                for of in [ParamsOf::Operation, ParamsOf::Constructor] {
                    // Accepted or refused, it comes back, and what was accepted stays accepted.
                    if let Ok(accepted) =
                        registry.coerce_params(params, Some(&given), of, &class_of)
                    {
                        let again = Value::Object(accepted.clone());
                        let again = registry.coerce_params(params, Some(&again), of, &class_of);
                        assert_eq!(again.unwrap(), accepted);
                    }
                }
            }
        }
    }
}
