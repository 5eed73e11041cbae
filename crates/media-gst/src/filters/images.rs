//! `ImageOverlayFilter`: pictures at fixed places.

use super::overlay::{Area, OVERLAY, draw};
use super::picture::{Arrival, Loaded, fault, load};
use super::{Work, need, unsupported};
use crate::element::Context;
use crate::line::Line;
use salono_media_api::processing::{Picture, ProcessorCall};
use salono_media_api::{MediaError, MediaErrorKind};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

/// Pictures of one filter.
const MAX_PICTURES: usize = 64;

/// One picture, in the order of drawing.
#[derive(Debug, Clone)]
struct Shown {
    id: String,
    picture: Picture,
    keep_aspect: bool,
    center: bool,
    /// None until it has arrived.
    loaded: Option<Loaded>,
}

pub(super) struct Images {
    context: Context,
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Images {
    pub(super) fn new(context: &Context) -> Result<Self, MediaError> {
        need("overlaycomposition", "gstreamer1.0-plugins-base")?;
        Ok(Self {
            context: context.clone(),
            shown: Arc::default(),
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Shown>) -> T) -> T {
        change(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Work for Images {
    fn text(&self) -> String {
        OVERLAY.to_owned()
    }

    fn made(&mut self, line: &Line) {
        let shown = Arc::clone(&self.shown);
        draw(line, move |(width, height)| {
            let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let frame = (f64::from(width), f64::from(height));
            let drawn = shown.iter().filter_map(|it| {
                let loaded = it.loaded.clone()?;
                let mut area = Area::within((0.0, 0.0), frame, it.picture.place)?;
                if it.keep_aspect {
                    area = area.fit(loaded.size, it.center);
                }
                Some((loaded, area))
            });
            drawn.collect()
        });
    }

    fn call(&mut self, call: &ProcessorCall, _line: Option<&Line>) -> Result<(), MediaError> {
        if let ProcessorCall::RemovePicture { id } = call {
            self.change(|shown| shown.retain(|it| it.id != *id));
            return Ok(());
        }
        let ProcessorCall::AddPicture {
            id,
            picture,
            keep_aspect,
            center,
        } = call
        else {
            return Err(unsupported());
        };
        let added = Shown {
            id: id.clone(),
            picture: picture.clone(),
            keep_aspect: *keep_aspect,
            center: *center,
            loaded: None,
        };
        self.change(|shown| {
            // What is drawn in its stead goes when the new one has arrived, or has not.
            if let Some(old) = shown.iter_mut().find(|it| it.id == *id) {
                let loaded = old.loaded.take();
                *old = Shown { loaded, ..added };
                return Ok(());
            }
            if shown.len() >= MAX_PICTURES {
                return Err(MediaError::new(
                    MediaErrorKind::Limit,
                    format!("the filter has {MAX_PICTURES} pictures already"),
                ));
            }
            shown.push(added);
            Ok(())
        })?;
        load(&self.context, picture.uri.clone());
        Ok(())
    }

    fn calls(&self) -> Vec<ProcessorCall> {
        self.change(|shown| {
            let calls = shown.iter().map(|it| ProcessorCall::AddPicture {
                id: it.id.clone(),
                picture: it.picture.clone(),
                keep_aspect: it.keep_aspect,
                center: it.center,
            });
            calls.collect()
        })
    }

    fn note(&mut self, note: Box<dyn Any + Send>) {
        let Ok(arrival) = note.downcast::<Arrival>() else {
            return;
        };
        if let Err(why) = &arrival.result {
            let reports = self.context.host.reports();
            reports.error(self.context.element, fault(&arrival.uri, why));
        }
        let loaded = arrival.result.ok();
        self.change(|shown| {
            for it in shown.iter_mut().filter(|it| it.picture.uri == arrival.uri) {
                it.loaded.clone_from(&loaded);
            }
        });
    }
}
