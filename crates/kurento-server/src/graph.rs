//! Files with the graphs of pipelines, for operators that look for them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tokio::sync::Semaphore;

/// Files that are written at the same time; more are not written at all.
const AT_ONCE: usize = 4;

/// Writes graphs into one folder, or nowhere.
#[derive(Debug)]
pub(crate) struct Graphs {
    folder: Option<Arc<Path>>,
    began: Instant,
    room: Arc<Semaphore>,
}

impl Graphs {
    pub(crate) fn new(folder: Option<PathBuf>, began: Instant) -> Self {
        Self {
            folder: folder.map(Arc::from),
            began,
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Writes a graph, beside the caller: a disk may be slow.
    pub(crate) fn write(&self, object: &str, text: String, now: Instant) {
        let Some(folder) = self.folder.clone() else {
            return;
        };
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            tracing::warn!(%object, "graph not written: others are being written");
            return;
        };
        let since = now.saturating_duration_since(self.began);
        let path = folder.join(file_name(object, since.as_nanos()));
        tokio::task::spawn_blocking(move || {
            if let Err(error) = fs::write(&path, text) {
                tracing::warn!(path = %path.display(), %error, "graph not written");
            }
            drop(permit);
        });
    }
}

/// `h.mm.ss.nnnnnnnnn-<id>.dot` by the time since the start, as GStreamer names its graphs. Ids
/// contain slashes; whatever is not plain becomes `_`, so that no name leads out of the folder.
fn file_name(object: &str, nanoseconds: u128) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let plain: String = object
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => c,
            _ => '_',
        })
        .take(200)
        .collect();
    format!(
        "{}.{:02}.{:02}.{:09}-{plain}.dot",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        nanoseconds % 1_000_000_000,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_time_and_object_and_stay_in_their_folder() {
        let name = file_name("a-1_kurento.MediaPipeline/../b", 3_723_000_000_005);
        assert_eq!(name, "1.02.03.000000005-a-1_kurento_MediaPipeline____b.dot");
        assert!(file_name(&"/".repeat(10_000), 0).len() < 255);
    }

    #[tokio::test]
    async fn graphs_are_written_where_a_folder_is_named_and_nowhere_else() {
        let folder = std::env::temp_dir().join(format!("salono-graphs-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let now = Instant::now();
        Graphs::new(None, now).write("p", "digraph p {}".to_owned(), now);
        let graphs = Graphs::new(Some(folder.clone()), now);
        graphs.write("p", "digraph p {}".to_owned(), now);
        // All room is free again when the file is there.
        let all = u32::try_from(AT_ONCE).expect("a small number");
        drop(
            graphs
                .room
                .acquire_many(all)
                .await
                .expect("an open semaphore"),
        );
        let written = fs::read_to_string(folder.join("0.00.00.000000000-p.dot"));
        assert_eq!(written.expect("the file"), "digraph p {}");
        assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1);
        fs::remove_dir_all(&folder).expect("an end");
    }
}
