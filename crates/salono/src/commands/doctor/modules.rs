//! Whether modules of third parties can be used: their descriptors, and the elements that carry their classes out.

use std::collections::BTreeMap;
use std::process::Command;

use salono_media_engine::processors::{find, plugin_path};

use super::Finding;
use crate::config::Config;
use crate::modules::{self, Modules};

const WHAT: &str = "modules";

/// One finding for each module, and for each that cannot be used.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let found = modules::load(&config.modules.path);
    let mut findings = Vec::new();
    for fault in &found.faults {
        let file = fault.path.display().to_string();
        findings.push(Finding::bad(WHAT, file, fault.why.clone()));
    }
    let elements = elements(config, &found);
    for module in found.registry.modules() {
        let Some(file) = &module.file else { continue };
        let name = format!("{} {} ({file})", module.name, module.version);
        let lacks = module.factories.iter().find_map(|class| {
            let class = found
                .registry
                .class(&format!("{}.{class}", module.namespace))?;
            let plugin = class.plugin()?;
            let is_there = |name: &String| elements.as_ref().is_none_or(|it| it.contains_key(name));
            let names = plugin.elements();
            (!names.iter().any(is_there)).then(|| (class.name().to_owned(), names.join("` or `")))
        });
        findings.push(match lacks {
            None => Finding::good(WHAT, name),
            Some((class, names)) => Finding::bad(
                WHAT,
                format!("{name}: class {class} has no GStreamer element `{names}`"),
                "put its plugin beside the descriptor, or name the element there in `salono.element` of the class",
            ),
        });
    }
    findings
}

/// The elements of modules that there are, with their plugins; `None` when nobody can be asked.
fn elements(config: &Config, found: &Modules) -> Option<BTreeMap<String, String>> {
    let program = find(config.processor.path.as_deref()).ok()?;
    let classes = found.registry.classes();
    let names = classes.filter_map(|class| class.plugin());
    let names = names.flat_map(|plugin| plugin.elements().iter());
    let mut command = Command::new(program);
    command.arg("--elements").args(names);
    if let Some(path) = plugin_path(&found.directories, std::env::vars_os()) {
        command
            .env("GST_PLUGIN_PATH_1_0", &path)
            .env("GST_PLUGIN_PATH", path);
    }
    let output = command.output().ok().filter(|it| it.status.success())?;
    serde_json::from_slice(&output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    #[test]
    fn a_directory_that_is_not_there_is_to_be_mended_and_none_is_fine() {
        let mut config = Config::default();
        assert!(check(&config).is_empty());
        config.modules.path = vec!["/nonexistent/modules".into()];
        let findings = check(&config);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].verdict, Verdict::Bad);
        assert!(findings[0].found.contains("/nonexistent/modules"));
    }
}
