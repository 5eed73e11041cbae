//! The Kurento object model as a sans-IO state machine.
