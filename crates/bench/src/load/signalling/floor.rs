//! No signalling: the bare forwarder is told what to send by those who receive it.

use super::super::camera::Camera;
use super::super::chatter::Chatter;
use super::super::plan::Watch;
use super::super::viewer::{Joined, Viewer};
use super::super::{Floorplan, LoadError};
use super::{Entrance, receiving, roll, tally};
use crate::peer::LOOPBACK;
use salono_media_engine::udp::{SocketOptions, UdpSocket};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The bare forwarder.
pub(super) struct Floor {
    address: SocketAddr,
}

impl Floor {
    /// The one at this address.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(super) fn publish(
        &self,
        plan: &Floorplan,
        publisher: usize,
        told: oneshot::Sender<()>,
    ) -> Result<(), LoadError> {
        let options = SocketOptions {
            segmentation: false,
            ..SocketOptions::default()
        };
        let socket = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0), options)?;
        let window = Arc::clone(&plan.windows[publisher]);
        let sources = sources(publisher);
        roll(
            plan,
            Camera::of_floor(socket, self.address, sources, window, told),
        )
    }

    pub(super) fn watch(
        &self,
        entrance: &Entrance,
        plan: &Floorplan,
        watch: &Watch,
        told: oneshot::Sender<Joined>,
    ) -> Result<(), LoadError> {
        let socket = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0), receiving())?;
        let sources = sources(watch.publisher);
        let tally = tally(plan, watch);
        let streams = if entrance.with_video { 2 } else { 1 };
        let chatter = entrance.feedback.then(|| Chatter::new(streams));
        let sampled = watch.sampled;
        let viewer =
            Viewer::of_floor(socket, self.address, sources, sampled, chatter, tally, told)?;
        plan.audience.borrow_mut().add(viewer, watch.sampled)?;
        Ok(())
    }
}

/// Sources of audio and video of a publisher.
fn sources(publisher: usize) -> [u32; 2] {
    let first = 0x5a10_0000 | (publisher as u32) << 1;
    [first, first | 1]
}
