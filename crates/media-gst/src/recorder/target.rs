//! Names of the files of a recording, and opening them.
//!
//! The first file has the name that was asked for, further ones a number before the extension: `name.webm`,
//! `name-2.webm`, `name-3.webm`. A number that is taken is left out, unless files may be written over; so
//! nothing that is there is lost, and nothing that comes either.

use super::storage::FileStorage;
use super::worker::{Opened, Target};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Numbers that are tried before a recording fails for want of a free one.
const MAX_NUMBER: u32 = 100_000;

/// Gets to know of files that are finished: URI, length in milliseconds, bytes.
pub type Finished = Box<dyn FnMut(&str, u64, u64) + Send>;

/// Files of the file system, beside each other.
pub struct Files {
    path: PathBuf,
    uri: String,
    overwrite: bool,
    number: u32,
    finished: Finished,
}

impl Files {
    /// At a path that was found to be allowed; `uri` is its name in events.
    pub fn new(path: PathBuf, uri: &str, overwrite: bool, finished: Finished) -> Self {
        Self {
            path,
            uri: uri.to_owned(),
            overwrite,
            number: 0,
            finished,
        }
    }
}

impl Target for Files {
    fn open(&mut self, segment: u32) -> io::Result<Opened> {
        let first = segment.max(self.number + 1);
        let (file, number) = create(&self.path, first, self.overwrite)?;
        self.number = number;
        Ok(Opened {
            storage: Box::new(FileStorage::new(file)),
            uri: numbered(&self.uri, number),
            path: self.path.file_name().and_then(|name| {
                let name = numbered(name.to_str()?, number);
                Some(self.path.with_file_name(name))
            }),
        })
    }

    fn finished(&mut self, uri: &str, duration_ms: u64, bytes: u64) {
        (self.finished)(uri, duration_ms, bytes);
    }
}

/// Creates a file with this number or the first free one after it, and the directories before it.
pub fn create(path: &Path, first: u32, overwrite: bool) -> io::Result<(File, u32)> {
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o777)
            .create(parent)?;
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut options = OpenOptions::new();
    // A link in the place of the file is not followed: it may lead anywhere.
    options.write(true).custom_flags(libc::O_NOFOLLOW);
    if overwrite {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    for number in first..MAX_NUMBER {
        match options.open(path.with_file_name(numbered(name, number))) {
            Ok(file) => return Ok((file, number)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A name, or a URI, with a number before its extension; without one for number 1.
pub fn numbered(name: &str, number: u32) -> String {
    if number <= 1 {
        return name.to_owned();
    }
    let end = name.find(['?', '#']).unwrap_or(name.len());
    let (path, query) = name.split_at(end);
    let base = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[base..].rfind('.') {
        Some(dot) if dot > 0 => {
            let (stem, extension) = path.split_at(base + dot);
            format!("{stem}-{number}{extension}{query}")
        }
        Some(_) | None => format!("{path}-{number}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_files_have_a_number_before_the_extension() {
        assert_eq!(numbered("a.webm", 1), "a.webm");
        assert_eq!(numbered("a.webm", 2), "a-2.webm");
        assert_eq!(numbered("file:///x.y/a", 3), "file:///x.y/a-3");
        assert_eq!(numbered(".hidden", 2), ".hidden-2");
        assert_eq!(
            numbered("http://h/a.b.mp4?t=x.y", 2),
            "http://h/a.b-2.mp4?t=x.y"
        );
    }
}
