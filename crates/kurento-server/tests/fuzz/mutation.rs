//! Frames that nearly are requests: recorded ones, changed where it may hurt.

use salono_kurento_model::{Map, Value, json};

/// A small generator of random numbers (SplitMix64), the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A frame to send.
pub(crate) struct Frame {
    /// Its bytes; texts unless they are no UTF-8.
    pub(crate) bytes: Vec<u8>,
}

/// Changes a recorded frame one to three times: mostly below its parameters, where a change goes
/// deepest, sometimes anywhere, sometimes in its text.
pub(crate) fn mutate(recorded: &Value, other: &Value, random: &mut Random) -> Frame {
    let mut frame = recorded.clone();
    for _ in 0..=random.below(3) {
        let anywhere = random.below(8) == 0;
        let place = if anywhere {
            &mut frame
        } else {
            inner(&mut frame, random)
        };
        match random.below(7) {
            0 => replace(place, random),
            1 => remove(place, random),
            2 => rename(place, random),
            3 => copy_member(place, random),
            4 => nest(place, random),
            5 => lengthen(place, random),
            _ => graft(place, &other["params"], random),
        }
    }
    if random.below(10) == 0 {
        wrap(&mut frame);
    }
    let mut text = frame.to_string();
    let bytes = match (random.below(12) == 0).then(|| random.below(4)) {
        Some(0) => {
            let mut end = random.below(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.into_bytes()
        }
        // Members twice, and numbers that no type holds.
        Some(1) => text
            .replacen('{', "{\"id\":1,\"method\":\"ping\",", 1)
            .into_bytes(),
        Some(2) => text
            .replacen("\"id\":", "\"id\":1e400,\"x\":", 1)
            .into_bytes(),
        Some(_) => {
            let mut bytes = text.into_bytes();
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
            bytes
        }
        None => text.into_bytes(),
    };
    Frame { bytes }
}

/// The parameters of a request; often those of the operation or constructor that it names.
fn inner<'a>(frame: &'a mut Value, random: &mut Random) -> &'a mut Value {
    if frame.get("params").is_none() {
        return frame;
    }
    let params = &mut frame["params"];
    let names = ["operationParams", "constructorParams", "operations"];
    let deeper = names.into_iter().find(|name| params.get(name).is_some());
    match deeper.filter(|_| random.below(3) > 0) {
        Some(name) => &mut params[name],
        None => params,
    }
}

/// Any node of a value, the root as well.
fn node<'a>(value: &'a mut Value, random: &mut Random) -> &'a mut Value {
    let children = match &*value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    if children == 0 || random.below(6) == 0 {
        return value;
    }
    let at = random.below(children);
    let child = match value {
        Value::Array(items) => items.get_mut(at),
        Value::Object(members) => members.values_mut().nth(at),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    node(child.unwrap(), random)
}

/// Any object of a value that has members; the root if nothing else is found.
fn object<'a>(value: &'a mut Value, random: &mut Random) -> Option<&'a mut Map<String, Value>> {
    let has_object = |value: &Value| value.as_object().is_some_and(|members| !members.is_empty());
    let deeper = random.below(2) == 0;
    if deeper {
        let at = value.as_object()?.values().position(has_object);
        if let Some(at) = at {
            let child = value.as_object_mut()?.values_mut().nth(at)?;
            return object(child, random);
        }
    }
    value.as_object_mut().filter(|members| !members.is_empty())
}

fn name(members: &Map<String, Value>, random: &mut Random) -> String {
    let at = random.below(members.len());
    members.keys().nth(at).unwrap().clone()
}

fn replace(frame: &mut Value, random: &mut Random) {
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(2.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(4_294_967_296_u64),
        json!(""),
        json!("newref:0"),
        json!("newref:99999999999999999999"),
        json!("manager_ServerManager"),
        json!("\u{0}\u{ffff}\u{1f600}"),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"__module__": "kurento", "__type__": "Tag"}),
    ];
    *node(frame, random) = random.pick(&others).clone();
}

fn remove(frame: &mut Value, random: &mut Random) {
    if let Some(members) = object(frame, random) {
        let name = name(members, random);
        members.remove(&name);
    }
}

fn rename(frame: &mut Value, random: &mut Random) {
    let names = [
        "id",
        "method",
        "params",
        "object",
        "sessionId",
        "type",
        "",
        "__type__",
    ];
    if let Some(members) = object(frame, random) {
        let name = name(members, random);
        let value = members.remove(&name).unwrap();
        members.insert((*random.pick(&names)).to_owned(), value);
    }
}

fn copy_member(frame: &mut Value, random: &mut Random) {
    if let Some(members) = object(frame, random) {
        let (from, to) = (name(members, random), name(members, random));
        let value = members[&from].clone();
        members.insert(to, value);
    }
}

fn nest(frame: &mut Value, random: &mut Random) {
    let levels = *random.pick(&[1, 10, 60, 100]);
    let node = node(frame, random);
    for level in 0..levels {
        let inner = node.take();
        *node = if level % 2 == 0 {
            json!([inner])
        } else {
            json!({"x": inner})
        };
    }
}

fn lengthen(frame: &mut Value, random: &mut Random) {
    let length = *random.pick(&[1 << 8, 1 << 10, 1 << 14, 1 << 18]);
    // Frames of more than a megabyte lose their connection; some, not many.
    let length = if random.below(40) == 0 {
        2 << 20
    } else {
        length
    };
    *node(frame, random) = "x".repeat(length).into();
}

fn graft(frame: &mut Value, other: &Value, random: &mut Random) {
    let mut other = other.clone();
    let branch = node(&mut other, random).take();
    *node(frame, random) = branch;
}

fn wrap(frame: &mut Value) {
    let mut inner = frame.take();
    if let Some(members) = inner.as_object_mut() {
        members.insert("id".to_owned(), 0.into());
    }
    *frame = json!({"jsonrpc": "2.0", "id": 7, "method": "transaction",
        "params": {"operations": [inner]}});
}
