//! Kurento's remote classes, wire messages and error table, built from the module descriptors.
//!
//! - [`wire`] has the messages between clients and the object model, [`Error`] the error table.
//! - [`Registry`] is everything that the descriptors in `modules/` declare: classes with what they
//!   inherit, enumerations, structs, events. It also checks what clients send against it
//!   ([`Registry::coerce_params`]).
//! - [`types`] and [`events`] are the declared structs and events as Rust types, for programs that
//!   know at compile time what they talk about.
//!
//! The crate has no I/O and keeps no state; a registry is immutable once it is shared.

mod class;
mod coerce;
mod declared;
pub mod descriptor;
mod error;
mod former;
mod outgoing;
mod plugin;

mod registry;

pub mod wire;

#[path = "gen/events.rs"]
pub mod events;
#[path = "gen/types.rs"]
pub mod types;

pub use class::{Action, Class, Operation, Property};
pub use coerce::{ParamsOf, object_not_found, unknown_operation};
pub use declared::{
    ComplexType, EnumType, EventType, Param, StructType, Type, map_or_null, tagged,
};
pub use error::{Error, ErrorCode};
pub use former::{FormerOperation, current_event, former_events, former_operation};
pub use plugin::Plugin;
pub use registry::{KURENTO, Module, Registry, RegistryError};
pub use serde_json::{Map, Value, json};
