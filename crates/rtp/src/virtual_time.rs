//! Virtual time of tests: an origin, from which they count on by themselves.

use std::time::Instant;

/// Some moment. Nothing in this crate depends on which.
#[expect(
    clippy::disallowed_methods,
    reason = "std offers no other way to make an Instant"
)]
pub(crate) fn origin() -> Instant {
    Instant::now()
}
