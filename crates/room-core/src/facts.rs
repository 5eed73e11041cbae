//! What the media server has beyond Kurento's: it says so in `ServerManager.getInfo`.
//!
//! It is asked once per room, and only when somebody needs something of that. Media servers without
//! the module `salono`, Kurento's among them, are used as they are.

use crate::effect::Reply;
use crate::request;
use crate::room::{AwaitedReply, Pipeline, Room};

/// Whether the media server was asked, and what it said.
#[derive(Debug, Default)]
pub(crate) enum Facts {
    /// Nobody needed to know.
    #[default]
    Unknown,
    /// The answer is on its way.
    Asked,
    Known(MediaFacts),
}

/// What a media server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MediaFacts {
    /// A class that tells who speaks.
    pub(crate) speakers: bool,
    /// A class that takes wishes for qualities of video.
    pub(crate) adaptation: bool,
}

impl Room {
    /// What the media server has; if nobody knows that yet it is asked, once there is a pipeline.
    pub(crate) fn media_facts(&mut self) -> Option<MediaFacts> {
        match self.facts {
            Facts::Known(facts) => Some(facts),
            Facts::Unknown if matches!(self.pipeline, Pipeline::Ready(_)) => {
                self.facts = Facts::Asked;
                self.request(request::server_info(), AwaitedReply::ServerInfo);
                None
            }
            Facts::Unknown | Facts::Asked => None,
        }
    }

    /// The media server said what it has; one that does not say has nothing.
    pub(crate) fn server_info_reply(&mut self, reply: Reply) {
        let info = reply.ok();
        let has = |class| {
            info.as_ref()
                .is_some_and(|info| request::has_class(info, class))
        };
        let facts = MediaFacts {
            speakers: has("SpeakerDetector"),
            adaptation: has("VideoAdaptation"),
        };
        self.facts = Facts::Known(facts);
        if self.closed {
            return;
        }
        self.attend_to_speakers();
        self.attend_to_all_video(facts);
    }
}
