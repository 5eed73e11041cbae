//! What lives on a shard, as far as its thread must know to report it failed.

use salono_media_api::{
    Command, ElementEvent, ElementKey, Event, MediaError, MediaErrorKind, Op, PipelineKey, Token,
};
use std::collections::{BTreeMap, BTreeSet};

/// Pipelines and elements of one shard. The shard's own limits bound it: an element that the
/// shard refuses to create is forgotten again.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Elements of each pipeline.
    pipelines: BTreeMap<PipelineKey, BTreeSet<ElementKey>>,
    /// Elements whose creation is not answered yet.
    creating: BTreeMap<Token, (PipelineKey, ElementKey)>,
}

impl Roster {
    /// Takes note of a command that is about to be carried out.
    pub(crate) fn note_command(&mut self, command: &Command) {
        let pipeline = command.pipeline;
        match &command.op {
            Op::CreatePipeline => {
                self.pipelines.entry(pipeline).or_default();
            }
            Op::ReleasePipeline => {
                self.pipelines.remove(&pipeline);
            }
            Op::Create { token, element, .. } => {
                if let Some(elements) = self.pipelines.get_mut(&pipeline)
                    && elements.insert(*element)
                {
                    self.creating.insert(*token, (pipeline, *element));
                }
            }
            Op::Release { element } => {
                if let Some(elements) = self.pipelines.get_mut(&pipeline) {
                    elements.remove(element);
                }
            }
            Op::Connect { .. }
            | Op::Disconnect { .. }
            | Op::GenerateOffer { .. }
            | Op::ProcessOffer { .. }
            | Op::ProcessAnswer { .. }
            | Op::Description { .. }
            | Op::GatherCandidates { .. }
            | Op::AddIceCandidate { .. }
            | Op::SetBandwidth { .. }
            | Op::SetRembParams { .. }
            | Op::WishVideo { .. }
            | Op::SetViewer { .. }
            | Op::Call { .. }
            | Op::SetEncoding { .. }
            | Op::Route { .. }
            | Op::MeasureLatency { .. }
            | Op::DetectSpeakers { .. }
            | Op::SetIce { .. }
            | Op::RequestKeyframe { .. }
            | Op::CreateDataChannel { .. }
            | Op::CloseDataChannel { .. }
            | Op::Stats { .. } => {}
        }
    }

    /// Takes note of a pipeline that has a part here from now on.
    pub(crate) fn note_joined(&mut self, pipeline: PipelineKey) {
        self.pipelines.entry(pipeline).or_default();
    }

    /// Takes note of an event that goes out.
    pub(crate) fn note_event(&mut self, event: &Event) {
        let Event::Replied { token, result } = event else {
            return;
        };
        if let Some((pipeline, element)) = self.creating.remove(token)
            && result.is_err()
            && let Some(elements) = self.pipelines.get_mut(&pipeline)
        {
            elements.remove(&element);
        }
    }

    /// The shard lost everything: what to report, and the pipelines to make anew. They stay,
    /// without elements.
    pub(crate) fn fail_all(&mut self) -> (Vec<Event>, Vec<PipelineKey>) {
        let mut events = Vec::new();
        for token in std::mem::take(&mut self.creating).into_keys() {
            events.push(failed_command(token));
        }
        for element in self.pipelines.values_mut().flat_map(std::mem::take) {
            events.push(Event::Element {
                element,
                event: ElementEvent::Failed(shard_failed()),
            });
        }
        (events, self.pipelines.keys().copied().collect())
    }
}

/// The answer to a command that a bug kept from being carried out.
pub(crate) fn failed_command(token: Token) -> Event {
    Event::Replied {
        token,
        result: Err(shard_failed()),
    }
}

/// What a bug in a shard is called outside.
fn shard_failed() -> MediaError {
    MediaError::new(
        MediaErrorKind::Internal,
        "the media shard failed, see the server's log",
    )
}
