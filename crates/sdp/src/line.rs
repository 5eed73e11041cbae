//! Splits a description into its `<letter>=<value>` lines.

/// One line that has the form `<letter>=<value>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The letter before `=`.
    pub(crate) key: u8,
    /// The text after `=`, without surrounding white space.
    pub(crate) value: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line without its terminator. White space around it is ignored: descriptions pasted
    /// into programs are indented.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (key, value) = text.split_once('=')?;
        match key.as_bytes() {
            [key] if key.is_ascii_alphabetic() => Some(Self {
                key: *key,
                value: value.trim(),
            }),
            _ => None,
        }
    }
}

/// All lines, blank ones included. A line ends with CRLF, LF or CR alone.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let (line, tail) = text.split_at(end);
        let tail = tail.strip_prefix("\r\n").unwrap_or_else(|| &tail[1..]);
        rest = (!tail.is_empty()).then_some(tail);
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_separates_once() {
        for text in ["v=0\r\n\r\na=b\r\n", "v=0\n\na=b\n", "v=0\r\ra=b"] {
            assert_eq!(split(text).collect::<Vec<_>>(), ["v=0", "", "a=b"]);
        }
    }

    #[test]
    fn indented_lines_are_read_and_prose_is_not() {
        let line = Line::parse("   a=mid:0 ").unwrap();
        assert_eq!((line.key, line.value), (b'a', "mid:0"));
        for text in ["", "a", "=x", "ab=c", "\u{e9}=c", "1=2"] {
            assert_eq!(Line::parse(text), None, "{text:?}");
        }
    }
}
