//! Configuration files of Kurento Media Server and of the Kurento Room applications.
//!
//! Which of them a file is shows in what it holds. Every key of it is reported with what it
//! became; none is silently ignored.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::load::{Setting, read_text};
use super::{kurento, lenient, modules, room, tree};

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
    /// It is not what its name says: JSON with comments, INI, INFO or XML.
    #[error("{} cannot be read: {why}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Where and why.
        why: String,
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

/// A file to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The main file.
    pub(crate) file: PathBuf,
    /// Where Kurento's module files are, if not in `modules` beside it.
    pub(crate) modules: Option<Vec<PathBuf>>,
}

impl From<&Path> for Source {
    fn from(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            modules: None,
        }
    }
}

/// Reads a file, and the module files that belong to it.
pub(super) fn read(source: &Source) -> Result<Import, ImportError> {
    let path = source.file.as_path();
    let text = read_text(path).map_err(|error| ImportError::Read {
        path: path.to_owned(),
        error,
    })?;
    let name = path.file_name().and_then(|name| name.to_str());
    let format = name
        .and_then(tree::name_and_format)
        .map_or("json", |(_, format)| format);
    let mut document = tree::parse(format, &text).map_err(|why| ImportError::Format {
        path: path.to_owned(),
        why,
    })?;
    let has = |name: &str| document.get(name).is_some();
    let mut import = Import::default();
    if has("mediaServer") || has("modules") {
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        // Its values are the user's own, so they are taken over as a whole.
        if let Some(metadata) = document
            .as_object_mut()
            .and_then(|members| members.remove("metadata"))
        {
            let text = modules::text(&metadata);
            import.take(path, "metadata", Meaning::is("kurento.metadata", text));
        }
        import.take_all(path, &document, |key, value| {
            kurento::meaning(key, value, &document, &base)
        });
        let beside = || vec![base.join("modules")];
        let folders = source.modules.clone().unwrap_or_else(beside);
        modules::read(&folders, &base, &mut import);
    } else if has("kms") || has("demo") || has("kurento") || has("app") {
        import.take_all(path, &document, room::meaning);
    } else {
        return Err(ImportError::Unknown(path.to_owned()));
    }
    Ok(import)
}

/// Takes over the variables of Kurento's container image; `(name, value)` each.
pub(super) fn read_variables<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Import {
    let mut import = Import::default();
    for (name, value) in variables {
        if !name.starts_with("KMS_") {
            continue;
        }
        let known = modules::VARIABLES.iter().find(|known| known.0 == name);
        let meaning = match known {
            Some((_, class, key)) => modules::meaning(class, key, &value.into(), Path::new("")),
            None if name == "KMS_UID" => Meaning::Nothing("the user is whoever starts the program"),
            None => Meaning::Nothing("there is no such setting here"),
        };
        import.take(Path::new("environment variable"), name, meaning);
    }
    import
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
