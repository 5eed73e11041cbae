//! Shard threads, UDP sockets and timers around media-core.
