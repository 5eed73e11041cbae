//! Configuration files of Kurento Media Server and of the Kurento Room applications.
//!
//! Which of them a file is shows in what it holds. Every key of it is reported with what it
//! became; none is silently ignored.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::load::{Setting, read_text};
use super::{kurento, lenient, modules, room};

/// What was read from one file.
#[derive(Debug, Default)]
pub(crate) struct Import {
    /// In our terms.
    pub(crate) settings: Vec<Setting>,
    /// What became of each key.
    pub(crate) report: Vec<Imported>,
}

/// What became of one key of an imported file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Imported {
    /// The file.
    pub(crate) file: PathBuf,
    /// The key as that file's documentation writes it.
    pub(crate) key: String,
    /// One of our keys with a value, or why there is none.
    pub(crate) became: String,
}

/// An imported file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// It cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not JSON, comments allowed.
    #[error("{} is not valid JSON: {error}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Where and why.
        error: serde_json::Error,
    },
    /// It is JSON of something else.
    #[error(
        "{}: neither a configuration of Kurento Media Server (`mediaServer`, `modules`) nor of \
         Kurento Room (`kms`, `demo`)",
        .0.display()
    )]
    Unknown(PathBuf),
}

/// What one key of a foreign file means here.
pub(super) enum Meaning {
    /// Values of our keys.
    Is(Vec<(&'static str, figment::value::Value)>),
    /// Nothing, and why.
    Nothing(&'static str),
}

impl Meaning {
    /// The same value under one of our keys.
    pub(super) fn is(key: &'static str, value: impl Into<figment::value::Value>) -> Self {
        Self::Is(vec![(key, value.into())])
    }
}

/// Reads a file, and the module files that belong to it.
pub(super) fn read(path: &Path) -> Result<Import, ImportError> {
    let text = read_text(path).map_err(|error| ImportError::Read {
        path: path.to_owned(),
        error,
    })?;
    let document = lenient::parse(&text).map_err(|error| ImportError::Json {
        path: path.to_owned(),
        error,
    })?;
    let has = |name: &str| document.get(name).is_some();
    let mut import = Import::default();
    if has("mediaServer") || has("modules") {
        import.take_all(path, &document, |key, value| {
            kurento::meaning(key, value, &document)
        });
        modules::read(path, &mut import);
    } else if has("kms") || has("demo") || has("kurento") || has("app") {
        import.take_all(path, &document, room::meaning);
    } else {
        return Err(ImportError::Unknown(path.to_owned()));
    }
    Ok(import)
}

impl Import {
    /// Takes over every value of a document.
    pub(super) fn take_all(
        &mut self,
        file: &Path,
        document: &Value,
        meaning: impl Fn(&str, &Value) -> Meaning,
    ) {
        for (key, value) in lenient::leaves(document) {
            self.take(file, &key, meaning(&key, value));
        }
    }

    /// Takes over one key.
    pub(super) fn take(&mut self, file: &Path, key: &str, meaning: Meaning) {
        let mut report = |became: String| {
            self.report.push(Imported {
                file: file.to_owned(),
                key: key.to_owned(),
                became,
            });
        };
        match meaning {
            Meaning::Nothing(why) => report(format!("not used: {why}")),
            Meaning::Is(values) => {
                for (ours, value) in values {
                    report(format!("{ours} = {}", show(&value)));
                    let source = format!("{} ({key})", file.display());
                    self.settings.push(Setting::new(ours, value, source));
                }
            }
        }
    }
}

/// As `salono.toml` would write it; JSON texts, numbers and lists are TOML.
pub(crate) fn show(value: &figment::value::Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
