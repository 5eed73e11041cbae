//! The real shard on its thread: commands, events and candidates through the public interface.

use salono_media_api::{
    Command, CommandSink, ElementEvent, ElementKey, ElementSpec, Event, IceSettings,
    MediaErrorKind, OfferKinds, Op, PipelineKey, Reply, Token, WebRtcSpec,
};
use salono_media_core::Certificates;
use salono_media_engine::{Engine, EngineConfig, EngineHandle};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn start() -> (EngineHandle, Receiver<Event>) {
    let (sender, receiver) = sync_channel(1_000);
    let config = EngineConfig {
        shards: 2,
        ips: vec![Ipv4Addr::LOCALHOST.into()],
        ..EngineConfig::new(Certificates::generate().expect("certificates"))
    };
    let sink = move |event| {
        sender.try_send(event).map_err(|refused| match refused {
            TrySendError::Full(event) | TrySendError::Disconnected(event) => event,
        })
    };
    (
        Engine::start(&config, sink).expect("loopback is free"),
        receiver,
    )
}

fn submit(engine: &mut EngineHandle, pipeline: u64, op: Op) {
    let pipeline = PipelineKey(pipeline);
    engine
        .submit(Command { pipeline, op })
        .expect("the queue has room");
}

/// The events up to the answer to `token`, and the answer.
fn until_answer(
    events: &Receiver<Event>,
    token: Token,
) -> (Vec<Event>, Result<Reply, MediaErrorKind>) {
    let mut before = Vec::new();
    loop {
        match events.recv_timeout(PATIENCE).expect("an answer in time") {
            Event::Replied { token: of, result } if of == token => {
                return (before, result.map_err(|error| error.kind));
            }
            event @ (Event::Replied { .. } | Event::Element { .. } | Event::Speakers { .. }) => {
                before.push(event)
            }
        }
    }
}

#[test]
fn each_endpoint_offers_the_port_of_its_shard() {
    let (mut engine, events) = start();
    let ports = engine.local_ports();
    for pipeline in 0..2 {
        let element = ElementKey(pipeline);
        let spec = ElementSpec::WebRtc(WebRtcSpec::default());
        let token = |number| Token(pipeline * 10 + number);
        submit(&mut engine, pipeline, Op::CreatePipeline);
        submit(
            &mut engine,
            pipeline,
            Op::Create {
                token: token(0),
                element,
                spec,
            },
        );
        assert_eq!(until_answer(&events, token(0)).1, Ok(Reply::Done));
        let kinds = OfferKinds::default();
        submit(
            &mut engine,
            pipeline,
            Op::GenerateOffer {
                token: token(1),
                element,
                kinds,
            },
        );
        let (_, Ok(Reply::Sdp(sdp))) = until_answer(&events, token(1)) else {
            panic!("an offer is answered with a description");
        };
        assert!(
            sdp.contains("m=video") && sdp.contains("a=fingerprint:"),
            "{sdp}"
        );
        submit(
            &mut engine,
            pipeline,
            Op::GatherCandidates {
                token: token(2),
                element,
            },
        );
        let mut candidates = Vec::new();
        while candidates.is_empty() {
            let event = events.recv_timeout(PATIENCE).unwrap();
            // The other shard may still be reporting.
            if let Event::Element {
                element: of,
                event: ElementEvent::IceCandidateFound(found),
            } = event
                && of == element
            {
                candidates.push(found.candidate);
            }
        }
        let place = format!(" 127.0.0.1 {} ", ports[pipeline as usize]);
        assert!(
            candidates[0].contains(&place),
            "{candidates:?} lacks {place}"
        );
    }
}

/// Gathers host candidates for a new endpoint that is kept to the interface with this name.
fn gather(
    engine: &mut EngineHandle,
    events: &Receiver<Event>,
    pipeline: u64,
    interface: &str,
) -> Result<Vec<String>, MediaErrorKind> {
    let element = ElementKey(pipeline);
    let token = |number| Token(pipeline * 10 + number);
    let ops = [
        Op::CreatePipeline,
        Op::Create {
            token: token(0),
            element,
            spec: ElementSpec::WebRtc(WebRtcSpec::default()),
        },
        Op::SetIce {
            element,
            settings: Box::new(IceSettings {
                interfaces: vec![interface.to_owned()],
                ..IceSettings::default()
            }),
        },
        Op::GenerateOffer {
            token: token(1),
            element,
            kinds: OfferKinds::default(),
        },
        Op::GatherCandidates {
            token: token(2),
            element,
        },
    ];
    ops.into_iter().for_each(|op| submit(engine, pipeline, op));
    let (found, answer) = until_answer(events, token(2));
    answer?;
    let candidates: BTreeSet<_> = found
        .into_iter()
        .filter_map(|event| match event {
            Event::Element {
                event: ElementEvent::IceCandidateFound(found),
                ..
            } => Some(found.candidate),
            Event::Element { .. } | Event::Replied { .. } | Event::Speakers { .. } => None,
        })
        .collect();
    Ok(candidates.into_iter().collect())
}

#[test]
fn endpoints_can_be_kept_to_interfaces_by_their_names() {
    let (mut engine, events) = start();
    let port = engine.local_ports()[0];
    let found = gather(&mut engine, &events, 0, "lo").unwrap();
    let [udp, tcp] = &found[..] else {
        panic!("one for UDP and one for TCP: {found:?}")
    };
    assert!(
        udp.contains(&format!(" 127.0.0.1 {port} typ host")),
        "{udp}"
    );
    assert!(
        tcp.contains(" 127.0.0.1 ") && tcp.contains("tcptype passive"),
        "{tcp}"
    );
    assert_eq!(
        gather(&mut engine, &events, 1, "eth9"),
        Err(MediaErrorKind::Gather)
    );
}

#[test]
fn commands_for_what_does_not_exist_fail_and_garbage_is_counted() {
    let (mut engine, events) = start();
    let (token, element) = (Token(1), ElementKey(1));
    submit(&mut engine, 7, Op::GatherCandidates { token, element });
    assert_eq!(
        until_answer(&events, token).1,
        Err(MediaErrorKind::NotFound)
    );
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for bytes in [
        &b"garbage"[..],
        &[0; 20],
        &[22; 100],
        &[0x80; 500],
        &[0xff; 1],
    ] {
        stranger
            .send_to(bytes, engine.local_addresses()[0][0])
            .unwrap();
    }
    // Metrics come once a second.
    let deadline = Instant::now() + PATIENCE;
    while engine.metrics()[0].datagrams_refused < 5 && Instant::now() < deadline {
        assert!(
            events.recv_timeout(Duration::from_millis(10)).is_err(),
            "nobody was told"
        );
    }
    engine.shutdown();
    let metrics = engine.metrics()[0];
    assert_eq!(
        (metrics.datagrams_received, metrics.datagrams_refused),
        (5, 5)
    );
    assert_eq!(metrics.datagrams_sent, 0);
}
