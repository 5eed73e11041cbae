//! Layouts of a composite, as JSON.

use salono_media_api::ElementKey;
use salono_media_api::processing::Place;
use serde_json::{Map, Value};

/// Ports that a layout may name.
const MAX_PORTS: usize = 1_024;

/// Bytes of a label.
const MAX_LABEL: usize = 1_024;

/// Bytes of the JSON text.
const MAX_TEXT: usize = 1 << 20;

/// How pictures are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Rows and columns.
    Grid,
    /// One large, the others in a row below.
    Speaker,
    /// Two, half each.
    SideBySide,
    /// One full, the others small in the lower right corner, one above another.
    PictureInPicture,
    /// Each where it was said.
    Places,
}

/// What is said about one port.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PortLayout {
    pub(super) port: ElementKey,
    /// Drawn over its picture; empty for nothing.
    pub(super) label: String,
    pub(super) hidden: bool,
    pub(super) place: Option<Place>,
    pub(super) z_order: i64,
}

/// A layout.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub(super) style: Style,
    /// Red, green, blue.
    pub(super) background: [u8; 3],
    pub(super) main: Option<ElementKey>,
    /// In the order of their places.
    pub(super) ports: Vec<PortLayout>,
}

impl Layout {
    /// Whether anything is written over pictures.
    pub(super) fn has_labels(&self) -> bool {
        self.ports.iter().any(|entry| !entry.label.is_empty())
    }

    /// What is written over the picture of a port; empty for nothing.
    pub(super) fn label(&self, port: ElementKey) -> &str {
        let entry = self.ports.iter().find(|entry| entry.port == port);
        entry.map_or("", |entry| entry.label.as_str())
    }
}

/// Reads a layout.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn parse(text: &str) -> Result<Layout, String> {
    if text.len() > MAX_TEXT {
        return Err("the layout is too long".to_owned());
    }
    let fields: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("the layout is no object: {error}"))?;
    let style = match fields.get("arrangement").and_then(Value::as_str) {
        Some("grid") => Style::Grid,
        Some("speaker") => Style::Speaker,
        Some("side-by-side") => Style::SideBySide,
        Some("picture-in-picture") => Style::PictureInPicture,
        Some("places") => Style::Places,
        Some(_) | None => return Err("the layout has no known arrangement".to_owned()),
    };
    let background = match fields.get("background").and_then(Value::as_str) {
        None | Some("") => [0; 3],
        Some(text) => colour(text).ok_or_else(|| format!("`{text}` is no colour"))?,
    };
    let none = Vec::new();
    let listed = match fields.get("ports") {
        None | Some(Value::Null) => &none,
        Some(Value::Array(listed)) if listed.len() <= MAX_PORTS => listed,
        Some(_) => return Err("`ports` is no array, or too long".to_owned()),
    };
    Ok(Layout {
        style,
        background,
        main: fields.get("main").and_then(Value::as_u64).map(ElementKey),
        ports: listed.iter().map(port).collect::<Result<_, _>>()?,
    })
}

fn port(value: &Value) -> Result<PortLayout, String> {
    let key = value.get("port").and_then(Value::as_u64);
    let label = value.get("label").and_then(Value::as_str);
    let label = label.unwrap_or_default();
    if label.len() > MAX_LABEL {
        return Err("a label is too long".to_owned());
    }
    let place = value.get("place").filter(|place| !place.is_null());
    Ok(PortLayout {
        port: ElementKey(key.ok_or("an entry of `ports` names no port")?),
        label: label.to_owned(),
        hidden: value
            .get("hidden")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        place: place.map(self::place).transpose()?,
        z_order: value.get("z_order").and_then(Value::as_i64).unwrap_or(0),
    })
}

fn place(value: &Value) -> Result<Place, String> {
    let share = |name: &str| {
        let share = value.get(name).and_then(Value::as_f64);
        share.ok_or_else(|| format!("a place has no `{name}`"))
    };
    Ok(Place {
        x: share("x")?,
        y: share("y")?,
        width: share("width")?,
        height: share("height")?,
    })
}

/// Of `#rrggbb`.
fn colour(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_says_what_is_where() {
        let text = r##"{"arrangement":"places","background":"#ff8000","main":7,"ports":[
            {"port":3,"label":"A","hidden":true,"place":null,"z_order":2}]}"##;
        let layout = parse(text).unwrap();
        assert_eq!(layout.background, [255, 128, 0]);
        assert_eq!(layout.main, Some(ElementKey(7)));
        assert!(layout.has_labels());
        assert_eq!(layout.label(ElementKey(3)), "A");
        assert_eq!(layout.label(ElementKey(4)), "");
        assert!(layout.ports[0].hidden && layout.ports[0].place.is_none());
        for wrong in [
            "",
            "[]",
            r#"{"arrangement":"circle"}"#,
            r#"{"arrangement":"grid","background":"red"}"#,
            r#"{"arrangement":"grid","ports":[{}]}"#,
            r#"{"arrangement":"grid","ports":[{"port":1,"place":{"x":1}}]}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
