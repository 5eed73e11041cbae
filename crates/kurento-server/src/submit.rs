//! Hands commands to the media engine without losing any and without waiting.
//!
//! A shard's queue can be full for a moment. What it gives back is kept and tried again; commands
//! for the same pipeline stay in order behind it, other pipelines go on.

use salono_media_api::{Command, CommandSink, Event, MediaError, MediaErrorKind, PipelineKey};
use std::collections::{BTreeSet, VecDeque};

/// Commands that are kept at most. Beyond, those that are answered fail at once; the others are
/// dropped with an error in the log, because the shard has been stuck for long by then.
const MAX_KEPT: usize = 16 * 1024;

/// The way down to the engine.
pub(crate) struct Submitter {
    sink: Box<dyn CommandSink>,
    kept: VecDeque<Command>,
}

impl Submitter {
    pub(crate) fn new(sink: Box<dyn CommandSink>) -> Self {
        Self {
            sink,
            kept: VecDeque::new(),
        }
    }

    /// Hands a command over, now or later. Returns the failure to report where that is hopeless.
    pub(crate) fn submit(&mut self, command: Command) -> Option<Event> {
        let behind = |kept: &Command| kept.pipeline == command.pipeline;
        let refused = if self.kept.iter().any(behind) {
            command
        } else {
            match self.sink.submit(command) {
                Ok(()) => return None,
                Err(command) => *command,
            }
        };
        if self.kept.len() < MAX_KEPT {
            self.kept.push_back(refused);
            return None;
        }
        let token = refused.op.token();
        tracing::error!(pipeline = refused.pipeline.0, "the media engine is stuck");
        token.map(|token| Event::Replied {
            token,
            result: Err(MediaError::new(
                MediaErrorKind::Limit,
                "the media engine does not keep up",
            )),
        })
    }

    /// Tries what is kept again.
    pub(crate) fn retry(&mut self) {
        let mut stuck: BTreeSet<PipelineKey> = BTreeSet::new();
        for command in std::mem::take(&mut self.kept) {
            if stuck.contains(&command.pipeline) {
                self.kept.push_back(command);
            } else if let Err(command) = self.sink.submit(command) {
                stuck.insert(command.pipeline);
                self.kept.push_back(*command);
            }
        }
    }

    /// Whether there is something to try again.
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salono_media_api::Op;
    use std::sync::mpsc;

    /// Takes commands of pipeline 2 only, until told otherwise.
    struct Picky {
        taken: mpsc::SyncSender<Command>,
        all: mpsc::Receiver<()>,
        open: bool,
    }

    impl CommandSink for Picky {
        fn submit(&mut self, command: Command) -> Result<(), Box<Command>> {
            self.open |= self.all.try_recv().is_ok();
            if self.open || command.pipeline == PipelineKey(2) {
                self.taken.send(command).unwrap();
                Ok(())
            } else {
                Err(Box::new(command))
            }
        }
    }

    #[test]
    fn a_stuck_pipeline_keeps_its_order_and_holds_up_no_other() {
        let (taken, commands) = mpsc::sync_channel(16);
        let (open, all) = mpsc::sync_channel(1);
        let mut submitter = Submitter::new(Box::new(Picky {
            taken,
            all,
            open: false,
        }));
        let command = |pipeline, op| Command {
            pipeline: PipelineKey(pipeline),
            op,
        };
        assert!(submitter.submit(command(1, Op::CreatePipeline)).is_none());
        assert!(submitter.submit(command(1, Op::ReleasePipeline)).is_none());
        assert!(submitter.submit(command(2, Op::CreatePipeline)).is_none());
        assert_eq!(commands.try_recv(), Ok(command(2, Op::CreatePipeline)));
        submitter.retry();
        assert!(commands.try_recv().is_err() && submitter.has_kept());
        open.send(()).unwrap();
        submitter.retry();
        assert_eq!(commands.try_recv(), Ok(command(1, Op::CreatePipeline)));
        assert_eq!(commands.try_recv(), Ok(command(1, Op::ReleasePipeline)));
        assert!(!submitter.has_kept());
    }
}
