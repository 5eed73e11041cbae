//! Choosing media servers: which ones there are, how busy they are, and who gets which.
//!
//! | module | role |
//! | --- | --- |
//! | `server` | one media server and the connection to it |
//! | `load` | how busy a media server is |
//! | `choice` | which of them a room gets, and who may create rooms |
//! | `manager` | several media servers as a provider |
//! | `autodiscovery` | a media server of its own for each room, from whoever hands them out |

mod autodiscovery;
mod choice;
mod load;
mod manager;
mod server;

pub use autodiscovery::{Autodiscovery, KmsUrlProvider, PropertiesKmsUrl};
pub use choice::{KmsChoice, NamePattern, PatternError};
pub use load::{KmsLoad, LoadManager, MaxWebRtcLoadManager, UnlimitedLoadManager};
pub use manager::KmsManager;
pub use server::Kms;
