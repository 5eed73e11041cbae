//! The demo page, embedded when the program was built.

use std::borrow::Cow;

use bytes::Bytes;
use salono_room_server::{StaticFile, StaticFiles};

/// Path, media type, hash and content of each file.
type Embedded = (&'static str, &'static str, &'static str, &'static [u8]);

/// Written by the build script.
const FILES: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page that `/` shows.
const INDEX: &str = "/index.html";

/// All files of the page.
pub(crate) fn demo() -> StaticFiles {
    let mut files = StaticFiles::default();
    for (path, mime, etag, bytes) in FILES {
        let file = StaticFile {
            bytes: Bytes::from_static(bytes),
            mime: Cow::Borrowed(mime),
            etag: Cow::Borrowed(etag),
        };
        if *path == INDEX {
            files = files.with("/", file.clone());
        }
        files = files.with(*path, file);
    }
    files
}
