//! Host names of servers: looked up once for everybody, remembered for a while.

use super::Io;
use crate::network::{NetworkRequest, RequestId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an answer, or that there is none, is good for.
const LIFETIME: Duration = Duration::from_secs(60);
/// Names remembered at most; names come from clients of the control interface.
const MAX_NAMES: usize = 1_024;

#[derive(Debug)]
enum Entry {
    Pending(RequestId),
    /// No addresses: the name is not known.
    Known {
        addresses: Vec<IpAddr>,
        until: Instant,
    },
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    Pending,
    /// In order of preference; empty when there are none.
    Known(Vec<IpAddr>),
}

#[derive(Debug, Default)]
pub(super) struct Names {
    entries: BTreeMap<String, Entry>,
}

impl Names {
    /// The addresses of a host; starts to look them up when they are not known.
    pub(super) fn resolve(&mut self, host: &str, io: &mut Io<'_>) -> Lookup {
        if let Ok(ip) = host.parse() {
            return Lookup::Known(vec![ip]);
        }
        match self.entries.get(host) {
            Some(Entry::Pending(_)) => return Lookup::Pending,
            Some(Entry::Known { addresses, until }) if *until > io.now => {
                return Lookup::Known(addresses.clone());
            }
            Some(Entry::Known { .. }) | None => {}
        }
        if self.entries.len() >= MAX_NAMES && !self.entries.contains_key(host) {
            self.entries.retain(|_, entry| match entry {
                Entry::Pending(_) => true,
                Entry::Known { until, .. } => *until > io.now,
            });
            if self.entries.len() >= MAX_NAMES {
                return Lookup::Known(Vec::new());
            }
        }
        let request = io.requests.next_id();
        io.requests.push(NetworkRequest::Resolve {
            request,
            host: host.to_owned(),
        });
        self.entries
            .insert(host.to_owned(), Entry::Pending(request));
        Lookup::Pending
    }

    /// An answer has come; true when it was for a name of ours.
    pub(super) fn answer(
        &mut self,
        request: RequestId,
        addresses: Vec<IpAddr>,
        now: Instant,
    ) -> bool {
        let entry = self
            .entries
            .values_mut()
            .find(|entry| matches!(entry, Entry::Pending(pending) if *pending == request));
        let Some(entry) = entry else {
            return false;
        };
        *entry = Entry::Known {
            addresses,
            until: now + LIFETIME,
        };
        true
    }
}
