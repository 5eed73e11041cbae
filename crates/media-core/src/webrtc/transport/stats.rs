//! Counters and candidate pairs of a transport.

use super::Transport;
use is::{Candidate, Protocol};
use openssl::sha::sha256;
use salono_media_api::{
    CandidatePairState, CandidatePairStats, CandidateStats, CertificateStats, TransportStats,
};
use std::net::SocketAddr;

impl Transport {
    pub(crate) fn count_sent(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
    }

    pub(crate) fn count_received(&mut self, bytes: usize) {
        self.bytes_received += bytes as u64;
    }

    /// Counters and the pairs that were checked: of each candidate of the peer the best one.
    pub(crate) fn stats(&self, stream: u16) -> TransportStats {
        let selected = self.path.and_then(|path| {
            let local = self
                .locals
                .iter()
                .find(|local| local.socket == path.socket)?;
            Some((local.base, path.remote, local.protocol))
        });
        let locals: Vec<Candidate> = self.ice.local_candidates().collect();
        let mut pairs = Vec::new();
        for remote in self.ice.remote_candidates() {
            let is_selected =
                |base: SocketAddr| selected == Some((base, remote.addr(), remote.proto()));
            let checked = self.ice.find_pair_for_equivalent_remote_candidate(&remote);
            let best = checked.and_then(|pair| locals.get(pair.local_idx()));
            let chosen = locals
                .iter()
                .find(|local| is_selected(local.addr()) && local.proto() == remote.proto());
            let Some(local) = chosen.or(best) else {
                continue;
            };
            let selected = chosen.is_some();
            let round_trip_time = if selected {
                self.ice.nominated_pair_rtt()
            } else {
                checked.and_then(|pair| pair.last_successful_rtt())
            };
            pairs.push(CandidatePairStats {
                local: self.local_stats(local),
                remote: candidate_stats(&remote),
                // The agent forgets pairs whose checks failed.
                state: if selected || round_trip_time.is_some() {
                    CandidatePairState::Succeeded
                } else {
                    CandidatePairState::InProgress
                },
                selected,
                round_trip_time,
                available_outgoing: None,
                available_incoming: None,
            });
        }
        TransportStats {
            stream,
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            pairs,
            certificates: self.certificate_stats(),
        }
    }

    /// Our certificate and the peer's, once it was shown and matched.
    fn certificate_stats(&self) -> Vec<CertificateStats> {
        let Some(remote) = self.peer_certificate.clone() else {
            return Vec::new();
        };
        [(true, self.certificate.der()), (false, Some(remote))]
            .into_iter()
            .filter_map(|(local, der)| {
                let der = der?;
                let digest = sha256(&der).map(|byte| format!("{byte:02X}"));
                Some(CertificateStats {
                    local,
                    fingerprint: digest.join(":"),
                    algorithm: "sha-256".to_owned(),
                    certificate: der,
                })
            })
            .collect()
    }

    /// A candidate of ours as it was signalled, if it was.
    fn local_stats(&self, candidate: &Candidate) -> CandidateStats {
        let signalled = self
            .locals
            .iter()
            .find(|local| local.base == candidate.addr() && local.protocol == candidate.proto())
            .and_then(|local| Candidate::from_sdp_string(local.line.as_deref()?).ok());
        candidate_stats(signalled.as_ref().unwrap_or(candidate))
    }
}

fn candidate_stats(candidate: &Candidate) -> CandidateStats {
    CandidateStats {
        address: candidate.addr().ip().to_string(),
        port: candidate.addr().port(),
        protocol: match candidate.proto() {
            Protocol::Udp => "udp",
            Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => "tcp",
        }
        .to_owned(),
        kind: candidate.kind().to_string(),
        priority: candidate.prio(),
    }
}
