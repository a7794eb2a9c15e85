//! Search values of any resource, valid or not: stored forms of later releases
//! may not be valid for this one. A definition of a search parameter is served
//! or refused, and finds values in what defines it or not.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::compartment;
use salus_fhir::json::{Document, Limits};
use salus_fhir::resource::Resource;
use salus_fhir::search::{Extractor, Parameters, Subset, define};

fuzz_target!(|text: &[u8]| {
    let Ok(document) = Document::parse(text.to_vec(), &Limits::default()) else {
        return;
    };
    let Some(resource) = Resource::of(document.root()) else {
        return;
    };
    let Some(extractor) = Extractor::for_type(resource.type_name()) else {
        return;
    };
    if resource.type_name() == "SearchParameter"
        && let Ok(own) = define(document.root(), Parameters::r4())
    {
        let own = own.into_iter().map(|own| (own, "x".into(), None));
        let known = Parameters::with(own, None);
        if let Some(extractor) = known.extractor("SearchParameter") {
            let _ = extractor.extract(document.root(), &["http://localhost/fhir"]);
        }
    }
    for subset in [Subset::Summary, Subset::Text, Subset::Data] {
        let part = subset.of(document.root()).into_bytes();
        assert!(Document::parse(part, &Limits::default()).is_ok());
    }
    let own: [&str; 1] = ["http://localhost/fhir"];
    let Ok(entries) = extractor.extract(document.root(), &own) else {
        return;
    };
    for entry in &entries {
        assert!(usize::from(entry.parameter) < extractor.parameters().len());
    }
    let _ = extractor.main_date(&entries);
    let id = resource.id().unwrap_or("1");
    let _ = compartment::patients(resource.type_name(), id, &entries);
    let again = extractor.extract(document.root(), &own).expect("as before");
    assert_eq!(entries, again, "the same twice");
});
