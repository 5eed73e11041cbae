//! Which packet of the media socket goes where.

use crate::host::Host;
use crate::inbox::Note;
use crate::inlet::{Clocks, InletPort};
use crate::outlet::OutletPort;
use salono_rtp::header::{Header, Kind};
use salono_rtp::rtcp::{Compound, Packet};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The inlets and outlets there are, by SSRC; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    table: Arc<RwLock<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    inlets: BTreeMap<u32, InletPort>,
    outlets: BTreeMap<u32, Arc<OutletPort>>,
}

impl Routes {
    /// Adds, replaces or (with `None`) removes an inlet.
    pub fn set_inlet(&self, ssrc: u32, port: Option<InletPort>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        match port {
            Some(port) => table.inlets.insert(ssrc, port),
            None => table.inlets.remove(&ssrc),
        };
    }

    /// Adds, replaces or (with `None`) removes an outlet.
    pub fn set_outlet(&self, ssrc: u32, port: Option<Arc<OutletPort>>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        match port {
            Some(port) => table.outlets.insert(ssrc, port),
            None => table.outlets.remove(&ssrc),
        };
    }

    /// Reads packets until the socket closes.
    pub fn read(&self, host: &Host) {
        // Of the packets of one message, the same time.
        let clocks = std::cell::RefCell::new(Clocks::default());
        host.socket().read(
            |packet| self.packet(host, packet, &mut clocks.borrow_mut()),
            || {
                let now = host.timebase().now();
                for port in self.lock().inlets.values() {
                    port.idle(now, &mut clocks.borrow_mut());
                }
            },
        );
    }

    fn packet(&self, host: &Host, packet: &[u8], clocks: &mut Clocks) {
        match Kind::of(packet) {
            Kind::Rtp => {
                let Ok(header) = Header::parse(packet) else {
                    return;
                };
                let table = self.lock();
                if let Some(port) = table.inlets.get(&header.ssrc) {
                    port.packet(host.timebase().now(), packet, clocks);
                }
            }
            Kind::Rtcp => self.feedback(host, packet),
            Kind::Stun | Kind::Dtls | Kind::Unknown => {}
        }
    }

    fn feedback(&self, host: &Host, compound: &[u8]) {
        let table = self.lock();
        let mut news = false;
        for packet in Compound::new(compound) {
            match packet {
                Packet::SenderReport(report) => {
                    if let Some(port) = table.inlets.get(&report.ssrc) {
                        port.report(report.ntp, report.rtp_timestamp);
                    }
                }
                Packet::PictureLoss { media_ssrc, .. } => {
                    if let Some(port) = table.outlets.get(&media_ssrc) {
                        news |= port.want_keyframe();
                    }
                }
                Packet::FullIntra(request) => {
                    for entry in request {
                        if let Some(port) = table.outlets.get(&entry.ssrc) {
                            news |= port.want_keyframe();
                        }
                    }
                }
                Packet::Remb(estimate) => {
                    for ssrc in estimate.sources {
                        if let Some(port) = table.outlets.get(&ssrc) {
                            news |= port.estimate(estimate.bitrate_bps);
                        }
                    }
                }
                Packet::ReceiverReport(_)
                | Packet::SourceDescription(_)
                | Packet::Bye(_)
                | Packet::Nack(_)
                | Packet::TransportFeedback(_)
                | Packet::Other { .. } => {}
                _ => {}
            }
        }
        drop(table);
        if news {
            host.inbox().note(Note::Feedback);
        }
    }

    fn lock(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}
