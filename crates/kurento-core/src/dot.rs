//! The object graph as a Graphviz text, which is what `getGstreamerDot` answers here.

use crate::{ObjectModel, call::media_type};
use std::fmt::Write as _;

impl ObjectModel {
    /// A `digraph` of an object, what is below it, and the links between them.
    pub(crate) fn dot(&self, key: u64) -> String {
        let mut text = String::from("digraph pipeline {\n  rankdir=LR;\n");
        let mut keys = self.tree.with_descendants(key);
        keys.sort_unstable();
        for object in keys.iter().filter_map(|key| self.tree.get(*key)) {
            let name = object.name.as_deref().unwrap_or(&object.id);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  n{} [shape=box label={}];",
                object.key,
                quoted(&format!("{}\n{name}", object.class.name())),
            );
        }
        for link in keys.iter().flat_map(|key| self.links.sinks_of(*key)) {
            let _ = writeln!(
                text,
                "  n{} -> n{} [label={}];",
                link.source.element,
                link.sink.element,
                quoted(media_type(link.sink.kind)),
            );
        }
        text.push_str("}\n");
        text
    }
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
