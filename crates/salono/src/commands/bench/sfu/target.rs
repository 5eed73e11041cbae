//! Which servers can be measured, and what they are called.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use salono_bench::scoreboard::{DEAF_FLOOR, FLOOR};

use super::servers::Surroundings;

/// A server to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// This program, or another build of it.
    Salono(Option<PathBuf>),
    /// Janus with its defaults: a thread for each connection.
    Janus,
    /// Janus with an event loop for each core.
    JanusLoops,
    /// The bare forwarder.
    Floor,
    /// The same with receivers that tell it nothing.
    DeafFloor,
    /// Whatever speaks the Kurento Protocol at this URL.
    Url(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(("salono", file)) = text.split_once('=') {
            return Ok(Self::Salono(Some(file.into())));
        }
        match text {
            "salono" => Ok(Self::Salono(None)),
            "janus" => Ok(Self::Janus),
            "janus-loops" => Ok(Self::JanusLoops),
            FLOOR => Ok(Self::Floor),
            DEAF_FLOOR => Ok(Self::DeafFloor),
            url if url.starts_with("ws://") || url.starts_with("wss://") => {
                Ok(Self::Url(url.to_owned()))
            }
            _ => Err(
                "expected salono, salono=FILE, janus, janus-loops, floor, floor-deaf or a ws:// URL".to_owned(),
            ),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Salono(None) => f.write_str("salono"),
            Self::Salono(Some(file)) => write!(f, "salono={}", file.display()),
            Self::Janus => f.write_str("janus"),
            Self::JanusLoops => f.write_str("janus-loops"),
            Self::Floor => f.write_str(FLOOR),
            Self::DeafFloor => f.write_str(DEAF_FLOOR),
            Self::Url(url) => f.write_str(url),
        }
    }
}

impl Target {
    /// Whether it can be started at all, before time is spent on others.
    pub(super) fn check(&self, surroundings: &Surroundings) -> io::Result<()> {
        match self {
            Self::Salono(Some(file)) if !file.is_file() => Err(io::Error::other(format!(
                "there is no program {}",
                file.display()
            ))),
            Self::Janus | Self::JanusLoops => surroundings.janus(&self.to_string()).map(|_| ()),
            Self::Salono(_) | Self::Floor | Self::DeafFloor | Self::Url(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [
            "salono",
            "salono=/a/b",
            "janus",
            "janus-loops",
            "floor",
            "floor-deaf",
            "ws://h:1/kurento",
        ] {
            assert_eq!(name.parse::<Target>().unwrap().to_string(), name);
        }
        for name in ["", "kurento", "http://h", "janus=/a"] {
            assert!(name.parse::<Target>().is_err(), "{name}");
        }
    }
}
