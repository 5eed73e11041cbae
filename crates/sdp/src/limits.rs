//! What a remote description may make us hold.

/// Caps on a description that is parsed; exceeding one is a
/// [`ParseError`](crate::ParseError) that names the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole text. The largest offers of browsers with three m-lines stay below
    /// 16 KiB.
    pub max_bytes: usize,
    /// Lines, blank ones included. Also bounds every list without a cap of its own.
    pub max_lines: usize,
    /// `m=` lines.
    pub max_media: usize,
    /// `a=candidate` lines of one m-line.
    pub max_candidates: usize,
    /// Formats (payload types) of one m-line.
    pub max_formats: usize,
    /// Different SSRCs of one m-line.
    pub max_ssrcs: usize,
    /// `a=extmap` lines of one m-line.
    pub max_extensions: usize,
    /// `a=rid` lines of one m-line.
    pub max_rids: usize,
    /// `a=rtcp-fb` values of one format, wildcards included.
    pub max_feedback: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 131_072,
            max_lines: 2_000,
            max_media: 64,
            max_candidates: 64,
            max_formats: 128,
            max_ssrcs: 128,
            max_extensions: 64,
            max_rids: 16,
            max_feedback: 32,
        }
    }
}
