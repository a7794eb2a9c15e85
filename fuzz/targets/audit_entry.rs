//! Audit entries as they are stored.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_service::audit::entry::Entry;

fuzz_target!(|bytes: &[u8]| {
    if let Some(entry) = Entry::decode(bytes) {
        let again = entry.clone().seal().body;
        assert_eq!(Entry::decode(&again), Some(entry));
    }
});
