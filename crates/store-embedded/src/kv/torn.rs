//! Whether the log ends in a write that a kill or a power cut cut short.
//!
//! The engine can leave out such an end, which nobody was told is written,
//! but does not tell it from an end that rotted on the disk, which it would
//! leave out as well. So it is asked to only where this finds that the bytes
//! of the last record are not there: they go on behind the end of the file, or
//! are zeros from somewhere on. Everything before must be whole, by its checksum.
//! What remains is rot in the seven bytes that head the last record: they may say
//! that it is longer than what is there.
//!
//! The log is a row of files of 32 KiB blocks. In a block, records stand side
//! by side: a checksum of four bytes, the length of what follows in two, most
//! significant first, and one that says what it is, then that. A record that
//! does not fit its block goes on in the next; fewer than seven bytes at the
//! end of a block are left empty.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
/// What a record can be: whole, a first, middle or last piece, or about the file.
const TYPES: [u8; 7] = [1, 2, 3, 4, 9, 10, 11];
/// So many bytes at the end of a record are zeros by no chance: it is sealed.
const TAIL: usize = 8;

/// Whether a file of the log in this folder ends in the middle of a write.
pub(crate) fn ends_cut_short(log: &Path) -> io::Result<bool> {
    let entries = match std::fs::read_dir(log) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "wal") && is_cut_short(&File::open(path)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_cut_short(file: &File) -> io::Result<bool> {
    let end = file.metadata()?.len();
    let mut at = 0;
    let mut block = vec![0; BLOCK];
    while at < end {
        let length = BLOCK.min((end - at) as usize);
        let bytes = &mut block[..length];
        file.read_exact_at(bytes, at)?;
        at += length as u64;
        match last_of(bytes) {
            Last::Whole => {}
            Last::Rotten => return Ok(false),
            Last::CutShort => return Ok(at == end),
            Last::Zeros => return is_zero_from(file, at, end),
        }
    }
    Ok(false)
}

/// How a block ends, or the part of it that is there.
enum Last {
    /// With a whole record, or room that is left empty.
    Whole,
    /// With one that goes on behind the end.
    CutShort,
    /// With zeros, from within a record on.
    Zeros,
    /// There is something in it that no writer left.
    Rotten,
}

fn last_of(block: &[u8]) -> Last {
    let mut rest = block;
    loop {
        // Behind the last record of a block there is no room for another.
        if rest.is_empty() || block.len() == BLOCK && rest.len() < HEADER {
            return Last::Whole;
        }
        let Some((header, behind)) = rest.split_first_chunk::<HEADER>() else {
            return Last::CutShort;
        };
        let [a, b, c, d, high, low, ty] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let room = BLOCK - (block.len() - behind.len());
        if *header == [0; HEADER] {
            return ends_in_zeros(behind, 0);
        }
        if length > room || !TYPES.contains(&ty) {
            return Last::Rotten;
        }
        let Some((content, next)) = behind.split_at_checked(length) else {
            return Last::CutShort;
        };
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&[ty]);
        checksum.update(content);
        if checksum.finalize() != u32::from_be_bytes([a, b, c, d]) {
            return ends_in_zeros(behind, length.saturating_sub(TAIL));
        }
        rest = next;
    }
}

/// Whether nothing but zeros stands from a place on, to the end of the block.
fn ends_in_zeros(bytes: &[u8], from: usize) -> Last {
    let zeros = bytes.get(from..).unwrap_or_default();
    match zeros.iter().all(|byte| *byte == 0) {
        true => Last::Zeros,
        false => Last::Rotten,
    }
}

fn is_zero_from(file: &File, mut at: u64, end: u64) -> io::Result<bool> {
    let mut bytes = vec![0; BLOCK];
    while at < end {
        let length = BLOCK.min((end - at) as usize);
        file.read_exact_at(&mut bytes[..length], at)?;
        if bytes[..length].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}
