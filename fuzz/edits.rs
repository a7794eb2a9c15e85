//! Edits of a whole file by what a fuzzer says, for targets that read sealed ones.

/// Four bytes make an edit: a place in three, and what is put there. An edit
/// behind the end cuts the file or makes it longer.
pub(crate) fn edited(mut file: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(4).take(16) {
        let at = u32::from_be_bytes([0, edit[0], edit[1], edit[2]]) as usize;
        let kept = file.len().saturating_sub(usize::from(edit[3]));
        match file.get_mut(at) {
            Some(byte) => *byte = edit[3],
            None if at % 2 == 0 => file.truncate(kept),
            None => file.push(edit[3]),
        }
    }
    file
}
