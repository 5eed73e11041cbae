//! `LayoutComposite`: a composite whose arrangement can be changed. Not one of Kurento's classes.
//!
//! The object model checks an arrangement and names ports as the engine does; where pictures are drawn
//! then is the business of the hub.

use crate::{
    ObjectModel,
    call::{Asked, Call, Outcome, Then},
    mixing::check_place,
};
use salono_kurento_model::{Error, ErrorCode, Map, Value, json};
use salono_media_api::processing::{Place, ProcessorCall};

/// Qualified name of the class.
pub(crate) const LAYOUT_COMPOSITE: &str = "salono.LayoutComposite";

/// Ports that one arrangement names.
const MAX_PORTS: usize = 256;
/// Bytes of a label.
const MAX_LABEL_BYTES: usize = 256;

impl ObjectModel {
    /// `setLayout`: an arrangement in place of the former one, from the next picture on.
    pub(crate) fn set_layout(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let layout = call.params.get("layout").and_then(Value::as_object);
        let layout = self.engine_layout(call.object, layout.unwrap_or(&Map::new()))?;
        let request = ProcessorCall::SetLayout {
            layout: layout.to_string(),
        };
        Ok(self.ask_processor(call.object, request, Then::Processed(Asked::Success)))
    }

    /// The arrangement as the hub takes it: ports by the engine's numbers.
    fn engine_layout(&self, hub: u64, layout: &Map<String, Value>) -> Result<Value, Error> {
        let background = layout.get("background").and_then(Value::as_str);
        let background = background.unwrap_or("#000000");
        if !is_colour(background) {
            return Err(illegal("'background' is no colour such as #1a2b3c"));
        }
        let main = layout.get("main").filter(|main| !main.is_null());
        let main = main.map(|main| self.port_of(hub, main)).transpose()?;
        let listed = layout.get("ports").and_then(Value::as_array);
        let listed = listed.map(Vec::as_slice).unwrap_or_default();
        if listed.len() > MAX_PORTS {
            return Err(illegal("more ports than a layout can have"));
        }
        let ports = listed.iter().map(|port| self.engine_port(hub, port));
        let ports = ports.collect::<Result<Vec<Value>, Error>>()?;
        let arrangement = match layout.get("arrangement").and_then(Value::as_str) {
            Some("SPEAKER") => "speaker",
            Some("SIDE_BY_SIDE") => "side-by-side",
            Some("PICTURE_IN_PICTURE") => "picture-in-picture",
            Some("PLACES") => "places",
            _ => "grid",
        };
        Ok(json!({
            "arrangement": arrangement,
            "background": background,
            "main": main,
            "ports": ports,
        }))
    }

    fn engine_port(&self, hub: u64, port: &Value) -> Result<Value, Error> {
        let label = port.get("label").and_then(Value::as_str);
        let label = label.unwrap_or_default();
        if label.len() > MAX_LABEL_BYTES || label.contains(char::is_control) {
            return Err(illegal("a label is too long or not one line of text"));
        }
        let place = port.get("place").filter(|place| !place.is_null());
        let place = place.map(|place| {
            let side = |name: &str| place.get(name).and_then(Value::as_f64).unwrap_or_default();
            Place {
                x: side("x"),
                y: side("y"),
                width: side("width"),
                height: side("height"),
            }
        });
        if let Some(place) = &place {
            check_place(place)?;
        }
        let key = self.port_of(hub, port.get("port").unwrap_or(&Value::Null))?;
        let hidden = port.get("hidden").and_then(Value::as_bool);
        let z_order = port.get("zOrder").and_then(Value::as_i64);
        Ok(json!({
            "port": key,
            "label": label,
            "hidden": hidden.unwrap_or_default(),
            "place": place.map(|it| {
                json!({ "x": it.x, "y": it.y, "width": it.width, "height": it.height })
            }),
            "z_order": z_order.unwrap_or_default(),
        }))
    }

    /// The engine's number of a port of this hub.
    fn port_of(&self, hub: u64, id: &Value) -> Result<u64, Error> {
        id.as_str()
            .and_then(|id| self.tree.by_id(id))
            .filter(|port| port.parent == Some(hub))
            .map(|port| port.key)
            .ok_or_else(|| {
                let text = "The layout names a port that is not of this hub";
                Error::new(ErrorCode::ConnectError, text)
            })
    }
}

/// Whether a text is `#` and six hexadecimal digits.
fn is_colour(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|it| it.is_ascii_hexdigit()))
}

fn illegal(text: &str) -> Error {
    Error::new(ErrorCode::MediaObjectIllegalParam, text)
}
