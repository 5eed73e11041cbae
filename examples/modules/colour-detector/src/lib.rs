//! A plugin of GStreamer with one element, `colourdetector`, that looks for a colour in pictures.
//!
//! It knows nothing of Salono. The descriptor beside it, `colourdetector.kmd.json`, makes a class of it: properties
//! of the element are those of the class, action signals its methods, signals its events.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    reason = "written by macros of the binding"
)]

mod detector;

use gstreamer as gst;
use gstreamer::glib;

fn init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    detector::register(plugin)
}

gst::plugin_define!(
    colourdetector,
    env!("CARGO_PKG_DESCRIPTION"),
    init,
    env!("CARGO_PKG_VERSION"),
    "Apache-2.0",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "https://example.org"
);
