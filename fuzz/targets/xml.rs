//! Resources in XML, and any resource as XML: what is read can be written and
//! reads the same again; what is valid has an XML form.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::json::{Document, Limits};
use salus_fhir::validate;
use salus_fhir::xml::{Layout, read, write};

fuzz_target!(|text: &[u8]| {
    match read(text, &Limits::default()) {
        Ok(json) => there_and_back(json),
        Err(error) => {
            error.to_string();
            from_json(text);
        }
    }
});

/// A text that was read from XML. Only narratives may become others, once.
fn there_and_back(json: String) {
    let document = parse(&json);
    let Ok(xml) = write(document.root(), Layout::Dense) else {
        assert!(json.contains("\"div\":"), "what was read cannot be written");
        return;
    };
    let again = read(xml.as_bytes(), &Limits::default()).expect("what is written can be read");
    assert!(json == again || json.contains("\"div\":"));
    let lines = write(parse(&again).root(), Layout::Lines).expect("it was written before");
    let last = read(lines.as_bytes(), &Limits::default()).expect("what is written can be read");
    assert_eq!(again, last);
}

fn from_json(text: &[u8]) {
    let Ok(document) = Document::parse(text.to_vec(), &Limits::default()) else {
        return;
    };
    let xml = write(document.root(), Layout::Dense);
    if validate::resource(document.root()).is_ok() {
        let xml = xml.expect("what is valid can be written");
        there_and_back(read(xml.as_bytes(), &Limits::default()).expect("and read"));
    }
}

fn parse(json: &str) -> Document {
    Document::parse(json.into(), &Limits::default()).expect("what is read from XML is JSON")
}
