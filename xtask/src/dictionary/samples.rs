//! Single resources in the form in which a store keeps them: with relative
//! references, and stamped with id, version and time.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::{Date, date};
use salus_fhir::json::{self, Document, Limits, Node};
use salus_fhir::splice::{self, Splices, Stamp};
use salus_synthetic::{Form, Population};

const TODAY: Date = date(2026, 11, 22);
const TRAINING_SEED: u64 = 1;
const UNSEEN_SEED: u64 = 2;

/// Texts of resources.
#[derive(Default)]
pub(crate) struct Samples {
    texts: Vec<String>,
    kinds: BTreeMap<String, usize>,
}

impl Samples {
    /// What the dictionary is trained on. Two thirds of all resources are
    /// observations; taking all there are would leave the other kinds without
    /// a share.
    pub(crate) fn for_training() -> Samples {
        let mut samples = Samples::of_lives(TRAINING_SEED, 400, 1500);
        samples.indent_some();
        samples
    }

    /// Other lives, whole, to measure with.
    pub(crate) fn unseen() -> Samples {
        Samples::of_lives(UNSEEN_SEED, 40, usize::MAX)
    }

    /// At most so many resources of each kind, from so many patients.
    pub(crate) fn of_lives(seed: u64, patients: usize, kind_max: usize) -> Samples {
        let population = Population::new(seed, patients, TODAY).form(Form::Lines);
        let mut samples = Samples::default();
        let lives = population.lives().map(|life| life.text);
        for text in std::iter::once(population.directory().0).chain(lives) {
            for line in text.lines() {
                if let Some(document) = parse(line) {
                    samples.add(document.root(), kind_max);
                }
            }
        }
        samples
    }

    /// The entries of the Synthea bundles in a folder.
    pub(crate) fn of_bundles(folder: &Path) -> std::io::Result<Samples> {
        let mut samples = Samples::default();
        for file in std::fs::read_dir(folder)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            if let Some(document) = parse(&std::fs::read_to_string(path)?) {
                samples.add_entries(document.root());
            }
        }
        Ok(samples)
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(crate) fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    fn add(&mut self, resource: Node<'_>, kind_max: usize) {
        let count = self
            .kinds
            .entry(text_of(resource, "resourceType"))
            .or_default();
        *count += 1;
        if *count <= kind_max {
            let text = self.stamped(resource, &BTreeMap::new());
            self.texts.push(text);
        }
    }

    /// Turns every fourth text into what an indented Bundle brings: bodies
    /// are kept as clients write them.
    fn indent_some(&mut self) {
        for text in self.texts.iter_mut().step_by(4) {
            if let Some(document) = parse(text) {
                *text = json::write::pretty(document.root()).replace('\n', "\n      ");
            }
        }
    }

    fn add_entries(&mut self, bundle: Node<'_>) {
        let entries = || bundle.get("entry").into_iter().flat_map(Node::children);
        let link = |entry: Node<'_>| {
            let resource = entry.get("resource")?;
            let path = format!(
                "{}/{}",
                text_of(resource, "resourceType"),
                text_of(resource, "id")
            );
            Some((text_of(entry, "fullUrl"), path))
        };
        let links: BTreeMap<String, String> = entries().filter_map(link).collect();
        for resource in entries().filter_map(|entry| entry.get("resource")) {
            let text = self.stamped(resource, &links);
            self.texts.push(text);
        }
    }

    /// The same texts without any space between tokens.
    pub(crate) fn compact(&self) -> Samples {
        let compact = |text: &String| match parse(text) {
            Some(document) => json::write::compact(document.root()),
            None => text.clone(),
        };
        Samples {
            texts: self.texts.iter().map(compact).collect(),
            ..Samples::default()
        }
    }

    fn stamped(&self, resource: Node<'_>, links: &BTreeMap<String, String>) -> String {
        // Most resources have one version; times spread over a day of loading.
        let number = self.texts.len();
        let second = number * 7 % 86_400;
        let version = if number.is_multiple_of(8) { "2" } else { "1" };
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let thousandth = number * 131 % 1000;
        let time = format!(
            "2026-11-22T{hour:02}:{minute:02}:{:02}.{thousandth:03}Z",
            second % 60
        );
        let id = text_of(resource, "id");
        let stamp = Stamp {
            id: &id,
            version,
            last_updated: &time,
        };
        let mut splices = Splices::new();
        splice::add_stamp(resource, &stamp, &mut splices);
        splice::add_rewrites(resource, |link| links.get(link).cloned(), &mut splices);
        splices.apply(resource)
    }
}

fn text_of(node: Node<'_>, key: &str) -> String {
    let value = node.get(key).and_then(Node::str);
    value.map(|text| text.into_owned()).unwrap_or_default()
}

fn parse(text: &str) -> Option<Document> {
    Document::parse(text.into(), &Limits::default()).ok()
}
