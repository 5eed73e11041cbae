//! The media processor: everything of Salono that needs pixels, samples or containers, on GStreamer.
//!
//! It is a process of its own (`salono-processor`), one per media pipeline, started and replaced by the media
//! engine; what they tell each other is [seam C](salono_media_api::processing::bridge).
//!
//! # How it works
//! - One [control thread](processor) owns all elements and carries out commands one by one. It never waits: what takes
//!   long happens in GStreamer's threads, or in threads of an element's own, that leave
//!   [notes](host::Host::note) for it.
//! - Elements share no GStreamer pipeline. Each has [lines](line::Line) of its own, all on one
//!   [clock and base time](timebase). Media goes from one to the next as buffers of a [`Media`](media::Media): PTS is
//!   the running time since the process began, so buffers of all elements line up without translation.
//! - A `Media` exists as long as its element, with or without anything in it. It gives its native form, the raw form (decoded once for all),
//!   and encoded forms (one encoder per [class](encoding::Class)); who takes keeps a [`Supply`](media::Supply).
//! - Nothing blocks media: raw queues leak after 600 ms, encoded ones when they are full; packets for
//!   the shard displace the oldest ones.
//!
//! # Writing an element
//! Implement [`Element`](element::Element), and make it in [`elements::make`] from its spec and a
//! [`Context`](element::Context).
//!
//! *What enters it* comes by `link(kind, Some(media))`. Look at `media.format()` (none before the first buffer;
//! `format_changed` is called when that is known or changes), then take what suits:
//! ```text
//! let line = Line::parse(&host, context.owner(), &format!("{RAW_ENTRY} ! videoflip ! {EXIT}"))?;
//! let mut entry = Entry::new(line.entry("in"));
//! self.supply = media.take_raw(move |item| entry.put(item));
//! ```
//! `take_native` gives frames as they are, beginning with a keyframe that was asked for (`media.want_keyframe` asks again),
//! `take_encoded(Class, ..)` gives them from a shared encoder. A taker runs in the publisher's thread and
//! must not wait. Drop the supply to stop. [`codec`] says which form encoded frames have.
//!
//! *What leaves it* is a `Media` from [`Context::media`](element::Context::media), which `media(kind)` returns all along:
//! ```text
//! line.on_out("out", move |out| match out {
//!     Out::Sample(sample) => media.publish_sample(&sample),
//!     Out::End => media.native().end(),
//! });
//! line.play()?;
//! ```
//!
//! *Errors* of its lines arrive at `bus`; [`fault::of_message`] turns them into what
//! [`Reports::error`](reports::Reports::error) takes. *URIs* are opened only after [`policy`] allowed them. *Checkpoints*
//! (`host.reports().checkpoint`) come back as [`Context::resume`](element::Context::resume) in the process that replaces this one.

mod amr;
mod av1;
pub mod check;
pub mod codec;
pub mod control;
pub mod element;
pub mod elements;
pub mod encoding;
pub mod fault;
pub mod filters;
pub mod host;
pub mod hubs;
pub mod inbox;
pub mod inlet;
pub mod line;
pub mod media;
pub mod media_socket;
pub mod outlet;
pub mod player;
pub mod policy;
pub mod processor;
pub mod recorder;
pub mod reports;
pub mod routes;
pub mod stream;
pub mod timebase;
pub mod upload;
