//! `MediaObject` and `MediaPipeline`: what every object can do.

use crate::{
    Now, ObjectModel,
    call::{Call, Outcome},
    tree::Body,
};
use salono_kurento_model::{Error, ErrorCode, Value};
use salono_media_api::Op;

impl ObjectModel {
    /// Operations of `MediaObject`; `None` for those of derived classes.
    pub(crate) fn call_object(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let id_of = |key: Option<u64>| -> Value {
            key.and_then(|key| self.tree.get(key))
                .map(|object| object.id.as_ref())
                .into()
        };
        let object = self.tree.get(call.object)?;
        let value: Value = match call.operation {
            "getId" => object.id.as_ref().into(),
            "getParent" => id_of(object.parent),
            "getMediaPipeline" => id_of(object.pipeline),
            "getChildren" => self.child_ids(object.key).into(),
            "getName" => object.name.as_deref().unwrap_or(&object.id).into(),
            "getSendTagsInEvents" => object.send_tags.into(),
            "getCreationTime" => object.creation_time.into(),
            "getTags" => object.tag_list(),
            "getTag" => {
                let tag = call.text("key").and_then(|key| object.tags.get(key));
                return Some(match tag {
                    Some(tag) => Outcome::value(tag.as_str()),
                    None => Err(Error::new(
                        ErrorCode::MediaObjectTagKeyNotFound,
                        "Tag key not found",
                    )),
                });
            }
            "setName" | "setSendTagsInEvents" | "addTag" | "removeTag" => {
                return Some(self.change_object(call));
            }
            _ => return None,
        };
        Some(Ok(Outcome::Value(value)))
    }

    fn change_object(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let limit = self.config.limits.tags_per_object;
        let Some(object) = self.tree.get_mut(call.object) else {
            return Ok(Outcome::VOID);
        };
        let key = call.text("key").unwrap_or_default();
        match call.operation {
            "setName" => object.name = call.text("name").map(str::to_owned),
            "setSendTagsInEvents" => {
                object.send_tags = call.flag("sendTagsInEvents").unwrap_or_default();
            }
            "removeTag" => {
                object.tags.remove(key);
            }
            _ => {
                if object.tags.len() >= limit && !object.tags.contains_key(key) {
                    return Err(Error::new(
                        ErrorCode::NotEnoughResources,
                        format!("Reached the limit of {limit} tags of one object"),
                    ));
                }
                let value = call.text("value").unwrap_or_default();
                object.tags.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(Outcome::VOID)
    }

    /// Operations of `MediaPipeline`.
    pub(crate) fn call_pipeline(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let object = self.tree.get_mut(call.object)?;
        let Body::Pipeline { latency_stats, .. } = &mut object.body else {
            return None;
        };
        match call.operation {
            "getLatencyStats" => Some(Outcome::value(*latency_stats)),
            "setLatencyStats" => {
                let on = call.flag("latencyStats").unwrap_or_default();
                if std::mem::replace(latency_stats, on) != on {
                    self.order(call.object, Op::MeasureLatency { on });
                }
                Some(Ok(Outcome::VOID))
            }
            _ => None,
        }
    }

    /// Ids of an object's children, in order of the ids.
    pub(crate) fn child_ids(&self, key: u64) -> Vec<&str> {
        let mut ids: Vec<&str> = self
            .tree
            .get(key)
            .into_iter()
            .flat_map(|object| &object.children)
            .filter_map(|child| self.tree.get(*child))
            .map(|child| child.id.as_ref())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Whether an object's pipeline measures latency.
    pub(crate) fn measures_latency(&self, key: u64) -> bool {
        let pipeline = self
            .tree
            .get(key)
            .and_then(|object| self.tree.get(object.pipeline?));
        match pipeline.map(|object| &object.body) {
            Some(Body::Pipeline { latency_stats, .. }) => *latency_stats,
            Some(
                Body::Manager
                | Body::Element(_)
                | Body::Hub(_)
                | Body::Speakers(_)
                | Body::Adaptation(_),
            )
            | None => false,
        }
    }

    /// Raises an event of an object with these members.
    pub(crate) fn raise_with<const N: usize>(
        &mut self,
        key: u64,
        event: &str,
        members: [(&str, Value); N],
        now: Now,
    ) {
        let data = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        self.raise(key, event, data, now);
    }
}
