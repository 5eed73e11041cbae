//! Section `processor`: what plays, records, mixes, filters and transcodes.

use std::path::PathBuf;

use salono_media_core::Transcoding;
use salono_media_engine::processors::ProcessorConfig;
use serde::{Deserialize, Serialize};

/// Section `processor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Processor {
    /// The program.
    pub(crate) path: Option<PathBuf>,
    /// Processors that are kept ready.
    pub(crate) warm: usize,
    /// Processors at a time.
    pub(crate) max: usize,
    /// Memory of one.
    pub(crate) memory_bytes: u64,
    /// Whether media is encoded anew for receivers.
    pub(crate) transcoding: Choice,
    /// Directories that players read.
    pub(crate) read_roots: Vec<PathBuf>,
    /// Directories that recorders write.
    pub(crate) write_roots: Vec<PathBuf>,
    /// Whether recorders replace files.
    pub(crate) overwrite: bool,
    /// What players may open beside files.
    pub(crate) read_schemes: Vec<String>,
    /// What recorders may write to beside files.
    pub(crate) write_schemes: Vec<String>,
    /// Whether addresses may be reached that are not public.
    pub(crate) private_addresses: bool,
    /// GStreamer elements of filters.
    pub(crate) elements: Vec<String>,
}

/// Elements that change pictures or sound and reach for nothing else.
const HARMLESS: [&str; 67] = [
    "agingtv",
    "alpha",
    "aspectratiocrop",
    "audioamplify",
    "audiochebband",
    "audiocheblimit",
    "audioconvert",
    "audiodynamic",
    "audioecho",
    "audioinvert",
    "audiokaraoke",
    "audiopanorama",
    "audioresample",
    "audiowsincband",
    "audiowsinclimit",
    "bulge",
    "burn",
    "capsfilter",
    "chromium",
    "circle",
    "clockoverlay",
    "coloreffects",
    "dicetv",
    "diffuse",
    "dilate",
    "dodge",
    "edgetv",
    "equalizer-10bands",
    "equalizer-3bands",
    "exclusion",
    "fisheye",
    "freeverb",
    "gamma",
    "gaussianblur",
    "identity",
    "kaleidoscope",
    "level",
    "marble",
    "mirror",
    "optv",
    "perspective",
    "pinch",
    "quarktv",
    "radioactv",
    "revtv",
    "rippletv",
    "rotate",
    "shagadelictv",
    "solarize",
    "sphere",
    "square",
    "stereo",
    "streaktv",
    "stretch",
    "textoverlay",
    "timeoverlay",
    "tunnel",
    "twirl",
    "vertigotv",
    "videobalance",
    "videobox",
    "videocrop",
    "videoflip",
    "videomedian",
    "volume",
    "warptv",
    "waterripple",
];

/// A policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Choice {
    /// It is done.
    Allow,
    /// It is not.
    Deny,
}

impl Default for Processor {
    fn default() -> Self {
        let engine = ProcessorConfig::default();
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            path: None,
            warm: 1,
            max: engine.max,
            memory_bytes: engine.memory_bytes,
            transcoding: Choice::Allow,
            read_roots: Vec::new(),
            write_roots: Vec::new(),
            overwrite: engine.policy.overwrite,
            read_schemes: named(&["http", "https", "rtsp", "rtmp", "srt"]),
            write_schemes: named(&["http", "https"]),
            private_addresses: engine.policy.private_addresses,
            elements: named(&HARMLESS),
        }
    }
}

impl From<Choice> for Transcoding {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Allow => Self::Allow,
            Choice::Deny => Self::Deny,
        }
    }
}
