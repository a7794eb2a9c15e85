//! Whether the log ends in a write that a kill or a power cut cut short.
//!
//! The engine can leave out such an end, which nobody was told is written,
//! but does not tell it from an end that rotted on the disk, which it would
//! leave out as well. So it is asked to only where this finds that the bytes
//! of the last record are not there: they go on behind the end of the file, or
//! are zeros. What the engine does not leave out, in any case, is a record
//! that a whole one follows.
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

const BLOCK: u64 = 32 << 10;
const HEADER: u64 = 7;

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
    while at < end {
        let left_in_block = BLOCK - at % BLOCK;
        if left_in_block < HEADER {
            at += left_in_block;
            continue;
        }
        if at + HEADER > end {
            return Ok(true);
        }
        let mut header = [0; HEADER as usize];
        file.read_exact_at(&mut header, at)?;
        let length = u64::from(u16::from_be_bytes([header[4], header[5]]));
        if header == [0; HEADER as usize] || at + HEADER + length > end {
            return Ok(true);
        }
        at += HEADER + length;
    }
    Ok(false)
}
