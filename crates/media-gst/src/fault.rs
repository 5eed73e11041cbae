//! Errors of GStreamer in the terms of Kurento's `Error` event.

use gstreamer as gst;
use gstreamer::prelude::*;
use salono_media_api::processing::ProcessorError;

/// What a pipeline posted as an error or a warning; `None` for other messages.
pub fn of_message(message: &gst::Message) -> Option<ProcessorError> {
    let (error, debug) = if let gst::MessageView::Error(error) = message.view() {
        (error.error(), error.debug())
    } else if let gst::MessageView::Warning(warning) = message.view() {
        (warning.error(), warning.debug())
    } else {
        return None;
    };
    let source = message.src().map(|source| source.path_string());
    let source = source.as_deref().unwrap_or("unknown");
    let code = code(&error);
    let mut description = format!("Error code {code}: {error}, source: {source}");
    if let Some(debug) = debug {
        description.push_str(&format!(", debug info: {debug}"));
    }
    Some(ProcessorError {
        code,
        kind: kind(&error).to_owned(),
        description,
    })
}

/// Its number within its domain.
#[allow(unsafe_code, reason = "the binding has no face for the number")]
fn code(error: &gst::glib::Error) -> i32 {
    use gst::glib::translate::ToGlibPtr;
    let stash: *const gst::glib::ffi::GError = error.to_glib_none().0;
    // SAFETY: the pointer is that of the living error.
    unsafe { (*stash).code }
}

/// Its kind.
fn kind(error: &gst::glib::Error) -> &'static str {
    use gst::{ResourceError, StreamError};
    let known = [
        (
            error.matches(ResourceError::OpenRead),
            "RESOURCE_ERROR_OPEN",
        ),
        (
            error.matches(ResourceError::OpenWrite),
            "RESOURCE_ERROR_OPEN",
        ),
        (
            error.matches(ResourceError::OpenReadWrite),
            "RESOURCE_ERROR_OPEN",
        ),
        (error.matches(ResourceError::Write), "RESOURCE_ERROR_WRITE"),
        (
            error.matches(ResourceError::NoSpaceLeft),
            "RESOURCE_ERROR_NO_SPACE_LEFT",
        ),
        (error.matches(StreamError::Failed), "STREAM_ERROR_FAILED"),
        (error.matches(StreamError::Decode), "STREAM_ERROR_DECODE"),
    ];
    known
        .into_iter()
        .find_map(|(matches, kind)| matches.then_some(kind))
        .unwrap_or("UNEXPECTED_ELEMENT_ERROR")
}

/// An error of the URI itself: nothing there, not allowed, or not understood.
pub fn invalid_uri(reason: &str) -> ProcessorError {
    ProcessorError {
        code: 0,
        kind: "INVALID_URI".to_owned(),
        description: format!("Invalid URI: {reason}"),
    }
}

/// What is at the URI cannot be played.
pub fn invalid_media(reason: &str) -> ProcessorError {
    ProcessorError {
        code: 0,
        kind: "INVALID_MEDIA".to_owned(),
        description: format!("Invalid Media: {reason}"),
    }
}
