//! `GStreamerFilter`: one element of GStreamer, out of a list of harmless ones.
//!
//! The command is read here, never by GStreamer's own parser: it names one element and sets properties.
//! Elements and properties that reach outside of the pipeline are refused whatever the list says.

use super::{Work, unsupported};
use crate::line::Line;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use salono_media_api::processing::ProcessorCall;
use salono_media_api::{MediaError, MediaErrorKind, MediaKind};

/// Longest command, in bytes.
const MAX_COMMAND: usize = 4_096;

/// Properties that are set, by command and by call.
const MAX_SETTINGS: usize = 128;

/// Parts of names of properties that lead out of the pipeline.
const OUTWARD: [&str; 16] = [
    "location", "uri", "url", "host", "address", "port", "path", "file", "fd", "device", "socket",
    "plugin", "module", "script", "command", "dump",
];

pub(super) struct Command {
    factory: String,
    kind: MediaKind,
    /// Of the command, then of calls; a later one of the same name replaces the former.
    settings: Vec<(String, String)>,
    /// How many of them are the command's.
    of_command: usize,
}

impl Command {
    /// Reads a command and tries it.
    pub(super) fn new(
        command: &str,
        kind: Option<MediaKind>,
        takes: MediaKind,
        allowed: &[String],
    ) -> Result<Self, MediaError> {
        let words = words(command)?;
        let (factory, settings) = parse(&words)?;
        if !allowed.contains(&factory) {
            return Err(refused(format!(
                "GStreamer element cannot be created: `{factory}` is not among the elements that filters may \
                 consist of (processor.elements)"
            )));
        }
        let element = gst::ElementFactory::make(&factory)
            .build()
            .map_err(|_| refused(format!("GStreamer element cannot be created: {factory}")))?;
        for (name, value) in &settings {
            let value = readable(&element, name, value)?;
            put(&element, name, &value)?;
        }
        let found = kinds(&element);
        let kind = kind.unwrap_or(if found.contains(&takes) || found.is_empty() {
            takes
        } else {
            found[0]
        });
        if !found.contains(&kind) || kind != takes {
            return Err(refused(
                "Given command is not valid, pad templates don't match".to_owned(),
            ));
        }
        Ok(Self {
            factory,
            kind,
            of_command: settings.len(),
            settings,
        })
    }

    pub(super) fn kind(&self) -> MediaKind {
        self.kind
    }
}

impl Work for Command {
    fn text(&self) -> String {
        // The name was found in the list and in the registry, so it is one word.
        format!("{} name=filter", self.factory)
    }

    fn made(&mut self, line: &Line) {
        let Some(element) = line.element("filter") else {
            return;
        };
        for (name, value) in &self.settings {
            if let Ok(value) = readable(&element, name, value) {
                let _ = put(&element, name, &value);
            }
        }
    }

    fn call(&mut self, call: &ProcessorCall, line: Option<&Line>) -> Result<(), MediaError> {
        let ProcessorCall::SetElementProperty { name, value } = call else {
            return Err(unsupported());
        };
        let probe = match line.and_then(|line| line.element("filter")) {
            Some(element) => element,
            None => gst::ElementFactory::make(&self.factory)
                .build()
                .map_err(|error| refused(error.to_string()))?,
        };
        let spec = property(&probe, name)?;
        let kind = spec.value_type();
        let simple = [
            glib::Type::I32,
            glib::Type::F32,
            glib::Type::F64,
            glib::Type::STRING,
        ];
        if !simple.contains(&kind) && !kind.is_a(glib::Type::ENUM) {
            return Err(MediaError::new(
                MediaErrorKind::PropertyType,
                format!("Property type not implemented: {}", spec.type_().name()),
            ));
        }
        let read = readable(&probe, name, value)?;
        put(&probe, name, &read)?;
        let is_full = self.settings.len() >= MAX_SETTINGS;
        let later = &mut self.settings[self.of_command..];
        match later.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None if is_full => {
                return Err(MediaError::new(
                    MediaErrorKind::Limit,
                    "too many properties are set",
                ));
            }
            None => self.settings.push((name.clone(), value.clone())),
        }
        Ok(())
    }

    fn calls(&self) -> Vec<ProcessorCall> {
        let later = self.settings[self.of_command..].iter();
        later
            .map(|(name, value)| ProcessorCall::SetElementProperty {
                name: name.clone(),
                value: value.clone(),
            })
            .collect()
    }
}

fn refused(message: String) -> MediaError {
    MediaError::new(MediaErrorKind::IllegalParam, message)
}

/// A property of an element that may be set.
fn property(element: &gst::Element, name: &str) -> Result<glib::ParamSpec, MediaError> {
    let spec = element.find_property(name).ok_or_else(|| {
        refused(format!(
            "No property named '{name}' in object '{}'",
            element.name()
        ))
    })?;
    let lower = name.to_ascii_lowercase();
    let outward = OUTWARD.iter().any(|part| lower.contains(part));
    let writable = spec.flags().contains(glib::ParamFlags::WRITABLE)
        && !spec.flags().contains(glib::ParamFlags::CONSTRUCT_ONLY);
    if outward || !writable || lower == "name" || lower == "parent" {
        return Err(refused(format!("Property '{name}' must not be set")));
    }
    Ok(spec)
}

/// Sets a property, unless the value is out of range.
fn put(element: &gst::Element, name: &str, value: &glib::Value) -> Result<(), MediaError> {
    let spec = property(element, name)?;
    super::plugin::values::put(element, &spec, value).map_err(refused)
}

/// A value of the property's type out of text.
fn readable(element: &gst::Element, name: &str, text: &str) -> Result<glib::Value, MediaError> {
    let spec = property(element, name)?;
    glib::Value::deserialize(text, spec.value_type()).map_err(|_| {
        refused(format!(
            "Cannot convert '{text}' to {}: property '{name}'",
            spec.value_type().name()
        ))
    })
}

/// The words of a command; quotes and backslashes as in `gst-launch`.
fn words(command: &str) -> Result<Vec<String>, MediaError> {
    if command.len() > MAX_COMMAND {
        return Err(refused(format!(
            "GStreamer element cannot be created: the command is longer than {MAX_COMMAND} bytes"
        )));
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', _) => {
                if let Some(next) = letters.next() {
                    word.get_or_insert_default().push(next);
                }
            }
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(refused(
            "GStreamer element cannot be created: a quote is not closed".to_owned(),
        ));
    }
    words.extend(word);
    Ok(words)
}

/// Name and properties of the one element.
fn parse(words: &[String]) -> Result<(String, Vec<(String, String)>), MediaError> {
    let (factory, rest) = words.split_first().ok_or_else(|| {
        refused("GStreamer element cannot be created: the command is empty".to_owned())
    })?;
    let mut settings = Vec::new();
    for word in rest {
        let Some((name, value)) = word.split_once('=') else {
            return Err(refused(
                "Given command is not valid, only one element can be created".to_owned(),
            ));
        };
        if settings.len() >= MAX_SETTINGS {
            return Err(refused(
                "GStreamer element cannot be created: too many properties".to_owned(),
            ));
        }
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok((factory.clone(), settings))
}

/// Which raw media an element takes and gives by one pad each, sound first.
fn kinds(element: &gst::Element) -> Vec<MediaKind> {
    let (Some(sink), Some(src)) = (element.static_pad("sink"), element.static_pad("src")) else {
        return Vec::new();
    };
    if element.num_pads() != 2 {
        return Vec::new();
    }
    let takes = |name: &str| {
        let raw = gst::Caps::new_empty_simple(name);
        let fits = |pad: &gst::Pad| pad.pad_template_caps().can_intersect(&raw);
        fits(&sink) && fits(&src)
    };
    let known = [
        ("audio/x-raw", MediaKind::Audio),
        ("video/x-raw", MediaKind::Video),
    ];
    let found = known.into_iter().filter(|(name, _)| takes(name));
    found.map(|(_, kind)| kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(command: &str, takes: MediaKind) -> Result<Command, String> {
        gst::init().unwrap();
        let allowed = [
            "videoflip",
            "capsfilter",
            "volume",
            "textoverlay",
            "filesink",
            "videobalance",
        ];
        let allowed = allowed.map(str::to_owned);
        Command::new(command, None, takes, &allowed).map_err(|error| error.message)
    }

    #[test]
    fn a_harmless_element_is_made_with_its_properties() {
        let command = make("videoflip method=clockwise", MediaKind::Video).unwrap();
        assert_eq!(command.settings, [("method".into(), "clockwise".into())]);
        assert!(
            make(
                "capsfilter caps=video/x-raw,framerate=15/1",
                MediaKind::Video
            )
            .is_ok()
        );
        assert_eq!(
            make("volume volume=0.5", MediaKind::Audio).unwrap().kind(),
            MediaKind::Audio
        );
    }

    #[test]
    fn what_reaches_outside_or_is_more_than_one_element_is_refused() {
        for (command, word) in [
            ("filesink location=/tmp/x", "must not be set"),
            ("tcpserversink", "not among"),
            ("videoflip ! filesink location=/tmp/x", "only one element"),
            ("videoflip name=x", "must not be set"),
            ("videoflip method=nonsense", "Cannot convert 'nonsense'"),
            ("videoflip nothing=1", "No property named 'nothing'"),
            ("( videoflip )", "only one element"),
            ("", "empty"),
            ("videoflip method=\"clockwise", "quote"),
            ("filesink", "pad templates"),
            ("volume", "pad templates"),
        ] {
            let why = make(command, MediaKind::Video).err();
            assert!(
                why.as_ref().is_some_and(|why| why.contains(word)),
                "{command}: {why:?}"
            );
        }
        let long = "x".repeat(1 << 20);
        assert!(make(&long, MediaKind::Video).is_err());
    }

    #[test]
    fn calls_set_what_the_command_may_and_are_kept() {
        let mut command = make("videobalance", MediaKind::Video).unwrap();
        let set = |name: &str, value: &str| ProcessorCall::SetElementProperty {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        command.call(&set("saturation", "0.5"), None).unwrap();
        command.call(&set("saturation", "0.25"), None).unwrap();
        assert_eq!(command.calls(), [set("saturation", "0.25")]);
        let error = command.call(&set("qos", "true"), None).unwrap_err();
        assert_eq!(error.kind, MediaErrorKind::PropertyType);
        assert_eq!(
            error.message,
            "Property type not implemented: GParamBoolean"
        );
        assert!(command.call(&set("saturation", "much"), None).is_err());
        assert!(command.call(&set("saturation", "99"), None).is_err());
    }
}
