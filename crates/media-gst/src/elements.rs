//! Which elements there are.

use crate::element::{Context, Element};
use crate::filters;
use crate::player::Player;
use crate::upload::Upload;
use salono_media_api::processing::ProcessorSpec;
use salono_media_api::{ElementKey, MediaError, MediaErrorKind};
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
    let _ = elements;
    let what = match spec {
        ProcessorSpec::Player(spec) => return Ok(Box::new(Player::new(context, spec))),
        ProcessorSpec::Upload { encoded } => return Ok(Box::new(Upload::new(context, encoded))),
        ProcessorSpec::Recorder(spec) => return crate::recorder::make(spec, context),
        ProcessorSpec::Composite(_)
        | ProcessorSpec::AlphaBlending
        | ProcessorSpec::Mixer
        | ProcessorSpec::Port { .. } => "hubs",
        ProcessorSpec::Filter(filter) => return filters::make(filter, context),
    };
    Err(MediaError::new(
        MediaErrorKind::Unavailable,
        format!("this processor has no {what}"),
    ))
}
