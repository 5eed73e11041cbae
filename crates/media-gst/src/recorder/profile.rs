//! What goes into a recording: container, tracks, and which codecs need no encoding.

use super::format::Codec;
use super::mux::Container;
use salono_media_api::MediaKind;
use salono_media_api::processing::RecordingProfile;

/// Container and tracks of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Kind of file.
    pub container: Container,
    /// Has sound.
    pub audio: bool,
    /// Has pictures.
    pub video: bool,
}

impl Profile {
    /// Of a profile by name.
    pub fn of(profile: RecordingProfile) -> Self {
        let (container, audio, video) = match profile {
            RecordingProfile::Webm => (Container::Webm, true, true),
            RecordingProfile::WebmVideoOnly => (Container::Webm, false, true),
            RecordingProfile::WebmAudioOnly => (Container::Webm, true, false),
            RecordingProfile::Mkv => (Container::Matroska, true, true),
            RecordingProfile::MkvVideoOnly => (Container::Matroska, false, true),
            RecordingProfile::MkvAudioOnly => (Container::Matroska, true, false),
            RecordingProfile::Mp4 => (Container::Mp4, true, true),
            RecordingProfile::Mp4VideoOnly => (Container::Mp4, false, true),
            RecordingProfile::Mp4AudioOnly => (Container::Mp4, true, false),
            RecordingProfile::Flv => (Container::Flv, true, true),
            RecordingProfile::JpegVideoOnly => (Container::Jpeg, false, true),
        };
        Self {
            container,
            audio,
            video,
        }
    }

    /// Whether there is a track of this kind.
    pub fn has(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
            MediaKind::Data => false,
        }
    }

    /// Whether this codec is stored as it comes.
    pub fn takes(&self, codec: Codec) -> bool {
        match self.container {
            Container::Matroska => true,
            Container::Webm => match codec {
                Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opus | Codec::Vorbis => true,
                Codec::H264
                | Codec::H265
                | Codec::H263
                | Codec::Jpeg
                | Codec::Aac
                | Codec::Pcmu
                | Codec::Pcma
                | Codec::Speex
                | Codec::G722
                | Codec::AmrNb => false,
            },
            Container::Mp4 => match codec {
                Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Aac | Codec::Opus => true,
                Codec::Vp8
                | Codec::Vp9
                | Codec::H263
                | Codec::Jpeg
                | Codec::Vorbis
                | Codec::Pcmu
                | Codec::Pcma
                | Codec::Speex
                | Codec::G722
                | Codec::AmrNb => false,
            },
            Container::Flv => matches!(codec, Codec::H264 | Codec::Aac),
            Container::Jpeg => codec == Codec::Jpeg,
        }
    }

    /// What a stream of another codec is made into.
    pub fn encoded_as(&self, kind: MediaKind) -> Codec {
        let is_audio = kind != MediaKind::Video;
        match self.container {
            Container::Webm | Container::Matroska if is_audio => Codec::Opus,
            Container::Mp4 | Container::Flv | Container::Jpeg if is_audio => Codec::Aac,
            Container::Webm => Codec::Vp8,
            Container::Jpeg => Codec::Jpeg,
            Container::Matroska | Container::Mp4 | Container::Flv => Codec::H264,
        }
    }

    /// Media type of a file, for uploads.
    pub fn content_type(&self) -> &'static str {
        match (self.container, self.video) {
            (Container::Webm, true) => "video/webm",
            (Container::Webm, false) => "audio/webm",
            (Container::Matroska, true) => "video/x-matroska",
            (Container::Matroska, false) => "audio/x-matroska",
            (Container::Mp4, true) => "video/mp4",
            (Container::Mp4, false) => "audio/mp4",
            (Container::Flv, _) => "video/x-flv",
            (Container::Jpeg, _) => "video/x-motion-jpeg",
        }
    }
}
