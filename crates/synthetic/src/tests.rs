//! Whether generated lives hold together, over two hundred of them.

mod consistency;
mod invariants;
mod validation;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use jiff::civil::{Date, date};
use serde_json::Value;

use crate::{Form, Population};

const TODAY: Date = date(2026, 11, 22);

/// One patient, parsed.
struct Chart {
    last: String,
    born: String,
    resources: Vec<Value>,
}

impl Chart {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.resources
            .iter()
            .filter(move |resource| resource["resourceType"] == kind)
    }

    fn observations<'a>(&'a self, loinc: &'a str) -> impl Iterator<Item = &'a Value> {
        self.of("Observation")
            .filter(move |o| o["code"]["coding"][0]["code"] == loinc)
    }

    fn age_at(&self, moment: &str) -> f64 {
        let day = |text: &str| text[..10].parse::<Date>().unwrap();
        crate::time::years_between(day(&self.born), day(moment))
    }
}

fn population(size: usize) -> Population {
    Population::new(7, size, TODAY).form(Form::Lines)
}

fn parse_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The two hundred, generated once.
fn charts() -> &'static [Chart] {
    static CHARTS: OnceLock<Vec<Chart>> = OnceLock::new();
    CHARTS.get_or_init(|| {
        population(200)
            .lives()
            .map(|life| chart(&life.text))
            .collect()
    })
}

fn chart(text: &str) -> Chart {
    let resources = parse_lines(text);
    let patient = &resources[0];
    assert_eq!(patient["resourceType"], "Patient");
    let died = patient["deceasedDateTime"].as_str();
    let last = died.map_or(format!("{TODAY}T23:59:59-05:00"), str::to_owned);
    let born = patient["birthDate"].as_str().unwrap().to_owned();
    Chart {
        last,
        born,
        resources,
    }
}

/// Calls `visit` with every member of a tree and the name it stands under.
fn walk<'a>(name: &'a str, value: &'a Value, visit: &mut impl FnMut(&'a str, &'a Value)) {
    visit(name, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, v)| walk(name, v, visit)),
        Value::Array(items) => items.iter().for_each(|item| walk(name, item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn references(resource: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    walk("", resource, &mut |name, value| {
        if name == "reference" {
            found.push(value.as_str().unwrap());
        }
    });
    found
}

fn path(resource: &Value) -> String {
    format!(
        "{}/{}",
        resource["resourceType"].as_str().unwrap(),
        resource["id"].as_str().unwrap()
    )
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let first = Population::new(3, 5, TODAY);
    let again = Population::new(3, 5, TODAY);
    assert!(first.lives().eq(again.lives()));
    assert_eq!(first.directory(), again.directory());
    assert_ne!(
        first.life(0).text,
        Population::new(4, 5, TODAY).life(0).text
    );
}

#[test]
fn a_patient_does_not_depend_on_the_size_of_the_population() {
    assert_eq!(
        Population::new(3, 5, TODAY).life(4),
        Population::new(3, 500, TODAY).life(4)
    );
}

#[test]
fn the_directory_is_the_same_for_every_seed() {
    assert_eq!(
        Population::new(1, 1, TODAY).directory(),
        Population::new(2, 9, TODAY).directory()
    );
}

#[test]
fn ids_are_unique_and_every_reference_resolves() {
    let directory = parse_lines(&population(0).directory().0);
    let shared: HashSet<String> = directory.iter().map(path).collect();
    let mut all = shared.clone();
    for chart in charts() {
        let own: HashSet<String> = chart.resources.iter().map(path).collect();
        assert!(own.iter().all(|path| all.insert(path.clone())));
        for reference in chart.resources.iter().flat_map(references) {
            assert!(
                own.contains(reference) || shared.contains(reference),
                "{reference}"
            );
        }
    }
    for reference in directory.iter().flat_map(references) {
        assert!(shared.contains(reference), "{reference}");
    }
}

#[test]
fn bundles_and_lines_hold_the_same_resources() {
    let population = Population::new(11, 3, TODAY);
    for index in 0..3 {
        let bundle: Value = serde_json::from_str(&population.life(index).text).unwrap();
        assert_eq!(bundle["type"], "transaction");
        let entries = bundle["entry"].as_array().unwrap();
        let mut paths = HashMap::new();
        for entry in entries {
            let resource = path(&entry["resource"]);
            assert_eq!(entry["request"]["method"], "PUT");
            assert_eq!(entry["request"]["url"], resource.as_str());
            paths.insert(entry["fullUrl"].as_str().unwrap().to_owned(), resource);
        }
        let mut text = population.life(index).text;
        for (urn, resource) in &paths {
            let from = format!("{{\"reference\":\"{urn}\"");
            text = text.replace(&from, &format!("{{\"reference\":\"{resource}\""));
        }
        let bundle: Value = serde_json::from_str(&text).unwrap();
        let entries = bundle["entry"].as_array().unwrap();
        let entries: Vec<Value> = entries
            .iter()
            .map(|entry| entry["resource"].clone())
            .collect();
        let life = population.form(Form::Lines).life(index);
        assert_eq!(entries, parse_lines(&life.text));
        assert_eq!(entries.len(), life.resources);
    }
}

#[test]
fn nothing_happens_before_birth_or_after_the_last_day() {
    let is_date = |text: &str| {
        let bytes = text.as_bytes();
        matches!(bytes.len(), 10 | 25)
            && bytes[4] == b'-'
            && bytes[..4].iter().all(u8::is_ascii_digit)
    };
    for chart in charts() {
        for resource in &chart.resources {
            walk("", resource, &mut |name, value| {
                if let Some(text) = value.as_str().filter(|text| is_date(text)) {
                    assert!(*text >= *chart.born, "{name} {text} {}", path(resource));
                    let last = if text.len() == 10 {
                        &chart.last[..10]
                    } else {
                        &chart.last
                    };
                    assert!(text <= last, "{name} {text} > {last} {}", path(resource));
                }
            });
        }
    }
}

#[test]
fn encounters_contain_their_records_and_do_not_overlap() {
    const TIMES: &[&str] = &[
        "effectiveDateTime",
        "issued",
        "occurrenceDateTime",
        "authoredOn",
        "recordedDate",
        "dateTime",
    ];
    for chart in charts() {
        let period = |e: &Value| {
            let text = |end: &str| e["period"][end].as_str().unwrap().to_owned();
            (text("start"), text("end"))
        };
        let periods: HashMap<String, _> = chart
            .of("Encounter")
            .map(|e| (path(e), period(e)))
            .collect();
        let mut sorted: Vec<_> = periods.values().collect();
        sorted.sort();
        assert!(sorted.iter().all(|(start, end)| start <= end));
        assert!(
            sorted.windows(2).all(|pair| pair[0].1 < pair[1].0),
            "{sorted:?}"
        );
        for resource in &chart.resources {
            let Some(encounter) = resource["encounter"]["reference"].as_str() else {
                continue;
            };
            let (start, end) = &periods[encounter];
            for time in TIMES.iter().filter_map(|name| resource[*name].as_str()) {
                assert!((start.as_str()..=end).contains(&time), "{}", path(resource));
            }
        }
    }
}
