//! A room with two participants on any Kurento media server.
//!
//! ```text
//! cargo run -p salono-room-sdk --example minimal_room -- ws://127.0.0.1:8888/kurento
//! ```
//!
//! Ann's media comes from the media server's own offer, which a real program sends to a browser; this
//! one shows the offer and leaves again.

use std::error::Error;
use std::sync::Arc;

use salono_kurento_client::Client;
use salono_room_sdk::{
    FixedKurento, IceCandidate, Join, KurentoClientSessionInfo, ManagerConfig, ParticipantId,
    RoomHandler, RoomManager, StreamRef,
};

/// A real program sends all this to its users.
struct Print;

impl RoomHandler for Print {
    fn on_ice_candidate(
        &self,
        room: &str,
        participant: &ParticipantId,
        endpoint: &StreamRef,
        candidate: &IceCandidate,
    ) {
        let line = &candidate.candidate;
        eprintln!("{room}: candidate of {endpoint} for {participant}: {line}");
    }

    fn on_media_element_error(&self, room: &str, participant: &ParticipantId, description: &str) {
        eprintln!("{room}: media of {participant} failed: {description}");
    }

    fn on_pipeline_error(&self, room: &str, _: &[ParticipantId], description: &str) {
        eprintln!("{room}: pipeline failed: {description}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "ws://127.0.0.1:8888/kurento".to_owned());
    let (client, driver) = Client::connect(&url).await?;
    tokio::spawn(driver.run());

    let provider = Arc::new(FixedKurento::new(client));
    let rooms = RoomManager::new(Arc::new(Print), provider, ManagerConfig::default());
    let (ann, bob) = (ParticipantId::from("1"), ParticipantId::from("2"));

    let session = Some(KurentoClientSessionInfo::for_room("tea"));
    rooms
        .join_room(&ann, Join::new("tea", "ann"), session.clone())
        .await?;
    let already_in = rooms
        .join_room(&bob, Join::new("tea", "bob"), session)
        .await?;
    eprintln!("bob finds {already_in:?}");

    let offer = rooms.generate_publish_offer(&ann).await?;
    eprintln!("offer for ann:\n{offer}");

    rooms.leave_room(&ann).await?;
    rooms.leave_room(&bob).await?;
    eprintln!("rooms left: {:?}", rooms.rooms());
    Ok(())
}
