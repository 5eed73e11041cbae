//! What the processor may reach.

use salono_media_api::processing::bridge::UriPolicy;

/// The rules, and how they are applied.
#[derive(Debug)]
pub struct Policy {
    rules: UriPolicy,
}

impl Policy {
    /// By these rules.
    pub fn new(rules: UriPolicy) -> Self {
        Self { rules }
    }

    /// The rules themselves.
    pub fn rules(&self) -> &UriPolicy {
        &self.rules
    }
}
