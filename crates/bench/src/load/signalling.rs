//! How publishers and receivers come to a server.

mod floor;
mod janus;
mod kurento;

use super::audience::Seat;
use super::camera::Camera;
use super::plan::{Job, Server, Watch};
use super::viewer::{Joined, Tally, Viewer};
use super::{Floorplan, LoadError};
use crate::peer::{KeySlot, LOOPBACK, Peer, PeerFactory};
use floor::Floor;
use janus::Janus;
use kurento::Kurento;
use salono_media_engine::udp::SocketOptions;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A session with a server.
pub(super) struct Signalling {
    protocol: Protocol,
    entrance: Entrance,
}

enum Protocol {
    Kurento(Kurento),
    Janus(Janus),
    Floor(Floor),
}

/// Where peers are made, whatever they speak.
struct Entrance {
    factory: PeerFactory,
    with_video: bool,
    /// Receivers tell when packets arrived.
    feedback: bool,
    /// Keys of the last receiver.
    keys: RefCell<KeySlot>,
}

impl Signalling {
    /// Opens a session and prepares the rooms.
    pub(super) async fn connect(job: &Job) -> Result<Self, LoadError> {
        let entrance = Entrance {
            factory: PeerFactory::new(match &job.server {
                Server::Kurento(_) | Server::Floor(_) => LOOPBACK,
                Server::Janus(_) => outward_address()?,
            })?,
            with_video: job.scenario.pattern().has_video(),
            feedback: job.feedback,
            keys: RefCell::default(),
        };
        let protocol = match &job.server {
            Server::Kurento(url) => Protocol::Kurento(Kurento::connect(url, job.scenario).await?),
            Server::Janus(url) => Protocol::Janus(Janus::connect(url, job.scenario).await?),
            Server::Floor(address) => Protocol::Floor(Floor::new(*address)),
        };
        Ok(Self { protocol, entrance })
    }

    /// A publisher comes and begins to send.
    pub(super) async fn publish(
        &self,
        plan: &Floorplan,
        publisher: usize,
    ) -> Result<(), LoadError> {
        let (told, connected) = oneshot::channel();
        let entrance = &self.entrance;
        match &self.protocol {
            Protocol::Kurento(kurento) => {
                kurento.publish(entrance, plan, publisher, told).await?;
            }
            Protocol::Janus(janus) => janus.publish(entrance, plan, publisher, told).await?,
            Protocol::Floor(floor) => floor.publish(plan, publisher, told)?,
        }
        connected
            .await
            .map_err(|_| LoadError::Load("the publishers have ended".into()))
    }

    /// A receiver comes and receives its first packet. `None` when its stack gave up before.
    pub(super) async fn watch(
        &self,
        plan: &Floorplan,
        watch: &Watch,
    ) -> Result<Option<Joined>, LoadError> {
        let (told, joined) = oneshot::channel();
        let entrance = &self.entrance;
        match &self.protocol {
            Protocol::Kurento(kurento) => {
                kurento.watch(entrance, plan, watch, told).await?;
            }
            Protocol::Janus(janus) => janus.watch(entrance, plan, watch, told).await?,
            Protocol::Floor(floor) => floor.watch(entrance, plan, watch, told)?,
        }
        Ok(joined.await.ok())
    }

    /// What the server says of itself.
    pub(super) async fn describe(&self) -> String {
        match &self.protocol {
            Protocol::Kurento(kurento) => kurento.describe().await,
            Protocol::Janus(janus) => janus.describe().await,
            Protocol::Floor(_) => "receive, AES-128-GCM, send".to_owned(),
        }
    }

    /// The SRTP profile of the last receiver, by its registered name.
    pub(super) fn srtp(&self) -> String {
        let keys = self.entrance.keys.borrow();
        let profile = keys.get().map(|keys| keys.remote.profile());
        match (&self.protocol, profile) {
            (Protocol::Floor(_), _) => "AEAD_AES_128_GCM".to_owned(),
            (_, Some(profile)) => profile.sdes_name().to_owned(),
            (_, None) => "none".to_owned(),
        }
    }

    /// Takes leave; the server forgets everything.
    pub(super) async fn leave(&self) {
        match &self.protocol {
            Protocol::Kurento(kurento) => kurento.leave().await,
            Protocol::Janus(janus) => janus.leave().await,
            Protocol::Floor(_) => {}
        }
    }
}

impl Entrance {
    /// A peer that will send. Browsers send packet by packet.
    fn sender(&self) -> Result<Peer, LoadError> {
        let options = SocketOptions {
            segmentation: false,
            ..SocketOptions::default()
        };
        Ok(self.factory.peer(options, true)?)
    }

    /// A peer that will receive.
    fn receiver(&self) -> Result<Peer, LoadError> {
        let peer = self.factory.peer(receiving(), self.feedback)?;
        self.keys.replace(Arc::clone(&peer.keys));
        Ok(peer)
    }

    /// Seats a receiver that has negotiated; `remote` is what the server said in its session description.
    fn seat(
        &self,
        plan: &Floorplan,
        watch: &Watch,
        peer: Peer,
        remote: &str,
        told: oneshot::Sender<Joined>,
    ) -> Result<Seat, LoadError> {
        let tally = tally(plan, watch);
        let viewer = if watch.sampled {
            Viewer::on_stack(peer, tally, told)
        } else {
            Viewer::apart(peer, self.with_video, remote, tally, told)?
        };
        plan.audience.borrow_mut().add(viewer, watch.sampled)
    }
}

/// The address of this machine that others would see. Janus has no candidate on the loopback interface and makes no
/// pair of an address there and one elsewhere. What goes from this address to itself stays on the loopback interface.
fn outward_address() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Sends nothing: the kernel looks up the route. The address is for documentation (RFC 5737).
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Sockets of receivers.
fn receiving() -> SocketOptions {
    SocketOptions {
        timestamps: true,
        ..SocketOptions::default()
    }
}

/// Of a new receiver.
fn tally(plan: &Floorplan, watch: &Watch) -> Tally {
    Tally::new(Arc::clone(&plan.windows[watch.publisher]), plan.clock)
}

/// Hands over a publisher that has negotiated.
fn roll(plan: &Floorplan, camera: Camera) -> Result<(), LoadError> {
    plan.cameras.add(camera)
}
