//! Calls through one shard in virtual time, with str0m as the peers.
#![allow(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the enums of the peer's library are open"
)]

mod adaptation;
mod attacks;
mod bandwidth;
mod cameras;
mod codecs;
mod data;
mod dtls;
mod feedback;
mod flow;
mod forwarding;
mod frames;
mod hubs;
mod joining;
mod keyframes;
mod layers;
mod loss;
mod nat;
mod negotiation;
mod neighbours;
mod outages;
mod plain;
mod processing;
mod prominence;
mod release;
mod renegotiation;
mod scalable;
mod sharing;
mod speakers;
mod spread;
mod spread_graphs;
mod spread_layers;
mod storms;
mod streams;
mod support;
mod switching;
mod two_shards;
