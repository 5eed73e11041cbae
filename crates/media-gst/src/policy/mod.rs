//! What the processor may reach: files in certain directories, and public addresses.
//!
//! A URI is refused or allowed before anything is opened. Files are looked at where they really are, with all links
//! followed. Of network URIs the scheme and a literal address are looked at here; names are resolved by whoever connects, and so
//! the decision about their addresses is made there, at every connection of the process, by the [`guard`]: no
//! redirect, playlist or second resolution gets around it.

mod address;
pub mod guard;

pub use address::is_public;

use salono_media_api::processing::bridge::UriPolicy;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use url::{Host, Url};

/// Longest URI.
pub const MAX_URI: usize = 4_096;

/// Why a URI is not opened. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no URI, or too long.
    #[error("{0}")]
    Malformed(String),
    /// The scheme is not on the list.
    #[error("the scheme `{0}` is not allowed")]
    Scheme(String),
    /// The file is not below one of the allowed directories.
    #[error("the file is not in a directory that is allowed")]
    Outside,
    /// The file is there, and must not be written over.
    #[error("the file exists")]
    Exists,
    /// No such file, or it cannot be looked at.
    #[error("the file cannot be opened: {0}")]
    Missing(String),
    /// Neither a file nor anything else that has an end.
    #[error("not a regular file")]
    Special,
    /// The address is not public.
    #[error("the address {0} is not public")]
    Private(IpAddr),
    /// The name stands for this machine.
    #[error("the host `{0}` is not public")]
    Local(String),
}

/// What may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This file: its real path for reading; for writing, one whose directory exists or may be made.
    File(PathBuf),
    /// This URL.
    Url(Url),
}

/// The rules, and how they are applied.
#[derive(Debug)]
pub struct Policy {
    rules: UriPolicy,
    read_roots: Vec<PathBuf>,
    write_roots: Vec<PathBuf>,
}

impl Policy {
    /// By these rules. Directories that do not exist allow nothing to be read, and are made when something is written.
    pub fn new(rules: UriPolicy) -> Self {
        let real = |root: &String| {
            let root = Path::new(root);
            root.is_absolute().then(|| existing_part(root)).flatten()
        };
        Self {
            read_roots: rules.read_roots.iter().filter_map(real).collect(),
            write_roots: rules.write_roots.iter().filter_map(real).collect(),
            rules,
        }
    }

    /// The rules themselves.
    pub fn rules(&self) -> &UriPolicy {
        &self.rules
    }

    /// Whether a URI may be read.
    ///
    /// # Errors
    /// Why not.
    pub fn read(&self, uri: &str) -> Result<Target, Refused> {
        let url = parse(uri)?;
        if url.scheme() == "file" {
            let path = file_path(&url)?;
            let real = path.canonicalize().map_err(|error| {
                // Whether a file exists elsewhere is nobody's business.
                if self.may_exist(&path) {
                    Refused::Missing(error.to_string())
                } else {
                    Refused::Outside
                }
            })?;
            if !is_below(&real, &self.read_roots) && !is_below(&real, &self.write_roots) {
                return Err(Refused::Outside);
            }
            return if real.is_file() {
                Ok(Target::File(real))
            } else {
                Err(Refused::Special)
            };
        }
        self.network(url, &self.rules.read_schemes)
    }

    /// Whether a URI may be written. Directories below the roots that do not exist are the writer's to
    /// make, and the file must be opened with `O_NOFOLLOW`, and `O_EXCL` unless the rules let it be written over.
    ///
    /// # Errors
    /// Why not.
    pub fn write(&self, uri: &str) -> Result<Target, Refused> {
        let url = parse(uri)?;
        if url.scheme() != "file" {
            return self.network(url, &self.rules.write_schemes);
        }
        let path = file_path(&url)?;
        let name = path.file_name().ok_or(Refused::Special)?.to_owned();
        let directory = path.parent().ok_or(Refused::Special)?;
        let directory = existing_part(directory).ok_or(Refused::Outside)?;
        if !is_below(&directory, &self.write_roots) {
            return Err(Refused::Outside);
        }
        let file = directory.join(name);
        match file.symlink_metadata() {
            Err(_) => Ok(Target::File(file)),
            Ok(there) if !there.is_file() => Err(Refused::Special),
            Ok(_) if !self.rules.overwrite => Err(Refused::Exists),
            Ok(_) => Ok(Target::File(file)),
        }
    }

    fn may_exist(&self, path: &Path) -> bool {
        let real = path.parent().and_then(|parent| parent.canonicalize().ok());
        real.is_some_and(|real| {
            is_below(&real, &self.read_roots) || is_below(&real, &self.write_roots)
        })
    }

    fn network(&self, url: Url, schemes: &[String]) -> Result<Target, Refused> {
        let allowed = schemes
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(url.scheme()));
        if !allowed {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        if !self.rules.private_addresses {
            check_host(&url)?;
        }
        Ok(Target::Url(url))
    }
}

/// A URI that is one. Control characters, also percent-encoded ones, make it none.
fn parse(uri: &str) -> Result<Url, Refused> {
    let malformed = |text: &str| Err(Refused::Malformed(text.to_owned()));
    if uri.len() > MAX_URI {
        return malformed("the URI is too long");
    }
    if uri.chars().any(char::is_control) {
        return malformed("the URI has control characters");
    }
    let escaped = uri.to_ascii_lowercase();
    if (0..0x20_u8).any(|control| escaped.contains(&format!("%{control:02x}"))) {
        return malformed("the URI has control characters");
    }
    Url::parse(uri).or_else(|error| malformed(&format!("not a URI: {error}")))
}

/// The path of a file URI, as it is written. Dots that are hidden by escapes are refused, those that are
/// not were resolved by the parser.
fn file_path(url: &Url) -> Result<PathBuf, Refused> {
    if url.host_str().is_some_and(|host| !host.is_empty()) {
        return Err(Refused::Outside);
    }
    let bytes: Vec<u8> = decode(url.path());
    let path = PathBuf::from(OsStr::from_bytes(&bytes));
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if bytes.contains(&0) || !path.is_absolute() || !path.components().all(plain) {
        return Err(Refused::Outside);
    }
    Ok(path)
}

/// Decodes percent escapes.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.first_chunk::<2>().filter(|_| *first == b'%');
        let value = escape.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    bytes
}

/// The real path of a directory of which the end may not exist yet.
fn existing_part(directory: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut at = directory;
    loop {
        match at.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Some(real);
            }
            // A link that leads nowhere could lead anywhere later.
            Err(_) if at.symlink_metadata().is_ok() => return None,
            Err(_) => {
                missing.push(at.file_name()?);
                at = at.parent()?;
            }
        }
    }
}

fn is_below(path: &Path, roots: &[PathBuf]) -> bool {
    roots.iter().any(|root| path.starts_with(root))
}

/// Refuses what can be seen to be private without asking a resolver.
fn check_host(url: &Url) -> Result<(), Refused> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => {
            // Of schemes that the parser does not know it takes numbers for names.
            match Host::parse(name) {
                Ok(Host::Ipv4(address)) => IpAddr::V4(address),
                Ok(Host::Ipv6(address)) => IpAddr::V6(address),
                Ok(Host::Domain(name)) => {
                    let name = name.trim_end_matches('.');
                    let local = name == "localhost"
                        || [".localhost", ".local", ".internal"]
                            .iter()
                            .any(|end| name.ends_with(end));
                    return if local {
                        Err(Refused::Local(name.to_owned()))
                    } else {
                        Ok(())
                    };
                }
                Err(error) => return Err(Refused::Malformed(error.to_string())),
            }
        }
        None => return Err(Refused::Malformed("the URI has no host".to_owned())),
    };
    if is_public(address) {
        Ok(())
    } else {
        Err(Refused::Private(address))
    }
}

#[cfg(test)]
mod tests;
