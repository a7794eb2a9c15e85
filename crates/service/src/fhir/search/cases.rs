//! The tables of `cases/`: what the specification says of each type of
//! parameter (<https://hl7.org/fhir/R4/search.html>), case by case, asked of a
//! service in this process.
//!
//! A table is text that one can read without Rust:
//!
//! ```text
//! = A title, below which there is a new and empty store
//! # A remark, which each case needs above it: the rule that it shows.
//! every Observation {"status":"final"}         what all of a type have
//! Observation/day {"effectiveDateTime":"2013-01-14"}
//!     a line that begins with a space goes on with the one above
//! at 2013-01-14T10:00:00Z                      when what follows is written
//! now 2026-01-01T00:00:00Z                     when what follows is asked
//! Observation?date=2013-01 -> day other        these, in any order
//! Observation?_sort=date -> day other          in this order, since it has one
//! Observation?_count=1 -> day | other          a page each
//! Observation?date=9999 -> nothing
//! Observation?_include=… -> day + Patient/p    included
//! Observation?… -> day = 7                     with this total
//! lenient Observation?… -> day ~ words         with a remark to the client
//! Observation?date=x -> 400 http.date: words of the answer
//! ```
//!
//! The searches are as in a URL: `+` and `%2B` are a space and a plus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use salus_auth::Subject;
use salus_store::memory::Memory;
use salus_store::{Scope, Store};
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::host::{Answer, Host, context, embedded};
use super::instant_ms;
use crate::error::Error;
use crate::fhir::Handling;

const START: &str = "2026-01-01T00:00:00Z";

/// Where the tables are; read when the test runs.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/fhir/search/cases");
/// Fewer cases than these prove that some are not read.
const CASES_MIN: usize = 750;

/// A table under way.
struct Table<'t> {
    name: &'t str,
    host: Host,
    runtime: &'t tokio::runtime::Runtime,
    every: BTreeMap<String, Map<String, Value>>,
    now_ms: i64,
    /// Each part has one of its own.
    scope: Scope,
    /// Has the rule been told that the next cases show?
    has_remark: bool,
    cases: usize,
    /// What was not as it should be.
    faults: String,
}

impl<'t> Table<'t> {
    fn run(mut self, text: &str) -> (usize, String) {
        for (number, line) in whole_lines(text) {
            self.line(number, &line);
        }
        (self.cases, self.faults)
    }

    fn line(&mut self, number: usize, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "=" => self.begin(),
            "#" => self.has_remark = true,
            "every" => {
                let (ty, json) = rest.split_once(' ').unwrap();
                self.every.insert(ty.to_owned(), object(json, number));
            }
            "at" | "now" => self.now_ms = instant_ms(rest).unwrap(),
            _ if line.contains(" -> ") => self.case(number, line),
            _ => self.put(number, word, rest),
        }
    }

    fn begin(&mut self) {
        self.scope.0 += 1;
        self.every.clear();
        self.now_ms = instant_ms(START).unwrap();
        self.has_remark = false;
    }

    fn put(&mut self, number: usize, name: &str, json: &str) {
        let (ty, id) = name.split_once('/').unwrap();
        let mut resource = self.every.get(ty).cloned().unwrap_or_default();
        resource.extend(object(json, number));
        resource.insert("resourceType".to_owned(), ty.into());
        resource.insert("id".to_owned(), id.into());
        let cx = context(Subject::operator(), self.scope, self.now_ms);
        let written = self.runtime.block_on(self.host.put(&cx, &resource.into()));
        if let Err(error) = written {
            panic!("{}.txt:{number}: {:?}", self.name, error.issues());
        }
    }

    fn case(&mut self, number: usize, line: &str) {
        let (asked, expected) = line.split_once(" -> ").unwrap();
        let (asked, expected) = (asked.trim(), expected.trim());
        assert!(
            self.has_remark,
            "{}.txt:{number}: what does it show?",
            self.name
        );
        self.cases += 1;
        let (url, handling) = match asked.strip_prefix("lenient ") {
            Some(url) => (url, Handling::Lenient),
            None => (asked, Handling::Strict),
        };
        let cx = context(Subject::operator(), self.scope, self.now_ms);
        let found = self.runtime.block_on(self.host.search(&cx, url, handling));
        let found = match found {
            Ok(answer) => shown(url, expected, &answer),
            Err(error) => refused(expected, &error),
        };
        if found != expected {
            let at = format!("{}.txt:{number}", self.name);
            writeln!(
                self.faults,
                "{at}: {asked}\n  want {expected}\n  have {found}"
            )
            .unwrap();
        }
    }
}

/// The lines that say something, each with those that go on with it.
fn whole_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        match lines.last_mut() {
            Some((_, last)) if line.starts_with(' ') => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ if line.trim().is_empty() => {}
            _ => lines.push((index + 1, line.trim_end().to_owned())),
        }
    }
    lines
}

fn object(json: &str, number: usize) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("line {number}: {error}: {json}"))
}

/// An answer in the words of the table; where the table is not exact, neither is this.
fn shown(url: &str, expected: &str, answer: &Answer) -> String {
    let path = url.split_once('?').map_or(url, |(path, _)| path);
    let own = format!("{}/", path.rsplit('/').next().unwrap_or_default());
    let pages: Vec<String> = answer
        .pages
        .iter()
        .map(|page| {
            let mut names: Vec<&str> = page
                .matches
                .iter()
                .map(|name| name.strip_prefix(&own).unwrap_or(name))
                .collect();
            if !url.contains("_sort=") {
                in_order_of(expected, &mut names);
            }
            let mut text = if names.is_empty() {
                "nothing".to_owned()
            } else {
                names.join(" ")
            };
            if !page.included.is_empty() {
                let mut names: Vec<&str> = page.included.iter().map(String::as_str).collect();
                in_order_of(expected, &mut names);
                write!(text, " + {}", names.join(" ")).unwrap();
            }
            if let Some(total) = page.total.filter(|_| expected.contains(" = ")) {
                write!(text, " = {total}").unwrap();
            }
            for remark in &page.remarks {
                write!(
                    text,
                    " ~ {}",
                    told(expected.split_once(" ~ ").map(|(_, words)| words), remark)
                )
                .unwrap();
            }
            text
        })
        .collect();
    pages.join(" | ")
}

/// Sorts names as they stand in a text; those that do not stand there come last, by name.
fn in_order_of(text: &str, names: &mut [&str]) {
    let words: Vec<&str> = text.split(' ').collect();
    let place = |name: &str| {
        words
            .iter()
            .position(|word| *word == name)
            .unwrap_or(words.len())
    };
    names.sort_by_key(|name| (place(name), *name));
}

/// The words that were wanted, if they are there, else all.
fn told<'t>(wanted: Option<&'t str>, text: &'t str) -> &'t str {
    wanted
        .filter(|wanted| text.contains(wanted))
        .unwrap_or(text)
}

/// An error as `status part: words`.
fn refused(expected: &str, error: &Error) -> String {
    let status = error.kind().status().0;
    let told = |issue: &salus_fhir::issue::Issue| {
        let part = &issue.expression;
        let wanted = expected.split_once(": ").map(|(_, words)| words);
        format!("{status} {part}: {}", told(wanted, &issue.details))
    };
    let issues: Vec<String> = error.issues().iter().map(told).collect();
    let as_wanted = issues.iter().find(|issue| *issue == expected);
    as_wanted.cloned().unwrap_or_else(|| issues.join(" ~ "))
}

fn run(
    name: &str,
    text: &str,
    store: Arc<dyn Store>,
    runtime: &tokio::runtime::Runtime,
) -> (usize, String) {
    let table = Table {
        name,
        host: runtime.block_on(Host::over(store)),
        runtime,
        every: BTreeMap::new(),
        now_ms: instant_ms(START).unwrap(),
        scope: Scope(100),
        has_remark: false,
        cases: 0,
        faults: String::new(),
    };
    table.run(text)
}

/// The tables by name. `SALUS_CASES` may name the only one to run.
fn tables() -> Vec<(String, String)> {
    let only = std::env::var("SALUS_CASES").ok();
    let mut tables = Vec::new();
    for file in std::fs::read_dir(FOLDER).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if only.as_ref().is_none_or(|only| *only == name) {
            tables.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    tables.sort();
    tables
}

/// Runs all tables over stores of one kind.
#[track_caller]
fn check(store: impl Fn() -> Arc<dyn Store>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let (mut cases, mut faults) = (0, String::new());
    let tables = tables();
    for (name, text) in &tables {
        let (some, wrong) = run(name, text, store(), &runtime);
        cases += some;
        faults += &wrong;
    }
    assert!(
        faults.is_empty(),
        "of {cases} cases these are wrong:\n{faults}"
    );
    assert!(tables.len() == 1 || cases >= CASES_MIN, "{cases} cases");
}

#[test]
fn searches_find_what_the_specification_says() {
    check(|| Arc::new(Memory::new()));
}

#[test]
fn searches_of_the_engine_on_disk_find_it_too() {
    let dirs = std::cell::RefCell::new(Vec::new());
    check(|| {
        let dir = TempDir::new().unwrap();
        let store = embedded(&dir);
        dirs.borrow_mut().push(dir);
        store
    });
}
