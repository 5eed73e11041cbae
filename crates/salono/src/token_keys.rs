//! The keys of tokens, by their files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use salono_room_server::{Access, KeySet, KeySource};

use crate::config::Room;
use crate::failure::Failure;
use crate::watched::Watched;

/// What clients must show, as `room.token_keys` and `room.open` say.
///
/// # Errors
/// When a file cannot be used, and when nobody could join.
pub(crate) fn access(room: &Room) -> Result<Access, Failure> {
    if room.token_keys.is_empty() {
        if room.open == Some(false) {
            return Err(Failure::NothingToDo(
                "room.open is false and room.token_keys is empty, so nobody could join: \
                 make a key with `salono token --new-key eddsa --key-file FILE` and name it there",
            ));
        }
        return Ok(Access::Open);
    }
    let keys = KeyFiles(Watched::read(room.token_keys.clone(), read_all)?);
    Ok(Access::Tokens {
        keys: Arc::new(keys),
        or_open: room.open.unwrap_or(false),
    })
}

/// Keys in files that may be replaced.
struct KeyFiles(Watched<KeySet>);

impl KeySource for KeyFiles {
    fn keys(&self) -> Arc<KeySet> {
        self.0.get(Instant::now(), read_all)
    }
}

impl fmt::Debug for KeyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFiles").field(&self.0.paths()).finish()
    }
}

fn read_all(paths: &[PathBuf]) -> Result<KeySet, Failure> {
    let mut all = KeySet::default();
    for path in paths {
        let keys = read(path)?;
        all.merge(keys)
            .map_err(|error| Failure::keys(path, &error))?;
    }
    if all.is_empty() {
        let nothing = PathBuf::from("room.token_keys");
        let path = paths.first().unwrap_or(&nothing);
        return Err(Failure::keys(path, &"there is no key in it"));
    }
    Ok(all)
}

/// Reads one file; a key without a name has the file's.
///
/// # Errors
/// When it cannot be read or holds no keys.
pub(crate) fn read(path: &Path) -> Result<KeySet, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::keys(path, &error))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    KeySet::parse(&text, &name).map_err(|error| Failure::keys(path, &error))
}
