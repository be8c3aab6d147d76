//! What a client of a terminal sends; the terminal answers with plain bytes.

/// Input: its length in bytes stands before it.
pub(super) fn input(bytes: &[u8]) -> Vec<u8> {
    let mut frame = format!("0:{}:", bytes.len()).into_bytes();
    frame.extend_from_slice(bytes);
    frame
}

/// The size of the window in characters.
pub(super) fn size(columns: u16, rows: u16) -> Vec<u8> {
    format!("1:{columns}:{rows}:").into_bytes()
}

/// Says that the client is still there.
pub(super) fn ping() -> Vec<u8> {
    b"2".to_vec()
}
