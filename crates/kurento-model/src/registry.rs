//! The table of everything that the module descriptors declare.
//!
//! Built once at start-up from the embedded descriptors, in about a millisecond, and extended with
//! the descriptors of third parties before it is shared. A name resolves inside its own module
//! first, then in the `kurento` namespace, then anywhere.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Action, Class, ComplexType, EnumType, EventType, Operation, Param, Plugin, Property,
    StructType, Type,
    descriptor::{self, Descriptor, TypeFormat},
};

/// Namespace of the built-in modules.
pub const KURENTO: &str = "kurento";

/// Modules whose names live in the namespace `kurento`.
const BUILT_IN: [&str; 3] = ["core", "elements", "filters"];

/// Modules that the server itself carries out, which nobody can replace.
const OWN: [&str; 5] = ["core", "elements", "filters", "chroma", "salono"];

/// The descriptors of this repository, in the order in which they import each other.
const EMBEDDED: [&str; 13] = [
    include_str!("../modules/core.kmd.json"),
    include_str!("../modules/elements.kmd.json"),
    include_str!("../modules/filters.kmd.json"),
    include_str!("../modules/chroma.kmd.json"),
    include_str!("../modules/crowddetector.kmd.json"),
    include_str!("../modules/datachannelexample.kmd.json"),
    include_str!("../modules/gstreamerexample.kmd.json"),
    include_str!("../modules/markerdetector.kmd.json"),
    include_str!("../modules/opencvexample.kmd.json"),
    include_str!("../modules/platedetector.kmd.json"),
    include_str!("../modules/pointerdetector.kmd.json"),
    include_str!("../modules/salono.kmd.json"),
    include_str!("../modules/videosampler.kmd.json"),
];

/// A descriptor cannot be added to a [`Registry`]. The registry is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The descriptor cannot be read.
    #[error(transparent)]
    Parse(#[from] descriptor::ParseError),
    /// A module of this name is there already.
    #[error("module '{0}' is registered already")]
    DuplicateModule(String),
    /// The module declares a name twice.
    #[error("module '{module}' declares '{name}' twice")]
    DuplicateName {
        /// The module.
        module: String,
        /// The name.
        name: String,
    },
    /// A parent class, parent struct or parent event is unknown or comes round to itself.
    #[error("'{name}' extends '{parent}', which is not declared before")]
    UnknownParent {
        /// The extending name.
        name: String,
        /// The name that it extends.
        parent: String,
    },
    /// A type expression names nothing that is known.
    #[error("'{owner}' uses the unknown type '{type_name}'")]
    UnknownType {
        /// Class, struct or event that uses the type.
        owner: String,
        /// The type expression.
        type_name: String,
    },
    /// A class of a third-party module extends what no element can be.
    #[error(
        "class '{class}' cannot be carried out by an element: it has to extend one of {bases}, or a class that does"
    )]
    Base {
        /// The class.
        class: String,
        /// What it may extend.
        bases: String,
    },
    /// A class of a third-party module says not where its objects belong.
    #[error(
        "the constructor of class '{0}' has no parameter 'mediaPipeline' of type MediaPipeline"
    )]
    NoPipeline(String),
    /// The section `salono` of a class names what the class does not have.
    #[error("'salono.{part}' of class '{class}' names '{name}', which the class does not declare")]
    UnknownMapping {
        /// The class.
        class: String,
        /// Of the section.
        part: &'static str,
        /// The name.
        name: String,
    },
}

/// A registered module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Module name, for example `elements`.
    pub name: String,
    /// Version of its descriptor.
    pub version: String,
    /// `kurento` for the built-in modules, else the module's name.
    pub namespace: String,
    /// Simple names of the classes that clients can create, sorted.
    pub factories: Vec<String>,
    /// The descriptor's text as it was given; what `getKmd` answers.
    pub descriptor: Arc<str>,
    /// The descriptor's file, of a third-party module.
    pub file: Option<Arc<str>>,
}

/// Everything that the module descriptors declare, with look-ups.
///
/// Share it behind an [`Arc`] once it is complete.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    modules: Vec<Module>,
    /// By qualified name.
    classes: BTreeMap<Arc<str>, Arc<Class>>,
    /// By qualified name.
    types: BTreeMap<Arc<str>, ComplexType>,
    /// By event name: subscriptions know no namespaces.
    events: BTreeMap<String, EventType>,
    /// Qualified names by simple name; the first module that declares one keeps it.
    simple_classes: BTreeMap<String, Arc<str>>,
    /// Qualified names by simple name, as for classes.
    simple_types: BTreeMap<String, Arc<str>>,
}

impl Registry {
    /// All modules of this repository.
    #[must_use]
    pub fn built_in() -> Self {
        let mut registry = Self::default();
        for text in EMBEDDED {
            registry
                .add(text)
                .expect("embedded descriptors are consistent, as a test shows");
        }
        registry
    }

    /// Adds the module of one descriptor.
    ///
    /// # Errors
    /// [`RegistryError`] when the descriptor cannot be read, contradicts itself or what is
    /// registered, or uses names that nobody declares. Modules that it imports come first.
    pub fn add(&mut self, text: &str) -> Result<(), RegistryError> {
        let module = descriptor::parse(text)?;
        if self.modules.iter().any(|known| known.name == module.name) {
            return Err(RegistryError::DuplicateModule(module.name));
        }
        // A refused descriptor leaves no trace, hence the copy; adding happens at start-up only,
        // and the copy shares the classes.
        let mut next = if self.modules.is_empty() {
            Self::default()
        } else {
            self.clone()
        };
        next.add_module(module, text, None)?;
        *self = next;
        Ok(())
    }

    /// Adds a module of a third party, whose classes elements of GStreamer carry out. It takes the place of
    /// an embedded one of its name that nothing here carries out.
    ///
    /// # Errors
    /// As [`Registry::add`], and when a class cannot be an element.
    pub fn install(&mut self, text: &str, file: &str) -> Result<(), RegistryError> {
        let module = descriptor::parse(text)?;
        let known = self.modules.iter().find(|known| known.name == module.name);
        if known.is_some_and(|known| known.file.is_some() || OWN.contains(&known.name.as_str())) {
            return Err(RegistryError::DuplicateModule(module.name));
        }
        let mut next = Self::default();
        for other in self
            .modules
            .iter()
            .filter(|other| other.name != module.name)
        {
            let text = Arc::clone(&other.descriptor);
            next.add_module(descriptor::parse(&text)?, &text, other.file.clone())?;
        }
        next.add_module(module, text, Some(Arc::from(file)))?;
        *self = next;
        Ok(())
    }

    /// Whether the server itself carries out the module of this name.
    #[must_use]
    pub fn is_own(module: &str) -> bool {
        OWN.contains(&module)
    }

    /// The class with this simple or qualified name.
    ///
    /// Qualified names use the namespace (`kurento.WebRtcEndpoint`), not the module's name
    /// (`elements.WebRtcEndpoint` is unknown).
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Arc<Class>> {
        self.classes
            .get(name)
            .or_else(|| self.classes.get(self.simple_classes.get(name)?))
    }

    /// All classes, by qualified name.
    pub fn classes(&self) -> impl Iterator<Item = &Arc<Class>> {
        self.classes.values()
    }

    /// Whether the first class (simple or qualified name) is or extends the second.
    #[must_use]
    pub fn is_a(&self, class: &str, ancestor: &str) -> bool {
        self.class(class).is_some_and(|class| class.is_a(ancestor))
    }

    /// Finds a method or property accessor of a class, inherited ones included.
    #[must_use]
    pub fn operation(&self, class: &str, operation: &str) -> Option<&Operation> {
        self.class(class)?.operation(operation)
    }

    /// Whether objects of the class raise the event.
    #[must_use]
    pub fn event_supported(&self, class: &str, event: &str) -> bool {
        self.class(class)
            .is_some_and(|class| class.supports_event(event))
    }

    /// The enumeration or struct with this simple or qualified name.
    #[must_use]
    pub fn complex_type(&self, name: &str) -> Option<&ComplexType> {
        self.types
            .get(name)
            .or_else(|| self.types.get(self.simple_types.get(name)?))
    }

    /// All enumerations and structs, by qualified name.
    pub fn complex_types(&self) -> impl Iterator<Item = (&Arc<str>, &ComplexType)> {
        self.types.iter()
    }

    /// The event type with this name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&EventType> {
        self.events.get(name)
    }

    /// The registered modules, in order of registration; `core`, `elements`, `filters` come first.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The text of a module's descriptor.
    #[must_use]
    pub fn kmd(&self, module: &str) -> Option<&str> {
        self.modules
            .iter()
            .find(|known| known.name == module)
            .map(|known| &*known.descriptor)
    }

    /// Resolves a type expression as a module would read it (`String`, `MediaType`, `Tag[]`,
    /// `Stats<>`); `None` when it names nothing known.
    #[must_use]
    pub fn resolve(&self, namespace: &str, expression: &str) -> Option<Type> {
        if let Some(item) = expression.strip_suffix("[]") {
            return Some(Type::List(Box::new(self.resolve(namespace, item)?)));
        }
        if let Some(item) = expression.strip_suffix("<>") {
            return Some(Type::Map(Box::new(self.resolve(namespace, item)?)));
        }
        let kind = match expression {
            "String" => Type::String,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "int64" => Type::Int64,
            "float" => Type::Float,
            "double" => Type::Double,
            name => return self.resolve_name(namespace, name),
        };
        Some(kind)
    }

    fn resolve_name(&self, namespace: &str, name: &str) -> Option<Type> {
        let scopes = [format!("{namespace}.{name}"), format!("{KURENTO}.{name}")];
        let found = scopes
            .iter()
            .map(String::as_str)
            .find(|name| self.types.contains_key(*name) || self.classes.contains_key(*name));
        let qualified = found.unwrap_or(name);
        let by_type = || self.types.get_key_value(qualified);
        let by_simple_type = || self.types.get_key_value(self.simple_types.get(qualified)?);
        if let Some((key, complex)) = by_type().or_else(by_simple_type) {
            return Some(match complex {
                ComplexType::Enum(_) => Type::Enum(key.clone()),
                ComplexType::Struct(_) => Type::Struct(key.clone()),
            });
        }
        let class = self.class(qualified)?;
        Some(Type::Object(class.qualified.clone()))
    }

    fn add_module(
        &mut self,
        module: Descriptor,
        text: &str,
        file: Option<Arc<str>>,
    ) -> Result<(), RegistryError> {
        let namespace = if BUILT_IN.contains(&module.name.as_str()) {
            KURENTO
        } else {
            &module.name
        };
        let mut factories: Vec<String> = module
            .remote_classes
            .iter()
            .filter(|class| !class.is_abstract && class.constructor.is_some())
            .map(|class| class.name.clone())
            .collect();
        factories.sort_unstable();

        self.declare_names(&module, namespace)?;
        self.add_structs(&module, namespace)?;
        self.add_classes(&module, namespace, file.as_ref())?;
        self.add_events(&module, namespace)?;
        self.modules.push(Module {
            version: module.version.clone(),
            namespace: namespace.to_owned(),
            factories,
            descriptor: Arc::from(text),
            file,
            name: module.name,
        });
        Ok(())
    }

    /// Enters every class and complex type by name, so that types may refer to later ones.
    fn declare_names(&mut self, module: &Descriptor, namespace: &str) -> Result<(), RegistryError> {
        let duplicate = |name: &str| RegistryError::DuplicateName {
            module: module.name.clone(),
            name: name.to_owned(),
        };
        for declared in &module.complex_types {
            let qualified: Arc<str> = format!("{namespace}.{}", declared.name).into();
            let complex = match declared.type_format {
                TypeFormat::Enum => ComplexType::Enum(EnumType {
                    name: declared.name.clone(),
                    namespace: namespace.to_owned(),
                    values: declared.values.clone(),
                }),
                TypeFormat::Register => ComplexType::Struct(StructType {
                    name: declared.name.clone(),
                    namespace: namespace.to_owned(),
                    ancestors: Vec::new(),
                    fields: Vec::new(),
                }),
            };
            if self.types.insert(qualified.clone(), complex).is_some() {
                return Err(duplicate(&declared.name));
            }
            self.simple_types
                .entry(declared.name.clone())
                .or_insert(qualified);
        }
        for declared in &module.remote_classes {
            let qualified: Arc<str> = format!("{namespace}.{}", declared.name).into();
            // A bare entry; `add_classes` replaces it.
            let class = Class {
                name: declared.name.clone(),
                namespace: namespace.to_owned(),
                qualified: qualified.clone(),
                module: module.name.clone(),
                parent: None,
                is_abstract: declared.is_abstract,
                constructor: None,
                operations: BTreeMap::new(),
                properties: Vec::new(),
                events: Vec::new(),
                plugin: None,
            };
            let taken = self.types.contains_key(&qualified);
            if self
                .classes
                .insert(qualified.clone(), Arc::new(class))
                .is_some()
                || taken
            {
                return Err(duplicate(&declared.name));
            }
            self.simple_classes
                .entry(declared.name.clone())
                .or_insert(qualified);
        }
        Ok(())
    }

    fn add_structs(&mut self, module: &Descriptor, namespace: &str) -> Result<(), RegistryError> {
        let structs = module
            .complex_types
            .iter()
            .filter(|declared| declared.type_format == TypeFormat::Register);
        for declared in parents_first(structs, |item| (&item.name, item.extends.as_deref()))? {
            let (mut ancestors, mut fields) = (Vec::new(), Vec::new());
            if let Some(parent) = &declared.extends {
                let unknown = || RegistryError::UnknownParent {
                    name: declared.name.clone(),
                    parent: parent.clone(),
                };
                let Some(Type::Struct(key)) = self.resolve_name(namespace, parent) else {
                    return Err(unknown());
                };
                let Some(ComplexType::Struct(parent)) = self.types.get(&key) else {
                    return Err(unknown());
                };
                fields.clone_from(&parent.fields);
                ancestors.clone_from(&parent.ancestors);
                ancestors.insert(0, key);
            }
            fields.extend(self.params(namespace, &declared.name, &declared.properties)?);
            let entry = StructType {
                name: declared.name.clone(),
                namespace: namespace.to_owned(),
                ancestors,
                fields,
            };
            let qualified = Arc::from(format!("{namespace}.{}", declared.name));
            self.types.insert(qualified, ComplexType::Struct(entry));
        }
        Ok(())
    }

    fn add_classes(
        &mut self,
        module: &Descriptor,
        namespace: &str,
        file: Option<&Arc<str>>,
    ) -> Result<(), RegistryError> {
        let classes = module.remote_classes.iter();
        for declared in parents_first(classes, |item| (&item.name, item.extends.as_deref()))? {
            let parent = match &declared.extends {
                None => None,
                Some(parent) => match self.resolve_name(namespace, parent) {
                    Some(Type::Object(key)) => self.classes.get(&key).cloned(),
                    _ => {
                        return Err(RegistryError::UnknownParent {
                            name: declared.name.clone(),
                            parent: parent.clone(),
                        });
                    }
                },
            };
            let owner = &declared.name;
            let mut class = Class {
                name: owner.clone(),
                namespace: namespace.to_owned(),
                qualified: format!("{namespace}.{owner}").into(),
                module: module.name.clone(),
                parent,
                is_abstract: declared.is_abstract,
                constructor: match &declared.constructor {
                    None => None,
                    Some(constructor) => {
                        Some(self.params(namespace, owner, &constructor.params)?)
                    }
                },
                operations: BTreeMap::new(),
                properties: Vec::with_capacity(declared.properties.len()),
                events: declared.events.clone(),
                plugin: None,
            };
            if let Some(file) = file {
                class.plugin = Some(Plugin::of(declared, &class, file)?);
            }
            for property in &declared.properties {
                let kind = self.type_of(namespace, owner, &property.type_name)?;
                let property = Property {
                    name: property.name.clone(),
                    kind,
                    is_final: property.is_final,
                    read_only: property.read_only,
                };
                add_accessors(&mut class.operations, &property);
                class.properties.push(property);
            }
            for method in &declared.methods {
                let returns = match &method.returns {
                    None => None,
                    Some(returns) => Some(self.type_of(namespace, owner, &returns.type_name)?),
                };
                let operation = Operation {
                    name: method.name.clone(),
                    action: Action::Method,
                    params: self.params(namespace, owner, &method.params)?,
                    returns,
                };
                class.operations.insert(method.name.clone(), operation);
            }
            self.classes
                .insert(class.qualified.clone(), Arc::new(class));
        }
        Ok(())
    }

    fn add_events(&mut self, module: &Descriptor, namespace: &str) -> Result<(), RegistryError> {
        let events = module.events.iter();
        for declared in parents_first(events, |item| (&item.name, item.extends.as_deref()))? {
            let (mut ancestors, mut fields) = (Vec::new(), Vec::new());
            if let Some(name) = &declared.extends {
                let Some(parent) = self.events.get(name) else {
                    return Err(RegistryError::UnknownParent {
                        name: declared.name.clone(),
                        parent: name.clone(),
                    });
                };
                fields.clone_from(&parent.fields);
                ancestors.clone_from(&parent.ancestors);
                ancestors.insert(0, name.clone());
            }
            fields.extend(self.params(namespace, &declared.name, &declared.properties)?);
            let event = EventType {
                name: declared.name.clone(),
                module: module.name.clone(),
                ancestors,
                fields,
            };
            // The first module that declares a name keeps it, as for the simple names of classes.
            self.events.entry(declared.name.clone()).or_insert(event);
        }
        Ok(())
    }

    fn params(
        &self,
        namespace: &str,
        owner: &str,
        fields: &[descriptor::Field],
    ) -> Result<Vec<Param>, RegistryError> {
        fields
            .iter()
            .map(|field| {
                Ok(Param {
                    name: field.name.clone(),
                    kind: self.type_of(namespace, owner, &field.type_name)?,
                    optional: field.optional,
                    default: field.default_value.clone(),
                })
            })
            .collect()
    }

    fn type_of(&self, namespace: &str, owner: &str, name: &str) -> Result<Type, RegistryError> {
        self.resolve(namespace, name)
            .ok_or_else(|| RegistryError::UnknownType {
                owner: owner.to_owned(),
                type_name: name.to_owned(),
            })
    }
}

fn add_accessors(operations: &mut BTreeMap<String, Operation>, property: &Property) {
    let mut chars = property.name.chars();
    let capitalised: String = chars
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(chars)
        .collect();
    let getter = Operation {
        name: format!("get{capitalised}"),
        action: Action::Get(property.name.clone()),
        params: Vec::new(),
        returns: Some(property.kind.clone()),
    };
    operations.insert(getter.name.clone(), getter);
    if property.is_writable() {
        let setter = Operation {
            name: format!("set{capitalised}"),
            action: Action::Set(property.name.clone()),
            params: vec![Param {
                name: property.name.clone(),
                kind: property.kind.clone(),
                optional: false,
                default: None,
            }],
            returns: None,
        };
        operations.insert(setter.name.clone(), setter);
    }
}

/// Orders declarations of one module so that each stands after the one that it extends.
fn parents_first<'a, T: 'a>(
    items: impl Iterator<Item = &'a T>,
    names: impl Fn(&'a T) -> (&'a String, Option<&'a str>),
) -> Result<Vec<&'a T>, RegistryError> {
    let mut waiting: Vec<&T> = items.collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let open: Vec<&String> = waiting.iter().map(|item| names(item).0).collect();
        let (blocked, ready): (Vec<&T>, Vec<&T>) = waiting.iter().partition(|item| {
            let (_, parent) = names(item);
            parent.is_some_and(|parent| open.iter().any(|name| *name == parent))
        });
        if ready.is_empty() {
            let (name, parent) = names(blocked[0]);
            return Err(RegistryError::UnknownParent {
                name: name.clone(),
                parent: parent.unwrap_or_default().to_owned(),
            });
        }
        ordered.extend(ready);
        waiting = blocked;
    }
    Ok(ordered)
}
