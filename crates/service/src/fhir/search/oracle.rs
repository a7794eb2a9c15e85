//! Searches made at random, against a reading of the same question on the
//! resources in memory that knows no index, no filter and no store.
//!
//! `SALUS_ORACLE_SEED` and `SALUS_ORACLE_SEEDS` are the first seed and how many
//! there are.

mod ask;
mod contained;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use salus_auth::record::Client;
use salus_auth::{Action, Scopes, Subject, Target};
use salus_fhir::json::{Document, Limits};
use salus_fhir::search::Extractor;
use salus_store::memory::Memory;
use salus_store::{At, Batch, Content, Hit, Put, Scope, SealKey, Snapshot, Store};

use self::ask::Ask;
use super::read;
use super::streams::{self, Place, Stream};
use crate::choice::Choice;
use crate::context::{Context, RequestId};
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;
use crate::fhir::{list, rows};

const SCOPE: Scope = Scope(7);
const TYPES: [&str; 6] = [
    "Organization",
    "Patient",
    "Encounter",
    "Observation",
    "Location",
    "List",
];
/// Places near each other, beside the date line and a pole.
const PLACES: [(f64, f64); 6] = [
    (48.85, 2.35),
    (48.86, 2.36),
    (0.01, 179.99),
    (-0.01, -179.99),
    (89.99, 10.0),
    (-33.9, 18.4),
];
/// Words of displays; some begin like others.
const WORDS: [&str; 4] = ["alpha", "alphabet", "beta", "gamma"];
/// Links by type: the parameter, where they are in a resource, and the types
/// that the parameter leads to.
const LINKS: [(&str, &str, &str, &[&str]); 8] = [
    ("Organization", "partof", "partOf", &["Organization"]),
    (
        "Patient",
        "organization",
        "managingOrganization",
        &["Organization"],
    ),
    (
        "Patient",
        "general-practitioner",
        "generalPractitioner",
        &["Organization"],
    ),
    ("Encounter", "patient", "subject", &["Patient"]),
    ("Observation", "patient", "subject", &["Patient"]),
    ("Observation", "encounter", "encounter", &["Encounter"]),
    ("Encounter", "location", "location", &["Location"]),
    ("Location", "partof", "partOf", &["Location"]),
];

/// What matters of a resource.
struct Thing {
    ty: &'static str,
    id: String,
    code: Option<u64>,
    /// The display of the code.
    display: String,
    /// Codes and numbers of components.
    pairs: Vec<(u64, u64)>,
    /// By parameter: the type and id of the target.
    links: Vec<(&'static str, &'static str, String)>,
    /// The display of each link.
    displays: Vec<String>,
    /// Of a Location, in degrees.
    place: Option<(f64, f64)>,
    /// What is on a List.
    listed: Vec<(&'static str, String)>,
}

impl Thing {
    fn at_random(choice: &mut Choice, ty: &'static str, id: String) -> Self {
        let mut links = Vec::new();
        for (_, parameter, _, targets) in LINKS.iter().filter(|(of, ..)| *of == ty) {
            if choice.below(4) > 0 {
                let target = choice.of(targets);
                // The last of them are not there.
                links.push((*parameter, target, format!("{}", choice.below(9))));
            }
        }
        let pairs = if ty == "Observation" {
            choice.below(4)
        } else {
            0
        };
        Self {
            ty,
            id,
            code: (choice.below(5) > 0).then(|| choice.below(4)),
            display: display(choice),
            displays: links.iter().map(|_| display(choice)).collect(),
            pairs: (0..pairs)
                .map(|_| (choice.below(3), choice.below(5)))
                .collect(),
            links,
            place: (ty == "Location" && choice.below(4) > 0).then(|| choice.of(&PLACES)),
            listed: match ty {
                "List" => (0..choice.below(12))
                    .map(|_| (choice.of(&TYPES[..5]), choice.below(9).to_string()))
                    .collect(),
                _ => Vec::new(),
            },
        }
    }

    fn json(&self) -> String {
        let mut text = format!(r#"{{"resourceType":"{}","id":"{}""#, self.ty, self.id);
        let display = &self.display;
        let code = self.code.map(|code| {
            format!(r#"{{"coding":[{{"system":"urn:s","code":"c{code}","display":"{display}"}}]}}"#)
        });
        if let Some(code) = code {
            text += &match self.ty {
                "Patient" => format!(r#","communication":[{{"language":{code}}}]"#),
                "Observation" | "List" => format!(r#","code":{code}"#),
                _ => format!(r#","type":[{code}]"#),
            };
        }
        for ((parameter, target, id), display) in self.links.iter().zip(&self.displays) {
            let link = LINKS
                .iter()
                .find(|link| link.0 == self.ty && link.1 == *parameter);
            let reference = format!(r#"{{"reference":"{target}/{id}","display":"{display}"}}"#);
            let reference = match *parameter {
                "general-practitioner" => format!("[{reference}]"),
                "location" => format!(r#"[{{"location":{reference}}}]"#),
                _ => reference,
            };
            text += &format!(r#","{}":{reference}"#, link.unwrap().2);
        }
        if let Some((latitude, longitude)) = self.place {
            text += &format!(r#","position":{{"latitude":{latitude},"longitude":{longitude}}}"#);
        }
        let entry =
            |(ty, id): &(&str, String)| format!(r#"{{"item":{{"reference":"{ty}/{id}"}}}}"#);
        // What was deleted from it is not on it.
        let deleted = r#"{"deleted":true,"item":{"reference":"Patient/1"}}"#.to_owned();
        let entries: Vec<String> = self.listed.iter().map(entry).chain([deleted]).collect();
        if self.ty == "List" {
            text += &format!(r#","entry":[{}]"#, entries.join(","));
        }
        let pair = |(code, number): &(u64, u64)| {
            format!(
                r#"{{"code":{{"coding":[{{"code":"c{code}"}}]}},"valueQuantity":{{"value":{number}}}}}"#
            )
        };
        let pairs: Vec<String> = self.pairs.iter().map(pair).collect();
        if !pairs.is_empty() {
            text += &format!(r#","component":[{}]"#, pairs.join(","));
        }
        text + "}"
    }
}

fn display(choice: &mut Choice) -> String {
    let words: Vec<&str> = (0..=choice.below(3)).map(|_| choice.of(&WORDS)).collect();
    words.join(" ")
}

fn world(choice: &mut Choice) -> Vec<Thing> {
    let ids = TYPES
        .iter()
        .flat_map(|ty| (0..7).map(move |id| (*ty, id.to_string())));
    ids.map(|(ty, id)| Thing::at_random(choice, ty, id))
        .collect()
}

fn stored(world: &[Thing]) -> Memory {
    let own: [&str; 0] = [];
    let put = |thing: &Thing| {
        let document = Document::parse(thing.json().into_bytes(), &Limits::default()).unwrap();
        let extractor = Extractor::for_type(thing.ty).unwrap();
        let entries = extractor.extract(document.root(), &own).unwrap();
        let ty = ResourceType::named(thing.ty).unwrap();
        let mut rows = rows::rows(extractor, &entries, document.root());
        list::add_members(ty, document.root(), &own, &mut rows);
        Put {
            kind: ty.kind,
            id: thing.id.as_str().into(),
            version: 1,
            content: Content::Body(thing.json().into()),
            rows,
            main_date_ms: None,
            seal: SealKey::Scope,
        }
    };
    let store = Memory::new();
    let batch = Batch::of(SCOPE, 1, world.iter().map(put).collect());
    store.commit(batch).now_or_never().unwrap().unwrap();
    store
}

/// The seeds to try: so many, or as the environment says.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let from = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = from("SALUS_ORACLE_SEED").unwrap_or(0);
    first..first + from("SALUS_ORACLE_SEEDS").unwrap_or(count)
}

/// A world and the store that holds it.
fn world_and_snapshot(choice: &mut Choice) -> (Vec<Thing>, Box<dyn Snapshot>) {
    let world = world(choice);
    let store = stored(&world);
    let snapshot = store.snapshot(SCOPE, At::Now).now_or_never().unwrap();
    (world, snapshot.unwrap())
}

/// Someone who may search these types.
fn one_who_sees(visible: &[&str]) -> Context {
    let scopes: Vec<String> = visible.iter().map(|ty| format!("system/{ty}.s")).collect();
    let scopes = Scopes::parse(&scopes.join(" ")).unwrap();
    let (_, secret) = salus_auth::credentials::client_secret(&[0; 32]);
    let client = Client::register("one", "One", secret, scopes.clone(), 1).unwrap();
    Context {
        parameters: Arc::default(),
        subject: Arc::new(Subject::client(SCOPE, "one", &client.value, &scopes)),
        scope: SCOPE,
        base: "http://localhost/fhir".into(),
        request_id: RequestId(1),
        now_ms: 1,
        era: Arc::default(),
        format: None,
        remote: None,
    }
}

#[test]
fn random_searches_find_what_a_plain_reading_finds() {
    let (mut some, mut none) = (0, 0);
    for seed in seeds(250) {
        let choice = &mut Choice(seed);
        let (world, snapshot) = world_and_snapshot(choice);
        for _ in 0..20 {
            let ty = choice.of(&TYPES);
            let hidden = choice.of(&[&["", "", ""], &TYPES[..]].concat());
            let seen = |seen: &&&str| **seen != hidden || **seen == ty;
            let visible: Vec<&str> = TYPES.iter().filter(seen).copied().collect();
            let asks: Vec<Ask> = (0..=choice.below(2))
                .map(|_| Ask::at_random(choice, ty, 3))
                .collect();
            let expected: BTreeSet<&str> = world
                .iter()
                .filter(|thing| thing.ty == ty)
                .filter(|thing| asks.iter().all(|ask| ask.holds(&world, &visible, thing)))
                .map(|thing| thing.id.as_str())
                .collect();
            let text: Vec<_> = asks.iter().map(|ask| ask.text(ty)).collect();
            let cx = one_who_sees(&visible);
            let (asked, problems) = read(
                &cx,
                (ResourceType::named(ty).unwrap(), &[]),
                &text,
                &Terms::default(),
            );
            assert!(
                problems.is_empty(),
                "seed {seed} {ty}?{text:?}: {problems:?}"
            );
            let grant = salus_auth::authorize(&cx.subject, SCOPE, Action::Search, Target::Type(ty));
            let query = asked.query(&grant.unwrap(), 100);
            let found = snapshot.find(&query).now_or_never().unwrap().unwrap();
            let found: BTreeSet<&str> = found.hits.iter().map(|hit| &*hit.record.id).collect();
            assert_eq!(found, expected, "seed {seed} {ty}?{text:?} for {visible:?}");
            let count = snapshot.count(&query).now_or_never().unwrap().unwrap();
            assert_eq!(count as usize, expected.len(), "seed {seed} {ty}?{text:?}");
            if expected.is_empty() {
                none += 1
            } else {
                some += 1
            }
        }
    }
    // The questions are neither trivial nor vain.
    assert!(some > none / 3 && none > some / 6, "{some} {none}");
}

/// The pages of several types, each with at most so many, and the same when
/// they are turned back.
#[track_caller]
fn pages(streams: &[Stream], snapshot: &dyn Snapshot, limit: usize) -> Vec<String> {
    let page = |limit: usize, place: Option<Place>| {
        // As a cursor carries it.
        let bytes = place.map_or_else(Vec::new, |place| place.encode());
        let place = Place::decode(&bytes).unwrap();
        let page = streams::page(streams, snapshot, limit, place.as_ref());
        let page = page.now_or_never().unwrap().unwrap();
        let name = |(at, hit): &(usize, Hit)| format!("{}/{}", TYPES[*at], hit.record.id);
        let names: Vec<String> = page.hits.iter().map(name).collect();
        (names, page.previous, page.next)
    };
    let mut shown = Vec::new();
    let (mut names, mut previous, mut next) = page(limit, None);
    assert_eq!(previous, None);
    loop {
        assert!(names.len() <= limit);
        shown.push(names);
        if next.is_none() {
            break;
        }
        assert_eq!(shown.last().unwrap().len(), limit, "only the last has room");
        (names, previous, next) = page(limit, next);
    }
    let last = shown.last().unwrap();
    let (end, mut before, none) = page(last.len().max(1), Some(Place::End));
    assert_eq!((&end, none), (last, None));
    assert_eq!(before.is_some(), shown.len() > 1);
    for expected in shown.iter().rev().skip(1) {
        let (again, ..) = page(limit, before);
        assert_eq!(again, *expected);
        (names, previous, next) = page(limit, previous);
        assert_eq!(names, *expected);
        assert!(next.is_some());
        before = previous.clone();
    }
    assert_eq!(previous, None);
    shown.concat()
}

/// The value by which a resource is sorted.
fn sort_value(thing: &Thing, key: &str) -> Option<String> {
    let of_type = |types: &[&str]| {
        let code = thing.code.filter(|_| types.contains(&thing.ty));
        code.map(|code| code.to_string())
    };
    match key {
        "_id" => Some(thing.id.clone()),
        "_lastUpdated" => Some(String::new()),
        "code" => of_type(&["Observation", "List"]),
        "language" => of_type(&["Patient"]),
        "type" => of_type(&["Organization", "Encounter", "Location"]),
        _ => {
            let link = thing.links.iter().find(|link| link.0 == key);
            link.map(|link| link.2.clone())
        }
    }
}

/// Types in turn, or the order asked for; then what was written last. What is
/// missing is last, whatever the direction.
fn in_order(world: &[Thing], ids: &[u64], sort: &str) -> Vec<String> {
    let mut things: Vec<&Thing> = world
        .iter()
        .filter(|thing| ids.iter().any(|id| id.to_string() == thing.id))
        .collect();
    things.reverse();
    things.sort_by_key(|thing| {
        let ty = TYPES.iter().position(|ty| *ty == thing.ty);
        ty.filter(|_| sort.is_empty())
    });
    for key in sort.split(',').rev().filter(|key| !key.is_empty()) {
        let name = key.trim_start_matches('-');
        things.sort_by(|a, b| match (sort_value(a, name), sort_value(b, name)) {
            (Some(a), Some(b)) if key.starts_with('-') => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
    let names = things.iter();
    names
        .map(|thing| format!("{}/{}", thing.ty, thing.id))
        .collect()
}

#[test]
fn pages_of_several_types_make_the_whole_in_order_and_back() {
    const KEYS: [&str; 6] = ["_id", "_lastUpdated", "code", "type", "language", "patient"];
    let cx = one_who_sees(&TYPES);
    for seed in seeds(60) {
        let choice = &mut Choice(seed);
        let (world, snapshot) = world_and_snapshot(choice);
        let ids: Vec<u64> = (0..7).filter(|_| choice.below(4) > 0).collect();
        let list: Vec<String> = ids.iter().map(u64::to_string).collect();
        let first = choice.below(KEYS.len() as u64) as usize;
        let keys = (0..choice.below(4) as usize).map(|at| {
            let minus = choice.of(&["", "-"]);
            format!("{minus}{}", KEYS[(first + at) % KEYS.len()])
        });
        let sort = keys.collect::<Vec<_>>().join(",");
        let mut parameters = vec![("_id".to_owned(), format!("x,{}", list.join(",")))];
        if !sort.is_empty() {
            parameters.push(("_sort".to_owned(), sort.clone()));
        }
        let stream = |ty: &&'static str| {
            let asked = (ResourceType::named(ty).unwrap(), &TYPES[..]);
            let (asked, problems) = read(&cx, asked, &parameters, &Terms::default());
            assert!(problems.is_empty(), "{problems:?}");
            let target = Target::Type(ty);
            let grant = salus_auth::authorize(&cx.subject, SCOPE, Action::Search, target);
            Stream::new(&cx, asked, &grant.unwrap())
        };
        let streams: Vec<Stream> = TYPES.iter().map(stream).collect();
        let expected = in_order(&world, &ids, &sort);
        for limit in [1, 2, 3, 5, 8, 100] {
            let found = pages(&streams, &*snapshot, limit);
            assert_eq!(found, expected, "seed {seed} {sort} {limit}");
        }
    }
}
