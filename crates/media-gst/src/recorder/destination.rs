//! From the URI of a recorder to the place where its files go.

use super::target::{self, Finished};
use super::upload::{self, Progress, Settings, Upload};
use super::worker::{Opened, Target};
use super::{Note, profile::Profile, storage::Discard};
use crate::policy::{Policy, Refused, Target as Allowed};
use salono_media_api::ElementKey;
use std::io;
use std::path::PathBuf;

/// Names that are tried for one that is free.
const MAX_NAMES: u32 = 10_000;

/// What a place is made with.
pub(super) struct Wish<'a> {
    pub(super) uri: &'a str,
    pub(super) element: ElementKey,
    pub(super) profile: Profile,
    pub(super) policy: &'a Policy,
    /// Files that the process before this one did not get rid of, with their numbers.
    pub(super) spools: Vec<(PathBuf, u32)>,
}

/// Finds the place. `note` makes a way back to the element; `keep` is dropped when nothing is left to send.
///
/// # Errors
/// Why the URI is not allowed, for people.
pub(super) fn find<N: Fn(Note) + Send + 'static>(
    wish: Wish<'_>,
    note: impl Fn() -> N,
    keep: impl Send + 'static,
) -> Result<Box<dyn Target>, String> {
    match allowed(wish.uri, wish.policy) {
        Ok(Allowed::File(path)) => {
            let note = note();
            let finished: Finished = Box::new(move |uri, duration_ms, bytes| {
                let uri = uri.to_owned();
                note(Note::Finished {
                    uri,
                    duration_ms,
                    bytes,
                });
            });
            let overwrite = wish.policy.rules().overwrite;
            let files = target::Files::new(path, wish.uri, overwrite, finished);
            Ok(Box::new(files))
        }
        Ok(Allowed::Url(url)) => {
            let (report, queued) = (note(), note());
            let settings = Settings {
                spool: spool(&wish, url.path()),
                url,
                content_type: wish.profile.content_type(),
                report: Box::new(move |progress| report(Note::Upload(progress))),
                environment: |name| std::env::var(name).ok(),
                waiting: wish.spools,
            };
            let upload = Upload::new(settings, keep).map_err(|error| error.to_string())?;
            Ok(Box::new(Sent {
                upload,
                note: Box::new(queued),
            }))
        }
        Err(Refused::Scheme(scheme)) if !matches!(&*scheme, "http" | "https" | "s3" | "file") => {
            // As in Kurento, whose clients get no error for it.
            eprintln!("recordings to `{scheme}:` are discarded");
            Ok(Box::new(Nowhere))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What the policy says of the URI. A file that is there makes way for the next free name.
fn allowed(uri: &str, policy: &Policy) -> Result<Allowed, Refused> {
    let mut number = 1;
    loop {
        let result = policy.write(&target::numbered(uri, number));
        match result {
            Err(Refused::Exists) if number < MAX_NAMES => number += 1,
            Ok(Allowed::File(path)) if number > 1 => {
                let name = uri.rsplit('/').next().unwrap_or_default();
                return Ok(Allowed::File(path.with_file_name(upload::decoded(name))));
            }
            Ok(_) | Err(_) => return result,
        }
    }
}

/// Where files for a server are kept: in the first directory that may be written in.
fn spool(wish: &Wish<'_>, path: &str) -> PathBuf {
    let roots = &wish.policy.rules().write_roots;
    let root = roots.first().map_or_else(std::env::temp_dir, PathBuf::from);
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("rec", |(_, end)| end);
    let plain = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(40)
            .collect()
    };
    let stem = plain(&format!("{}-{:?}", std::process::id(), wish.element));
    root.join(".spool")
        .join(format!("{stem}.{}", plain(extension)))
}

/// An upload that says when there is something to wait for.
struct Sent {
    upload: Upload,
    note: Box<dyn Fn(Note) + Send>,
}

impl Target for Sent {
    fn open(&mut self, segment: u32) -> io::Result<Opened> {
        let opened = self.upload.open(segment)?;
        if let Some(file) = self.upload.spool() {
            let progress = Progress::Spooled(file.to_owned(), segment);
            (self.note)(Note::Upload(progress));
        }
        Ok(opened)
    }

    fn finished(&mut self, uri: &str, duration_ms: u64, bytes: u64) {
        (self.note)(Note::Queued);
        self.upload.finished(uri, duration_ms, bytes);
    }
}

/// Where recordings of unknown schemes go.
struct Nowhere;

impl Target for Nowhere {
    fn open(&mut self, _segment: u32) -> io::Result<Opened> {
        Ok(Opened {
            storage: Box::new(Discard),
            uri: String::new(),
            path: None,
        })
    }

    fn finished(&mut self, _uri: &str, _duration_ms: u64, _bytes: u64) {}
}
