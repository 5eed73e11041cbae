//! Reads the recorded conversations.

use salono_kurento_model::Value;
use std::{fs, path::Path};

/// One conversation, maybe over several connections.
pub(crate) struct Recording {
    /// Name of its file, without the extension.
    pub(crate) name: String,
    /// What happened, in order.
    pub(crate) steps: Vec<Step>,
}

/// One line of a recording.
pub(crate) enum Step {
    /// A connection was opened.
    Open {
        /// Its number.
        connection: u64,
        /// Path and query of the request.
        target: String,
    },
    /// A connection was closed.
    Close {
        /// Its number.
        connection: u64,
        /// With this code.
        code: u16,
    },
    /// The client sent something.
    Send {
        /// Where.
        connection: u64,
        /// Text of the frame.
        text: String,
        /// It went in a binary frame.
        binary: bool,
        /// The frame, where it was JSON.
        frame: Option<Value>,
    },
    /// The server answered.
    Answer {
        /// Index of the step that it answers.
        to: usize,
        /// The answer.
        frame: Value,
    },
    /// The server raised an event.
    Event {
        /// Where.
        connection: u64,
        /// `params.value` of the notification.
        value: Value,
    },
    /// A remark.
    Remark,
}

impl Recording {
    /// All recordings, by name.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/recorded");
        let mut paths: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "jsonl"))
            .collect();
        paths.sort();
        assert!(!paths.is_empty(), "the recordings are there");
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| line.parse().unwrap()).collect();
        let mut steps: Vec<Step> = lines.iter().map(read_line).collect();
        link(&lines, &mut steps);
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            steps,
        }
    }
}

fn read_line(line: &Value) -> Step {
    let connection = line["conn"].as_u64().unwrap();
    match line["dir"].as_str() {
        Some("c2s") => {
            let raw = line["raw"].as_str();
            Step::Send {
                connection,
                text: raw.map_or_else(|| line["frame"].to_string(), str::to_owned),
                binary: line["binary"] == true,
                frame: raw.is_none().then(|| line["frame"].clone()),
            }
        }
        Some(_) if line["frame"]["method"] == "onEvent" => Step::Event {
            connection,
            value: line["frame"]["params"]["value"].clone(),
        },
        Some(_) => Step::Answer {
            to: usize::MAX,
            frame: line["frame"].clone(),
        },
        None => {
            let note = line["note"].as_str().unwrap_or_default();
            if let Some(url) = note.strip_prefix("ws open ws://") {
                let target = url.find('/').map_or("/", |at| &url[at..]).to_owned();
                Step::Open { connection, target }
            } else if let Some(code) = note.strip_prefix("ws close ") {
                let code = code.split(' ').next().unwrap().parse().unwrap();
                Step::Close { connection, code }
            } else {
                Step::Remark
            }
        }
    }
}

/// Finds out which request each answer belongs to: the oldest open one with its identifier, or else
/// the last one, because only requests without a usable identifier are answered without one.
fn link(lines: &[Value], steps: &mut [Step]) {
    let mut open: Vec<usize> = Vec::new();
    for index in 0..steps.len() {
        if matches!(steps[index], Step::Send { .. }) {
            open.push(index);
        }
        let Step::Answer { to, frame } = &mut steps[index] else {
            continue;
        };
        let here = |&&request: &&usize| lines[request]["conn"] == lines[index]["conn"];
        let same_id = |&&request: &&usize| lines[request]["frame"]["id"] == frame["id"];
        let request = open
            .iter()
            .filter(here)
            .find(same_id)
            .or_else(|| open.iter().rev().find(here));
        *to = *request.expect("every answer has a request");
        open.retain(|request| request != to);
    }
}
