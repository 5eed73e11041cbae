//! Which codecs session descriptions name, and in which order.

use salono_sdp::negotiate::LocalCodec;

/// Codecs of session descriptions; offers name them in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codecs {
    /// Of audio.
    pub audio: Vec<LocalCodec>,
    /// Of video; a codec may be there in several profiles.
    pub video: Vec<LocalCodec>,
}

impl Default for Codecs {
    /// All that can be forwarded.
    fn default() -> Self {
        Self {
            audio: LocalCodec::default_audio(),
            video: LocalCodec::default_video(),
        }
    }
}

impl Codecs {
    /// Those that are named, as `opus/48000/2` or `VP8`, in that order; an empty list means all.
    /// Also returns the names that mean nothing here.
    #[must_use]
    pub fn named<'a>(audio: &'a [String], video: &'a [String]) -> (Self, Vec<&'a str>) {
        let mut unknown = Vec::new();
        let all = Self::default();
        let codecs = Self {
            audio: choose(all.audio, audio, &mut unknown),
            video: choose(all.video, video, &mut unknown),
        };
        (codecs, unknown)
    }
}

fn choose<'a>(
    all: Vec<LocalCodec>,
    names: &'a [String],
    unknown: &mut Vec<&'a str>,
) -> Vec<LocalCodec> {
    if names.is_empty() {
        return all;
    }
    let mut chosen: Vec<LocalCodec> = Vec::new();
    for name in names {
        let before = chosen.len();
        let fitting = all.iter().filter(|codec| is_named(codec, name));
        let new: Vec<LocalCodec> = fitting
            .filter(|codec| !chosen.contains(codec))
            .cloned()
            .collect();
        chosen.extend(new);
        if chosen.len() == before && !chosen.iter().any(|codec| is_named(codec, name)) {
            unknown.push(name);
        }
    }
    chosen
}

/// Whether `name[/rate[/channels]]` means a codec; what is left out fits.
fn is_named(codec: &LocalCodec, name: &str) -> bool {
    let mut parts = name.trim().split('/');
    let fits = |part: Option<&str>, number: u32| {
        part.is_none_or(|part| part.parse::<u32>().is_ok_and(|it| it == number))
    };
    parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(codec.kind.name()))
        && fits(parts.next(), codec.kind.clock())
        && fits(parts.next(), codec.kind.channels().into())
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::Codecs;
    use salono_sdp::CodecKind;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_choose_and_order_and_every_profile_comes_along() {
        let audio = texts(&["PCMU/8000", "opus/48000/2", "AMR/8000", "pcmu"]);
        let video = texts(&["H265/90000", "h264/90000", "VP8/8000"]);
        let (codecs, unknown) = Codecs::named(&audio, &video);
        let kinds: Vec<CodecKind> = codecs.audio.iter().map(|codec| codec.kind).collect();
        assert_eq!(kinds, [CodecKind::Pcmu, CodecKind::Opus]);
        let all = Codecs::default();
        let h264 = all
            .video
            .iter()
            .filter(|codec| codec.kind == CodecKind::H264);
        assert_eq!(codecs.video, h264.cloned().collect::<Vec<_>>());
        assert!(codecs.video.len() > 1);
        assert!(unknown.contains(&"VP8/8000"), "{unknown:?}");
        assert!(!unknown.contains(&"pcmu"), "{unknown:?}");
    }

    #[test]
    fn nothing_named_means_everything() {
        assert_eq!(Codecs::named(&[], &[]), (Codecs::default(), Vec::new()));
    }
}
