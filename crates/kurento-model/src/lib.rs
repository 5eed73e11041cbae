//! Kurento's remote classes, wire messages and error table, built from the module descriptors.
