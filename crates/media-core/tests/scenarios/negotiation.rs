//! Offers in both directions, candidates in any order, descriptions of unusual shape.

use super::support::*;
use is::stun::{StunMessage, StunPacket};
use is::{IceAgent, IceCreds};
use salono_media_api::*;
use std::net::SocketAddr;
use str0m::Candidate;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind as RtcKind};

#[test]
fn our_offer_is_answered_and_media_flows_both_ways() {
    let mut world = World::new(61);
    let spec = WebRtcSpec {
        data_channels: true,
        ..WebRtcSpec::default()
    };
    let peer = world.invite(Wish::both(), spec);
    world.expect_connected(peer);
    world.connect(world.element(peer), world.element(peer));
    world.start(peer);
    world.run(secs(3));
    assert!(world.peers[peer].video.decoded().len() > 70);
    assert!(world.peers[peer].audio.decoded().len() > 100);
    let element = world.element(peer);
    for remote in [false, true] {
        let reply = world.ask(|token| Op::Description {
            token,
            element,
            remote,
        });
        assert!(
            matches!(reply, Ok(Reply::Description(Some(_)))),
            "{reply:?}"
        );
    }
    let again = world.ask(|token| Op::GenerateOffer {
        token,
        element,
        kinds: OfferKinds::default(),
    });
    assert_eq!(
        again.map_err(|error| error.kind),
        Err(MediaErrorKind::AlreadyNegotiated)
    );
}

/// A peer whose candidate is in no description: it comes by trickle, before or after the offer.
fn trickled(before: bool) {
    let mut world = World::new(62 + u64::from(before));
    // A peer that we could not reach first: ours may only answer what it learned by trickle.
    let index = world.add_peer(&Wish::publish(), WebRtcSpec::default());
    let peer = &mut world.peers[index];
    let element = peer.element;
    let mut change = peer.rtc.sdp_api();
    let video = Direction::SendOnly;
    peer.video_mid = Some(change.add_media(RtcKind::Video, video, None, None, None));
    let mid = peer.video_mid.expect("video").to_string();
    let (offer, pending) = change.apply().expect("an offer");
    let candidate = Candidate::host(peer.addr, "udp").expect("a candidate");
    let line = candidate.to_sdp_string();
    peer.rtc.add_local_candidate(candidate);
    let found = IceCandidate {
        candidate: line,
        mid,
        mline_index: 0,
    };
    let sdp = offer.to_sdp_string();
    assert!(!sdp.contains("a=candidate"), "{sdp}");
    let add = |world: &mut World| {
        world.ask(|token| Op::AddIceCandidate {
            token,
            element,
            candidate: found.clone(),
        })
    };
    if before {
        assert_eq!(add(&mut world), Ok(Reply::Done));
    }
    let answer = world.ask_sdp(|token| Op::ProcessOffer {
        token,
        element,
        sdp,
    });
    let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
    let api = world.peers[index].rtc.sdp_api();
    api.accept_answer(pending, answer).expect("accepted");
    if !before {
        assert_eq!(add(&mut world), Ok(Reply::Done));
    }
    world.trickle(index);
    world.expect_connected(index);
    assert!(world.strays.is_empty());
}

#[test]
fn candidates_may_come_before_the_offer() {
    trickled(true);
}

#[test]
fn candidates_may_come_after_the_offer() {
    trickled(false);
}

#[test]
fn a_candidate_for_no_media_line_is_refused_and_harms_nothing() {
    let mut world = World::new(64);
    let peer = world.join(Wish::publish());
    let element = world.element(peer);
    let candidate = |mid: &str, mline_index| IceCandidate {
        candidate: "candidate:1 1 udp 2113937151 10.0.1.9 5000 typ host".into(),
        mid: mid.into(),
        mline_index,
    };
    for (candidate, kind) in [
        (candidate("nobody", 9), MediaErrorKind::Candidate),
        (
            IceCandidate {
                candidate: "candidate:what is this".into(),
                ..candidate("", 0)
            },
            MediaErrorKind::Candidate,
        ),
    ] {
        let reply = world.ask(|token| Op::AddIceCandidate {
            token,
            element,
            candidate: candidate.clone(),
        });
        assert_eq!(
            reply.map_err(|error| error.kind),
            Err(kind),
            "{candidate:?}"
        );
    }
    world.expect_connected(peer);
}

#[test]
fn bad_descriptions_are_refused_and_a_good_one_is_taken_afterwards() {
    let mut world = World::new(65);
    let peer = world.add_peer(&Wish::publish(), WebRtcSpec::default());
    let element = world.element(peer);
    for (sdp, kind) in [
        (String::new(), MediaErrorKind::SdpParse),
        ("hello".into(), MediaErrorKind::SdpParse),
        ("v=0\r\n".repeat(200_000), MediaErrorKind::SdpParse),
    ] {
        let reply = world.ask(|token| Op::ProcessOffer {
            token,
            element,
            sdp: sdp.clone(),
        });
        let error = reply.expect_err("refused");
        assert_eq!(error.kind, kind, "{error}");
    }
    let reply = world.ask(|token| Op::ProcessAnswer {
        token,
        element,
        sdp: "v=0\r\n".into(),
    });
    assert_eq!(
        reply.map_err(|error| error.kind),
        Err(MediaErrorKind::NoOffer)
    );
    let rtc = &mut world.peers[peer].rtc;
    let mut change = rtc.sdp_api();
    change.add_media(RtcKind::Audio, Direction::SendOnly, None, None, None);
    let (offer, _) = change.apply().expect("an offer");
    let sdp = offer.to_sdp_string();
    world.ask_sdp(|token| Op::ProcessOffer {
        token,
        element,
        sdp,
    });
}

#[test]
fn an_offer_without_bundle_gets_one_transport_per_media_line() {
    let mut world = World::new(66);
    let index = world.add_peer(&Wish::publish(), WebRtcSpec::default());
    let element = world.element(index);
    let mut change = world.peers[0].rtc.sdp_api();
    change.add_media(RtcKind::Audio, Direction::SendOnly, None, None, None);
    change.add_media(RtcKind::Video, Direction::SendOnly, None, None, None);
    let (offer, _) = change.apply().expect("an offer");
    let sdp = sdp::without_bundle(&offer.to_sdp_string());
    let answer = world.ask_sdp(|token| Op::ProcessOffer {
        token,
        element,
        sdp,
    });
    let field = |prefix: &str| -> Vec<String> {
        let lines = answer.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(str::to_owned).collect()
    };
    assert!(!answer.contains("a=group:BUNDLE"), "{answer}");
    let ufrags = field("a=ice-ufrag:");
    assert_eq!(ufrags.len(), 2, "{answer}");
    assert_ne!(ufrags[0], ufrags[1]);
    assert!(
        field("m=")
            .iter()
            .all(|line| !line.split(' ').nth(1).expect("a port").eq("0"))
    );
    let passwords = field("a=ice-pwd:");
    let remote = IceCreds {
        ufrag: world.sdp_line(index, true, "a=ice-ufrag:"),
        pass: world.sdp_line(index, true, "a=ice-pwd:"),
    };
    let mut agents: Vec<(IceAgent, SocketAddr)> = (0..2)
        .map(|at| {
            let addr = SocketAddr::from(([10, 0, 2, 1], 6_000 + at as u16));
            let mut agent = IceAgent::new(remote.clone());
            agent.set_controlling(true);
            agent.set_remote_credentials(IceCreds {
                ufrag: ufrags[at].clone(),
                pass: passwords[at].clone(),
            });
            let host = |addr| is::Candidate::host(addr, "udp").expect("a candidate");
            agent.add_local_candidate(host(addr));
            agent.add_remote_candidate(host(world.addr));
            (agent, addr)
        })
        .collect();
    let is_up = |world: &World, stream| {
        world.element_events(element).any(|event| {
            *event
                == ElementEvent::IceState {
                    stream,
                    component: 1,
                    state: IceState::Connected,
                }
        })
    };
    for _ in 0..300 {
        for (agent, addr) in &mut agents {
            agent.handle_timeout(world.now);
            while let Some(transmit) = agent.poll_transmit() {
                let bytes: &[u8] = &transmit.contents;
                world.inject(*addr, bytes);
            }
            for (to, bytes) in world.strays.extract_if(.., |(to, _)| to == addr) {
                let Ok(message) = StunMessage::parse(&bytes) else {
                    continue;
                };
                let packet = StunPacket {
                    proto: is::Protocol::Udp,
                    source: world.addr,
                    destination: to,
                    message,
                };
                agent.handle_packet(world.now, packet);
            }
        }
        world.run(millis(10));
    }
    assert!(is_up(&world, 1) && is_up(&world, 2), "{:?}", world.events);
}

#[test]
fn a_wrong_fingerprint_ends_the_handshake_without_media() {
    let mut world = World::new(67);
    let impostor = world.join(Wish {
        munge: sdp::with_wrong_fingerprint,
        ..Wish::publish()
    });
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(impostor), world.element(viewer));
    world.start(impostor);
    world.run(secs(5));
    let element = world.element(impostor);
    let failed = world.element_events(element).any(|event| {
        matches!(
            event,
            ElementEvent::DtlsState {
                state: DtlsState::Failed,
                ..
            }
        )
    });
    assert!(failed, "{:?}", world.events);
    assert!(!world.shard_says_connected(impostor));
    assert_eq!(world.shard.metrics().rtp_received, 0);
    assert!(world.peers[viewer].video.packets.is_empty());
}
