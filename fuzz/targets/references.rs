//! Literal references and canonicals.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::reference::{Canonical, Local, Reference, is_id};

fuzz_target!(|text: &str| {
    let own = ["http://localhost/fhir", "https://a.example/p/x/fhir/"];
    if let Some(local) = Reference::parse(text, &own).and_then(Reference::local) {
        assert!(is_id(local.id), "an id that is none");
        let mut plain = format!("{}/{}", local.ty, local.id);
        if let Some(version) = local.version {
            plain = format!("{plain}/_history/{version}");
        }
        assert_eq!(Local::parse(&plain), Some(local));
    }
    let _ = Canonical::parse(text);
});
