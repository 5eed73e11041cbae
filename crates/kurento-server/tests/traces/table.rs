//! The table of differences in `docs/compat.md`.
//!
//! A row says: in these recordings (names, separated by commas, maybe with `#` and the identifier of
//! a request), for this request or event, this member was recorded so and is answered so here, and
//! why. `*` stands for any text. A difference without a row fails the test, and so does a row without
//! a difference.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

/// Comes before the table.
const MARK: &str = "<!-- differences to the recordings -->";

/// Ends the cell of what is answered here, where that may also be what was recorded.
const MAY_AGREE: &str = ", or the same";

/// A difference between a recording and its replay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) trace: String,
    /// Identifier of the request.
    pub(crate) id: String,
    /// What was asked, or which event.
    pub(crate) at: String,
    /// Path of the member.
    pub(crate) member: String,
    pub(crate) recorded: String,
    pub(crate) ours: String,
}

/// A row.
struct Row {
    traces: Vec<String>,
    at: String,
    member: String,
    recorded: String,
    ours: String,
    /// It depends on timing whether it differs.
    may_agree: bool,
}

/// The rows, and which of them were needed.
pub(crate) struct Table {
    rows: Vec<Row>,
    used: RefCell<BTreeSet<usize>>,
}

/// What is wrong.
pub(crate) struct Verdict {
    pub(crate) unlisted: Vec<String>,
    pub(crate) stale: Vec<String>,
}

impl Table {
    /// Reads the page.
    pub(crate) fn read() -> Self {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compat.md");
        let page = fs::read_to_string(page).unwrap();
        let (_, table) = page.split_once(MARK).expect("the page has the table");
        let rows = table
            .trim_start()
            .lines()
            .take_while(|line| line.starts_with('|'))
            .skip(2)
            .map(Row::read)
            .collect();
        Self {
            rows,
            used: RefCell::default(),
        }
    }

    /// Whether the table says that an event does not come as often as recorded.
    pub(crate) fn misses_event(&self, trace: &str, at: &str) -> bool {
        self.rows.iter().any(|row| {
            row.is_about(trace, "")
                && matches(&row.at, at)
                && matches(&row.member, "sequence")
                && !row.ours.starts_with(&row.recorded)
        })
    }

    /// Whether all of these have a row.
    pub(crate) fn lists_all(&self, found: &[Found]) -> bool {
        let listed = |found| self.rows.iter().any(|row| row.covers(found));
        found.iter().all(listed)
    }

    /// Differences without a row; with `whole`, also rows without a difference.
    pub(crate) fn judge(&self, found: &[Found], whole: bool) -> Verdict {
        let mut unlisted: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for found in found {
            let row = self.rows.iter().position(|row| row.covers(found));
            if let Some(row) = row {
                self.used.borrow_mut().insert(row);
                continue;
            }
            let cells = format!(
                "`{}` | `{}` | `{}` | `{}`",
                found.at, found.member, found.recorded, found.ours
            );
            unlisted.entry(cells).or_default().insert(&found.trace);
        }
        let unlisted = unlisted.into_iter().map(|(cells, traces)| {
            let traces: Vec<&str> = traces.into_iter().collect();
            format!("| {} | {cells} | ? |", traces.join(", "))
        });
        let used = self.used.borrow();
        let stale = self
            .rows
            .iter()
            .enumerate()
            .filter(|(index, row)| whole && !row.may_agree && !used.contains(index))
            .map(|(_, row)| row.to_string());
        Verdict {
            unlisted: unlisted.collect(),
            stale: stale.collect(),
        }
    }
}

impl Row {
    fn read(line: &str) -> Self {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect();
        let [traces, at, member, recorded, ours, why] =
            <[String; 6]>::try_from(cells).unwrap_or_else(|_| panic!("six cells: {line}"));
        assert!(!why.is_empty(), "a reason: {line}");
        let may_agree = ours.strip_suffix(MAY_AGREE);
        Self {
            traces: traces.split(", ").map(str::to_owned).collect(),
            at,
            member,
            recorded,
            ours: may_agree
                .map_or(ours.as_str(), |ours| ours.trim_end_matches('`'))
                .to_owned(),
            may_agree: may_agree.is_some(),
        }
    }

    fn is_about(&self, trace: &str, id: &str) -> bool {
        self.traces
            .iter()
            .any(|pattern| match pattern.split_once('#') {
                Some((pattern, of)) => matches(pattern, trace) && (of == id || id.is_empty()),
                None => matches(pattern, trace),
            })
    }

    fn covers(&self, found: &Found) -> bool {
        self.is_about(&found.trace, &found.id)
            && matches(&self.at, &found.at)
            && matches(&self.member, &found.member)
            && matches(&self.recorded, &found.recorded)
            && matches(&self.ours, &found.ours)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let traces = self.traces.join(", ");
        let Self {
            at,
            member,
            recorded,
            ours,
            ..
        } = self;
        write!(
            f,
            "| {traces} | `{at}` | `{member}` | `{recorded}` | `{ours}` |"
        )
    }
}

/// Whether a text fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
