//! The method `create`: which classes there are, and what becomes of their parameters.

use crate::{
    Now, ObjectModel,
    adaptation::{VIDEO_ADAPTATION, VideoAdaptation},
    call::{Outcome, Then},
    element::Element,
    hub::Hub,
    layout::LAYOUT_COMPOSITE,
    mixing,
    plugin::Plugin,
    speakers::{SPEAKER_DETECTOR, SpeakerDetector},
    tree::{Body, MANAGER, New},
};
use salono_kurento_model::{Error, ErrorCode, Map, ParamsOf, Value};
use salono_media_api::{ElementKey, Op};
use std::sync::Arc;

impl ObjectModel {
    pub(crate) fn create(
        &mut self,
        session: &Arc<str>,
        name: &str,
        params: Option<&Value>,
        now: Now,
    ) -> Result<Outcome, Error> {
        let class = self.registry.class(name).cloned();
        let Some(class) = class else {
            return Err(no_factory(name));
        };
        self.check_usage()?;
        let Some(constructor) = class.constructor().filter(|_| class.is_creatable()) else {
            return Err(no_factory(name));
        };
        if class.plugin().is_none() && !is_available(class.qualified_name()) {
            return Err(Error::new(
                ErrorCode::MediaObjectNotAvailable,
                format!(
                    "Factory '{name}' not found: the class is known, but this server cannot create it"
                ),
            ));
        }
        let certificate_is_asked_for = params
            .and_then(|params| params.get("certificateKeyType"))
            .is_some_and(|kind| !kind.is_null());
        let given = params;
        let mut params = self.coerce(session, constructor, params, ParamsOf::Constructor)?;
        if !certificate_is_asked_for {
            // The default names RSA; who does not care gets the cheaper one.
            params.remove("certificateKeyType");
        }
        let limit = self.config.limits.objects;
        if self.tree.len() >= limit {
            return Err(Error::new(
                ErrorCode::NotEnoughResources,
                format!("Reached the limit of {limit} media objects"),
            ));
        }
        self.check_session_limit(session)?;
        let uuid = self.random.uuid();
        let qualified = class.qualified_name();
        if qualified == "kurento.MediaPipeline" {
            let key = self.tree.insert(New {
                id: format!("{uuid}_{qualified}").into(),
                class: class.clone(),
                parent: None,
                body: Body::Pipeline {
                    latency_stats: false,
                    detection: None,
                },
                creation_time: now.unix_ms / 1_000,
            });
            self.reference(session, key)?;
            self.order(key, Op::CreatePipeline);
            return Ok(Outcome::Value(self.created(key, now)));
        }
        let parent = ["mediaPipeline", "hub", "endpoint"]
            .into_iter()
            .find_map(|name| params.get(name))
            .and_then(Value::as_str)
            .and_then(|id| self.tree.by_id(id))
            .and_then(|parent| {
                let (id, sessions) = (parent.id.clone(), parent.sessions.clone());
                Some((parent.key, id, sessions, parent.pipeline?))
            });
        let Some((parent, parent_id, sessions, pipeline)) = parent else {
            return Err(Error::new(
                ErrorCode::UnexpectedError,
                format!("Class '{name}' has no parameter that says where it belongs"),
            ));
        };
        let (body, spec) = match Hub::new(qualified) {
            Some(hub) => {
                let spec = mixing::spec(&hub, given, &params, &self.config)?;
                (Body::Hub(hub), spec)
            }
            None if qualified == SPEAKER_DETECTOR => {
                (Body::Speakers(SpeakerDetector::default()), None)
            }
            None if qualified == VIDEO_ADAPTATION => {
                (Body::Adaptation(VideoAdaptation::new(&params)?), None)
            }
            None => {
                let element = match Plugin::new(&class, &self.registry) {
                    Some(plugin) => Element::of_plugin(plugin, &self.config),
                    None => Element::new(qualified, &params, &self.config),
                };
                let spec = if qualified == "kurento.HubPort" {
                    self.port_spec(parent)
                } else {
                    element.spec(&params, &self.config, &mut self.random)?
                };
                (Body::Element(Box::new(element)), Some(spec))
            }
        };
        let key = self.tree.insert(New {
            id: format!("{parent_id}/{uuid}_{qualified}").into(),
            class: class.clone(),
            parent: Some(parent),
            body,
            creation_time: now.unix_ms / 1_000,
        });
        self.reference(session, key)?;
        for other in &sessions {
            self.reference(other, key)?;
        }
        let Some(spec) = spec else {
            self.listeners_changed(key);
            self.order_wish(parent);
            return Ok(Outcome::Value(self.created(key, now)));
        };
        let token = self.ask(pipeline, |token| Op::Create {
            token,
            element: ElementKey(key),
            spec,
        });
        self.order_initial_encoding(key);
        self.order_initial_bandwidth(key);
        self.order_initial_ice(key);
        self.add_port(parent, key);
        Ok(Outcome::Later(token, Then::Create { object: key }))
    }

    /// Tells the world of a new object; returns its id.
    pub(crate) fn created(&mut self, key: u64, now: Now) -> Value {
        let Some(id) = self.tree.get(key).map(|object| object.id.clone()) else {
            return Value::Null;
        };
        tracing::debug!(object = %id, "created");
        let data = Map::from_iter([("object".to_owned(), id.as_ref().into())]);
        self.raise(MANAGER, "ObjectCreated", data, now);
        id.as_ref().into()
    }
}

/// Whether this server can create objects of the class, as `kurento.WebRtcEndpoint`. Those that
/// process media need a media processor besides; without one, creating them says so.
#[must_use]
pub fn is_available(qualified_class: &str) -> bool {
    matches!(
        qualified_class,
        "chroma.ChromaFilter"
            | "kurento.AlphaBlending"
            | "kurento.Composite"
            | "kurento.Dispatcher"
            | "kurento.DispatcherOneToMany"
            | "kurento.FaceOverlayFilter"
            | "kurento.GStreamerFilter"
            | "kurento.HttpPostEndpoint"
            | "kurento.HubPort"
            | "kurento.ImageOverlayFilter"
            | "kurento.MediaPipeline"
            | "kurento.Mixer"
            | "kurento.PassThrough"
            | "kurento.PlayerEndpoint"
            | "kurento.RecorderEndpoint"
            | "kurento.RtpEndpoint"
            | "kurento.WebRtcEndpoint"
            | "kurento.ZBarFilter"
            | LAYOUT_COMPOSITE
            | SPEAKER_DETECTOR
            | VIDEO_ADAPTATION
    )
}

/// Answers unknown and abstract classes alike, as Kurento does.
fn no_factory(name: &str) -> Error {
    Error::new(
        ErrorCode::MediaObjectNotAvailable,
        format!("Factory '{name}' not found"),
    )
}
