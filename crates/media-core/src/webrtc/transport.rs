//! One transport of an endpoint: ICE finds a path, DTLS agrees on keys over it, SCTP may follow.
//!
//! All m-lines of a BUNDLE group share one transport; without BUNDLE each m-line has its own.
//! DTLS is spoken only with addresses that passed an authenticated STUN check (RFC 5763 §6.7.1
//! and the ClientHello race that it leaves open), and no key is used before the peer's
//! certificate matched the signalled fingerprint.

mod drain;
mod stats;

use super::candidates::LocalCandidate;
use super::data::DataChannels;
use super::dtls::Dtls;
use crate::certificate::Certificate;
use crate::network::SocketId;
use is::stun::StunPacket;
use is::{Candidate, CandidateKind, IceAgent, IceConnectionState, IceCreds, Protocol};
use salono_media_api::DtlsState;
use salono_rtp::srtp::Profile;
use salono_sdp::Fingerprint;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least time between two checks of one transport. The 50 ms of RFC 8445 §14.2 spare networks of old;
/// it allows 5 ms, and whoever joins waits for several of them.
const TIMING_ADVANCE: Duration = Duration::from_millis(5);
/// DTLS datagrams that wait for the remote description or the nominated pair.
///
/// A peer retransmits its flight, so more than one flight is never needed.
const MAX_EARLY_DTLS: usize = 4;
/// Remote addresses of other transports that one transport remembers to keep off.
const MAX_KEPT_OFF: usize = 64;
/// A peer that starts no handshake for this long after ICE connected has failed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// A way to the peer: our socket and its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) socket: SocketId,
    pub(crate) remote: SocketAddr,
}

impl Hash for Path {
    /// In as few pieces as there can be: this is the hash that packets are found by.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.socket.0) << 16 | u64::from(self.remote.port());
        match self.remote {
            SocketAddr::V4(v4) => state.write_u64(ports << 32 | u64::from(v4.ip().to_bits())),
            // Scope and flow are left to the comparison.
            SocketAddr::V6(v6) => {
                state.write_u128(v6.ip().to_bits());
                state.write_u64(ports);
            }
        }
    }
}

/// A socket, or a relay, that ICE sends from.
struct Local {
    socket: SocketId,
    /// What the agent knows it by.
    base: SocketAddr,
    protocol: Protocol,
    /// Other transports send from this socket too.
    is_shared: bool,
    /// The candidate as it was signalled.
    line: Option<String>,
}

/// What a transport reports to its endpoint.
pub(crate) enum TransportEvent {
    Ice(IceConnectionState),
    /// This address may send to us from now on.
    Discovered(Path),
    /// Packets go this way from now on; both candidates as SDP lines.
    Selected {
        path: Path,
        local: String,
        remote: String,
    },
    /// A binding request with this transaction id is on its way.
    CheckSent([u8; 12]),
    Dtls(DtlsState),
    /// SRTP keys, after the fingerprint matched (RFC 5764 §4.2).
    Keys {
        profile: Profile,
        material: Vec<u8>,
        client: bool,
    },
}

/// The peer's side of the handshake, from its description.
#[derive(Debug, Clone)]
pub(crate) struct RemoteParams {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    /// The peer's certificate matches one of these.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// We send the ClientHello.
    pub(crate) active: bool,
}

pub(crate) struct Transport {
    ice: IceAgent,
    ice_state: IceConnectionState,
    dtls: Option<Dtls>,
    dtls_state: DtlsState,
    /// States of DTLS that are not reported yet.
    unreported: Vec<DtlsState>,
    handshake_deadline: Option<Instant>,
    remote: Option<RemoteParams>,
    early: VecDeque<Vec<u8>>,
    path: Option<Path>,
    /// A pair that was checked with success while none is nominated: what may be sent on it already
    /// (RFC 8445 §12.1) need not wait for the peer to choose.
    valid: Option<Path>,
    /// Where authentic messages came from, until it is reported.
    discovered: Vec<Path>,
    locals: Vec<Local>,
    /// Remote addresses that are not reached from shared sockets.
    kept_off: Vec<SocketAddr>,
    data: Option<DataChannels>,
    certificate: Arc<Certificate>,
    /// DER of the certificate that matched the signalled fingerprint.
    peer_certificate: Option<Vec<u8>>,
    dscp: u8,
    bytes_sent: u64,
    bytes_received: u64,
    /// ICE looks for a path anew while packets go on over the old one.
    restarting: bool,
    /// The peer has answered and did not fall silent since (RFC 7675).
    consent: bool,
    /// Closed by us.
    over: bool,
}

impl Transport {
    pub(crate) fn new(
        credentials: IceCreds,
        controlling: bool,
        tie_breaker: u64,
        certificate: Arc<Certificate>,
        dscp: u8,
    ) -> Self {
        let mut ice = IceAgent::new(credentials);
        ice.set_controlling(controlling);
        ice.set_control_tie_breaker(tie_breaker);
        ice.set_timing_advance(TIMING_ADVANCE);
        Self {
            ice,
            ice_state: IceConnectionState::New,
            dtls: None,
            dtls_state: DtlsState::New,
            unreported: Vec::new(),
            handshake_deadline: None,
            remote: None,
            early: VecDeque::new(),
            path: None,
            valid: None,
            discovered: Vec::new(),
            locals: Vec::new(),
            kept_off: Vec::new(),
            data: None,
            certificate,
            peer_certificate: None,
            dscp,
            bytes_sent: 0,
            bytes_received: 0,
            restarting: false,
            consent: false,
            over: false,
        }
    }

    /// Whether the peer's description is known.
    pub(crate) fn is_open(&self) -> bool {
        self.remote.is_some()
    }

    /// ICE begins anew (RFC 8445 §9); packets go on over the old path until there is another.
    pub(crate) fn restart(&mut self, credentials: IceCreds, remote: IceCreds) {
        self.ice.ice_restart(credentials, true);
        if let Some(known) = self.remote.as_mut() {
            known.ufrag.clone_from(&remote.ufrag);
            known.password.clone_from(&remote.pass);
        }
        self.ice.set_remote_credentials(remote);
        self.restarting = true;
    }

    /// Whether the peer agrees to be sent media.
    pub(crate) fn has_consent(&self) -> bool {
        self.consent && !self.over
    }

    /// Whether it was closed.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn is_restarting(&self) -> bool {
        self.restarting
    }

    pub(crate) fn local_ufrag(&self) -> &str {
        &self.ice.local_credentials().ufrag
    }

    pub(crate) fn remote_ufrag(&self) -> Option<&String> {
        self.remote.as_ref().map(|remote| &remote.ufrag)
    }

    /// Where packets go: the nominated pair, or before that one that works.
    pub(crate) fn path(&self) -> Option<Path> {
        self.path.or(self.valid)
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.ice.nominated_pair_rtt()
    }

    pub(crate) fn dtls_state(&self) -> DtlsState {
        self.dtls_state
    }

    pub(crate) fn data_mut(&mut self) -> Option<&mut DataChannels> {
        self.data.as_mut()
    }

    pub(crate) fn data(&self) -> Option<&DataChannels> {
        self.data.as_ref()
    }

    /// Lets data channels use this transport, from now on if it is secure already.
    pub(crate) fn set_data(&mut self, mut data: DataChannels, now: Instant) {
        if let (DtlsState::Connected, Some(remote)) = (self.dtls_state, &self.remote) {
            data.start(remote.active, now);
        }
        self.data = Some(data);
    }

    /// Makes a socket for UDP known to ICE.
    pub(crate) fn add_socket(&mut self, socket: SocketId, addr: SocketAddr) {
        self.add_local(socket, Candidate::host(addr, "udp"), true, None);
    }

    /// Makes a socket that only this transport has known to ICE.
    pub(crate) fn add_own_socket(&mut self, socket: SocketId, addr: SocketAddr, now: Instant) {
        self.add_local(socket, Candidate::host(addr, "udp"), false, None);
        self.ice.handle_timeout(now);
    }

    /// The sockets that only this transport has.
    pub(crate) fn own_sockets(&self) -> impl Iterator<Item = SocketId> + '_ {
        let own = |local: &&Local| !local.is_shared && local.line.is_none();
        self.locals.iter().filter(own).map(|local| local.socket)
    }

    /// Leaves a remote address to the other transport that has it as its peer on a shared socket:
    /// packets from it could not be told apart. True when that is new.
    pub(crate) fn keep_off(&mut self, remote: SocketAddr) -> bool {
        if self.kept_off.contains(&remote) || self.kept_off.len() >= MAX_KEPT_OFF {
            return false;
        }
        self.kept_off.push(remote);
        true
    }

    fn is_kept_off(&self, local: &Local, remote: SocketAddr) -> bool {
        local.is_shared && self.kept_off.contains(&remote)
    }

    /// Whether the peer may still be there.
    pub(crate) fn is_alive(&self) -> bool {
        self.ice_state != IceConnectionState::Disconnected
    }

    /// Takes in a candidate that was signalled.
    pub(crate) fn add_candidate(&mut self, candidate: &LocalCandidate, now: Instant) {
        let (socket, base) = (candidate.socket, candidate.base);
        let known = self
            .locals
            .iter_mut()
            .find(|local| local.socket == socket && local.base == base);
        let of_ice = match candidate.kind {
            CandidateKind::Host => {
                if let Some(local) = known {
                    local.line = Some(candidate.line.clone());
                    return;
                }
                Candidate::host(base, if candidate.tcp { "tcp" } else { "udp" })
            }
            CandidateKind::Relayed if known.is_none() => {
                // Which socket leads to the server is nothing that ICE has to know.
                Candidate::relayed(base, base, "udp")
            }
            // What comes to a mapping arrives at its socket, and checks are sent from there.
            CandidateKind::Relayed
            | CandidateKind::ServerReflexive
            | CandidateKind::PeerReflexive => return,
        };
        // A connection or a relay has few peers, and those are told apart.
        self.add_local(socket, of_ice, false, Some(candidate.line.clone()));
        if self.remote.is_some() {
            self.ice.handle_timeout(now);
        }
    }

    fn add_local(
        &mut self,
        socket: SocketId,
        candidate: Result<Candidate, is::IceError>,
        is_shared: bool,
        line: Option<String>,
    ) {
        let Ok(candidate) = candidate else { return };
        self.locals.push(Local {
            socket,
            base: candidate.addr(),
            protocol: candidate.proto(),
            is_shared,
            line,
        });
        self.ice.add_local_candidate(candidate);
    }

    /// A connection that the peer reached us by has ended.
    pub(crate) fn connection_ended(&mut self, remote: SocketAddr, now: Instant) {
        let gone = self
            .ice
            .remote_candidates()
            .find(|candidate| candidate.proto() == Protocol::Tcp && candidate.addr() == remote);
        if let Some(gone) = gone {
            self.ice.invalidate_candidate(&gone);
            self.ice.handle_timeout(now);
        }
    }

    pub(crate) fn add_remote(&mut self, candidate: Candidate) {
        self.ice.add_remote_candidate(candidate);
    }

    /// Takes in the peer's description; may be called once.
    pub(crate) fn set_remote(&mut self, remote: RemoteParams) {
        self.ice.set_remote_credentials(IceCreds {
            ufrag: remote.ufrag.clone(),
            pass: remote.password.clone(),
        });
        match Dtls::new(self.certificate.context(), remote.active) {
            Ok(dtls) => self.dtls = Some(dtls),
            Err(error) => tracing::error!(%error, "no DTLS session"),
        }
        self.remote = Some(remote);
    }

    /// Whether a STUN message is authentic for this transport.
    pub(crate) fn handle_stun(&mut self, path: Path, packet: StunPacket<'_>, now: Instant) -> bool {
        let from_other = self
            .locals
            .iter()
            .any(|local| local.socket == path.socket && self.is_kept_off(local, path.remote));
        if from_other {
            return false;
        }
        let is_answer = packet.message.is_successful_binding_response();
        let accepted = self.ice.handle_packet(now, packet);
        if accepted {
            if is_answer {
                self.valid.get_or_insert(path);
            }
            if !self.discovered.contains(&path) {
                self.discovered.push(path);
            }
            // Replies go out at once instead of with the next check interval.
            self.ice.handle_timeout(now);
        }
        accepted
    }

    /// A DTLS datagram from an address that ICE validated; false when it is of no use.
    pub(crate) fn handle_dtls(&mut self, datagram: &[u8], now: Instant) -> bool {
        if self.dtls.is_none() || self.path().is_none() {
            let has_room = self.early.len() < MAX_EARLY_DTLS;
            if has_room {
                self.early.push_back(datagram.to_vec());
            }
            return has_room;
        }
        self.feed_dtls(datagram, now)
    }

    fn feed_dtls(&mut self, datagram: &[u8], now: Instant) -> bool {
        let is_over = matches!(self.dtls_state, DtlsState::Failed | DtlsState::Closed);
        self.dtls
            .as_mut()
            .filter(|_| !is_over)
            .is_some_and(|dtls| dtls.handle_datagram(datagram, now))
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        self.ice.handle_timeout(now);
        if let Some(dtls) = self.dtls.as_mut() {
            dtls.handle_timeout(now);
        }
        if let Some(data) = self.data.as_mut() {
            data.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let data = self.data.as_ref().and_then(DataChannels::poll_timeout);
        // An ended session has nothing to retransmit; its last deadline would stay due.
        let is_over = matches!(self.dtls_state, DtlsState::Failed | DtlsState::Closed);
        [
            self.ice.poll_timeout(),
            self.dtls
                .as_ref()
                .filter(|_| !is_over)
                .and_then(Dtls::poll_timeout),
            self.handshake_deadline,
            data,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
