//! What a token says: who may enter which room, and what it may do there.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize};

/// What stands for every room in [`Claims::room`].
const ANY_ROOM: &str = "*";

/// The claims of a token. Members that are not listed here are allowed and ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Name of the room, or `*` for every room.
    pub room: String,
    /// The name that the bearer has to have in the room, `sub` in the token; any name without it.
    #[serde(rename = "sub", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What the bearer is in the room.
    #[serde(default)]
    pub role: Role,
    /// Where the bearer may do more or less than its role says.
    #[serde(default, skip_serializing_if = "GrantOverrides::is_empty")]
    pub grants: GrantOverrides,
    /// When the token ends, `exp`: seconds since 1970.
    #[serde(rename = "exp", deserialize_with = "seconds")]
    pub expires: u64,
    /// When it begins, `nbf`: seconds since 1970.
    #[serde(
        rename = "nbf",
        default,
        deserialize_with = "some_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub not_before: Option<u64>,
    /// When it was made, `iat`: seconds since 1970. For people; nothing depends on it.
    #[serde(
        rename = "iat",
        default,
        deserialize_with = "some_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub issued: Option<u64>,
}

impl Claims {
    /// A token for one room (or `*`), for anybody who has it.
    #[must_use]
    pub fn new(room: impl Into<String>, role: Role, expires: SystemTime) -> Self {
        Self {
            room: room.into(),
            user: None,
            role,
            grants: GrantOverrides::default(),
            expires: since_1970(expires),
            not_before: None,
            issued: None,
        }
    }

    /// Only for the user of this name.
    #[must_use]
    pub fn for_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Notes when the token was made.
    #[must_use]
    pub fn issued_at(mut self, now: SystemTime) -> Self {
        self.issued = Some(since_1970(now));
        self
    }

    /// What the bearer may do: what its role allows, with the exceptions made for it.
    #[must_use]
    pub fn grants(&self) -> Grants {
        self.grants.applied_to(self.role.grants())
    }

    /// Whether the token is for this room and this user.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn check(&self, room: &str, user: &str) -> Result<(), Mismatch> {
        if self.room != ANY_ROOM && self.room != room {
            return Err(Mismatch::Room);
        }
        match &self.user {
            Some(named) if named != user => Err(Mismatch::User),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the token counts at a time, give or take `leeway`: too early, in time, too late.
    pub(crate) fn at(&self, now: SystemTime, leeway: Duration) -> std::cmp::Ordering {
        let now = since_1970(now);
        let leeway = leeway.as_secs();
        if now >= self.expires.saturating_add(leeway) {
            std::cmp::Ordering::Greater
        } else if self
            .not_before
            .is_some_and(|begin| now.saturating_add(leeway) < begin)
        {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Equal
        }
    }
}

/// A token that is good, but for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Mismatch {
    /// For another room.
    #[error("the token is for another room")]
    Room,
    /// For another user.
    #[error("the token is for another user")]
    User,
}

/// What somebody is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends, receives, and keeps order.
    Moderator,
    /// Sends and receives.
    #[default]
    Publisher,
    /// Receives.
    Subscriber,
}

impl Role {
    /// All roles, from the one that may do most.
    pub const ALL: [Self; 3] = [Self::Moderator, Self::Publisher, Self::Subscriber];

    /// The name in tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
        }
    }

    /// What it allows. No role allows to record.
    #[must_use]
    pub const fn grants(self) -> Grants {
        Grants {
            publish: matches!(self, Self::Moderator | Self::Publisher),
            subscribe: true,
            moderate: matches!(self, Self::Moderator),
            record: false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| format!("'{text}' is none of moderator, publisher, subscriber"))
    }
}

/// What somebody may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grants {
    /// Send media.
    pub publish: bool,
    /// Receive media of others.
    pub subscribe: bool,
    /// Mute and evict others, lock and close the room.
    pub moderate: bool,
    /// Have the room recorded, for applications that record.
    pub record: bool,
}

/// Exceptions from what a role allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct GrantOverrides {
    /// Send media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Receive media of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<bool>,
    /// Mute and evict others, lock and close the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderate: Option<bool>,
    /// Have the room recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<bool>,
}

impl GrantOverrides {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn applied_to(self, grants: Grants) -> Grants {
        Grants {
            publish: self.publish.unwrap_or(grants.publish),
            subscribe: self.subscribe.unwrap_or(grants.subscribe),
            moderate: self.moderate.unwrap_or(grants.moderate),
            record: self.record.unwrap_or(grants.record),
        }
    }
}

/// Seconds since 1970; nothing is before that.
fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A `NumericDate` (RFC 7519 section 2), which may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    // Beyond that, seconds are no whole numbers any more; it is also 285 million years away.
    const LATEST: f64 = 9_007_199_254_740_992.0;
    if (0.0..=LATEST).contains(&number) {
        Ok(number as u64)
    } else {
        Err(serde::de::Error::custom("no time"))
    }
}

fn some_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::{Claims, Grants, Mismatch, Role};

    fn read(text: &str) -> Result<Claims, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_role_says_what_is_allowed_and_grants_make_exceptions() {
        let grants = |text: &str| read(text).unwrap().grants();
        let all = Grants {
            publish: true,
            subscribe: true,
            moderate: true,
            record: true,
        };
        assert_eq!(
            grants(r#"{"room":"r","exp":1,"role":"moderator","grants":{"record":true}}"#),
            all
        );
        assert_eq!(grants(r#"{"room":"r","exp":1}"#), Role::Publisher.grants());
        let listener = grants(r#"{"room":"r","exp":1,"role":"subscriber"}"#);
        assert!(listener.subscribe && !listener.publish && !listener.moderate);
        let silenced = grants(r#"{"room":"r","exp":1,"grants":{"publish":false}}"#);
        assert!(!silenced.publish && silenced.subscribe);
    }

    #[test]
    fn a_token_is_for_its_room_and_its_user_only() {
        let bound = read(r#"{"room":"r","sub":"ann","exp":1}"#).unwrap();
        assert_eq!(bound.check("r", "ann"), Ok(()));
        assert_eq!(bound.check("R", "ann"), Err(Mismatch::Room));
        assert_eq!(bound.check("r", "bob"), Err(Mismatch::User));
        let free = read(r#"{"room":"*","exp":1}"#).unwrap();
        assert_eq!(free.check("any", "body"), Ok(()));
    }

    #[test]
    fn what_is_missing_or_nonsense_is_not_guessed() {
        for text in [
            r#"{"exp":1}"#,
            r#"{"room":"r"}"#,
            r#"{"room":"r","exp":"1"}"#,
            r#"{"room":"r","exp":-1}"#,
            r#"{"room":"r","exp":1e300}"#,
            r#"{"room":"r","exp":1,"exp":2}"#,
            r#"{"room":"r","exp":1,"role":"king"}"#,
            r#"{"room":"r","exp":1,"grants":{"publish":"yes"}}"#,
            r#"{"room":5,"exp":1}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let times = read(r#"{"room":"r","exp":12.9,"nbf":3,"iss":"me","aud":["x"]}"#).unwrap();
        assert_eq!((times.expires, times.not_before), (12, Some(3)));
    }
}
