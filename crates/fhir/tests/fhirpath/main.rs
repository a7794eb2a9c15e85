//! The official test suite of FHIRPath for R4, from the shared folder: every case passes, or is
//! listed in `known.tsv` with the reason why it does not. A listed case that passes fails the
//! test, too, so that the list stays true.

// All of this is test code, in functions that the lints do not know as such.
#![allow(clippy::expect_used, clippy::panic)]

mod xml;

use salus_fhir::fhirpath::{Context, Expression, Item, Options, Shape, Value};
use salus_fhir::json::{Document, Limits};
use salus_fhir::primitive::{DateTime, decimal};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

const KNOWN: &str = include_str!("known.tsv");

#[test]
fn official_suite() {
    let folder = shared().join("data/tests/fhirpath");
    let Ok(suite) = std::fs::read_to_string(folder.join("tests-fhir-r4.xml")) else {
        println!("skipped: the official FHIRPath suite is not in the shared folder");
        return;
    };
    let suite = roxmltree::Document::parse(&suite).expect("suite");
    let mut inputs = HashMap::new();
    let mut known: BTreeMap<&str, &str> = KNOWN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let (mut total, mut wrong) = (0, Vec::new());
    for test in suite.descendants().filter(|node| node.has_tag_name("test")) {
        let group = test.parent().and_then(|group| group.attribute("name"));
        let mut name = format!(
            "{}/{}",
            group.expect("group"),
            test.attribute("name").expect("name")
        );
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name = format!("{name}#{count}");
        }
        total += 1;
        let listed = known.remove(name.as_str()).is_some();
        match (run(test, &folder, &mut inputs), listed) {
            (Ok(()), false) | (Err(_), true) => {}
            (Ok(()), true) => wrong.push(format!("{name}\tis listed, but passes")),
            (Err(reason), false) => wrong.push(format!("{name}\t{reason}")),
        }
    }
    let gone: Vec<_> = known.keys().collect();
    assert!(gone.is_empty(), "listed, but not in the suite: {gone:?}");
    assert!(wrong.is_empty(), "of {total}:\n{}", wrong.join("\n"));
    println!(
        "{total} cases, {} of them listed",
        KNOWN.lines().count() - 1
    );
}

fn run(
    test: roxmltree::Node<'_, '_>,
    folder: &Path,
    inputs: &mut HashMap<String, Option<Document>>,
) -> Result<(), String> {
    let child = |name| test.children().find(|node| node.has_tag_name(name));
    let expression = child("expression").expect("expression");
    let text = expression.text().unwrap_or_default();
    let file = test.attribute("inputfile").unwrap_or("patient-example.xml");
    let input = inputs
        .entry(file.to_owned())
        .or_insert_with(|| load(&folder.join(file)));
    let Some(input) = input else {
        return Err(format!("no input file {file}"));
    };
    let invalid = expression.attribute("invalid");
    let options = Options {
        strict: test.attribute("mode") == Some("strict") || invalid == Some("semantic"),
        as_filters: false,
    };
    let found = evaluate(text, input, options);
    let outputs: Vec<_> = test
        .children()
        .filter(|node| node.has_tag_name("output"))
        .collect();
    match (found, invalid) {
        (Err(_), Some(_)) => Ok(()),
        (Ok(found), Some(_)) if outputs.is_empty() => Err(format!("should fail, gave {found:?}")),
        (Err(error), None) => Err(format!("`{text}` fails: {error}")),
        (Ok(mut found), _) => {
            if test.attribute("predicate") == Some("true") {
                let exists = !found.is_empty();
                found = vec![("boolean".to_owned(), exists.to_string())];
            }
            compare(text, found, &outputs)
        }
    }
}

/// The name of the type and the text of each result.
type Found = Vec<(String, String)>;

fn evaluate(text: &str, input: &Document, options: Options) -> Result<Found, String> {
    let shape = Shape::of_resource(input.root());
    let expression =
        Expression::compile_with(text, shape, options).map_err(|error| error.to_string())?;
    let context = Context {
        now: DateTime::parse("2026-11-22T10:15:30.123Z"),
        ..Context::default()
    };
    let focus = Item::resource(input.root());
    let mut out = Vec::new();
    expression
        .evaluate(&context, &focus, &mut out)
        .map_err(|error| error.to_string())?;
    Ok(out.iter().map(shown).collect())
}

fn shown(item: &Item<'_>) -> (String, String) {
    let text = match item.value() {
        Some(value @ (Value::Date(_) | Value::DateTime(_))) => format!("@{value}"),
        Some(value @ Value::Time(_)) => format!("@T{value}"),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    (item.type_info().name.to_owned(), text)
}

fn compare(text: &str, found: Found, outputs: &[roxmltree::Node<'_, '_>]) -> Result<(), String> {
    let same = found.len() == outputs.len()
        && found.iter().zip(outputs).all(|((ty, found), output)| {
            let expected = output.text().unwrap_or_default();
            let typed = output
                .attribute("type")
                .is_none_or(|expected| expected.eq_ignore_ascii_case(ty));
            let number = ty == "Decimal"
                && output.attribute("type").is_some()
                && decimal::parse(found) == decimal::parse(expected);
            typed && (found == expected || number)
        });
    if same {
        return Ok(());
    }
    let expected: Vec<_> = outputs
        .iter()
        .map(|node| (node.attribute("type"), node.text()))
        .collect();
    Err(format!("`{text}` gave {found:?}, expected {expected:?}"))
}

fn load(path: &Path) -> Option<Document> {
    let text = std::fs::read_to_string(path).ok()?;
    let json = match path.extension()?.to_str()? {
        "xml" => {
            let document = roxmltree::Document::parse(&text).expect("xml");
            xml::resource(document.root_element())
        }
        _ => text,
    };
    Some(Document::parse(json.into_bytes(), &Limits::default()).expect("json"))
}

fn shared() -> PathBuf {
    match std::env::var_os("SALUS_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    }
}
