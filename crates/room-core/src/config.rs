//! Limits and media settings of a room.

use std::time::Duration;

/// Caps on what clients can make a room hold, and how long the media server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Participants in one room; a join beyond fails with code 201.
    pub participants: usize,
    /// Operations of one participant that wait for their turn; one more fails with code 999.
    pub queued_operations: usize,
    /// Candidates kept for one endpoint that is not negotiated yet; more are dropped.
    pub buffered_candidates: usize,
    /// Names without a participant for which candidates are kept; the oldest name gives way.
    pub unknown_endpoints: usize,
    /// Streams that one participant publishes; one more fails with code 999.
    pub streams: usize,
    /// Media elements in one publisher's chain; one more fails with code 304.
    pub elements: usize,
    /// How long creating the pipeline may take before joins fail with code 204.
    pub pipeline_timeout: Duration,
    /// How long one media operation may take before it fails with code 303.
    pub operation_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            participants: 1000,
            queued_operations: 1024,
            buffered_candidates: 128,
            unknown_endpoints: 16,
            streams: 8,
            elements: 16,
            pipeline_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(30),
        }
    }
}

/// Bandwidth caps of WebRTC endpoints, kbps; `None` leaves the media server's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// `setMaxVideoRecvBandwidth`.
    pub max_video_recv: Option<u32>,
    /// `setMinVideoRecvBandwidth`.
    pub min_video_recv: Option<u32>,
    /// `setMaxVideoSendBandwidth`.
    pub max_video_send: Option<u32>,
    /// `setMinVideoSendBandwidth`.
    pub min_video_send: Option<u32>,
}

impl Bandwidth {
    /// The setters to call and their values, in order.
    pub(crate) fn setters(self) -> impl Iterator<Item = (&'static str, &'static str, u32)> {
        [
            (
                "setMaxVideoRecvBandwidth",
                "maxVideoRecvBandwidth",
                self.max_video_recv,
            ),
            (
                "setMinVideoRecvBandwidth",
                "minVideoRecvBandwidth",
                self.min_video_recv,
            ),
            (
                "setMaxVideoSendBandwidth",
                "maxVideoSendBandwidth",
                self.max_video_send,
            ),
            (
                "setMinVideoSendBandwidth",
                "minVideoSendBandwidth",
                self.min_video_send,
            ),
        ]
        .into_iter()
        .filter_map(|(operation, parameter, value)| Some((operation, parameter, value?)))
    }
}

/// Everything that a room is configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoomConfig {
    /// Caps and timeouts.
    pub limits: Limits,
    /// Bandwidth caps.
    pub bandwidth: Bandwidth,
    /// Forward the audio of so many participants only, the loudest, where the media server can; 0 is
    /// everybody.
    pub loudest: u16,
}
