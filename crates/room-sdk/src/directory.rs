//! Which rooms there are, by name, and which room a participant is in.

use std::collections::{BTreeMap, HashMap, HashSet};

use salono_room_core::{ParticipantId, RoomError, RoomErrorCode};
use tokio::sync::mpsc;

use crate::message::Message;

/// One life of one room; a name that is used again gets a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RoomKey(u64);

/// The way to a room's task.
#[derive(Clone)]
pub(crate) struct RoomAddress {
    pub(crate) key: RoomKey,
    pub(crate) name: String,
    pub(crate) sender: mpsc::Sender<Message>,
}

struct Entry {
    address: RoomAddress,
    members: HashSet<ParticipantId>,
}

/// The rooms and participants of one manager. A participant is in at most one room.
pub(crate) struct Directory {
    names: BTreeMap<String, RoomKey>,
    rooms: HashMap<RoomKey, Entry>,
    members: HashMap<ParticipantId, RoomKey>,
    next_key: u64,
    max_rooms: usize,
    closed: bool,
}

impl Directory {
    pub(crate) fn new(max_rooms: usize) -> Self {
        Self {
            names: BTreeMap::new(),
            rooms: HashMap::new(),
            members: HashMap::new(),
            next_key: 0,
            max_rooms,
            closed: false,
        }
    }

    pub(crate) fn room(&self, name: &str) -> Option<&RoomAddress> {
        let key = self.names.get(name)?;
        self.rooms.get(key).map(|entry| &entry.address)
    }

    pub(crate) fn room_of(&self, participant: &ParticipantId) -> Option<&RoomAddress> {
        let key = self.members.get(participant)?;
        self.rooms.get(key).map(|entry| &entry.address)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Enters a room under a name that must be free.
    pub(crate) fn open(
        &mut self,
        name: &str,
        sender: mpsc::Sender<Message>,
    ) -> Result<RoomAddress, RoomError> {
        if self.closed {
            return Err(RoomError::new(
                RoomErrorCode::RoomClosed,
                "the room manager is closed",
            ));
        }
        if self.names.len() >= self.max_rooms {
            return Err(RoomError::new(
                RoomErrorCode::RoomCannotBeCreated,
                format!("room '{name}' cannot be created: there are too many rooms"),
            ));
        }
        let key = RoomKey(self.next_key);
        self.next_key += 1;
        let address = RoomAddress {
            key,
            name: name.to_owned(),
            sender,
        };
        self.names.insert(name.to_owned(), key);
        self.rooms.insert(
            key,
            Entry {
                address: address.clone(),
                members: HashSet::new(),
            },
        );
        Ok(address)
    }

    /// Notes that the participant is in the room, or on its way into it.
    pub(crate) fn enter(&mut self, participant: &ParticipantId, key: RoomKey) {
        if let Some(entry) = self.rooms.get_mut(&key) {
            entry.members.insert(participant.clone());
            self.members.insert(participant.clone(), key);
        }
    }

    /// Undoes [`enter`](Self::enter), if the participant is not in another room by now.
    pub(crate) fn leave(&mut self, participant: &ParticipantId, key: RoomKey) {
        if let Some(entry) = self.rooms.get_mut(&key) {
            entry.members.remove(participant);
        }
        if self.members.get(participant) == Some(&key) {
            self.members.remove(participant);
        }
    }

    /// Forgets a room and who was in it; its name is free at once.
    pub(crate) fn close(&mut self, key: RoomKey) {
        let Some(entry) = self.rooms.remove(&key) else {
            return;
        };
        if self.names.get(&entry.address.name) == Some(&key) {
            self.names.remove(&entry.address.name);
        }
        for participant in entry.members {
            if self.members.get(&participant) == Some(&key) {
                self.members.remove(&participant);
            }
        }
    }

    /// Opens no room any more.
    pub(crate) fn shut(&mut self) {
        self.closed = true;
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.closed
    }
}
