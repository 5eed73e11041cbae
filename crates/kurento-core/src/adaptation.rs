//! `VideoAdaptation`: which of the qualities of its video an endpoint sends its peer. Not one of
//! Kurento's classes.
//!
//! An adaptation is a child of its endpoint and ends with it. An endpoint may have several, of
//! several clients: the engine is told one wish, the most that any of them asks for, and one viewer. What the engine
//! then sends is a fact about the endpoint, so all of its adaptations report the same.

use crate::{
    Now, ObjectModel,
    call::{Call, Outcome},
    speakers::illegal,
    tree::{Body, Object},
};
use salono_kurento_model::{Error, Map, Value};
use salono_media_api::{ElementKey, Op, VideoWish, ViewerKey};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Qualified name of the class.
pub(crate) const VIDEO_ADAPTATION: &str = "salono.VideoAdaptation";
/// Its only event.
pub(crate) const LAYER_CHANGED: &str = "LayerChanged";
/// Bytes of the name of a viewer.
const MAX_VIEWER: usize = 256;
/// What the rank of a layer is while nothing is sent.
const NO_LAYER: i32 = -1;

/// State of an adaptation.
#[derive(Debug, Default)]
pub(crate) struct VideoAdaptation {
    wish: VideoWish,
    viewer: String,
}

impl VideoAdaptation {
    /// With what its constructor was given.
    pub(crate) fn new(params: &Map<String, Value>) -> Result<Self, Error> {
        let viewer = params.get("viewer").and_then(Value::as_str);
        Ok(Self {
            wish: VideoWish::default(),
            viewer: viewer_name(viewer.unwrap_or_default())?,
        })
    }
}

fn viewer_name(name: &str) -> Result<String, Error> {
    if name.len() > MAX_VIEWER {
        return Err(illegal("viewer", "at most 256 bytes"));
    }
    Ok(name.to_owned())
}

/// The quality that an endpoint sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentLayer {
    /// Rank by picture size, 0 is the smallest.
    pub(crate) spatial: u8,
    /// Rank by frame rate, 0 is the lowest.
    pub(crate) temporal: u8,
    /// Lines of the picture, where known.
    pub(crate) height: Option<u16>,
}

impl Object {
    fn adaptation(&self) -> Option<&VideoAdaptation> {
        match &self.body {
            Body::Adaptation(adaptation) => Some(adaptation),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Element(_)
            | Body::Hub(_)
            | Body::Speakers(_) => None,
        }
    }

    fn adaptation_mut(&mut self) -> Option<&mut VideoAdaptation> {
        match &mut self.body {
            Body::Adaptation(adaptation) => Some(adaptation),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Element(_)
            | Body::Hub(_)
            | Body::Speakers(_) => None,
        }
    }
}

impl ObjectModel {
    /// Operations of adaptations.
    pub(crate) fn call_adaptation(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let endpoint = self.tree.get(call.object)?.parent?;
        let layer = self.endpoint_mut(endpoint).and_then(|it| it.sent_layer);
        let rank = |rank: fn(&SentLayer) -> u8| {
            Outcome::value(layer.as_ref().map_or(NO_LAYER, |it| i32::from(rank(it))))
        };
        let adaptation = self.tree.get_mut(call.object)?.adaptation_mut()?;
        match call.operation {
            "getPreferredHeight" => return Some(Outcome::value(adaptation.wish.height)),
            "getPriority" => return Some(Outcome::value(adaptation.wish.priority)),
            "getSpatialLayer" => return Some(rank(|layer| layer.spatial)),
            "getTemporalLayer" => return Some(rank(|layer| layer.temporal)),
            "getHeight" => {
                let height = layer.and_then(|layer| layer.height);
                return Some(Outcome::value(height.unwrap_or_default()));
            }
            "setPreferredHeight" => {
                let height = call.int("preferredHeight").unwrap_or_default();
                let Ok(height) = u16::try_from(height) else {
                    return Some(Err(illegal("preferredHeight", "0 to 65535")));
                };
                adaptation.wish.height = height;
            }
            "setPriority" => {
                let priority = call.int("priority").unwrap_or_default();
                let Ok(priority) = u8::try_from(priority) else {
                    return Some(Err(illegal("priority", "0 to 255")));
                };
                adaptation.wish.priority = priority;
            }
            "getViewer" => return Some(Outcome::value(adaptation.viewer.as_str())),
            "setViewer" => {
                let name = call.params.get("viewer").and_then(Value::as_str);
                match viewer_name(name.unwrap_or_default()) {
                    Ok(name) => adaptation.viewer = name,
                    Err(refusal) => return Some(Err(refusal)),
                }
            }
            _ => return None,
        }
        self.order_wish(endpoint);
        Some(Ok(Outcome::VOID))
    }

    /// Tells the engine what the adaptations of an endpoint say together, as far as that is news. An
    /// endpoint that has had one is told the layers that it sends for the rest of its life.
    pub(crate) fn order_wish(&mut self, endpoint: u64) {
        let adaptations = self.adaptations_of(endpoint).into_iter();
        let adaptations: Vec<&VideoAdaptation> = adaptations
            .filter_map(|key| self.tree.get(key)?.adaptation())
            .collect();
        let names = adaptations.iter().map(|it| it.viewer.as_str());
        let viewer = names.filter(|name| !name.is_empty()).map(viewer_key).next();
        let wish = adaptations
            .iter()
            .map(|it| it.wish)
            .reduce(|one, other| VideoWish {
                height: one.height.max(other.height),
                priority: one.priority.max(other.priority),
            })
            .unwrap_or_default();
        let pipeline = self.tree.get(endpoint).and_then(|object| object.pipeline);
        let (Some(state), Some(pipeline)) = (self.endpoint_mut(endpoint), pipeline) else {
            return;
        };
        let element = ElementKey(endpoint);
        let is_new_viewer = std::mem::replace(&mut state.viewer, viewer) != viewer;
        if state.wish.replace(wish) != Some(wish) {
            self.order(pipeline, Op::WishVideo { element, wish });
        }
        if is_new_viewer {
            self.order(pipeline, Op::SetViewer { element, viewer });
        }
    }

    /// Numbers of the adaptations of an endpoint.
    fn adaptations_of(&self, endpoint: u64) -> Vec<u64> {
        let Some(endpoint) = self.tree.get(endpoint) else {
            return Vec::new();
        };
        let children = endpoint.children.iter().copied();
        children
            .filter(|child| {
                let child = self.tree.get(*child);
                child.is_some_and(|child| child.adaptation().is_some())
            })
            .collect()
    }

    /// The engine sends another quality to the peer of an endpoint: its adaptations say so.
    pub(crate) fn layer_changed(&mut self, endpoint: u64, layer: SentLayer, now: Now) {
        let Some(state) = self.endpoint_mut(endpoint) else {
            return;
        };
        if state.sent_layer.replace(layer) == Some(layer) {
            return;
        }
        for adaptation in self.adaptations_of(endpoint) {
            self.raise(adaptation, LAYER_CHANGED, layer.members(), now);
        }
    }

    /// Somebody subscribed to the layers of an adaptation: what is sent already is told at once, after
    /// the answer, so that nobody has to ask for it.
    pub(crate) fn introduce_layer(&mut self, session: &Arc<str>, id: &str, now: Now) {
        let found = self.find(session, id).map(|it| (it.key, it.parent));
        let Ok((adaptation, Some(endpoint))) = found else {
            return;
        };
        if let Some(layer) = self.endpoint_mut(endpoint).and_then(|it| it.sent_layer) {
            self.raise_later(adaptation, LAYER_CHANGED, layer.members(), now);
        }
    }
}

/// How the engine knows the viewer of a pipeline with this name.
fn viewer_key(name: &str) -> ViewerKey {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    ViewerKey(hasher.finish())
}

impl SentLayer {
    /// As an event carries it.
    fn members(&self) -> Map<String, Value> {
        let mut members = Map::from_iter([
            ("spatialLayer".to_owned(), Value::from(self.spatial)),
            ("temporalLayer".to_owned(), self.temporal.into()),
        ]);
        if let Some(height) = self.height {
            members.insert("height".to_owned(), height.into());
        }
        members
    }
}
