//! Room managers for building group calls into a program, on any Kurento media server.
