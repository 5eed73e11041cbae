//! One data channel: what it is called and what went through it.

use salono_media_api::{DataChannelSpec, DataChannelState};

/// A channel that is open, or that we asked the peer to open.
pub(super) struct Channel {
    pub(super) label: String,
    pub(super) protocol: String,
    pub(super) state: DataChannelState,
    pub(super) messages_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) messages_received: u64,
    pub(super) bytes_received: u64,
}

impl Channel {
    pub(super) fn new(state: DataChannelState, spec: DataChannelSpec) -> Self {
        Self {
            label: spec.label,
            protocol: spec.protocol,
            state,
            messages_sent: 0,
            bytes_sent: 0,
            messages_received: 0,
            bytes_received: 0,
        }
    }
}
