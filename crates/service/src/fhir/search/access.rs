//! What is hidden cannot be inferred: random policies, random searches.
//!
//! Someone who may see a part of a world must get the answers that someone who
//! sees everything gets in a world that never had the rest: the same
//! resources, order, pages, totals, includes, and the same errors. So nothing
//! here knows what a search means.
//!
//! `SALUS_ACCESS_SEED` and `SALUS_ACCESS_SEEDS` are the first seed and how many
//! there are; a failure prints the seed it had.

mod deeds;
mod everything;
mod interference;
mod operations;
mod policies;
mod questions;
mod world;
mod written;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use salus_auth::Subject;
use salus_store::memory::Memory;
use salus_store::{At, Filter, Kind, Query, Scope, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::policies::{allow, rules, under};
use self::world::{TYPES, Writing};
use super::host::{Host, context, embedded};
use super::read;
use crate::choice::Choice;
use crate::context::Context;
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;
use crate::fhir::{
    BundleOptions, CreateOptions, Handling, PatchFormat, ReadConditions, Returns, Which,
    WriteCondition, WriteOptions,
};

const QUESTIONS: usize = 15;
const NOW_MS: i64 = 1_400_000_000_000;

/// Two worlds that one asks who does not see all of the first, and nothing of
/// the difference: the whole one, and the one without what is hidden.
struct Worlds<'h> {
    whole: &'h Host,
    rest: &'h Host,
    scope: Scope,
    /// Who asks each.
    asking: [Subject; 2],
    /// How the policy reads.
    policy: String,
}

/// How often there was what kind of answer.
#[derive(Debug, Default)]
struct Tally {
    found: usize,
    none: usize,
    refused: usize,
    /// Answers that everybody's would not have been.
    narrowed: usize,
    /// The same of `$everything`: with what is referred to, on several pages.
    everything: usize,
    everything_narrowed: usize,
}

impl<'h> Worlds<'h> {
    /// The one who asks is under filters, or under rules as they are `written`.
    async fn at_random(
        choice: &mut Choice,
        [whole, rest]: [&'h Host; 2],
        (scope, written): (Scope, bool),
    ) -> Self {
        let writings = world::at_random(choice);
        for writing in &writings {
            write(whole, scope, writing).await;
        }
        let clauses = clauses(choice, scope);
        let (visible, policy) = policy(scope, &clauses);
        let there = there(whole, scope, &visible).await;
        for writing in &writings {
            let kind = ResourceType::named(writing.ty).unwrap().kind;
            // Where nothing is hidden, what was deleted is known to be.
            let all = match writing.ty {
                "Binary" => visible.is_empty(),
                _ => !visible.contains_key(&kind),
            };
            if all || there.contains(&(writing.ty, writing.id.clone())) {
                write(rest, scope, writing).await;
            }
        }
        let operator = Subject::operator;
        let asking = match written {
            false => [operator().seeing_only(visible), operator()],
            true => {
                let mut narrowed = rules("see", &["read", "search", "history"], &clauses);
                let writes = ["create", "update", "patch", "delete"];
                narrowed.push(allow("write", &writes, &["*"], None));
                let all = vec![allow("all", &["*"], &["*"], None)];
                [
                    under(whole, scope, narrowed).await,
                    under(rest, scope, all).await,
                ]
            }
        };
        Self {
            whole,
            rest,
            scope,
            asking,
            policy,
        }
    }

    /// Who sees all there is.
    fn all_seeing(&self) -> Context {
        context(Subject::operator(), self.scope, NOW_MS)
    }

    /// What must answer alike.
    fn both(&self) -> [(&'h Host, Context); 2] {
        let [narrowed, other] = self.asking.clone();
        let cx = |subject| context(subject, self.scope, NOW_MS);
        [(self.whole, cx(narrowed)), (self.rest, cx(other))]
    }

    async fn ask(&self, seed: u64, url: &str, tally: &mut Tally) {
        let [(whole, narrowed), (rest, other)] = self.both();
        let handling = Handling::Strict;
        let have = said(whole.search(&narrowed, url, handling).await);
        let want = said(rest.search(&other, url, handling).await);
        assert_eq!(have, want, "seed {seed}: {url} under {}", self.policy);
        match &want {
            Err(_) => tally.refused += 1,
            Ok(answer) if answer.pages.iter().all(|page| page.matches.is_empty()) => {
                tally.none += 1;
            }
            Ok(_) => tally.found += 1,
        }
        let everybody = said(whole.search(&self.all_seeing(), url, handling).await);
        tally.narrowed += usize::from(everybody != want);
    }

    /// Reads a resource, its first version and its history.
    async fn read(&self, seed: u64, ty: &'static str, id: &str) {
        let mut answers = Vec::new();
        for (host, cx) in self.both() {
            let service = &host.service;
            let conditions = ReadConditions::default();
            let whole = service.read(&cx, ty, id, &conditions);
            let first = service.vread(&cx, (ty, id, "1"), &[]);
            let versions = service.history_instance(&cx, ty, id, Vec::new());
            let replies = [whole.await, first.await, versions.await];
            answers.push(replies.map(|reply| said(reply.map(|reply| reply.body))));
        }
        let (have, want) = (&answers[0], &answers[1]);
        assert_eq!(have, want, "seed {seed}: {ty}/{id} under {}", self.policy);
    }

    /// Refers to what a condition finds, in a transaction.
    async fn refer(&self, choice: &mut Choice, seed: u64) {
        let ty = choice.of(&["Patient", "Organization"]);
        let mut text = form_urlencoded::Serializer::new(String::new());
        let text = text
            .extend_pairs(&[questions::clause(choice, ty, 2)])
            .finish();
        let entry = json!({
            "resource": {"resourceType": "Basic", "id": "new", "code": {"text": "x"},
                "subject": {"reference": format!("{ty}?{text}")}},
            "request": {"method": "PUT", "url": "Basic/new"},
        });
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
        let mut answers = Vec::new();
        for (host, cx) in self.both() {
            let options = BundleOptions {
                returns: Returns::Representation,
                handling: Handling::Strict,
                idempotency_key: None,
            };
            let body = bundle.to_string().into();
            let reply = host.service.bundle(&cx, body, options).await;
            answers.push(said(reply.map(|reply| reply.body)));
        }
        let (have, want) = (&answers[0], &answers[1]);
        assert_eq!(have, want, "seed {seed}: {ty}?{text} under {}", self.policy);
    }

    /// Creates under a condition; the one who asks learns nothing by it either.
    /// Gives the type of what may be there now.
    async fn create(&self, choice: &mut Choice, seed: u64) -> &'static str {
        let ty = choice.of(&TYPES);
        let condition = [questions::clause(choice, ty, 2)];
        let mut text = form_urlencoded::Serializer::new(String::new());
        let text = text.extend_pairs(&condition).finish();
        let options = CreateOptions {
            if_none_exist: Some(text.clone()),
            idempotency_key: None,
        };
        let body = world::resource(choice, ty, 0).to_string();
        let mut answers = Vec::new();
        for (host, cx) in self.both() {
            let reply = host.service.create(&cx, ty, body.clone().into(), &options);
            let told = reply.await.map(|reply| {
                let found = (reply.status == crate::fhir::reply::Status::Ok).then_some(reply.place);
                (reply.status, found.flatten().map(|place| place.id))
            });
            answers.push(said(told));
        }
        let (have, want) = (&answers[0], &answers[1]);
        let policy = &self.policy;
        assert_eq!(have, want, "seed {seed}: {ty} unless {text} under {policy}");
        ty
    }

    /// Patches by id and by a condition, for one who may do both but not see all.
    /// Of the type that was created, the one who made it may see none.
    async fn patch(&self, choice: &mut Choice, seed: u64, created: &str) {
        let types = TYPES.iter().filter(|ty| **ty != created);
        let types: Vec<&str> = types.copied().collect();
        let (ty, id) = (choice.of(&types), choice.below(6).to_string());
        let condition = [questions::clause(choice, ty, 2)];
        let mut text = form_urlencoded::Serializer::new(String::new());
        let text = text.extend_pairs(&condition).finish();
        for (which, language) in [(Which::Id(&id), "de"), (Which::Matching(&text), "fr")] {
            let patch = json!([{"op": "add", "path": "/language", "value": language}]);
            let mut answers = Vec::new();
            for (host, cx) in self.both() {
                let sent = (PatchFormat::Json, patch.to_string().into());
                let options = WriteOptions {
                    condition: WriteCondition::None,
                    idempotency_key: None,
                };
                let reply = host.service.patch(&cx, ty, which, sent, &options).await;
                answers.push(said(reply.map(|reply| (reply.version, reply.body))));
            }
            let (have, want) = (&answers[0], &answers[1]);
            let policy = &self.policy;
            assert_eq!(
                have, want,
                "seed {seed}: {ty}/{id}, {ty}?{text} under {policy}"
            );
        }
    }
}

fn said<T>(result: Result<T, Error>) -> Result<T, (ErrorKind, Vec<salus_fhir::issue::Issue>)> {
    result.map_err(|error| (error.kind(), error.issues().to_vec()))
}

async fn write(host: &Host, scope: Scope, writing: &Writing) {
    let cx = context(Subject::operator(), scope, writing.time_ms);
    match &writing.resource {
        Some(resource) => {
            let written = host.put(&cx, resource).await;
            written.unwrap_or_else(|error| panic!("{:?}: {resource}", error.issues()));
        }
        None => host.delete(&cx, writing.ty, &writing.id).await,
    }
}

/// What is seen of types of which not all is: alternatives, each of which is
/// clauses of a search that all hold. Without one nothing is seen.
type Clauses = BTreeMap<&'static str, Vec<Vec<(String, String)>>>;

/// Of each type all, none, or what some search finds.
fn clauses(choice: &mut Choice, scope: Scope) -> Clauses {
    let cx = context(Subject::operator(), scope, NOW_MS);
    let mut all = Clauses::new();
    for ty in TYPES {
        let asked = match choice.below(8) {
            0..4 => continue,
            4 => Vec::new(),
            5 | 6 => vec![questions::clause(choice, ty, 2)],
            _ => vec![
                questions::clause(choice, ty, 1),
                questions::clause(choice, ty, 0),
            ],
        };
        let kind = ResourceType::named(ty).unwrap();
        let (_, problems) = read(&cx, (kind, &[]), &asked, &Terms::default());
        // What is about now changes its meaning with the clock.
        let is_of_now = asked.iter().any(|(_, value)| value.starts_with("ap"));
        if !problems.is_empty() || is_of_now {
            continue;
        }
        let alternatives = match asked.len() {
            2 if choice.below(2) == 0 => asked.into_iter().map(|one| vec![one]).collect(),
            0 => Vec::new(),
            _ => vec![asked],
        };
        all.insert(ty, alternatives);
    }
    all
}

/// The same as filters, and as text.
fn policy(scope: Scope, clauses: &Clauses) -> (BTreeMap<Kind, Filter>, String) {
    let cx = context(Subject::operator(), scope, NOW_MS);
    let filter = |ty: &str, asked: &Vec<(String, String)>| {
        let kind = ResourceType::named(ty).unwrap();
        let (mut understood, _) = read(&cx, (kind, &[]), asked, &Terms::default());
        match understood.filters.len() {
            1 => understood.filters.remove(0),
            _ => Filter::All(understood.filters),
        }
    };
    let of = |(ty, alternatives): (&&'static str, &Vec<Vec<(String, String)>>)| {
        let mut any: Vec<Filter> = alternatives.iter().map(|one| filter(ty, one)).collect();
        let filter = match any.len() {
            0 => Filter::Nothing,
            1 => any.remove(0),
            _ => Filter::Any(any),
        };
        (ResourceType::named(ty).unwrap().kind, filter)
    };
    (clauses.iter().map(of).collect(), format!("{clauses:?}"))
}

/// What a policy lets see.
async fn there(
    host: &Host,
    scope: Scope,
    visible: &BTreeMap<Kind, Filter>,
) -> HashSet<(&'static str, String)> {
    let snapshot = host.service.store.snapshot(scope, At::Now).await.unwrap();
    let mut there = HashSet::new();
    for ty in TYPES {
        let kind = ResourceType::named(ty).unwrap().kind;
        let query = Query {
            kind,
            filter: visible.get(&kind).cloned().unwrap_or(Filter::Everything),
            sort: Vec::new(),
            limit: 1000,
            after: None,
            rows: Vec::new(),
        };
        let found = snapshot.find(&query).await.unwrap();
        there.extend(found.hits.iter().map(|hit| (ty, hit.record.id.to_string())));
    }
    // A Binary is seen with what it stands for.
    let hidden = |context: &(&'static str, String)| {
        let kind = ResourceType::named(context.0).unwrap().kind;
        visible.contains_key(&kind) && !there.contains(context)
    };
    let of_hidden = |(ty, id): &(&'static str, String)| {
        *ty == "Binary" && world::context_of(id).is_some_and(|context| hidden(&context))
    };
    let there = there.iter().filter(|name| !of_hidden(name));
    there.cloned().collect()
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The seeds to try: so many, or those that were asked for.
fn seeds_or(many: u64) -> Range<u64> {
    let first = number_from("SALUS_ACCESS_SEED").unwrap_or(0);
    first..first + number_from("SALUS_ACCESS_SEEDS").unwrap_or(many)
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap()
}

async fn one(seed: u64, written: bool, hosts: [&Host; 2], tally: &mut Tally) {
    let choice = &mut Choice(seed);
    let scope = Scope(u32::try_from(seed + 100).unwrap());
    let worlds = Worlds::at_random(choice, hosts, (scope, written)).await;
    for _ in 0..QUESTIONS {
        let url = questions::search(choice);
        worlds.ask(seed, &url, tally).await;
    }
    for _ in 0..3 {
        let (ty, id) = (choice.of(&TYPES), choice.below(6).to_string());
        worlds.read(seed, ty, &id).await;
    }
    for _ in 0..4 {
        worlds.everything(choice, seed, tally).await;
    }
    worlds.refer(choice, seed).await;
    let created = worlds.create(choice, seed).await;
    worlds.patch(choice, seed, created).await;
}

/// Tries so many seeds, or as many as was asked for, over two stores that are
/// new for each `lasts` seeds.
fn check(seeds: u64, lasts: usize, written: bool, store: impl Fn() -> Arc<dyn Store>) {
    let (seeds, runtime) = (seeds_or(seeds), runtime());
    let mut tally = Tally::default();
    let all: Vec<u64> = seeds.collect();
    for some in all.chunks(lasts) {
        runtime.block_on(async {
            let (whole, rest) = (Host::over(store()).await, Host::over(store()).await);
            for seed in some {
                one(*seed, written, [&whole, &rest], &mut tally).await;
            }
        });
    }
    // The questions are neither trivial nor vain, and the policies hide something.
    let asked = all.len() * QUESTIONS;
    let enough = tally.found.min(tally.none).min(tally.narrowed) * 6 > asked;
    let enough = enough && tally.everything.min(tally.everything_narrowed) > all.len() / 4;
    assert!(all.len() < 20 || enough, "{tally:?}");
}

#[test]
fn nobody_learns_of_what_is_hidden() {
    check(60, 1, false, || Arc::new(Memory::new()));
}

#[test]
fn nobody_learns_of_what_written_rules_do_not_show() {
    check(30, 1, true, || Arc::new(Memory::new()));
}

#[test]
fn what_is_contained_is_seen_with_its_container() {
    let runtime = runtime();
    let scope = Scope(100);
    let host = runtime.block_on(Host::over(Arc::new(Memory::new())));
    let writing = Writing {
        ty: "Observation",
        id: "o".to_owned(),
        time_ms: NOW_MS,
        resource: Some(json!({
            "resourceType": "Observation", "id": "o", "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "#p"},
            "contained": [{"resourceType": "Patient", "id": "p", "active": true}],
        })),
    };
    runtime.block_on(write(&host, scope, &writing));
    let check = |hidden: &str, kind: &str, expected: &[&str]| {
        let visible = BTreeMap::from([(Kind::named(hidden), Filter::Nothing)]);
        let cx = context(Subject::operator().seeing_only(visible), scope, NOW_MS);
        let url = format!("Patient?active=true&_contained=true&_containedType={kind}");
        let found = runtime.block_on(host.search(&cx, &url, Handling::Strict));
        assert_eq!(found.unwrap().pages[0].matches, expected, "{hidden} {kind}");
    };
    check("Patient", "container", &["Observation/o"]);
    check("Patient", "contained", &["Patient/p"]);
    check("Observation", "container", &[]);
    check("Observation", "contained", &[]);
}

/// The search of a named query, and the same written out.
async fn named(seed: u64, host: &Host) {
    let choice = &mut Choice(seed);
    let scope = Scope(u32::try_from(seed + 100).unwrap());
    for writing in world::at_random(choice) {
        write(host, scope, &writing).await;
    }
    let cx = context(Subject::operator(), scope, NOW_MS);
    for _ in 0..5 {
        let ty = choice.of(&TYPES);
        let clauses = [0, 1].map(|depth| questions::clause(choice, ty, depth));
        let text = |pairs: &[(String, String)]| {
            let mut text = form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(pairs).finish()
        };
        // The value of the second is given by the client.
        let (name, value) = clauses[1].clone();
        let search = text(&[clauses[0].clone(), (name, "{given}".to_owned())]);
        let input = |name: &str| {
            json!({"name": name, "use": "in", "min": 0, "max": "*", "type": "string",
                "searchType": "token"})
        };
        let definition = json!({
            "resourceType": "OperationDefinition", "id": "named", "name": "Named",
            "status": "active", "kind": "query", "code": "named", "resource": [ty],
            "system": false, "type": true, "instance": false,
            "extension": [{"url": super::named::EXTENSION, "valueString": search}],
            "parameter": [input("given")],
        });
        host.put(&cx, &definition).await.unwrap();
        let also = questions::clause(choice, ty, 1);
        let query = ("_query".to_owned(), "named".to_owned());
        let given = ("given".to_owned(), value);
        let short = format!("{ty}?{}", text(&[query, given, also.clone()]));
        let long = format!("{ty}?{}", text(&[&clauses[..], &[also]].concat()));
        let have = host.search(&cx, &short, Handling::Strict).await;
        let want = host.search(&cx, &long, Handling::Strict).await;
        let told = |error: &Error| error.kind();
        assert_eq!(
            have.as_ref().map_err(told),
            want.as_ref().map_err(told),
            "seed {seed}: {short} and {long}"
        );
    }
}

#[test]
fn named_queries_find_what_they_stand_for() {
    let runtime = runtime();
    for seed in seeds_or(40) {
        runtime.block_on(async {
            named(seed, &Host::over(Arc::new(Memory::new())).await).await;
        });
    }
}

#[test]
fn nobody_learns_of_it_from_the_engine_on_disk() {
    let dirs = RefCell::new(Vec::new());
    check(5, 100, false, || {
        let dir = TempDir::new().unwrap();
        let store = embedded(&dir);
        dirs.borrow_mut().push(dir);
        store
    });
}
