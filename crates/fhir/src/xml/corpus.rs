//! The published examples there and back, where they are at hand.

use super::{Layout, read, write};
use crate::json::{Document, Kind, Limits, Node};
use crate::validate::corpus::{each_example, shared};

/// Published examples that have members in another order than the
/// definitions: `url` before `extension`, `contact` before `publisher`, `base`
/// before `code`. XML has one order only; nothing else becomes different.
const OUT_OF_ORDER: usize = 92;

#[test]
fn synthetic_patients_come_back_as_they_were() {
    let Some(folder) = shared("data/synthea") else {
        return;
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let came = there_and_back(&text, Layout::Dense);
        assert!(came.is_ok(), "{}: {came:?}", path.display());
    }
}

#[test]
fn published_examples_come_back_as_they_were() {
    let (mut all, mut out_of_order, mut wrong) = (0, 0, Vec::new());
    let found = each_example(|name, text| {
        all += 1;
        let layout = match all % 8 {
            0 => Layout::Lines,
            _ => Layout::Dense,
        };
        match there_and_back(&text, layout) {
            Ok(in_order) => out_of_order += usize::from(!in_order),
            Err(reason) => wrong.push(format!("{name}: {reason}")),
        }
    });
    if !found {
        return;
    }
    assert!(all > 5000, "{all}");
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
    assert_eq!(out_of_order, OUT_OF_ORDER);
}

/// Tells whether all members came back in their order.
fn there_and_back(text: &[u8], layout: Layout) -> Result<bool, String> {
    let limits = Limits::default();
    let before = Document::parse(text.to_vec(), &limits).map_err(|error| error.to_string())?;
    let xml = write(before.root(), layout).map_err(|error| format!("writing {error}"))?;
    roxmltree::Document::parse(&xml).map_err(|error| format!("not XML: {error}"))?;
    let back = read(xml.as_bytes(), &limits).map_err(|error| format!("reading {error}"))?;
    let after = Document::parse(back.into(), &limits).map_err(|error| error.to_string())?;
    same(before.root(), after.root())
}

/// The same members, the same text of numbers, the same strings, or where
/// not. Tells whether the members have the same order too.
pub(super) fn same(before: Node<'_>, after: Node<'_>) -> Result<bool, String> {
    let is_same = match before.kind() {
        kind if kind != after.kind() => false,
        Kind::Number | Kind::Bool | Kind::Null => before.raw() == after.raw(),
        Kind::String => before.str() == after.str(),
        Kind::Object | Kind::Array => before.len() == after.len(),
    };
    let mut in_order = true;
    for (at, (before, next)) in before.children().zip(after.children()).enumerate() {
        let place = before.key().map_or_else(|| at.to_string(), str::to_owned);
        in_order &= before.key() == next.key();
        let after = before.key().map_or(Some(next), |key| after.get(key));
        let after = after.ok_or_else(|| format!("{place} is not there"))?;
        in_order &= same(before, after).map_err(|reason| format!("{place}.{reason}"))?;
    }
    match is_same {
        true => Ok(in_order),
        false => Err("is different".to_owned()),
    }
}

/// Published XML that breaks the standard: an element that comes too late.
const FAULTY: &[(&str, &str)] = &[("observation-example.xml", "Observation.extension")];

/// Published XML by itself: what is read from it is the same after it was
/// written and read again.
#[test]
fn published_xml_comes_back_as_it_was() {
    let Some(folder) = shared("data/tests/fhirpath") else {
        return;
    };
    let limits = Limits::default();
    let mut all = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_xml = path.extension().is_some_and(|extension| extension == "xml");
        if !is_xml || path.ends_with("tests-fhir-r4.xml") {
            continue;
        }
        all += 1;
        let json = read(&std::fs::read(&path).unwrap(), &limits);
        let faulty = FAULTY.iter().find(|(name, _)| path.ends_with(name));
        if let Some((_, reason)) = faulty {
            assert_eq!(&json.unwrap_err().place, reason);
            continue;
        }
        let json = json.unwrap();
        let document = Document::parse(json.clone().into(), &limits).unwrap();
        let xml = write(document.root(), Layout::Lines).unwrap();
        assert_eq!(read(xml.as_bytes(), &limits).unwrap(), json, "{path:?}");
    }
    assert!(all >= 6, "{all}");
}

/// The XML of the FHIRPath suite beside the JSON of the examples: the same
/// members but for `meta`, and narratives, which were laid out anew.
#[test]
fn published_xml_reads_as_its_json() {
    let twins = [
        ("Patient-example.json", "patient-example.xml"),
        ("Questionnaire-3141.json", "questionnaire-example.xml"),
    ];
    let Some(folder) = shared("data/tests/fhirpath") else {
        return;
    };
    let mut all = 0;
    each_example(|name, json| {
        let Some((_, twin)) = twins.iter().find(|(of, _)| *of == name) else {
            return;
        };
        let limits = Limits::default();
        let json = Document::parse(json, &limits).unwrap();
        let xml = std::fs::read(folder.join(twin)).unwrap();
        let xml = Document::parse(read(&xml, &limits).unwrap().into(), &limits).unwrap();
        let members = json.root().children().zip(xml.root().children());
        for (before, after) in
            members.filter(|(before, _)| !matches!(before.key(), Some("text" | "meta")))
        {
            assert_eq!(before.key(), after.key(), "{name}");
            assert_eq!(same(before, after), Ok(true), "{name} {:?}", before.key());
        }
        all += 1;
    });
    assert_eq!(all, twins.len());
}
