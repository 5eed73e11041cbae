//! Lays the sources of the configuration over each other and remembers where each value is from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::import::{self, Import, ImportError, Imported, Source};
use super::keys::environment_name;
use super::{Config, KEYS};

/// Longest configuration file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Places of `salono.toml` when no flag names one; the first that exists is read.
const FILES: [&str; 2] = ["salono.toml", "/etc/salono/salono.toml"];

/// Words from which on two keys are too different to have been mistaken for each other.
const MAX_TYPOS: usize = 6;

/// One value of one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Of the configuration.
    pub(crate) key: &'static str,
    /// Not yet checked against the key's type.
    pub(crate) value: Value,
    /// For people: a flag, a variable, a file with its key.
    pub(crate) source: String,
}

impl Setting {
    /// A value from `source`.
    pub(crate) fn new(
        key: &'static str,
        value: impl Into<Value>,
        source: impl Into<String>,
    ) -> Self {
        Self {
            key,
            value: value.into(),
            source: source.into(),
        }
    }
}

/// A configuration and where it is from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What was decided.
    pub(crate) config: Config,
    /// By key, for those that do not have their default.
    pub(crate) sources: BTreeMap<&'static str, String>,
    /// The `salono.toml` that was read.
    pub(crate) file: Option<PathBuf>,
    /// What became of the keys of imported files.
    pub(crate) imported: Vec<Imported>,
    /// Variables that start with `SALONO_` and mean nothing.
    pub(crate) unknown_variables: Vec<String>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// `salono.toml` is no TOML.
    #[error("{} is not valid TOML: {error}", path.display())]
    Toml {
        /// Which.
        path: PathBuf,
        /// Where and why.
        error: Box<figment::Error>,
    },
    /// `salono.toml` has a key that does not exist.
    #[error("{}: unknown key `{key}`; did you mean `{nearest}`?", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// As written.
        key: String,
        /// The one that is spelled most like it.
        nearest: &'static str,
    },
    /// A value has the wrong type or is out of range.
    #[error("{0}")]
    Value(Box<figment::Error>),
    /// Values that do not go together.
    #[error("{0}")]
    Conflict(&'static str),
    /// A file of Kurento cannot be used.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// The `salono.toml` that is read when no flag names one.
pub(crate) fn default_file() -> Option<PathBuf> {
    FILES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Reads everything; `file` is a `salono.toml`. `flags` come in the order of the command line.
#[cfg(test)]
pub(crate) fn load(
    file: Option<&Path>,
    imports: &[Source],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: Vec<Setting>,
) -> Result<Loaded, Error> {
    load_over(Vec::new(), file, imports, environment, flags)
}

/// Reads everything; `file` is a `salono.toml`. `first` gives way to everything else; `flags` come
/// in the order of the command line.
pub(crate) fn load_over(
    first: Vec<Setting>,
    file: Option<&Path>,
    imports: &[Source],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: Vec<Setting>,
) -> Result<Loaded, Error> {
    let defaults = Config::default();
    let mut settings = first;
    let mut imported = Vec::new();
    let environment = read_environment(environment);
    let pairs = environment
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let variables_of_kurento = import::read_variables(pairs);
    let files = imports.iter().map(import::read);
    for import in files.chain([Ok(variables_of_kurento)]) {
        let Import {
            settings: more,
            report,
        } = import?;
        settings.extend(more);
        imported.extend(report);
    }
    if let Some(path) = file {
        settings.extend(read_toml(path)?);
    }
    let (variables, unknown_variables) = own_variables(&defaults, &environment);
    settings.extend(variables);
    settings.extend(flags);

    let mut figment = Figment::from(Serialized::defaults(&defaults));
    let mut sources = BTreeMap::new();
    for setting in settings {
        sources.insert(setting.key, setting.source.clone());
        figment = figment.merge(Single(setting));
    }
    let config: Config = figment
        .extract()
        .map_err(|error| Error::Value(Box::new(error)))?;
    check(&config)?;
    Ok(Loaded {
        config,
        sources,
        file: file.map(Path::to_owned),
        imported,
        unknown_variables,
    })
}

/// Reads a text file that a person wrote; not more of it than makes sense.
pub(super) fn read_text(path: &Path) -> Result<String, io::Error> {
    let size = fs::metadata(path)?.len();
    if size > MAX_FILE_BYTES {
        return Err(io::Error::other("the file is larger than 1 MiB"));
    }
    fs::read_to_string(path)
}

/// What no single value can be blamed for.
fn check(config: &Config) -> Result<(), Error> {
    if config.web.tls_cert.is_some() != config.web.tls_key.is_some() {
        return Err(Error::Conflict(
            "web.tls_cert and web.tls_key (--tls-cert and --tls-key) are given together or not at all",
        ));
    }
    if !config.kurento.path.starts_with('/') {
        return Err(Error::Conflict("kurento.path starts with a slash"));
    }
    Ok(())
}

fn read_toml(path: &Path) -> Result<Vec<Setting>, Error> {
    let text = read_text(path).map_err(|error| Error::Read {
        path: path.to_owned(),
        error,
    })?;
    let mut data = Toml::string(&text).data().map_err(|error| Error::Toml {
        path: path.to_owned(),
        error: Box::new(error),
    })?;
    let mut settings = Vec::new();
    let table = data.remove(&Profile::Default).unwrap_or_default();
    flatten("", table, path, &mut settings)?;
    Ok(settings)
}

/// Turns nested tables into dotted keys.
fn flatten(
    prefix: &str,
    table: Dict,
    path: &Path,
    settings: &mut Vec<Setting>,
) -> Result<(), Error> {
    for (name, value) in table {
        let dotted = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        let section = format!("{dotted}.");
        if let Some(key) = KEYS.iter().find(|key| key.name == dotted) {
            let source = format!("{}", path.display());
            settings.push(Setting::new(key.name, value, source));
        } else if KEYS.iter().any(|key| key.name.starts_with(&section))
            && let Value::Dict(_, table) = value
        {
            flatten(&dotted, table, path, settings)?;
        } else {
            return Err(Error::UnknownKey {
                path: path.to_owned(),
                nearest: nearest(&dotted),
                key: dotted,
            });
        }
    }
    Ok(())
}

/// The variables that are text, by name.
fn read_environment(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, String> {
    environment
        .into_iter()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect()
}

/// The variables that name keys, and those that look as if they should.
fn own_variables(
    defaults: &Config,
    environment: &BTreeMap<String, String>,
) -> (Vec<Setting>, Vec<String>) {
    // Read by the command line or by the test suite, not keys.
    const OTHERS: [&str; 3] = ["SALONO_CONFIG", "SALONO_IMPORT", "SALONO_BIN"];
    let kinds = Figment::from(Serialized::defaults(defaults));
    let (mut settings, mut unknown) = (Vec::new(), Vec::new());
    for (name, text) in environment {
        if !name.starts_with("SALONO_") || OTHERS.contains(&name.as_str()) {
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| environment_name(key.name) == *name) else {
            unknown.push(name.clone());
            continue;
        };
        let value = typed(text, kinds.find_value(key.name).ok().as_ref());
        settings.push(Setting::new(
            key.name,
            value,
            format!("environment variable {name}"),
        ));
    }
    settings.sort_by_key(|setting| setting.key);
    unknown.sort();
    (settings, unknown)
}

/// Reads a text as the kind of value that the default has: texts as they are, lists by commas,
/// everything else as TOML writes it.
fn typed(text: &str, default: Option<&Value>) -> Value {
    match default {
        Some(Value::String(..)) => text.into(),
        Some(Value::Array(..)) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(Value::from)
            .collect::<Vec<_>>()
            .into(),
        Some(
            Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) | Value::Dict(..),
        )
        | None => text
            .parse()
            .unwrap_or_else(|never: std::convert::Infallible| match never {}),
    }
}

/// The key that is spelled most like `wrong`; right sections and right names count more.
fn nearest(wrong: &str) -> &'static str {
    let name = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let wrong_name = wrong.rsplit('.').next().unwrap_or(wrong);
    let distance = |key: &'static str| {
        let by_name = edits(name(key), wrong_name);
        edits(key, wrong).min(by_name.saturating_add(1).min(MAX_TYPOS))
    };
    let mut best = KEYS[0].name;
    for key in KEYS {
        if distance(key.name) < distance(best) {
            best = key.name;
        }
    }
    best
}

/// Insertions, deletions and replacements between two words (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// One setting as a layer.
struct Single(Setting);

impl Provider for Single {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(self.0.key, self.0.value.clone());
        let dict = match nested {
            Value::Dict(_, dict) => dict,
            other @ (Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Num(..)
            | Value::Empty(..)
            | Value::Array(Tag { .. }, _)) => Dict::from([(self.0.key.to_owned(), other)]),
        };
        Ok(Profile::Default.collect(dict))
    }
}
