//! Remote classes with everything that they inherit.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Param, Plugin, Type};

/// A remote class, resolved: its parent is a value, its types have qualified names.
#[derive(Debug)]
pub struct Class {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) qualified: Arc<str>,
    pub(crate) module: String,
    pub(crate) parent: Option<Arc<Class>>,
    pub(crate) is_abstract: bool,
    pub(crate) constructor: Option<Vec<Param>>,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) properties: Vec<Property>,
    pub(crate) events: Vec<String>,
    pub(crate) plugin: Option<Plugin>,
}

/// An attribute of a remote class.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Name as declared.
    pub name: String,
    /// Declared type.
    pub kind: Type,
    /// Constant for the life of the object.
    pub is_final: bool,
    /// Without a setter although it may change.
    pub read_only: bool,
}

impl Property {
    /// Whether `set<Name>` exists.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.is_final && !self.read_only
    }
}

/// What an invocation means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A declared method.
    Method,
    /// `get<Name>` of the property with this name.
    Get(String),
    /// `set<Name>` of the property with this name.
    Set(String),
}

/// Something that can be invoked on an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Name as it is invoked.
    pub name: String,
    /// Method or property accessor.
    pub action: Action,
    /// Parameters, required ones first.
    pub params: Vec<Param>,
    /// Type of the answer; `None` answers `null`.
    pub returns: Option<Type>,
}

impl Class {
    /// Simple name, for example `WebRtcEndpoint`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Qualified name, for example `kurento.WebRtcEndpoint`.
    #[must_use]
    pub fn qualified_name(&self) -> &str {
        &self.qualified
    }

    /// `kurento` for the built-in modules, else the module's name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Name of the module that declares it.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The class that it extends.
    #[must_use]
    pub fn parent(&self) -> Option<&Arc<Class>> {
        self.parent.as_ref()
    }

    /// The classes that it extends, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &Class> {
        std::iter::successors(self.parent.as_deref(), |class| class.parent.as_deref())
    }

    /// Qualified names of the classes that it extends, nearest first: `hierarchy` of `describe`.
    #[must_use]
    pub fn hierarchy(&self) -> Vec<&str> {
        self.ancestors().map(Class::qualified_name).collect()
    }

    /// Whether it is the named class or extends it. Takes simple and qualified names.
    #[must_use]
    pub fn is_a(&self, name: &str) -> bool {
        self.lineage()
            .any(|class| class.name == name || &*class.qualified == name)
    }

    /// Whether no object has exactly this class.
    #[must_use]
    pub fn is_abstract(&self) -> bool {
        self.is_abstract
    }

    /// Constructor parameters; `None` when clients cannot create it.
    #[must_use]
    pub fn constructor(&self) -> Option<&[Param]> {
        self.constructor.as_deref()
    }

    /// Whether `create` can make one.
    #[must_use]
    pub fn is_creatable(&self) -> bool {
        !self.is_abstract && self.constructor.is_some()
    }

    /// Finds a method or property accessor, in the class itself first, then upwards.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.lineage().find_map(|class| class.operations.get(name))
    }

    /// Methods and property accessors that the class itself adds, by name.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values()
    }

    /// Properties that the class itself adds, in declaration order.
    #[must_use]
    pub fn own_properties(&self) -> &[Property] {
        &self.properties
    }

    /// Names of all events that its objects raise, the nearest class's first.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.lineage()
            .flat_map(|class| class.events.iter().map(String::as_str))
    }

    /// Whether its objects raise this event.
    #[must_use]
    pub fn supports_event(&self, event: &str) -> bool {
        self.events().any(|name| name == event)
    }

    /// How it is carried out, if it is of a third-party module.
    #[must_use]
    pub fn plugin(&self) -> Option<&Plugin> {
        self.plugin.as_ref()
    }

    /// Finds a method or property accessor that a class of a third-party module declares.
    #[must_use]
    pub fn plugin_operation(&self, name: &str) -> Option<&Operation> {
        let mut declaring = self.lineage().filter(|class| class.plugin.is_some());
        declaring.find_map(|class| class.operations.get(name))
    }

    /// Names of the events that classes of third-party modules add.
    pub fn plugin_events(&self) -> impl Iterator<Item = &str> {
        self.lineage()
            .filter(|class| class.plugin.is_some())
            .flat_map(|class| class.events.iter().map(String::as_str))
    }

    fn lineage(&self) -> impl Iterator<Item = &Class> {
        std::iter::successors(Some(self), |class| class.parent.as_deref())
    }
}
