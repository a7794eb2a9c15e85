//! Where a page ended: the seq of its last version. Everything else follows
//! from the query and that version's rows. Format 1: 1 byte format, 8 bytes seq.

use salus_store::{Error, Position};

const FORMAT: u8 = 1;

pub(crate) fn write(seq: u64) -> Position {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&seq.to_be_bytes());
    Position(bytes)
}

pub(crate) fn read(position: &Position) -> Result<u64, Error> {
    match position.0.split_first() {
        Some((&FORMAT, seq)) => seq
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| Error::Misuse("not a position")),
        _ => Err(Error::Misuse("not a position")),
    }
}
