//! `ZBarFilter`: reports bar codes and QR codes.

use super::{Work, need, unsupported};
use crate::element::Context;
use gstreamer as gst;
use salono_media_api::MediaError;
use salono_media_api::processing::{ProcessorCall, ProcessorEvent};
use std::time::{Duration, Instant};

/// The same code is reported again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// Codes that are remembered; with more in view, those seen longest ago are reported again.
const REMEMBERED: usize = 64;

/// Longest text of a code, in bytes. A QR code holds less than 3 kB.
const MAX_TEXT: usize = 4_096;

pub(super) struct Codes {
    context: Context,
    /// Kind, text, and when it was reported.
    seen: Vec<(String, String, Instant)>,
}

impl Codes {
    pub(super) fn new(context: &Context) -> Result<Self, MediaError> {
        need("zbar", "gstreamer1.0-plugins-bad")?;
        Ok(Self {
            context: context.clone(),
            seen: Vec::new(),
        })
    }

    /// Whether it is to be reported, which is noted.
    fn is_news(&mut self, kind: &str, text: &str, now: Instant) -> bool {
        self.seen
            .retain(|(.., at)| now.saturating_duration_since(*at) < AGAIN);
        if self.seen.iter().any(|(k, t, _)| k == kind && t == text) {
            return false;
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.remove(0);
        }
        self.seen.push((kind.to_owned(), text.to_owned(), now));
        true
    }
}

impl Work for Codes {
    fn text(&self) -> String {
        "zbar message=true attach-frame=false cache=false".to_owned()
    }

    fn call(
        &mut self,
        _call: &ProcessorCall,
        _line: Option<&crate::line::Line>,
    ) -> Result<(), MediaError> {
        Err(unsupported())
    }

    fn calls(&self) -> Vec<ProcessorCall> {
        Vec::new()
    }

    fn bus(&mut self, message: &gst::Message) {
        let Some(code) = message.structure().filter(|it| it.name() == "barcode") else {
            return;
        };
        let field = |name: &str| code.get::<String>(name).unwrap_or_default();
        let (kind, mut text) = (field("type"), field("symbol"));
        if text.len() > MAX_TEXT {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
        if self.is_news(&kind, &text, Instant::now()) {
            let event = ProcessorEvent::CodeFound { kind, value: text };
            let reports = self.context.host.reports();
            reports.element(self.context.element, event);
        }
    }
}
