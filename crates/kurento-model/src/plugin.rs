//! Classes of third-party modules, and the GStreamer elements that carry them out.
//!
//! Names tell what belongs together; a section `salono` of the class says so where they do not.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Class, RegistryError, Type,
    descriptor::{Media, RemoteClass},
};

/// Built-in classes that those of modules may extend: what they do is the element's business alone.
const BASES: [&str; 4] = ["MediaElement", "Endpoint", "Filter", "OpenCVFilter"];

/// Ends of class names that those of elements need not have.
const SUFFIXES: [&str; 3] = ["Filter", "Endpoint", "Element"];

/// How a class is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    file: Arc<str>,
    elements: Vec<String>,
    media: Option<Vec<Media>>,
    properties: BTreeMap<String, String>,
    methods: BTreeMap<String, String>,
    events: BTreeMap<String, String>,
}

impl Plugin {
    /// The descriptor's file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Names that the GStreamer element may have; the first that exists is taken.
    #[must_use]
    pub fn elements(&self) -> &[String] {
        &self.elements
    }

    /// What the element works on, where the descriptor says so.
    #[must_use]
    pub fn media(&self) -> Option<&[Media]> {
        self.media.as_deref()
    }

    /// The element's name of a property or constructor parameter.
    #[must_use]
    pub fn property<'n>(&'n self, name: &'n str) -> &'n str {
        self.properties.get(name).map_or(name, String::as_str)
    }

    /// The element's name of a method.
    #[must_use]
    pub fn method<'n>(&'n self, name: &'n str) -> &'n str {
        self.methods.get(name).map_or(name, String::as_str)
    }

    /// The element's name of an event.
    #[must_use]
    pub fn event<'n>(&'n self, name: &'n str) -> &'n str {
        self.events.get(name).map_or(name, String::as_str)
    }

    /// Of a class on top of its parent's.
    pub(crate) fn of(
        declared: &RemoteClass,
        class: &Class,
        file: &Arc<str>,
    ) -> Result<Self, RegistryError> {
        let parent = class.parent.as_deref();
        let inherited = parent.and_then(Class::plugin);
        let is_base = |parent: &Class| BASES.contains(&parent.name()) && parent.module() == "core";
        if inherited.is_none() && !parent.is_some_and(|parent| is_base(parent) || is_cv(parent)) {
            return Err(RegistryError::Base {
                class: declared.name.clone(),
                bases: BASES.join(", "),
            });
        }
        if let Some(constructor) = class.constructor().filter(|_| class.is_creatable()) {
            let is_pipeline = |kind: &Type| {
                let Type::Object(name) = kind else {
                    return false;
                };
                &**name == "kurento.MediaPipeline"
            };
            let mut params = constructor.iter();
            if !params.any(|it| it.name == "mediaPipeline" && is_pipeline(&it.kind)) {
                return Err(RegistryError::NoPipeline(declared.name.clone()));
            }
        }
        let section = declared.salono.clone().unwrap_or_default();
        check(declared, class, &section.properties, "properties", |name| {
            let own = declared.properties.iter().any(|it| it.name == name);
            let constructor = class.constructor().unwrap_or_default();
            own || constructor.iter().any(|it| it.name == name)
        })?;
        check(declared, class, &section.methods, "methods", |name| {
            declared.methods.iter().any(|it| it.name == name)
        })?;
        check(declared, class, &section.events, "events", |name| {
            class.supports_event(name)
        })?;
        let mut elements: Vec<String> = section.element.clone().into_iter().collect();
        if elements.is_empty() {
            elements = names(&declared.name);
            let others = inherited.map(|it| it.elements.clone()).unwrap_or_default();
            elements.extend(others);
        }
        let laid_over = |parent: fn(&Self) -> &BTreeMap<String, String>, own| {
            let mut names = inherited.map(parent).cloned().unwrap_or_default();
            names.extend::<BTreeMap<String, String>>(own);
            names
        };
        Ok(Self {
            file: Arc::clone(file),
            elements,
            media: section
                .media
                .or_else(|| inherited.and_then(|it| it.media.clone())),
            properties: laid_over(|it| &it.properties, section.properties),
            methods: laid_over(|it| &it.methods, section.methods),
            events: laid_over(|it| &it.events, section.events),
        })
    }
}

/// `OpenCVFilter` is declared by another built-in module.
fn is_cv(parent: &Class) -> bool {
    parent.qualified_name() == "kurento.OpenCVFilter"
}

/// Refuses names that the class does not have; `has` says what it declares itself.
fn check(
    declared: &RemoteClass,
    class: &Class,
    names: &BTreeMap<String, String>,
    part: &'static str,
    has: impl Fn(&str) -> bool,
) -> Result<(), RegistryError> {
    let inherited = |name: &str| {
        let mut ancestors = class.ancestors().filter(|it| it.plugin().is_some());
        ancestors.any(|it| {
            it.own_properties().iter().any(|own| own.name == name)
                || it.operations().any(|own| own.name == name)
        })
    };
    match names.keys().find(|name| !has(name) && !inherited(name)) {
        None => Ok(()),
        Some(name) => Err(RegistryError::UnknownMapping {
            class: declared.name.clone(),
            part,
            name: name.clone(),
        }),
    }
}

/// What elements of a class of this name are likely to be called.
fn names(class: &str) -> Vec<String> {
    let bare = SUFFIXES.iter().find_map(|end| class.strip_suffix(end));
    let bare = bare.filter(|bare| !bare.is_empty());
    let mut names = Vec::new();
    for class in [Some(class), bare].into_iter().flatten() {
        for name in [class.to_lowercase(), kebab(class)] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// `PlateDetector` as `plate-detector`.
fn kebab(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut before = None;
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_some_and(char::is_lowercase) {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
        before = Some(letter);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_looked_for_by_the_names_that_people_give_them() {
        assert_eq!(
            names("PlateDetectorFilter"),
            [
                "platedetectorfilter",
                "plate-detector-filter",
                "platedetector",
                "plate-detector"
            ]
        );
        assert_eq!(names("KmsShowData"), ["kmsshowdata", "kms-show-data"]);
        assert_eq!(names("Filter"), ["filter"]);
    }
}
