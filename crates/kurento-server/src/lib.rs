//! Serves the Kurento Protocol: owns the object model, joins clients to the media engine.
