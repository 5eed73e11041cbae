//! How a publisher's media runs from its endpoint through its elements to the pass-through.
//!
//! Links are computed, never patched: each state of a publisher has one set of links, and the step
//! from one state to the next is the difference of two sets. Muting, typed elements and taking
//! elements out therefore need no cases of their own.

use indexmap::IndexMap;

use crate::command::{MediaType, MutedMediaType};

/// Some kinds of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MediaSet {
    audio: bool,
    video: bool,
    data: bool,
}

impl MediaSet {
    pub(crate) const NONE: Self = Self {
        audio: false,
        video: false,
        data: false,
    };

    pub(crate) const ALL: Self = Self {
        audio: true,
        video: true,
        data: true,
    };

    pub(crate) fn contains(self, media: MediaType) -> bool {
        match media {
            MediaType::Audio => self.audio,
            MediaType::Video => self.video,
            MediaType::Data => self.data,
        }
    }

    pub(crate) fn insert(&mut self, media: MediaType) {
        match media {
            MediaType::Audio => self.audio = true,
            MediaType::Video => self.video = true,
            MediaType::Data => self.data = true,
        }
    }

    /// This set with everything that a mute silences.
    pub(crate) fn muted(self, media: MutedMediaType) -> Self {
        match media {
            MutedMediaType::All => Self::ALL,
            MutedMediaType::Video => Self {
                video: true,
                ..self
            },
            MutedMediaType::Audio => Self {
                audio: true,
                ..self
            },
        }
    }

    /// This set without what a mute silences.
    pub(crate) fn unmuted(self, media: MutedMediaType) -> Self {
        match media {
            MutedMediaType::All => Self::NONE,
            MutedMediaType::Video => Self {
                video: false,
                ..self
            },
            MutedMediaType::Audio => Self {
                audio: false,
                ..self
            },
        }
    }

    fn iter(self) -> impl Iterator<Item = MediaType> {
        MediaType::ALL
            .into_iter()
            .filter(move |media| self.contains(*media))
    }

    /// The media parameters with which one connect call each covers the set; `None` means all media.
    fn calls(self) -> Vec<Option<MediaType>> {
        if self == Self::ALL {
            vec![None]
        } else {
            self.iter().map(Some).collect()
        }
    }
}

/// An element that a publisher's media passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainElement {
    /// Object id.
    pub(crate) id: String,
    /// Only this kind passes it, the others pass by.
    pub(crate) media: Option<MediaType>,
}

/// Which media runs from which element to which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Links(IndexMap<(String, String), MediaSet>);

impl Links {
    /// Endpoint, elements in order, pass-through; what is muted does not leave the endpoint.
    pub(crate) fn chain(
        endpoint: &str,
        elements: &[ChainElement],
        pass_through: &str,
        muted: MediaSet,
    ) -> Self {
        let mut links = Self::default();
        for media in MediaType::ALL {
            let mut source = endpoint;
            let passed = elements
                .iter()
                .filter(|element| element.media.is_none_or(|only| only == media))
                .map(|element| element.id.as_str());
            for sink in passed.chain([pass_through]) {
                if source != endpoint || !muted.contains(media) {
                    links.add(source, sink, media);
                }
                source = sink;
            }
        }
        links
    }

    /// One source, one sink; what is muted does not flow.
    pub(crate) fn pair(source: &str, sink: &str, muted: MediaSet) -> Self {
        let mut links = Self::default();
        for media in MediaType::ALL {
            if !muted.contains(media) {
                links.add(source, sink, media);
            }
        }
        links
    }

    /// What to do to get from `self` to `next`. A sink has one source per kind of media and connecting
    /// another one replaces it, so only sinks that are left without a source are disconnected.
    pub(crate) fn changes(&self, next: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for ((source, sink), media) in &next.0 {
            let missing = media.iter().filter(|m| !self.has(source, sink, *m));
            push(&mut changes, true, source, sink, missing);
        }
        for ((source, sink), media) in &self.0 {
            let idle = media
                .iter()
                .filter(|m| !next.has(source, sink, *m) && !next.feeds(sink, *m));
            push(&mut changes, false, source, sink, idle);
        }
        changes
    }

    fn add(&mut self, source: &str, sink: &str, media: MediaType) {
        self.0
            .entry((source.to_owned(), sink.to_owned()))
            .or_default()
            .insert(media);
    }

    fn has(&self, source: &str, sink: &str, media: MediaType) -> bool {
        // A lookup by borrowed pair would need owned strings; chains are a handful of links.
        self.0
            .iter()
            .any(|((from, to), set)| from == source && to == sink && set.contains(media))
    }

    fn feeds(&self, sink: &str, media: MediaType) -> bool {
        self.0
            .iter()
            .any(|((_, to), set)| to == sink && set.contains(media))
    }
}

fn push(
    changes: &mut Vec<Change>,
    connect: bool,
    source: &str,
    sink: &str,
    media: impl Iterator<Item = MediaType>,
) {
    let mut set = MediaSet::NONE;
    media.for_each(|m| set.insert(m));
    changes.extend(set.calls().into_iter().map(|media| Change {
        connect,
        source: source.to_owned(),
        sink: sink.to_owned(),
        media,
    }));
}

/// One call of `connect` or `disconnect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) connect: bool,
    pub(crate) source: String,
    pub(crate) sink: String,
    /// `None` for all media.
    pub(crate) media: Option<MediaType>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &str, media: Option<MediaType>) -> ChainElement {
        ChainElement {
            id: id.into(),
            media,
        }
    }

    fn check(from: &Links, to: &Links, expected: &[(&str, &str, &str, Option<MediaType>)]) {
        let got = from.changes(to);
        let got: Vec<_> = got
            .iter()
            .map(|change| {
                let verb = if change.connect {
                    "connect"
                } else {
                    "disconnect"
                };
                (
                    verb,
                    change.source.as_str(),
                    change.sink.as_str(),
                    change.media,
                )
            })
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_plain_chain_is_one_untyped_connection() {
        let chain = Links::chain("ep", &[], "pt", MediaSet::NONE);
        check(&Links::default(), &chain, &[("connect", "ep", "pt", None)]);
    }

    #[test]
    fn adding_an_element_replaces_the_source_of_the_pass_through() {
        let before = Links::chain("ep", &[], "pt", MediaSet::NONE);
        let after = Links::chain("ep", &[element("f", None)], "pt", MediaSet::NONE);
        check(
            &before,
            &after,
            &[("connect", "ep", "f", None), ("connect", "f", "pt", None)],
        );
    }

    #[test]
    fn an_element_for_video_leaves_sound_alone() {
        let before = Links::chain("ep", &[], "pt", MediaSet::NONE);
        let video = Some(MediaType::Video);
        let after = Links::chain("ep", &[element("f", video)], "pt", MediaSet::NONE);
        check(
            &before,
            &after,
            &[("connect", "ep", "f", video), ("connect", "f", "pt", video)],
        );
    }

    #[test]
    fn audio_and_video_mutes_add_up_and_end_together() {
        let audio = MediaSet::NONE.muted(MutedMediaType::Audio);
        let both = audio.muted(MutedMediaType::Video);
        let chain = |muted| Links::chain("ep", &[], "pt", muted);
        check(
            &chain(MediaSet::NONE),
            &chain(audio),
            &[("disconnect", "ep", "pt", Some(MediaType::Audio))],
        );
        check(
            &chain(audio),
            &chain(both),
            &[("disconnect", "ep", "pt", Some(MediaType::Video))],
        );
        check(
            &chain(both),
            &chain(MediaSet::NONE),
            &[
                ("connect", "ep", "pt", Some(MediaType::Audio)),
                ("connect", "ep", "pt", Some(MediaType::Video)),
            ],
        );
    }

    #[test]
    fn muting_all_is_one_call_each_way() {
        let chain = |muted| Links::chain("ep", &[element("f", None)], "pt", muted);
        let open = chain(MediaSet::NONE);
        let muted = chain(MediaSet::ALL);
        check(&open, &muted, &[("disconnect", "ep", "f", None)]);
        check(&muted, &open, &[("connect", "ep", "f", None)]);
    }

    #[test]
    fn an_element_added_while_muted_does_not_unmute() {
        let before = Links::chain("ep", &[], "pt", MediaSet::ALL);
        let after = Links::chain("ep", &[element("f", None)], "pt", MediaSet::ALL);
        check(&before, &after, &[("connect", "f", "pt", None)]);
    }
}
