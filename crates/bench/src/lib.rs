//! Measures this server and its peers.
