//! Objects, their identifiers and their places in the tree.
//!
//! Inside, an object is a number that is never reused; elements and pipelines have the same number
//! towards the media engine. Clients see ids that spell out the path from the pipeline.

use crate::{adaptation::VideoAdaptation, element::Element, hub::Hub, speakers::SpeakerDetector};
use salono_kurento_model::{Class, Map, Value, tagged};
use salono_media_api::SpeakerDetection;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Id of the only object that always exists.
pub(crate) const MANAGER_ID: &str = "manager_ServerManager";

/// Number of the only object that always exists.
pub(crate) const MANAGER: u64 = 0;

/// A media object.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its number.
    pub(crate) key: u64,
    /// What clients call it.
    pub(crate) id: Arc<str>,
    /// Its class.
    pub(crate) class: Arc<Class>,
    /// The object that it dies with.
    pub(crate) parent: Option<u64>,
    /// The pipeline that it belongs to; a pipeline belongs to itself.
    pub(crate) pipeline: Option<u64>,
    /// Objects that die with it.
    pub(crate) children: BTreeSet<u64>,
    /// Given by clients; `None` answers the id.
    pub(crate) name: Option<String>,
    /// Given by clients.
    pub(crate) tags: BTreeMap<String, String>,
    /// Whether events carry the tags.
    pub(crate) send_tags: bool,
    /// Seconds since 1970.
    pub(crate) creation_time: u64,
    /// Sessions that reference it; it lives as long as there is one.
    pub(crate) sessions: BTreeSet<Arc<str>>,
    /// Subscription ids by event and session. All of one entry share one notification.
    pub(crate) handlers: BTreeMap<(String, Arc<str>), BTreeSet<String>>,
    /// What its class adds.
    pub(crate) body: Body,
}

/// State of the classes.
#[derive(Debug)]
pub(crate) enum Body {
    /// `ServerManager`.
    Manager,
    /// `MediaPipeline`.
    Pipeline {
        /// Measure latency.
        latency_stats: bool,
        /// What the engine was told of the detection of speakers.
        detection: Option<SpeakerDetection>,
    },
    /// Any `MediaElement`.
    Element(Box<Element>),
    /// Any `Hub`.
    Hub(Hub),
    /// `SpeakerDetector`.
    Speakers(SpeakerDetector),
    /// `VideoAdaptation`.
    Adaptation(VideoAdaptation),
}

impl Object {
    /// The tags as events and `getTags` carry them.
    pub(crate) fn tag_list(&self) -> Value {
        let tag = |(key, value): (&String, &String)| {
            let members = Map::from_iter([
                ("key".to_owned(), key.as_str().into()),
                ("value".to_owned(), value.as_str().into()),
            ]);
            tagged("kurento", "Tag", members)
        };
        self.tags.iter().map(tag).collect()
    }

    /// The element state, if it is one.
    pub(crate) fn element(&self) -> Option<&Element> {
        match &self.body {
            Body::Element(element) => Some(element),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Hub(_)
            | Body::Speakers(_)
            | Body::Adaptation(_) => None,
        }
    }

    /// The element state, if it is one.
    pub(crate) fn element_mut(&mut self) -> Option<&mut Element> {
        match &mut self.body {
            Body::Element(element) => Some(element),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Hub(_)
            | Body::Speakers(_)
            | Body::Adaptation(_) => None,
        }
    }
}

/// All objects.
#[derive(Debug)]
pub(crate) struct Tree {
    next: u64,
    objects: BTreeMap<u64, Object>,
    /// For look-up only: its order is undefined.
    by_id: HashMap<Arc<str>, u64>,
}

impl Tree {
    /// A tree with nothing but the server manager.
    pub(crate) fn new(class: Arc<Class>, creation_time: u64) -> Self {
        let mut tree = Self {
            next: MANAGER,
            objects: BTreeMap::new(),
            by_id: HashMap::new(),
        };
        tree.insert(New {
            id: MANAGER_ID.into(),
            class,
            parent: None,
            body: Body::Manager,
            creation_time,
        });
        tree
    }

    /// Adds an object; its parent learns of it. Returns its number.
    pub(crate) fn insert(&mut self, new: New) -> u64 {
        let key = self.next;
        self.next += 1;
        let pipeline = match &new.body {
            Body::Manager => None,
            Body::Pipeline { .. } => Some(key),
            Body::Element(_) | Body::Hub(_) | Body::Speakers(_) | Body::Adaptation(_) => new
                .parent
                .and_then(|parent| self.get(parent))
                .and_then(|parent| parent.pipeline),
        };
        if let Some(parent) = new.parent.and_then(|parent| self.get_mut(parent)) {
            parent.children.insert(key);
        }
        self.by_id.insert(new.id.clone(), key);
        let object = Object {
            key,
            id: new.id,
            class: new.class,
            parent: new.parent,
            pipeline,
            children: BTreeSet::new(),
            name: None,
            tags: BTreeMap::new(),
            send_tags: false,
            creation_time: new.creation_time,
            sessions: BTreeSet::new(),
            handlers: BTreeMap::new(),
            body: new.body,
        };
        self.objects.insert(key, object);
        key
    }

    /// Takes an object out; its parent forgets it. Its children must be gone already.
    pub(crate) fn remove(&mut self, key: u64) -> Option<Object> {
        let object = self.objects.remove(&key)?;
        self.by_id.remove(&object.id);
        if let Some(parent) = object.parent.and_then(|parent| self.get_mut(parent)) {
            parent.children.remove(&key);
        }
        Some(object)
    }

    pub(crate) fn get(&self, key: u64) -> Option<&Object> {
        self.objects.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut Object> {
        self.objects.get_mut(&key)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Object> {
        self.objects.get(self.by_id.get(id)?)
    }

    /// Number of the next object.
    pub(crate) fn next_key(&self) -> u64 {
        self.next
    }

    /// Numbers of the objects from one on.
    pub(crate) fn keys_from(&self, first: u64) -> impl Iterator<Item = u64> {
        self.objects.range(first..).map(|(key, _)| *key)
    }

    /// Media objects, the manager not counted.
    pub(crate) fn len(&self) -> usize {
        self.objects.len().saturating_sub(1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// The object and everything above it.
    pub(crate) fn with_ancestors(&self, key: u64) -> Vec<u64> {
        std::iter::successors(Some(key), |key| self.get(*key)?.parent).collect()
    }

    /// The object and everything below it, children before their parents.
    pub(crate) fn with_descendants(&self, key: u64) -> Vec<u64> {
        let mut order = vec![key];
        let mut next = 0;
        while let Some(key) = order.get(next).copied() {
            next += 1;
            if let Some(object) = self.get(key) {
                order.extend(object.children.iter().copied());
            }
        }
        order.reverse();
        order
    }
}

/// What an object is made from.
#[derive(Debug)]
pub(crate) struct New {
    /// What clients call it.
    pub(crate) id: Arc<str>,
    /// Its class.
    pub(crate) class: Arc<Class>,
    /// The object that it dies with.
    pub(crate) parent: Option<u64>,
    /// What its class adds.
    pub(crate) body: Body,
    /// Seconds since 1970.
    pub(crate) creation_time: u64,
}
