//! Which codecs session descriptions name, and in which order.

use salono_sdp::negotiate::{LocalCodec, plain::LineCodecs};

/// Codecs of session descriptions; offers name them in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codecs {
    /// Audio of WebRTC endpoints.
    pub audio: Vec<LocalCodec>,
    /// Video of WebRTC endpoints; a codec may be there in several profiles.
    pub video: Vec<LocalCodec>,
    /// Audio of RTP endpoints.
    pub plain_audio: LineCodecs,
    /// Video of RTP endpoints.
    pub plain_video: LineCodecs,
}

impl Default for Codecs {
    /// All that can be forwarded.
    fn default() -> Self {
        Self {
            audio: LocalCodec::default_audio(),
            video: LocalCodec::default_video(),
            plain_audio: LineCodecs::all_audio(),
            plain_video: LineCodecs::all_video(),
        }
    }
}

impl Codecs {
    /// Those that are named, as `opus/48000/2` or `VP8`, in that order; an empty list means all.
    /// Also returns the names that mean nothing here. Endpoints leave out what they do not speak: a
    /// WebRTC endpoint speaks less than an RTP endpoint does, and H265 only with `h265`.
    #[must_use]
    pub fn named<'a>(audio: &'a [String], video: &'a [String], h265: bool) -> (Self, Vec<&'a str>) {
        let mut all = Self::default();
        if h265 {
            all.video.push(LocalCodec::h265());
        }
        let mut unknown = Vec::new();
        let mut kind = |web_rtc: Vec<LocalCodec>, plain: LineCodecs, names: &'a [String]| {
            if names.is_empty() {
                return (web_rtc, plain);
            }
            let web_rtc = choose(&web_rtc, names);
            let every = [plain.offered, plain.accepted].concat();
            unknown.extend(names.iter().map(String::as_str).filter(|name| {
                let lists = web_rtc.iter().chain(&every);
                !lists.into_iter().any(|codec| is_named(codec, name))
            }));
            let plain = LineCodecs {
                offered: choose(&every, names),
                accepted: Vec::new(),
            };
            (web_rtc, plain)
        };
        let (audio, plain_audio) = kind(all.audio, all.plain_audio, audio);
        let (video, plain_video) = kind(all.video, all.plain_video, video);
        let codecs = Self {
            audio,
            video,
            plain_audio,
            plain_video,
        };
        (codecs, unknown)
    }
}

/// The codecs with these names, in the order of the names, each once.
fn choose(all: &[LocalCodec], names: &[String]) -> Vec<LocalCodec> {
    let mut chosen: Vec<LocalCodec> = Vec::new();
    for name in names {
        let fitting = all.iter().filter(|codec| is_named(codec, name));
        let new: Vec<LocalCodec> = fitting
            .filter(|codec| !chosen.contains(codec))
            .cloned()
            .collect();
        chosen.extend(new);
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
    use super::{Codecs, LocalCodec};
    use salono_sdp::CodecKind;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_choose_and_order_and_every_profile_comes_along() {
        let audio = texts(&["PCMU/8000", "opus/48000/2", "AMR/8000", "pcmu"]);
        let video = texts(&["H265/90000", "h264/90000", "VP8/8000"]);
        let (codecs, unknown) = Codecs::named(&audio, &video, false);
        let kinds: Vec<CodecKind> = codecs.audio.iter().map(|codec| codec.kind).collect();
        assert_eq!(kinds, [CodecKind::Pcmu, CodecKind::Opus]);
        let all = Codecs::default();
        let h264 = all
            .video
            .iter()
            .filter(|codec| codec.kind == CodecKind::H264);
        assert_eq!(codecs.video, h264.cloned().collect::<Vec<_>>());
        assert!(codecs.video.len() > 1);
        let plain = |codecs: &[LocalCodec]| -> Vec<CodecKind> {
            codecs.iter().map(|codec| codec.kind).collect()
        };
        assert_eq!(
            plain(&codecs.plain_audio.offered),
            [CodecKind::Pcmu, CodecKind::Opus, CodecKind::Amr]
        );
        assert_eq!(
            plain(&codecs.plain_video.offered),
            [CodecKind::H265, CodecKind::H264]
        );
        assert!(codecs.plain_video.accepted.is_empty());
        assert_eq!(unknown, ["VP8/8000"]);
    }

    #[test]
    fn web_rtc_endpoints_know_h265_where_it_is_enabled_and_not_left_out() {
        let knows = |names: &[&str], h265| {
            let names = texts(names);
            let (codecs, _) = Codecs::named(&[], &names, h265);
            let mut kinds = codecs.video.iter().map(|codec| codec.kind);
            kinds.position(|kind| kind == CodecKind::H265)
        };
        assert_eq!(knows(&[], false), None);
        assert_eq!(knows(&["H265"], false), None);
        assert_eq!(knows(&["VP8"], true), None);
        assert_eq!(knows(&["H265/90000", "VP8"], true), Some(0));
        let last = Codecs::default().video.len();
        assert_eq!(knows(&[], true), Some(last));
    }

    #[test]
    fn nothing_named_means_everything() {
        assert_eq!(
            Codecs::named(&[], &[], false),
            (Codecs::default(), Vec::new())
        );
    }
}
