//! EBML (RFC 8794): elements of an id, a length and a content.

/// Adds an id, which carries its own length.
pub(super) fn id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    out.extend_from_slice(&bytes[zeros..]);
}

/// Adds a length in as few bytes as it takes.
pub(super) fn size(out: &mut Vec<u8>, size: u64) {
    let mut length = 1;
    // All ones mean that the length is not known.
    while length < 8 && size >= (1 << (7 * length)) - 1 {
        length += 1;
    }
    size_in(out, size, length);
}

/// Adds a length in so many bytes.
pub(super) fn size_in(out: &mut Vec<u8>, size: u64, length: usize) {
    let marked = size | 1 << (7 * length);
    out.extend_from_slice(&marked.to_be_bytes()[8 - length..]);
}

/// Adds an element of bytes.
pub(super) fn bytes(out: &mut Vec<u8>, element: u32, content: &[u8]) {
    id(out, element);
    size(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Adds a number in as few bytes as it takes.
pub(super) fn uint(out: &mut Vec<u8>, element: u32, value: u64) {
    let content = value.to_be_bytes();
    let zeros = content.iter().take_while(|byte| **byte == 0).count().min(7);
    bytes(out, element, &content[zeros..]);
}

/// Adds a floating-point number of eight bytes.
pub(super) fn float(out: &mut Vec<u8>, element: u32, value: f64) {
    bytes(out, element, &value.to_be_bytes());
}

/// Adds an element of elements.
pub(super) fn master(out: &mut Vec<u8>, element: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    bytes(out, element, &content);
}

/// Adds an element without meaning, so many bytes long with its head (at least 2).
pub(super) fn void(out: &mut Vec<u8>, length: usize) {
    out.push(0xec);
    // A length of eight bytes where one byte would not do exactly.
    let head = if length - 2 < 127 { 1 } else { 8 };
    size_in(out, (length - 1 - head) as u64, head);
    out.resize(out.len() + length - 1 - head, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        let length = |value| {
            let mut out = Vec::new();
            size(&mut out, value);
            out
        };
        assert_eq!(length(0), [0x80]);
        assert_eq!(length(126), [0xfe]);
        assert_eq!(length(127), [0x40, 0x7f]);
        assert_eq!(length(16_383), [0x20, 0x3f, 0xff]);
    }

    #[test]
    fn a_void_is_as_long_as_it_was_ordered() {
        for length in [2, 3, 11, 128, 129, 200] {
            let mut out = Vec::new();
            void(&mut out, length);
            assert_eq!(out.len(), length);
        }
    }
}
