//! What media processors are told of the configuration.

use std::path::{Path, PathBuf};

use salono_media_api::processing::bridge::UriPolicy;
use salono_media_engine::processors::ProcessorConfig;

use crate::config::{Config, Processor};

/// Where recorders write that are not told otherwise, in the data folder.
const RECORDINGS: &str = "recordings";

/// Settings of the media processors.
pub(crate) fn config(config: &Config, modules: &[PathBuf]) -> ProcessorConfig {
    let Processor {
        path,
        warm,
        max,
        memory_bytes,
        // Of the shards.
        transcoding: _,
        read_roots,
        write_roots,
        overwrite,
        read_schemes,
        write_schemes,
        private_addresses,
        elements,
    } = &config.processor;
    let defaults = match config.endpoint.default_path.as_str() {
        "" => Some(config.data_dir.join(RECORDINGS)),
        // Others lead to no directory.
        uri => uri.strip_prefix("file://").map(PathBuf::from),
    };
    let write_roots: Vec<String> = write_roots.iter().chain(&defaults).map(absolute).collect();
    // What was recorded can be played.
    let read_roots = read_roots.iter().map(absolute).chain(write_roots.clone());
    ProcessorConfig {
        program: path.clone(),
        warm: *warm,
        max: *max,
        memory_bytes: *memory_bytes,
        modules: modules.to_vec(),
        policy: UriPolicy {
            read_roots: read_roots.collect(),
            write_roots,
            overwrite: *overwrite,
            private_addresses: *private_addresses,
            read_schemes: read_schemes.clone(),
            write_schemes: write_schemes.clone(),
            elements: elements.clone(),
        },
    }
}

/// A directory as processors are told, whose current one may be another.
fn absolute(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_go_to_the_data_folder_or_where_kurento_was_told_and_can_be_played() {
        let mut settings = Config {
            data_dir: "/data".into(),
            ..Config::default()
        };
        settings.processor.read_roots = vec!["/films".into()];
        let policy = config(&settings, &[]).policy;
        assert_eq!(policy.write_roots, ["/data/recordings"]);
        assert_eq!(policy.read_roots, ["/films", "/data/recordings"]);
        settings.endpoint.default_path = "file:///srv/media".to_owned();
        settings.processor.write_roots = vec!["/more".into()];
        let policy = config(&settings, &[]).policy;
        assert_eq!(policy.write_roots, ["/more", "/srv/media"]);
        settings.endpoint.default_path = "https://store.example/".to_owned();
        assert_eq!(config(&settings, &[]).policy.write_roots, ["/more"]);
    }
}
