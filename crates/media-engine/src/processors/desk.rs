//! What a shard thread knows of the processors of its pipelines.

use super::child::Owner;
use super::{Attachment, Inbox, NEWS, News, Processors, Request};
use crate::mailbox::Mailbox;
use crate::network::Network;
use salono_media_api::PipelineKey;
use salono_media_core::{ProcessorReport, ProcessorRequest, SocketId};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// News of one pass.
const NEWS_AT_ONCE: usize = 64;

/// The processors of a shard's pipelines.
pub(crate) struct Desk {
    processors: Arc<Processors>,
    inbox: Arc<Inbox>,
    attached: BTreeMap<PipelineKey, Place>,
    /// News that were taken out of the inbox.
    news: VecDeque<(Attachment, News)>,
    /// There are more in it.
    more: bool,
    /// What the core is to be told at once.
    reports: VecDeque<ProcessorReport>,
}

/// The processor of a pipeline.
#[derive(Debug, Clone, Copy)]
struct Place {
    attachment: Attachment,
    /// Once it is there.
    socket: Option<SocketId>,
}

impl Desk {
    /// No pipeline has one.
    pub(crate) fn new(processors: Arc<Processors>) -> io::Result<Self> {
        Ok(Self {
            processors,
            inbox: Arc::new(Mailbox::new(NEWS)?),
            attached: BTreeMap::new(),
            news: VecDeque::new(),
            more: false,
            reports: VecDeque::new(),
        })
    }

    /// Whether there is anything to report.
    pub(crate) fn has_news(&self) -> bool {
        self.more || !self.news.is_empty() || !self.reports.is_empty() || self.inbox.is_rung()
    }

    /// Takes note of some of the news.
    pub(crate) fn take(&mut self) {
        self.more = self.inbox.take(NEWS_AT_ONCE, &mut self.news).more;
    }

    /// The next report for the core, of what was taken.
    pub(crate) fn poll_report(&mut self, network: &mut Network) -> Option<ProcessorReport> {
        loop {
            while let Some((socket, reason)) = network.poll_broken() {
                self.abandon(socket, reason, network);
            }
            if let Some(report) = self.reports.pop_front() {
                return Some(report);
            }
            let (attachment, news) = self.news.pop_front()?;
            let mut attached = self.attached.iter_mut();
            // What was let go of, or given up, says nothing more.
            let Some((pipeline, place)) = attached.find(|(_, it)| it.attachment == attachment)
            else {
                continue;
            };
            let pipeline = *pipeline;
            match news {
                News::Attached(media) => match network.add_media(media) {
                    Ok(socket) => {
                        place.socket = Some(socket);
                        return Some(ProcessorReport::Attached { pipeline, socket });
                    }
                    Err(error) => {
                        self.attached.remove(&pipeline);
                        self.processors.ask(Request::Detach(attachment));
                        let reason = format!("no socket for its media: {error}");
                        return Some(ProcessorReport::Unavailable { pipeline, reason });
                    }
                },
                News::Heard(event) => return Some(ProcessorReport::Heard { pipeline, event }),
                News::Lost(reason) => {
                    self.forget(pipeline, network);
                    return Some(ProcessorReport::Lost { pipeline, reason });
                }
                News::Unavailable(reason) => {
                    self.forget(pipeline, network);
                    return Some(ProcessorReport::Unavailable { pipeline, reason });
                }
            }
        }
    }

    /// Carries out a wish. What was to be sent to a processor has been.
    pub(crate) fn request(&mut self, request: ProcessorRequest, network: &mut Network) {
        match request {
            ProcessorRequest::Attach { pipeline } => self.attach(pipeline),
            ProcessorRequest::Tell { pipeline, command } => {
                let Some(place) = self.attached.get(&pipeline).copied() else {
                    return;
                };
                if !self
                    .processors
                    .ask(Request::Tell(place.attachment, command))
                {
                    self.lose(pipeline, network);
                }
            }
            ProcessorRequest::Detach { pipeline } => {
                if let Some(place) = self.forget(pipeline, network) {
                    self.processors.ask(Request::Detach(place.attachment));
                }
            }
        }
    }

    /// The core is gone: no pipeline has one any more.
    pub(crate) fn reset(&mut self, network: &mut Network) {
        self.reports.clear();
        while let Some(pipeline) = self.attached.keys().next().copied() {
            if let Some(place) = self.forget(pipeline, network) {
                self.processors.ask(Request::Detach(place.attachment));
            }
        }
    }

    fn attach(&mut self, pipeline: PipelineKey) {
        if self.attached.contains_key(&pipeline) {
            tracing::debug!(?pipeline, "has a processor already");
            return;
        }
        let attachment = self.processors.next_attachment();
        let owner = Owner {
            attachment,
            inbox: Arc::clone(&self.inbox),
        };
        let asked = self.processors.run();
        let asked = asked.map(|()| self.processors.ask(Request::Attach(owner)));
        let reason = match asked {
            Ok(true) => {
                let place = Place {
                    attachment,
                    socket: None,
                };
                self.attached.insert(pipeline, place);
                return;
            }
            Ok(false) => "media processors are not looked after any more".to_owned(),
            Err(error) => format!("no thread for media processors: {error}"),
        };
        let report = ProcessorReport::Unavailable { pipeline, reason };
        self.reports.push_back(report);
    }

    /// A media socket is of no use any more. The supervisor ends the processor and says so.
    fn abandon(&mut self, socket: SocketId, reason: String, network: &mut Network) {
        let mut places = self.attached.iter();
        let Some((pipeline, place)) = places.find(|(_, place)| place.socket == Some(socket)) else {
            return;
        };
        let (pipeline, attachment) = (*pipeline, place.attachment);
        if !self.processors.ask(Request::Abandon(attachment, reason)) {
            self.lose(pipeline, network);
        }
    }

    /// There is no supervisor any more that would report it.
    fn lose(&mut self, pipeline: PipelineKey, network: &mut Network) {
        self.forget(pipeline, network);
        let reason = "nobody looks after it".to_owned();
        self.reports
            .push_back(ProcessorReport::Lost { pipeline, reason });
    }

    fn forget(&mut self, pipeline: PipelineKey, network: &mut Network) -> Option<Place> {
        let place = self.attached.remove(&pipeline)?;
        if let Some(socket) = place.socket {
            network.close_media(socket);
        }
        Some(place)
    }
}

impl AsFd for Desk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (*self.inbox).as_fd()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.inbox.close();
        for place in self.attached.values() {
            self.processors.ask(Request::Detach(place.attachment));
        }
    }
}
