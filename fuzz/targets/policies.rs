//! Policies, conditions and paths of elements: the first line is a condition
//! or a path, the rest a policy or a resource to hide elements of. A policy
//! that was read is written and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_auth::policy::{Bindings, Condition};
use salus_auth::record::Policy;
use salus_fhir::json::{Document, Limits};
use salus_fhir::mask::{Hidden, Path, Paths, keep};

fuzz_target!(|input: &str| {
    let (line, rest) = input.split_once('\n').unwrap_or((input, ""));
    if let Ok(condition) = Condition::parse(line) {
        assert!(condition.ty.is_none() || condition.compartment.is_none());
    }
    if let Ok(filled) = Bindings::example().fill("subject", line) {
        assert!(filled.whole && !filled.text.contains("%user"));
    }
    if let Ok(policy) = Policy::parse(rest.as_bytes()) {
        let text = serde_json::to_vec(&policy).expect("what was read can be written");
        assert_eq!(Policy::parse(&text).as_ref(), Ok(&policy));
    }
    let Ok(path) = Path::parse(line) else { return };
    assert_eq!(Path::parse(&path.to_string()).as_ref(), Ok(&path));
    let Ok(stored) = Document::parse(rest.into(), &Limits::default()) else {
        return;
    };
    let own = Paths::of(path.ty(), [&path]);
    let mut hidden = Hidden::default();
    hidden.add(path.ty(), &own);
    if let Some(shown) = hidden.hide(stored.root(), &own) {
        let shown = Document::parse(shown.into(), &Limits::default());
        let shown = shown.expect("what is shown is JSON");
        let _ = keep(
            Some(stored.root()),
            shown.root(),
            (&hidden, &own, Paths::NONE),
        );
        let _ = keep(None, stored.root(), (&hidden, &own, &own));
    }
});
