//! Wire messages and error codes of the room protocol.
