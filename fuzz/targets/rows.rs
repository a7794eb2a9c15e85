//! Index rows and hash tree edges as they lie on disk.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_crypto::merkle::Frontier;
use salus_store::{Row, Rows, ordered};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut rows = Vec::new();
    while let Ok(row) = Row::read(&mut rest) {
        let mut again = Vec::new();
        row.write(&mut again);
        let read = Row::read(&mut &*again).expect("what we write can be read");
        assert_eq!(read, row);
        rows.push(row);
        if rest.is_empty() {
            break;
        }
    }
    if let Ok(stored) = Rows::stored(bytes) {
        let params: Vec<_> = rows.iter().map(|row| row.param).collect();
        let picked = stored.pick(&params);
        if rest.is_empty() {
            assert_eq!(picked, rows, "both readers see the same");
        }
    }
    let _ = ordered::take_text(&mut &*bytes);
    let _ = ordered::take_decimal(&mut &*bytes);
    if let Some(frontier) = Frontier::from_bytes(bytes) {
        assert_eq!(frontier.to_bytes(), bytes);
    }
});
