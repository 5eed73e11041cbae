//! The seam between the object model and the media shards: commands, events, keys and units.
