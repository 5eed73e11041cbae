//! A typed Kurento client, in process or over a WebSocket.
