//! Who is who: source descriptions and goodbyes (RFC 3550 §6.5, §6.6).

use crate::wire;

/// SDES item type of the canonical name.
pub(super) const CNAME: u8 = 1;

/// A source description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDescription<'a> {
    /// Number of chunks announced.
    count: u8,
    /// The chunks.
    body: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    pub(super) const fn parse(count: u8, body: &'a [u8]) -> Self {
        Self { count, body }
    }

    /// SSRC and canonical name of each chunk that has one. The name is as the peer wrote it: any bytes.
    pub fn canonical_names(self) -> impl Iterator<Item = (u32, &'a [u8])> {
        let mut rest = self.body;
        (0..self.count)
            .map_while(move |_| {
                let ssrc = wire::u32_at(rest, 0)?;
                let mut items = rest.get(4..)?;
                let mut name = None;
                loop {
                    let kind = *items.first()?;
                    if kind == 0 {
                        break;
                    }
                    let len = usize::from(*items.get(1)?);
                    let (value, tail) = items.get(2..)?.split_at_checked(len)?;
                    if kind == CNAME {
                        name = Some(value);
                    }
                    items = tail;
                }
                // The list ends with at least one null byte and is padded to a word; chunks begin at words.
                let used = rest.len().saturating_sub(items.len());
                rest = rest
                    .get(used.saturating_add(1).next_multiple_of(4)..)
                    .unwrap_or(&[]);
                Some((ssrc, name))
            })
            .filter_map(|(ssrc, name)| name.map(|name| (ssrc, name)))
    }
}

/// Sources that leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bye<'a> {
    /// The sources.
    pub sources: SsrcList<'a>,
    /// Reason for leaving; empty when not given. Any bytes.
    pub reason: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let (list, rest) = body.split_at_checked(usize::from(count).saturating_mul(4))?;
        let reason = match rest.split_first() {
            Some((&len, text)) => text.get(..usize::from(len)).unwrap_or(&[]),
            None => &[],
        };
        Some(Self {
            sources: SsrcList::new(list),
            reason,
        })
    }
}

/// SSRCs in a packet; iterate over a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SsrcList<'a> {
    bytes: &'a [u8],
}

impl<'a> SsrcList<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl Iterator for SsrcList<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (first, rest) = self.bytes.split_first_chunk::<4>()?;
        self.bytes = rest;
        Some(u32::from_be_bytes(*first))
    }
}
