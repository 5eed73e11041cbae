//! The demo and the basic page, embedded when the program was built.

use std::borrow::Cow;

use bytes::Bytes;
use salono_room_server::{StaticFile, StaticFiles};

/// Path, media type, hash and content of each file.
type Embedded = (&'static str, &'static str, &'static str, &'static [u8]);

/// Written by the build script.
const FILES: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Pages that also have other addresses: the demo at the root, the basic one where Kurento Room has it.
const ALIASES: [(&str, &str); 3] = [
    ("/index.html", "/"),
    ("/basic.html", "/basic"),
    ("/basic.html", "/room.html"),
];

/// All files of the pages.
pub(crate) fn demo() -> StaticFiles {
    let mut files = StaticFiles::default();
    for (path, mime, etag, bytes) in FILES {
        let file = StaticFile {
            bytes: Bytes::from_static(bytes),
            mime: Cow::Borrowed(mime),
            etag: Cow::Borrowed(etag),
        };
        for (_, alias) in ALIASES.iter().filter(|(page, _)| page == path) {
            files = files.with(*alias, file.clone());
        }
        files = files.with(*path, file);
    }
    files
}
