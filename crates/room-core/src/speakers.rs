//! Who speaks: a detector in the room's pipeline, where the media server has such a thing.
//!
//! Where it has none, nobody hears of speakers and everybody is forwarded. The server is asked only
//! once somebody wants to know or the room forwards only the loudest, so rooms without either make no
//! request more than they would otherwise.

use salono_kurento_model::wire::Notification;
use salono_kurento_model::{Map, Value};

use crate::command::{MediaType, ParticipantId, SpeakerLevel, StreamRef};
use crate::effect::{Effect, Reply, RoomEvent};
use crate::participant::Participant;
use crate::request;
use crate::room::{AwaitedReply, ObjectRole, Pipeline, Room, object_id, seen};

/// Milliseconds between reports of levels, while somebody listens.
const LEVEL_INTERVAL_MS: u32 = 200;

/// What a room knows of its speakers.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    detector: Detector,
    /// Whose endpoint is the active speaker's.
    active: Option<(ParticipantId, String)>,
    /// The detector reports levels.
    levels: bool,
    /// The last levels that were told had some in them.
    is_loud: bool,
}

impl Speakers {
    /// Who speaks.
    pub(crate) fn active(&self) -> Option<&ParticipantId> {
        self.active.as_ref().map(|(id, _)| id)
    }
}

/// The detector of the pipeline.
#[derive(Debug, Default)]
enum Detector {
    /// Nobody needed one so far.
    #[default]
    Unused,
    /// The media server was asked for one.
    Asked,
    /// There is none to be had.
    Unavailable,
    /// There, with its object id.
    Ready(String),
}

impl Room {
    /// Asks for a detector once somebody needs it, and for levels while somebody listens.
    pub(crate) fn attend_to_speakers(&mut self) {
        let listens = |choose: fn(&Participant) -> bool| self.participants.values().any(choose);
        let levels = listens(|member| member.listens.levels);
        let wanted =
            levels || self.config.loudest > 0 || listens(|member| member.listens.active_speaker);
        match &self.speakers.detector {
            Detector::Unused if wanted => match (self.media_facts(), &self.pipeline) {
                (Some(facts), Pipeline::Ready(pipeline)) if facts.speakers => {
                    let create = request::create_speaker_detector(pipeline);
                    self.speakers.detector = Detector::Asked;
                    self.request(create, AwaitedReply::Detector);
                }
                (Some(_), Pipeline::Ready(_)) => {
                    self.without_detector("the media server has no detector of speakers");
                }
                (Some(_) | None, _) => {}
            },
            Detector::Ready(detector) if self.speakers.levels != levels => {
                let interval = if levels { LEVEL_INTERVAL_MS } else { 0 };
                let set = request::set_level_interval(detector, interval);
                self.speakers.levels = levels;
                self.detached("setLevelInterval", set);
            }
            Detector::Unused | Detector::Asked | Detector::Unavailable | Detector::Ready(_) => {}
        }
    }

    /// The detector is there, or is not to be.
    pub(crate) fn detector_reply(&mut self, reply: Reply) {
        if self.closed {
            // It ends with the pipeline.
            return;
        }
        let detector = match object_id(reply) {
            Ok(detector) => detector,
            Err(text) => return self.without_detector(&text),
        };
        self.objects
            .insert(detector.clone(), ObjectRole::SpeakerDetector);
        if self.config.loudest > 0 {
            let set = request::set_loudest(&detector, self.config.loudest);
            self.detached("setLoudest", set);
        }
        self.detached(
            "setLevelInterval",
            request::set_level_interval(&detector, 0),
        );
        for event in [request::ACTIVE_SPEAKER_CHANGED, request::AUDIO_LEVELS] {
            self.detached("subscribe speakers", request::subscribe(&detector, event));
        }
        self.speakers.detector = Detector::Ready(detector);
        self.attend_to_speakers();
    }

    fn without_detector(&mut self, text: &str) {
        self.speakers.detector = Detector::Unavailable;
        if self.config.loudest > 0 {
            tracing::warn!(room = self.name, text, "everybody is forwarded");
        } else {
            tracing::debug!(room = self.name, text, "speakers stay unknown");
        }
    }

    /// The detector heard something.
    pub(crate) fn heard(&mut self, notification: &Notification) {
        match notification.event.as_str() {
            request::ACTIVE_SPEAKER_CHANGED => {
                let element = notification.data.get("element").and_then(Value::as_str);
                let speaker = element.and_then(|element| self.audible_publisher(element));
                if self.speakers.active != speaker {
                    self.speakers.active = speaker;
                    let receivers = self.listeners(|member| member.listens.active_speaker);
                    self.tell_active_speaker(receivers);
                }
            }
            request::AUDIO_LEVELS => self.tell_levels(&notification.data),
            other => tracing::trace!(room = self.name, event = other, "event without a use"),
        }
    }

    /// Tells a newcomer who speaks.
    pub(crate) fn introduce_speaker(&mut self, newcomer: &ParticipantId) {
        let listens = self
            .participants
            .get(newcomer)
            .is_some_and(|member| member.listens.active_speaker);
        if listens && self.active_speaker().is_some() {
            self.tell_active_speaker(vec![newcomer.clone()]);
        }
    }

    fn active_speaker(&self) -> Option<StreamRef> {
        let (id, stream) = self.speakers.active.as_ref()?;
        Some(StreamRef::new(&self.participants.get(id)?.user, stream))
    }

    pub(crate) fn tell_active_speaker(&mut self, receivers: Vec<ParticipantId>) {
        if receivers.is_empty() {
            return;
        }
        let speaker = self.active_speaker();
        self.effects
            .push_back(Effect::Event(RoomEvent::ActiveSpeakerChanged {
                receivers,
                speaker,
            }));
    }

    fn tell_levels(&mut self, data: &Map<String, Value>) {
        let receivers = self.listeners(|member| member.listens.levels);
        let entries = data.get("levels").and_then(Value::as_array);
        let levels: Vec<SpeakerLevel> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let (id, stream) = self.audible_publisher(entry.get("element")?.as_str()?)?;
                let dbov = i8::try_from(entry.get("level")?.as_i64()?).ok()?;
                let participant = seen(&id, self.participants.get(&id)?);
                Some(SpeakerLevel {
                    participant,
                    stream,
                    dbov,
                })
            })
            .collect();
        // That nobody is to be heard any more is told once.
        let is_news = !levels.is_empty() || self.speakers.is_loud;
        self.speakers.is_loud = !levels.is_empty();
        if is_news && !receivers.is_empty() {
            let event = RoomEvent::AudioLevels { receivers, levels };
            self.effects.push_back(Effect::Event(event));
        }
    }

    pub(crate) fn listeners(&self, choose: fn(&Participant) -> bool) -> Vec<ParticipantId> {
        self.participants
            .iter()
            .filter(|(_, member)| choose(member))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whose publisher endpoint this is, if others hear it: levels come in of a muted one too.
    fn audible_publisher(&self, element: &str) -> Option<(ParticipantId, String)> {
        let Some(ObjectRole::Endpoint(id, stream)) = self.objects.get(element) else {
            return None;
        };
        let member = self.participants.get(id)?;
        let publisher = member.publishers.get(&stream.stream)?;
        let is_audible = member.user == stream.user && !publisher.muted.contains(MediaType::Audio);
        is_audible.then(|| (id.clone(), stream.stream.clone()))
    }
}
