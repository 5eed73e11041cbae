//! Kurento's dialects of JSON-RPC 2.0: frames and sans-IO peers.
