//! Typed handles of remote classes.

use std::fmt::Write;

use salono_kurento_model::{Param, Type, descriptor};

use super::{
    Module, Source,
    names::{doc, field, owned, path, snake},
};

pub(crate) fn render(source: &Source, module: &Module) -> String {
    let body = handles(source, module);
    let mut out = format!(
        "//! Remote classes of the module `{}`.\n\n",
        module.descriptor.name
    );
    if body.contains("BTreeMap<") {
        out.push_str("use std::collections::BTreeMap;\n");
    }
    out.push_str("use std::ops::Deref;\n\n");
    let mut uses = vec!["Client", "RemoteObject"];
    for name in ["Args", "Call", "Create", "Subscribe"] {
        if body.contains(&format!("{name}<")) || body.contains(&format!("{name}::")) {
            uses.push(name);
        }
    }
    uses.sort_unstable();
    let _ = writeln!(out, "use crate::{{self as root, {}}};", uses.join(", "));
    for name in ["events", "types"] {
        if body.contains(&format!("{name}::")) {
            let _ = writeln!(out, "use salono_kurento_model::{name};");
        }
    }
    out.push('\n');
    out.push_str(&body);
    out
}

/// The handles of all classes of a module.
pub(crate) fn handles(source: &Source, module: &Module) -> String {
    let mut body = String::new();
    for class in &module.descriptor.remote_classes {
        Handle {
            source,
            module,
            class,
        }
        .render(&mut body);
    }
    body
}

/// One class on its way to Rust.
struct Handle<'s> {
    source: &'s Source,
    module: &'s Module,
    class: &'s descriptor::RemoteClass,
}

impl Handle<'_> {
    fn render(&self, out: &mut String) {
        let name = &self.class.name;
        let parent = match &self.class.extends {
            Some(parent) => self.class_path(&Type::Object(self.qualified(parent).into())),
            None => "RemoteObject".to_owned(),
        };
        let inner = match &self.class.extends {
            Some(_) => "object.into()",
            None => "object",
        };
        out.push_str(&doc(&self.class.doc, name));
        let _ = writeln!(
            out,
            "#[derive(Debug, Clone)]\npub struct {name}({parent});\n\n\
             impl From<RemoteObject> for {name} {{\n\
             fn from(object: RemoteObject) -> Self {{\nSelf({inner})\n}}\n}}\n\n\
             impl Deref for {name} {{\ntype Target = {parent};\n\n\
             fn deref(&self) -> &{parent} {{\n&self.0\n}}\n}}\n\n\
             impl {name} {{\n\
             /// A handle of the object with this id, which is taken to be of this class.\n\
             #[must_use]\n\
             pub fn attach(client: &Client, id: &str) -> Self {{\n\
             RemoteObject::attach(client, id).into()\n}}\n"
        );
        self.constructors(out);
        for property in &self.class.properties {
            // Handles know their id.
            if property.name != "id" {
                self.accessors(property, out);
            }
        }
        for method in &self.class.methods {
            self.method(method, out);
        }
        for event in &self.class.events {
            self.event(event, out);
        }
        out.push_str("}\n\n");
        self.builder(out);
    }

    fn constructors(&self, out: &mut String) {
        let Some(constructor) = self
            .class
            .constructor
            .as_ref()
            .filter(|_| !self.class.is_abstract)
        else {
            return;
        };
        let params = self.params(&constructor.params);
        let required: Vec<&Param> = params.iter().filter(|param| !param.optional).collect();
        let (client, source) = match required.iter().find(|param| is_object(&param.kind)) {
            Some(param) => (String::new(), format!("{}.client()", field(&param.name))),
            None => ("client: &Client, ".to_owned(), "client".to_owned()),
        };
        let arguments = self.arguments(&required, false);
        let class = self.qualified(&self.class.name);
        // Classes of the common modules are known to every server by their simple names too.
        let class = class.strip_prefix("kurento.").unwrap_or(&class).to_owned();
        let put = put(&required, false);
        let new = if required.is_empty() { "none" } else { "new" };
        out.push('\n');
        out.push_str(&doc(&constructor.doc, "Creates an object."));
        out.push_str("///\n/// # Errors\n/// As [`Client::create`].\n");
        let _ = writeln!(
            out,
            "pub fn create({client}{arguments}) -> Create<Self> {{\n\
             let args = Args::{new}(){put};\n\
             Create::new({source}, \"{class}\", args)\n}}"
        );
        if params.iter().any(|param| param.optional) {
            let name = &self.class.name;
            let _ = writeln!(
                out,
                "\n/// As [`{name}::create`], with optional parameters.\n\
                 pub fn builder({client}{arguments}) -> {name}Builder {{\n\
                 let args = Args::{new}(){put};\n\
                 {name}Builder {{ client: {source}.clone(), args }}\n}}"
            );
        }
    }

    fn builder(&self, out: &mut String) {
        let Some(constructor) = self
            .class
            .constructor
            .as_ref()
            .filter(|_| !self.class.is_abstract)
        else {
            return;
        };
        let params = self.params(&constructor.params);
        if !params.iter().any(|param| param.optional) {
            return;
        }
        let name = &self.class.name;
        let class = self.qualified(name);
        let class = class.strip_prefix("kurento.").unwrap_or(&class);
        let _ = writeln!(
            out,
            "/// A [`{name}`] to be created.\n#[derive(Debug, Clone)]\n\
             #[must_use = \"nothing is created before `create`\"]\n\
             pub struct {name}Builder {{\nclient: Client,\nargs: Args,\n}}\n\n\
             impl {name}Builder {{"
        );
        for (param, declared) in params.iter().zip(&constructor.params) {
            if param.optional {
                out.push_str(&doc(&declared.doc, &declared.name));
                let _ = writeln!(
                    out,
                    "pub fn {}(mut self, {}) -> Self {{\nself.args = self.args{};\nself\n}}\n",
                    field(&param.name),
                    self.arguments(&[param], false),
                    put(&[param], false)
                );
            }
        }
        let _ = writeln!(
            out,
            "/// Creates the object.\n///\n/// # Errors\n/// As [`Client::create`].\n\
             pub fn create(self) -> Create<{name}> {{\n\
             Create::new(&self.client, \"{class}\", self.args)\n}}\n}}\n"
        );
    }

    fn accessors(&self, property: &descriptor::Property, out: &mut String) {
        let Some(kind) = self.resolve(&property.type_name) else {
            return;
        };
        let mut chars = property.name.chars();
        let capital: String = chars
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .chain(chars)
            .collect();
        let name = field(&property.name);
        out.push('\n');
        out.push_str(&doc(&property.doc, &property.name));
        out.push_str(ERRORS);
        let (returns, read) = self.answer(&kind);
        let _ = writeln!(
            out,
            "pub fn {name}(&self) -> Call<{returns}> {{\n\
             self.{read}(\"get{capital}\", Args::none())\n}}"
        );
        if property.is_final || property.read_only {
            return;
        }
        let param = Param {
            name: property.name.clone(),
            kind,
            optional: false,
            default: None,
        };
        let _ = write!(out, "\n/// Sets [`{}::{name}`].\n{ERRORS}", self.class.name);
        let _ = writeln!(
            out,
            "pub fn set_{name}(&self, {}) -> Call<()> {{\n\
             self.run(\"set{capital}\", Args::new(){})\n}}",
            self.arguments(&[&param], false),
            put(&[&param], false)
        );
    }

    fn method(&self, method: &descriptor::Method, out: &mut String) {
        let params = self.params(&method.params);
        let required: Vec<&Param> = params.iter().filter(|param| !param.optional).collect();
        let all: Vec<&Param> = params.iter().collect();
        let returns = match &method.returns {
            Some(returns) => self.resolve(&returns.type_name),
            None => None,
        };
        let (returns, read) = match &returns {
            Some(kind) => self.answer(kind),
            None => ("()".to_owned(), "run".to_owned()),
        };
        let name = snake(&method.name);
        out.push('\n');
        out.push_str(&self.method_doc(method));
        // The lint counts `self` too.
        if required.len() > 6 {
            out.push_str(MANY_ARGUMENTS);
        }
        let _ = writeln!(
            out,
            "pub fn {name}(&self, {}) -> Call<{returns}> {{\n\
             self.{read}(\"{}\", Args::new(){})\n}}",
            self.arguments(&required, false),
            method.name,
            put(&required, false)
        );
        if required.len() == all.len() {
            return;
        }
        let _ = write!(
            out,
            "\n/// As [`{class}::{name}`], with optional parameters: those after the first `None` do \
             not count.\n///\n",
            class = self.class.name
        );
        for declared in method.params.iter().filter(|declared| declared.optional) {
            let line = format!("- `{}`: {}", field(&declared.name), declared.doc);
            out.push_str(&doc(&line, ""));
        }
        out.push_str(ERRORS);
        let _ = writeln!(
            out,
            "pub fn {name}_with(&self, {}) -> Call<{returns}> {{\n\
             self.{read}(\"{}\", Args::new(){})\n}}",
            self.arguments(&all, true),
            method.name,
            put(&all, true)
        );
    }

    fn method_doc(&self, method: &descriptor::Method) -> String {
        let mut text = doc(&method.doc, &method.name);
        let required: Vec<_> = method
            .params
            .iter()
            .filter(|param| !param.optional)
            .collect();
        if !required.is_empty() {
            text.push_str("///\n");
        }
        for param in required {
            let line = format!("- `{}`: {}", field(&param.name), param.doc);
            text.push_str(&doc(&line, ""));
        }
        if let Some(returns) = method
            .returns
            .as_ref()
            .filter(|returns| !returns.doc.is_empty())
        {
            text.push_str("///\n");
            text.push_str(&doc(&format!("Answers: {}", returns.doc), ""));
        }
        text.push_str(ERRORS);
        text
    }

    fn event(&self, event: &str, out: &mut String) {
        let declared = self.source.modules.iter().find_map(|module| {
            Some((
                module,
                module.descriptor.events.iter().find(|e| e.name == event)?,
            ))
        });
        let Some((module, declared)) = declared else {
            return;
        };
        let path = path("events", &format!("{}.{event}", module.namespace));
        out.push('\n');
        out.push_str(&doc(&declared.doc, event));
        out.push_str("///\n/// # Errors\n/// As [`Client::stream`].\n");
        let _ = writeln!(
            out,
            "pub fn on_{}(&self) -> Subscribe<{path}> {{\nself.stream()\n}}",
            // One name begins with the word already.
            snake(event.strip_prefix("On").unwrap_or(event))
        );
    }

    fn arguments(&self, params: &[&Param], optional: bool) -> String {
        params
            .iter()
            .map(|param| {
                let kind = self.argument(&param.kind);
                if optional && param.optional {
                    format!("{}: Option<{kind}>", field(&param.name))
                } else {
                    format!("{}: {kind}", field(&param.name))
                }
            })
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// How a value is passed in.
    fn argument(&self, kind: &Type) -> String {
        match kind {
            Type::String => "&str".to_owned(),
            Type::Object(_) => format!("&{}", self.class_path(kind)),
            Type::List(item) => format!("&[{}]", owned(&self.source.registry, item, "types")),
            Type::Struct(name) => format!("&{}", path("types", name)),
            Type::Map(_) => format!("&{}", owned(&self.source.registry, kind, "types")),
            Type::Boolean
            | Type::Int
            | Type::Int64
            | Type::Float
            | Type::Double
            | Type::Enum(_) => owned(&self.source.registry, kind, "types"),
        }
    }

    /// What comes back, and which reader makes it.
    fn answer(&self, kind: &Type) -> (String, String) {
        match kind {
            Type::Object(_) => (
                format!("Option<{}>", self.class_path(kind)),
                "object".to_owned(),
            ),
            Type::List(item) if is_object(item) => (
                format!("Vec<{}>", self.class_path(item)),
                "objects".to_owned(),
            ),
            Type::Map(_) => (
                owned(&self.source.registry, kind, "types"),
                "map".to_owned(),
            ),
            Type::String
            | Type::Boolean
            | Type::Int
            | Type::Int64
            | Type::Float
            | Type::Double
            | Type::Enum(_)
            | Type::Struct(_)
            | Type::List(_) => (
                owned(&self.source.registry, kind, "types"),
                "get".to_owned(),
            ),
        }
    }

    /// Rust path of the class that an object type names.
    fn class_path(&self, kind: &Type) -> String {
        let Type::Object(name) = kind else {
            return owned(&self.source.registry, kind, "types");
        };
        match name.split_once('.') {
            Some((namespace, simple))
                if namespace == self.module.namespace && !self.module.is_built_in() =>
            {
                simple.to_owned()
            }
            Some(_) | None => path("root", name),
        }
    }

    fn qualified(&self, class: &str) -> String {
        if let Some(Type::Object(name)) = self.resolve(class) {
            name.to_string()
        } else {
            class.to_owned()
        }
    }

    fn resolve(&self, expression: &str) -> Option<Type> {
        self.source
            .registry
            .resolve(&self.module.namespace, expression)
    }

    fn params(&self, fields: &[descriptor::Field]) -> Vec<Param> {
        let resolved = fields.iter().filter_map(|field| {
            Some(Param {
                name: field.name.clone(),
                kind: self.resolve(&field.type_name)?,
                optional: field.optional,
                default: field.default_value.clone(),
            })
        });
        resolved.collect()
    }
}

const MANY_ARGUMENTS: &str =
    "#[allow(clippy::too_many_arguments, reason = \"as the module declares it\")]\n";

const ERRORS: &str = "///\n/// # Errors\n/// As [`Client::invoke`].\n";

fn is_object(kind: &Type) -> bool {
    matches!(kind, Type::Object(_))
}

/// The calls that put parameters into `Args`.
fn put(params: &[&Param], optional: bool) -> String {
    let mut text = String::new();
    for param in params {
        let value = field(&param.name);
        let verb = match (optional && param.optional, is_object(&param.kind)) {
            (false, true) => "object",
            (true, true) => {
                let _ = write!(
                    text,
                    ".maybe_object(\"{}\", {value}.map(|object| &***object))",
                    param.name
                );
                continue;
            }
            (false, false) => "with",
            (true, false) => "maybe",
        };
        let _ = write!(text, ".{verb}(\"{}\", {value})", param.name);
    }
    text
}
