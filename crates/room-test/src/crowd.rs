//! [`Crowd`]: many fakes in one room.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use crate::participant::{FakeError, FakeParticipant, Options};

/// Fakes that entered a room at the same time: `user0`, `user1`, …
#[derive(Debug)]
pub struct Crowd {
    members: Vec<FakeParticipant>,
}

impl Crowd {
    /// All enter at once. Names are `prefix` and a number.
    ///
    /// # Errors
    /// [`FakeError`] of the first that fails; the others leave again.
    pub async fn join(options: &Options, prefix: &str, count: usize) -> Result<Self, FakeError> {
        let names: Vec<_> = (0..count)
            .map(|number| format!("{prefix}{number}"))
            .collect();
        let joining = names
            .iter()
            .map(|name| FakeParticipant::join(options, name));
        let members = try_join_all(joining).await?;
        Ok(Self { members })
    }

    /// Everybody in it.
    #[must_use]
    pub fn members(&self) -> &[FakeParticipant] {
        &self.members
    }

    /// Waits until all are connected and see a picture of each other.
    ///
    /// # Errors
    /// [`FakeError::Missing`] of the first that does not within `patience`.
    pub async fn all_see_each_other(&self, patience: Duration) -> Result<(), FakeError> {
        for member in &self.members {
            member.is_seen(patience).await?;
            for other in &self.members {
                if other.user() != member.user() {
                    member.sees(other.user(), patience).await?;
                }
            }
        }
        Ok(())
    }

    /// All leave at once.
    pub async fn leave(self) {
        join_all(self.members.into_iter().map(FakeParticipant::leave)).await;
    }
}
