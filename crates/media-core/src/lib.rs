//! A media shard without sockets or clocks: WebRTC transports, the element graph, the RTP router.
