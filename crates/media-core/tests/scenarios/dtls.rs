//! The handshake with other people's DTLS: both roles, bad networks, the certificate asked for.
//!
//! The peers' library knows no RSA keys; that such a handshake completes is tested beside the
//! sessions themselves and with browsers.

use super::support::*;
use salono_media_api::{CertificateKind, WebRtcSpec};

/// The peer says that it will send the ClientHello; otherwise that is the shard's part.
fn active(sdp: &str) -> String {
    sdp.replace("a=setup:actpass", "a=setup:active")
}

fn as_it_is(sdp: &str) -> String {
    sdp.to_owned()
}

const ROLES: [fn(&str) -> String; 2] = [as_it_is, active];

#[test]
fn media_flows_in_both_roles() {
    for munge in ROLES {
        let mut world = World::new(101);
        let of = |wish: Wish| Wish { munge, ..wish };
        let publisher = world.join_connected(of(Wish::publish()));
        let viewer = world.join_connected(of(Wish::subscribe()));
        world.connect(world.element(publisher), world.element(viewer));
        world.start(publisher);
        world.run(secs(1));
        let frames = world.peers[viewer].video.decoded().len();
        assert!(frames > 20, "{frames} frames");
    }
}

#[test]
fn the_rsa_certificate_is_presented_to_those_alone_who_ask_for_it() {
    let mut world = World::new(102);
    let mut fingerprint = |certificate| {
        let spec = WebRtcSpec {
            certificate,
            ..WebRtcSpec::default()
        };
        let index = world.join_with(Wish::publish(), spec);
        world.sdp_line(index, false, "a=fingerprint:")
    };
    let unsaid = fingerprint(None);
    let rsa = fingerprint(Some(CertificateKind::Rsa));
    assert_eq!(fingerprint(Some(CertificateKind::Ecdsa)), unsaid);
    assert_ne!(rsa, unsaid);
    assert_eq!(fingerprint(Some(CertificateKind::Rsa)), rsa, "made once");
}

#[test]
fn calls_connect_over_networks_that_lose_up_to_a_tenth() {
    for munge in ROLES {
        for loss_permille in [50, 100] {
            for seed in 0..10 {
                let mut world = World::new(1_000 + seed);
                let link = Link {
                    loss_permille,
                    ..Link::BAD
                };
                let wish = Wish {
                    munge,
                    ..Wish::both().over(link)
                };
                let index = world.join(wish);
                assert!(
                    world.run_until(secs(20), |world| world.is_connected(index)),
                    "{loss_permille} permille, seed {seed}: {:?}",
                    world.events
                );
            }
        }
    }
}
