//! Which media server a room gets, and who may create rooms.

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// A regular expression that user names are held against: the whole name, whatever its case.
#[derive(Debug, Clone)]
pub struct NamePattern(Regex);

/// A pattern is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError(String);

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

impl NamePattern {
    /// Reads a pattern in the syntax of the crate `regex`, which is Java's without look-around and
    /// back-references.
    ///
    /// # Errors
    /// When it is no regular expression, or a very large one.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        RegexBuilder::new(&format!("^(?:{pattern})$"))
            .case_insensitive(true)
            .size_limit(MAX_PATTERN_BYTES)
            .build()
            .map(Self)
            .map_err(|error| PatternError(error.to_string()))
    }

    /// Whether a whole name fits.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// Which media server a new room gets, of those that can be reached.
#[derive(Debug, Clone, Default)]
pub enum KmsChoice {
    /// They take turns; full ones are passed over.
    #[default]
    RoundRobin,
    /// The one with the least load.
    LeastLoaded,
    /// The one with the second least, or the only one: the least loaded one stays free for others.
    NextLeastLoaded,
    /// The least loaded one for rooms that are created by users whose name fits. The second least loaded one
    /// for all others, or the least loaded one where that is full.
    ServiceLevel(NamePattern),
}

#[cfg(test)]
mod tests {
    use super::NamePattern;

    #[test]
    fn a_pattern_is_for_the_whole_name_in_any_case() {
        let pattern = NamePattern::new("special.*|ärzte").unwrap();
        assert!(pattern.matches("SpecialAnn"));
        assert!(pattern.matches("ÄRZTE"));
        assert!(!pattern.matches("nospecial"));
        assert!(!pattern.matches("ärzte2"));
        assert!(NamePattern::new("(").is_err());
    }
}
