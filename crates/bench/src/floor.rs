//! The least that forwarding one packet can cost on this machine.
//!
//! Forwarding over SRTP cannot do without receiving, one authenticated encryption and one send per receiver.
//! [`serve`] is a bare forwarder that does these and nothing else: it parses nothing, keeps no state and answers nobody.
//! It is measured like any server, with the same load (see [`load`](crate::load)); what a server needs beyond it is what
//! the server adds. [`measure_steps`] takes the steps apart and runs each at full speed.

mod forwarder;
mod steps;

pub(crate) use forwarder::{FloorKey, register};
pub use steps::{StepOptions, StepReport, measure_steps};

use crate::peer::LOOPBACK;
use forwarder::Forwarder;
use salono_media_engine::udp::{SocketOptions, UdpSocket};
use std::io;
use std::net::SocketAddr;

/// Runs the bare forwarder on the calling thread, for ever, after telling `opened` where it is.
///
/// # Errors
/// When the socket cannot be had or breaks.
pub fn serve(opened: impl FnOnce(SocketAddr) -> io::Result<()>) -> io::Result<()> {
    let address = SocketAddr::new(LOOPBACK, 0);
    let socket = UdpSocket::bind(address, SocketOptions::default())?;
    opened(socket.local_addr())?;
    Forwarder::new(socket).serve()
}
