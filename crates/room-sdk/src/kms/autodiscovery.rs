//! A media server of its own for each room, from whoever hands them out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use salono_kurento_client::{Client, Config};
use salono_room_core::{RoomError, RoomErrorCode};

use crate::provider::{KurentoClientProvider, KurentoClientSessionInfo};

/// How much of a media server a room asks for, as Kurento Room does.
const LOAD_POINTS: u32 = 50;

/// Where a Kurento Media Server is by default.
const DEFAULT_URL: &str = "ws://127.0.0.1:8888/kurento";

/// Largest properties file that is read, bytes.
const MAX_PROPERTIES_BYTES: u64 = 1 << 20;

/// Hands out media servers.
pub trait KmsUrlProvider: Send + Sync + 'static {
    /// The WebSocket URL of a media server with so many points to spare, for the user `id`, which is
    /// the name of a room.
    fn reserve_kms<'a>(
        &'a self,
        id: &'a str,
        load_points: u32,
    ) -> BoxFuture<'a, Result<String, RoomError>>;

    /// What was reserved for `id` is of no use any more.
    fn release_kms(&self, id: &str) {
        let _ = id;
    }
}

/// Asks for a media server for each room, connects to it, and gives it back when the room ends.
pub struct Autodiscovery {
    urls: Arc<dyn KmsUrlProvider>,
    config: Config,
}

impl Autodiscovery {
    /// With whoever knows media servers.
    pub fn new(urls: Arc<dyn KmsUrlProvider>, config: Config) -> Self {
        Self { urls, config }
    }
}

impl KurentoClientProvider for Autodiscovery {
    fn kurento_client<'a>(
        &'a self,
        session: &'a KurentoClientSessionInfo,
    ) -> BoxFuture<'a, Result<Client, RoomError>> {
        Box::pin(async move {
            let id = session.room_name.as_str();
            let url = self.urls.reserve_kms(id, LOAD_POINTS).await?;
            let connected = Client::connect_with(&url, self.config.clone()).await;
            let (client, driver) = connected.map_err(|error| {
                self.urls.release_kms(id);
                cannot(format!("media server {url} cannot be reached: {error}"))
            })?;
            let (urls, id) = (Arc::clone(&self.urls), id.to_owned());
            tokio::spawn(async move {
                driver.run().await;
                urls.release_kms(&id);
            });
            Ok(client)
        })
    }

    fn destroy_when_unused(&self) -> bool {
        true
    }
}

/// The URL in a properties file of Kurento's clients, read anew each time: the key `kms.url`. Without
/// the file or the key, it is a media server on this machine. `kms.url.provider` names a Java class
/// and cannot be used: implement [`KmsUrlProvider`] instead.
#[derive(Debug, Clone)]
pub struct PropertiesKmsUrl(PathBuf);

impl PropertiesKmsUrl {
    /// A file at a place of one's own.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `.kurento/config.properties` in a home directory.
    pub fn in_home(home: &Path) -> Self {
        Self(home.join(".kurento").join("config.properties"))
    }

    fn url(&self) -> Result<String, RoomError> {
        let unreadable = |error: std::io::Error| cannot(format!("{}: {error}", self.0.display()));
        let text = match fs::metadata(&self.0) {
            Ok(file) if file.len() > MAX_PROPERTIES_BYTES => {
                return Err(cannot(format!("{} is too large", self.0.display())));
            }
            Ok(_) => fs::read_to_string(&self.0).map_err(unreadable)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unreadable(error)),
        };
        match (
            property(&text, "kms.url"),
            property(&text, "kms.url.provider"),
        ) {
            (Some(url), _) => Ok(url.to_owned()),
            (None, Some(_)) => Err(cannot(
                "kms.url.provider names a Java class: set kms.url instead".to_owned(),
            )),
            (None, None) => Ok(DEFAULT_URL.to_owned()),
        }
    }
}

impl KmsUrlProvider for PropertiesKmsUrl {
    fn reserve_kms<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<String, RoomError>> {
        Box::pin(async { self.url() })
    }
}

/// The value of a key, as far as `key=value` and `key: value` go.
fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once(['=', ':']))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}

fn cannot(text: String) -> RoomError {
    RoomError::new(RoomErrorCode::RoomCannotBeCreated, text)
}

#[cfg(test)]
mod tests {
    use super::property;

    #[test]
    fn properties_are_found_among_remarks() {
        let text = "# kms.url=ws://no/\n!x\n kms.url : ws://a:1/kurento \nkms.url.provider=\n";
        assert_eq!(property(text, "kms.url"), Some("ws://a:1/kurento"));
        assert_eq!(property(text, "kms.url.provider"), None);
    }
}
