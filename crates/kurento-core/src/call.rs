//! What travels with a request while it is carried out.

use crate::{Config, ConnectionKey, HostFacts, Now, negotiation::Negotiation};
use salono_kurento_model::{Error, Map, Type, Value, wire::RequestId};
use salono_media_api::{MediaKind, Token};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Who gets the answer.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Where the request came from.
    pub(crate) connection: ConnectionKey,
    /// The session that it is part of; only `ping` may have none.
    pub(crate) session: Option<Arc<str>>,
    /// Identifier of the request.
    pub(crate) id: RequestId,
    /// It is an operation of the connection's innermost transaction.
    pub(crate) step: bool,
}

/// An invocation of an operation that the object's class has, with checked parameters.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Who asks.
    pub(crate) session: &'a Arc<str>,
    /// Number of the object.
    pub(crate) object: u64,
    /// Name of the operation.
    pub(crate) operation: &'a str,
    /// Parameters in their declared types.
    pub(crate) params: Map<String, Value>,
    /// When.
    pub(crate) now: Now,
}

impl Call<'_> {
    /// A text parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.params.get(name).and_then(Value::as_str)
    }

    /// An integer parameter that the descriptor declares as 32 bits.
    pub(crate) fn int(&self, name: &str) -> Option<i32> {
        let value = self.params.get(name).and_then(Value::as_i64)?;
        i32::try_from(value).ok()
    }

    /// A number; 0 where it is absent. JSON knows no infinite ones.
    pub(crate) fn float(&self, name: &str) -> f64 {
        let value = self.params.get(name).and_then(Value::as_f64);
        value.unwrap_or_default()
    }

    /// A truth value.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.params.get(name).and_then(Value::as_bool)
    }

    /// A media type.
    pub(crate) fn media_kind(&self, name: &str) -> Option<MediaKind> {
        match self.text(name)? {
            "AUDIO" => Some(MediaKind::Audio),
            "VIDEO" => Some(MediaKind::Video),
            "DATA" => Some(MediaKind::Data),
            _ => None,
        }
    }
}

/// Name of a media type on the wire.
pub(crate) fn media_type(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "AUDIO",
        MediaKind::Video => "VIDEO",
        MediaKind::Data => "DATA",
    }
}

/// How an operation went: its value, or what it waits for.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Done.
    Value(Value),
    /// The answer with this token decides.
    Later(Token, Then),
}

impl Outcome {
    /// Done, nothing to say.
    pub(crate) const VOID: Self = Self::Value(Value::Null);

    pub(crate) fn value(value: impl Into<Value>) -> Result<Self, Error> {
        Ok(Self::Value(value.into()))
    }
}

/// What to do with an answer of the engine or the host.
#[derive(Debug)]
pub(crate) enum Then {
    /// The object is there, or is taken back.
    Create { object: u64 },
    /// Our offer.
    Offer { object: u64, before: Negotiation },
    /// Our answer to an offer.
    Answer { object: u64, before: Negotiation },
    /// The peer's answer is applied.
    Complete { object: u64 },
    /// A stored description.
    Description { remote: bool },
    /// Nothing but success or failure.
    Confirm,
    /// What an element that processes media answers.
    Processed(Asked),
    /// What an element of a third-party module answers.
    Invoked {
        /// The type of that; nothing where there is none.
        returns: Option<Type>,
    },
    /// A recorder's file is complete.
    StopAndWait,
    /// The recorders of what is released are stopped.
    Release {
        /// What is released.
        object: u64,
        /// Recorders that still write.
        writing: usize,
    },
    /// The URL of an endpoint that takes uploads is served.
    Listen { object: u64 },
    /// The data channel is closed, or never was there.
    CloseChannel,
    /// Counters.
    Stats {
        /// Of this element.
        object: u64,
        /// Only of this kind.
        kind: Option<MediaKind>,
    },
    /// The resident memory.
    Memory,
    /// The number of processors.
    Processors,
    /// The first of two readings of the processor time.
    LoadBegin {
        /// Distance to the second one.
        interval: Duration,
    },
    /// The second reading.
    LoadEnd {
        /// The first one.
        begin: HostFacts,
        /// When it was made.
        since: Instant,
    },
}

/// What is asked of an element that processes media, as far as the answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing but success.
    Success,
    /// A player's position.
    Position,
    /// What of a player's source can be jumped to.
    VideoInfo,
    /// A text.
    Text,
    /// To jump.
    Seek,
    /// To set a property of a GStreamer element.
    ElementProperty,
    /// To draw a picture.
    Picture,
}

/// How long a recorder may take to complete its file before whoever waits is answered.
const COMPLETION: Duration = Duration::from_secs(4);

impl Then {
    /// How long to wait for it.
    pub(crate) fn patience(&self, config: &Config) -> Duration {
        if matches!(self, Self::StopAndWait | Self::Release { .. }) {
            COMPLETION
        } else {
            config.engine_patience
        }
    }

    /// Number of the object that the answer changes.
    pub(crate) fn object(&self) -> Option<u64> {
        match self {
            Self::Create { object }
            | Self::Offer { object, .. }
            | Self::Answer { object, .. }
            | Self::Complete { object }
            | Self::Release { object, .. }
            | Self::Listen { object }
            | Self::Stats { object, .. } => Some(*object),
            Self::Description { .. }
            | Self::Confirm
            | Self::Processed(_)
            | Self::Invoked { .. }
            | Self::StopAndWait
            | Self::CloseChannel
            | Self::Memory
            | Self::Processors
            | Self::LoadBegin { .. }
            | Self::LoadEnd { .. } => None,
        }
    }
}

/// A request that waits for an answer of the engine or the host.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Who gets the answer.
    pub(crate) origin: Origin,
    /// What to do.
    pub(crate) then: Then,
    /// When to give up.
    pub(crate) deadline: Instant,
}
