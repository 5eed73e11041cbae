//! The audio and video m-lines of a peer, each in both directions.

use crate::track::{OutSlot, TrackSlot};
use salono_media_api::{MediaKind, StreamName};
use salono_sdp::CodecKind;

/// One m-line of audio or video in both directions.
#[derive(Debug)]
pub(crate) struct Line {
    /// Position among the m-lines of the session.
    pub(crate) index: usize,
    pub(crate) kind: MediaKind,
    /// Its `a=mid`; the default name without one.
    pub(crate) name: StreamName,
    /// The first of its kind.
    is_default: bool,
    pub(crate) transport: usize,
    pub(crate) inbound: Option<TrackSlot>,
    pub(crate) outbound: Option<OutSlot>,
    /// The peer takes what the outbound stream carries.
    pub(crate) sends: bool,
    pub(super) flows_out: bool,
    pub(super) flows_in: bool,
    /// What was reported of what comes.
    pub(super) codec: Option<CodecKind>,
}

impl Line {
    /// What it is called in reports: by its mid when it is not the first of its kind.
    pub(super) fn told_name(&self) -> StreamName {
        if self.is_default {
            StreamName::Default
        } else {
            self.name.clone()
        }
    }

    /// Whether this is its `a=mid`, as packets carry it.
    pub(super) fn is_named(&self, mid: &[u8]) -> bool {
        match &self.name {
            StreamName::Default => false,
            StreamName::Named(name) => name.as_bytes() == mid,
        }
    }

    pub(super) fn is_default(&self) -> bool {
        self.is_default
    }
}

/// The lines of a peer, in the order of their m-lines. There are no more than a session description
/// may have.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Vec<Line>,
}

impl Lines {
    /// The line of an m-line, which begins without tracks.
    pub(crate) fn open(&mut self, index: usize, kind: MediaKind) -> &mut Line {
        let at = match self.lines.binary_search_by_key(&index, |line| line.index) {
            Ok(at) => at,
            Err(at) => {
                let line = Line {
                    index,
                    kind,
                    name: StreamName::Default,
                    is_default: false,
                    transport: 0,
                    inbound: None,
                    outbound: None,
                    sends: false,
                    flows_out: false,
                    flows_in: false,
                    codec: None,
                };
                self.lines.insert(at, line);
                at
            }
        };
        &mut self.lines[at]
    }

    /// The line that counts where only the kind is named: the first one.
    pub(crate) fn first(&self, kind: MediaKind) -> Option<&Line> {
        self.lines.iter().find(|line| line.kind == kind)
    }

    /// The line of a name.
    pub(crate) fn named(&self, kind: MediaKind, name: &StreamName) -> Option<&Line> {
        match name {
            StreamName::Default => self.first(kind),
            StreamName::Named(_) => self.of(kind).find(|line| line.name == *name),
        }
    }

    /// Notes which lines are the first of their kind.
    pub(super) fn mark_defaults(&mut self) {
        let mut seen = [false; 2];
        for line in &mut self.lines {
            let seen = &mut seen[usize::from(line.kind == MediaKind::Video)];
            line.is_default = !std::mem::replace(seen, true);
        }
    }

    /// The line by which a track comes in.
    pub(super) fn of_track_mut(&mut self, track: TrackSlot) -> Option<&mut Line> {
        self.lines
            .iter_mut()
            .find(|line| line.inbound == Some(track))
    }

    /// The line by which a stream goes out.
    pub(super) fn of_out_mut(&mut self, out: OutSlot) -> Option<&mut Line> {
        self.lines
            .iter_mut()
            .find(|line| line.outbound == Some(out))
    }

    /// By its place among the lines, which is not that of its m-line.
    pub(crate) fn get(&self, at: usize) -> Option<&Line> {
        self.lines.get(at)
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Line> {
        self.lines.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Line> {
        self.lines.iter_mut()
    }

    /// The lines of one kind.
    pub(crate) fn of(&self, kind: MediaKind) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.kind == kind)
    }
}

impl<'a> IntoIterator for &'a Lines {
    type Item = &'a Line;
    type IntoIter = std::slice::Iter<'a, Line>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
