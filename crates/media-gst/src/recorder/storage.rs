//! Where the bytes of a file go, and what is said when they cannot.

use gstreamer as gst;
use gstreamer::glib::translate::IntoGlib;
use salono_media_api::processing::ProcessorError;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// An open file, as the thread of a recorder writes it. Its calls may wait.
pub trait Storage: Send {
    /// Writes at its end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Writes over what is there.
    fn patch(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it off.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Sees to it that what was written outlives the system.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file of the file system.
#[derive(Debug)]
pub struct FileStorage {
    file: File,
    length: u64,
}

impl FileStorage {
    /// An empty file, opened for writing.
    pub fn new(file: File) -> Self {
        Self { file, length: 0 }
    }
}

impl Storage for FileStorage {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // At the known length, so that what a failed attempt left is written over.
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn patch(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Takes everything and keeps nothing: what is recorded to a URI of an unknown scheme.
#[derive(Debug)]
pub struct Discard;

impl Storage for Discard {
    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn patch(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error of writing in the terms of Kurento's `Error` event.
pub fn write_error(what: &str, error: &io::Error) -> ProcessorError {
    let full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
    let (code, kind, mend) = if full {
        (
            gst::ResourceError::NoSpaceLeft,
            "RESOURCE_ERROR_NO_SPACE_LEFT",
            "; free some space, recording goes on in another file",
        )
    } else {
        (gst::ResourceError::Write, "RESOURCE_ERROR_WRITE", "")
    };
    ProcessorError {
        code: code.into_glib(),
        kind: kind.to_owned(),
        description: format!("{what}: {error}{mend}"),
    }
}

/// An error of opening in the terms of Kurento's `Error` event.
pub fn open_error(what: &str, error: &io::Error) -> ProcessorError {
    if matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) {
        return write_error(what, error);
    }
    ProcessorError {
        code: gst::ResourceError::OpenWrite.into_glib(),
        kind: "RESOURCE_ERROR_OPEN_WRITE".to_owned(),
        description: format!("{what}: {error}"),
    }
}

/// Whatever the writer could not keep up with.
pub fn slow_error(uri: &str, dropped: u64) -> ProcessorError {
    ProcessorError {
        code: gst::ResourceError::Write.into_glib(),
        kind: "RESOURCE_ERROR_WRITE".to_owned(),
        description: format!(
            "{uri}: written too slowly, {dropped} frames were dropped; use a faster disk"
        ),
    }
}
