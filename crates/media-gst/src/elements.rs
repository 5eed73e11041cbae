//! Which elements there are.

use crate::element::{Context, Element};
use crate::filters;
use crate::hubs;
use crate::player::Player;
use crate::upload::Upload;
use salono_media_api::processing::ProcessorSpec;
use salono_media_api::{ElementKey, MediaError};
use std::collections::BTreeMap;

/// The elements of a processor.
pub type Elements = BTreeMap<ElementKey, Box<dyn Element>>;

/// Makes an element. `elements` are those there are, for ports to find their hub in
/// (`&mut dyn Element` as [`std::any::Any`]).
///
/// # Errors
/// What the maker of the element refuses.
pub fn make(
    spec: ProcessorSpec,
    context: Context,
    elements: &mut Elements,
) -> Result<Box<dyn Element>, MediaError> {
    match spec {
        ProcessorSpec::Player(spec) => Ok(Box::new(Player::new(context, spec))),
        ProcessorSpec::Upload { encoded } => Ok(Box::new(Upload::new(context, encoded))),
        ProcessorSpec::Recorder(spec) => crate::recorder::make(spec, context),
        ProcessorSpec::Composite(_) | ProcessorSpec::AlphaBlending | ProcessorSpec::Mixer => {
            hubs::make(&spec, context)
        }
        ProcessorSpec::Port { hub, .. } => hubs::make_port(hub, context, elements),
        ProcessorSpec::Filter(filter) => filters::make(filter, context),
    }
}
