//! Modules of third parties: descriptors that are found in the directories of `modules.path`.
//!
//! A descriptor that cannot be used is left out and told; the server goes on without it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use salono_kurento_model::Registry;
use salono_kurento_model::descriptor::{self, MAX_DESCRIPTOR_BYTES};

/// How a descriptor's name ends.
const ENDING: &str = ".kmd.json";

/// Directories in directories that are looked into.
const MAX_DEPTH: usize = 3;

/// Most descriptors.
const MAX_DESCRIPTORS: usize = 256;

/// What was found.
#[derive(Debug)]
pub(crate) struct Modules {
    /// With all modules that can be used.
    pub(crate) registry: Registry,
    /// Directories that plugins are looked for in.
    pub(crate) directories: Vec<PathBuf>,
    /// What cannot be used.
    pub(crate) faults: Vec<Fault>,
}

/// Something of a module that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Descriptor or directory.
    pub(crate) path: PathBuf,
    /// Why, and how to mend it.
    pub(crate) why: String,
}

/// Reads the descriptors below these directories.
pub(crate) fn load(paths: &[PathBuf]) -> Modules {
    let mut modules = Modules {
        registry: Registry::built_in(),
        directories: Vec::new(),
        faults: Vec::new(),
    };
    let mut files = BTreeSet::new();
    for path in paths {
        // Processors may have another current directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if !path.is_dir() {
            let why = "there is no such directory: make it, or correct modules.path".to_owned();
            modules.faults.push(Fault { path, why });
            continue;
        }
        collect(&path, MAX_DEPTH, &mut files);
        modules.directories.push(path);
    }
    for directory in files.iter().filter_map(|file| file.parent()) {
        if !modules.directories.iter().any(|known| known == directory) {
            modules.directories.push(directory.to_owned());
        }
    }
    modules.install(files.into_iter().take(MAX_DESCRIPTORS).collect());
    modules
}

impl Modules {
    /// Tells the log what there is, and what cannot be used.
    pub(crate) fn log(&self) {
        for fault in &self.faults {
            tracing::error!("module {}: {}", fault.path.display(), fault.why);
        }
        for module in self.registry.modules() {
            if let Some(file) = &module.file {
                tracing::info!(%file, version = module.version, "module {}", module.name);
            }
        }
    }

    /// Installs descriptors; those that need others come after them.
    fn install(&mut self, files: Vec<PathBuf>) {
        let mut waiting = Vec::new();
        for path in files {
            match read(&path) {
                // A directory of Kurento has those as well.
                Ok((name, _)) if Registry::is_own(&name) => {}
                Ok((_, text)) => waiting.push((path, text)),
                Err(why) => self.faults.push(Fault { path, why }),
            }
        }
        loop {
            let before = waiting.len();
            let mut refused = Vec::new();
            waiting.retain(|(path, text)| {
                let file = path.display().to_string();
                match self.registry.install(text, &file) {
                    Ok(()) => false,
                    Err(error) => {
                        let why = format!("{error}: correct the descriptor");
                        let path = path.clone();
                        refused.push(Fault { path, why });
                        true
                    }
                }
            });
            if waiting.len() == before {
                self.faults.extend(refused);
                return;
            }
        }
    }
}

fn collect(directory: &Path, depth: usize, files: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files);
            }
        } else if name.is_some_and(|name| name.ends_with(ENDING)) {
            files.insert(path);
        }
    }
}

/// The name of a module and the text of its descriptor.
fn read(path: &Path) -> Result<(String, String), String> {
    let mend = |error: &dyn std::fmt::Display| format!("{error}: correct the descriptor");
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_DESCRIPTOR_BYTES as u64 {
        return Err(format!("it is longer than {MAX_DESCRIPTOR_BYTES} bytes"));
    }
    let text = fs::read_to_string(path).map_err(|error| mend(&error))?;
    let name = descriptor::parse(&text).map_err(|error| mend(&error))?.name;
    Ok((name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("salono-modules-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn put(&self, name: &str, text: &str) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn descriptors_are_found_in_any_order_and_faults_are_told_by_file() {
        let folder = Folder::new("found");
        let class = |parent: &str| {
            format!(
                r#"{{"name": "X", "extends": "{parent}", "constructor": {{"params": [
                   {{"name": "mediaPipeline", "type": "MediaPipeline"}}]}}}}"#
            )
        };
        let module = |name: &str, class: &str| {
            format!(r#"{{"name": "{name}", "version": "1", "remoteClasses": [{class}]}}"#)
        };
        folder.put("a/a.kmd.json", &module("a", &class("b.X")));
        folder.put("b.kmd.json", &module("b", &class("Filter")));
        folder.put("broken.kmd.json", "{\"name\": ");
        folder.put("hub.kmd.json", &module("h", &class("Hub")));
        folder.put("core.kmd.json", r#"{"name": "core", "version": "7"}"#);
        folder.put("libx.so", "");
        let missing = folder.0.join("missing");
        let modules = load(&[folder.0.clone(), missing.clone()]);
        assert!(
            modules
                .registry
                .class("a.X")
                .is_some_and(|it| it.is_a("b.X"))
        );
        assert_eq!(modules.directories, [folder.0.clone(), folder.0.join("a")]);
        let mut told: Vec<_> = modules.faults.iter().map(|it| it.path.clone()).collect();
        told.sort();
        let broken = folder.0.join("broken.kmd.json");
        assert_eq!(told, [broken, folder.0.join("hub.kmd.json"), missing]);
        assert!(
            modules
                .faults
                .iter()
                .all(|fault| fault.why.contains("correct"))
        );
        assert_eq!(load(&[]).directories, [] as [PathBuf; 0]);
    }
}
