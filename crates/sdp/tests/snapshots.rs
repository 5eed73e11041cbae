//! What is read from the description of each kind of peer, and what each is answered.

mod support;

use salono_sdp::negotiate::{OfferOptions, answer, offer};
use support::{corpus, local, parse};

#[test]
fn every_kind_of_peer_is_read() {
    for (name, text) in corpus() {
        // Writing loses nothing that was read; `properties.rs` proves it.
        insta::assert_snapshot!(format!("read_{name}"), parse(&text));
    }
}

#[test]
fn every_kind_of_offer_is_answered() {
    for (name, text) in corpus() {
        let answered = answer(&parse(&text), &local()).unwrap();
        insta::assert_snapshot!(format!("answer_{name}"), answered.local);
    }
}

#[test]
fn every_kind_of_offer_is_understood() {
    for (name, text) in corpus() {
        let answered = answer(&parse(&text), &local()).unwrap();
        insta::assert_debug_snapshot!(
            format!("negotiated_{name}"),
            (answered.media, answered.transports)
        );
    }
}

#[test]
fn our_offer_has_all_that_we_can_do() {
    let offered = offer(&local(), OfferOptions::default());
    insta::assert_snapshot!("offer", offered.description);
}
