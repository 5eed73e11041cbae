//! Elements that process media, without media: they change their states and know a few properties.

use salono_media_api::{
    MediaError, MediaErrorKind,
    processing::{ProcessorCall, ProcessorEvent, ProcessorReply, Seekable, UriState},
};

/// What happens at an element that is asked for something, and what it answers then.
pub(crate) fn answer(
    call: &ProcessorCall,
) -> (Vec<ProcessorEvent>, Result<ProcessorReply, MediaError>) {
    let done = Ok(ProcessorReply::Done);
    let state = |state| vec![ProcessorEvent::State(state)];
    match call {
        ProcessorCall::Play | ProcessorCall::Record => (state(UriState::Start), done),
        ProcessorCall::Pause => (state(UriState::Pause), done),
        ProcessorCall::Stop => (state(UriState::Stop), done),
        ProcessorCall::StopAndWait => {
            let recorded = ProcessorEvent::Recorded {
                uri: "file:///tmp/a.webm".to_owned(),
                duration_ms: 2_000,
                bytes: 50_000,
            };
            (vec![recorded, ProcessorEvent::State(UriState::Stop)], done)
        }
        ProcessorCall::Position => (Vec::new(), Ok(ProcessorReply::Position(0))),
        ProcessorCall::VideoInfo => {
            let seekable = ProcessorReply::Seekable(Seekable::default());
            (Vec::new(), Ok(seekable))
        }
        ProcessorCall::SetPosition { .. } => {
            let error = MediaError::new(MediaErrorKind::Seek, "nothing plays");
            (Vec::new(), Err(error))
        }
        ProcessorCall::Dot => {
            let text = "digraph pipeline {\n}\n".to_owned();
            (Vec::new(), Ok(ProcessorReply::Text(text)))
        }
        ProcessorCall::SetElementProperty { name, value } => {
            (Vec::new(), element_property(name, value))
        }
        ProcessorCall::Invoke { .. } | ProcessorCall::GetProperty { .. } => {
            (Vec::new(), Ok(ProcessorReply::Json("null".to_owned())))
        }
        ProcessorCall::Body { .. }
        | ProcessorCall::SetMaster { .. }
        | ProcessorCall::SetPort { .. }
        | ProcessorCall::SetLayout { .. }
        | ProcessorCall::MixAudio { .. }
        | ProcessorCall::AddPicture { .. }
        | ProcessorCall::RemovePicture { .. }
        | ProcessorCall::SetFacePicture { .. }
        | ProcessorCall::SetBackground { .. }
        | ProcessorCall::SetProperty { .. } => (Vec::new(), done),
    }
}

/// As `videoflip` and `volume` do.
fn element_property(name: &str, value: &str) -> Result<ProcessorReply, MediaError> {
    let error = |kind, text: &str| Err(MediaError::new(kind, text));
    match (name, value) {
        ("method" | "volume", "zzz") => error(
            MediaErrorKind::IllegalParam,
            "Cannot convert 'zzz' to enum: Invalid value for enum GstVideoFlipMethod",
        ),
        ("method" | "volume", _) => Ok(ProcessorReply::Done),
        ("mute", _) => error(
            MediaErrorKind::PropertyType,
            "Property type not implemented: GParamBoolean",
        ),
        _ => error(
            MediaErrorKind::IllegalParam,
            "No property named 'nope' in object 'videoflip0'",
        ),
    }
}
