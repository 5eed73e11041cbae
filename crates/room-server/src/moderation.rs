//! What those may do who keep order in a room.

use salono_room_proto::MuteMedia;
use salono_room_sdk::{MutedMediaType, NotificationRoomManager, ParticipantId, RoomError};

/// Mutes or unmutes what somebody in the moderator's room publishes.
pub(crate) async fn mute(
    manager: &NotificationRoomManager,
    moderator: &ParticipantId,
    mute: &MuteMedia,
) -> Result<(), RoomError> {
    let target = find(manager, moderator, &mute.sender.user).await?;
    let stream = &mute.sender.stream;
    for (is_muted, media) in [
        (mute.audio, MutedMediaType::Audio),
        (mute.video, MutedMediaType::Video),
    ] {
        match is_muted {
            Some(true) => {
                manager
                    .mute_published_stream(&target, stream, media)
                    .await?;
            }
            Some(false) => {
                manager
                    .unmute_published_stream(&target, stream, media)
                    .await?;
            }
            None => {}
        }
    }
    Ok(())
}

/// Takes somebody out of the moderator's room; the result is who it was.
pub(crate) async fn evict(
    manager: &NotificationRoomManager,
    moderator: &ParticipantId,
    user: &str,
) -> Result<ParticipantId, RoomError> {
    let target = find(manager, moderator, user).await?;
    manager.evict_participant(&target).await?;
    Ok(target)
}

/// Closes the moderator's room.
pub(crate) async fn close(
    manager: &NotificationRoomManager,
    moderator: &ParticipantId,
) -> Result<(), RoomError> {
    let room = manager.room_manager().room_name(moderator)?;
    manager.close_room(&room).await
}

/// Locks or unlocks the moderator's room.
pub(crate) async fn lock(
    manager: &NotificationRoomManager,
    moderator: &ParticipantId,
    locked: bool,
) -> Result<(), RoomError> {
    let room = manager.room_manager().room_name(moderator)?;
    manager.set_room_locked(&room, locked).await
}

/// Who has a name in the moderator's room.
async fn find(
    manager: &NotificationRoomManager,
    moderator: &ParticipantId,
    user: &str,
) -> Result<ParticipantId, RoomError> {
    let room = manager.room_manager().room_name(moderator)?;
    let found = manager.find(&room, user).await?;
    Ok(found.participant_id)
}
