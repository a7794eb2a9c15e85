//! What is hidden of records tells nothing: two worlds that differ in what a
//! random policy hides, and in nothing else, give its user the same answers to
//! random requests (non-interference). And what is shown is what the policy says.

use std::collections::BTreeSet;

use super::policies::{allow, under};
use super::*;
use crate::fhir::PatchFormat;
use crate::fhir::operations::Invocation;

/// An element that a policy may hide: its type, name, and members in JSON.
type Element = (&'static str, &'static str, &'static [&'static str]);

const ELEMENTS: &[Element] = &[
    ("Organization", "type", &["type"]),
    ("Organization", "partOf", &["partOf"]),
    ("Organization", "active", &["active"]),
    ("Patient", "identifier", &["identifier"]),
    ("Patient", "active", &["active"]),
    ("Patient", "name", &["name"]),
    ("Patient", "gender", &["gender"]),
    ("Patient", "birthDate", &["birthDate"]),
    ("Patient", "managingOrganization", &["managingOrganization"]),
    ("Patient", "generalPractitioner", &["generalPractitioner"]),
    ("Encounter", "identifier", &["identifier"]),
    ("Encounter", "type", &["type"]),
    ("Encounter", "subject", &["subject"]),
    ("Encounter", "period", &["period"]),
    ("Encounter", "serviceProvider", &["serviceProvider"]),
    ("Encounter", "partOf", &["partOf"]),
    ("Observation", "code", &["code"]),
    ("Observation", "identifier", &["identifier"]),
    ("Observation", "encounter", &["encounter"]),
    (
        "Observation",
        "effective",
        &["effectiveDateTime", "effectivePeriod"],
    ),
    ("Observation", "value", &["valueQuantity"]),
    ("Observation", "performer", &["performer"]),
    ("Observation", "hasMember", &["hasMember"]),
    ("Observation", "component", &["component"]),
    ("List", "title", &["title"]),
    ("List", "code", &["code"]),
    ("List", "subject", &["subject"]),
    ("List", "entry", &["entry"]),
    ("Provenance", "target", &["target"]),
    ("Provenance", "agent", &["agent"]),
    ("Questionnaire", "url", &["url"]),
    ("Questionnaire", "title", &["title"]),
    ("QuestionnaireResponse", "questionnaire", &["questionnaire"]),
    ("QuestionnaireResponse", "subject", &["subject"]),
    ("QuestionnaireResponse", "authored", &["authored"]),
    ("ValueSet", "compose", &["compose"]),
    ("CodeSystem", "concept", &["concept"]),
    ("Location", "name", &["name"]),
    ("Location", "position", &["position"]),
    ("Location", "partOf", &["partOf"]),
];

/// One rule of a policy: about all types or one, all records or some.
struct Said {
    allows: bool,
    ty: Option<&'static str>,
    ids: Option<Vec<String>>,
    hidden: Vec<Element>,
}

impl Said {
    fn policy(choice: &mut Choice) -> Vec<Self> {
        let mut all = vec![Self {
            allows: true,
            ty: None,
            ids: None,
            hidden: some(choice, 5, |_| true),
        }];
        for _ in 0..choice.below(4) {
            let ty = choice.of(&TYPES);
            let is_of_some = choice.one_in(2);
            let ids = is_of_some.then(|| some_ids(choice));
            let allows = choice.one_in(2);
            let hidden = match choice.one_in(4) {
                true => Vec::new(),
                false => some(choice, 3, |element| element.0 == ty),
            };
            // What denies whole records leaves some.
            let ids = match !allows && hidden.is_empty() {
                true => Some(ids.unwrap_or_else(|| some_ids(choice))),
                false => ids,
            };
            let ty = Some(ty);
            all.push(Self {
                allows,
                ty,
                ids,
                hidden,
            });
        }
        all
    }

    fn json(&self, id: usize) -> Value {
        let kinds = [self.ty.unwrap_or("*")];
        let condition = self
            .ids
            .as_ref()
            .map(|ids| format!("?_id={}", ids.join(",")));
        let mut rule = allow(&format!("r{id}"), &["*"], &kinds, condition);
        if !self.allows {
            rule["effect"] = "deny".into();
        }
        let hidden = self.hidden.iter();
        let hidden: Vec<String> = hidden.map(|(ty, name, _)| format!("{ty}.{name}")).collect();
        if !hidden.is_empty() {
            rule["hidden"] = hidden.into();
        }
        rule
    }

    fn is_about(&self, ty: &str, id: &str) -> bool {
        let is_one = |ids: &Vec<String>| ids.iter().any(|one| one == id);
        self.ty.is_none_or(|own| own == ty) && self.ids.as_ref().is_none_or(is_one)
    }

    fn of(&self, ty: &str) -> BTreeSet<Element> {
        let own = self.hidden.iter().filter(|element| element.0 == ty);
        own.copied().collect()
    }
}

/// What rules hide of a record; `None` is all of it.
fn hidden(rules: &[Said], ty: &str, id: &str) -> Option<BTreeSet<Element>> {
    let about: Vec<&Said> = rules.iter().filter(|one| one.is_about(ty, id)).collect();
    let (allow, deny): (Vec<&Said>, Vec<&Said>) = about.into_iter().partition(|one| one.allows);
    if deny.iter().any(|one| one.hidden.is_empty()) {
        return None;
    }
    let shared = allow.iter().map(|one| one.of(ty));
    let shared = shared.reduce(|one, other| &one & &other)?;
    Some(deny.iter().fold(shared, |all, one| &all | &one.of(ty)))
}

fn some_ids(choice: &mut Choice) -> Vec<String> {
    let ids = (0..=choice.below(2)).map(|_| choice.below(5).to_string());
    ids.collect()
}

/// One in so many of the elements.
fn some(choice: &mut Choice, of: u64, may: impl Fn(&Element) -> bool) -> Vec<Element> {
    let all = ELEMENTS.iter().filter(|element| may(element));
    all.filter(|_| choice.one_in(of)).copied().collect()
}

/// The same to its reader: what is hidden is something else, or is not there.
fn altered(choice: &mut Choice, rules: &[Said], writing: &Writing, resource: &Value) -> Value {
    let id: u64 = writing.id.parse().unwrap();
    let mut other = world::resource(choice, writing.ty, id);
    let Some(hidden) = hidden(rules, writing.ty, &writing.id) else {
        return other;
    };
    let mut resource = resource.clone();
    if hidden.is_empty() {
        return resource;
    }
    let members = hidden.iter().flat_map(|(_, _, members)| *members);
    let to = resource.as_object_mut().unwrap();
    for member in members.chain(&["text"]) {
        to.remove(*member);
        if let Some(value) = other.as_object_mut().unwrap().remove(*member) {
            to.insert((*member).to_owned(), value);
        }
    }
    resource
}

impl<'h> Worlds<'h> {
    /// Two worlds that differ in what their user may not see.
    async fn alike(
        choice: &mut Choice,
        [whole, rest]: [&'h Host; 2],
        scope: Scope,
    ) -> (Self, Vec<Said>) {
        let rules = Said::policy(choice);
        for writing in world::at_random(choice) {
            let other = writing.resource.as_ref();
            let other = other.map(|resource| altered(choice, &rules, &writing, resource));
            let other = Writing {
                resource: other,
                ..writing.clone()
            };
            let is_valid = match &other.resource {
                Some(resource) => {
                    let cx = context(Subject::operator(), scope, writing.time_ms);
                    rest.put(&cx, resource).await.is_ok()
                }
                None => false,
            };
            if !is_valid {
                write(rest, scope, &writing).await;
            }
            write(whole, scope, &writing).await;
        }
        let written: Vec<Value> = rules
            .iter()
            .enumerate()
            .map(|(at, one)| one.json(at))
            .collect();
        let policy = json!(written).to_string();
        let asking = [
            under(whole, scope, written.clone()).await,
            under(rest, scope, written).await,
        ];
        let worlds = Self {
            whole,
            rest,
            scope,
            asking,
            policy,
        };
        (worlds, rules)
    }

    /// Compares what both answer to one request.
    async fn same<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        ask: impl AsyncFn(&Host, &Context) -> Result<T, Error>,
    ) -> Result<T, (ErrorKind, Vec<salus_fhir::issue::Issue>)> {
        let [(whole, narrowed), (rest, other)] = self.both();
        let have = said(ask(whole, &narrowed).await);
        let want = said(ask(rest, &other).await);
        assert_eq!(have, want, "{what} under {}", self.policy);
        have
    }

    /// Histories of a type and of all.
    async fn histories(&self, what: &str, ty: &str) {
        let of_type = async |host: &Host, cx: &Context| {
            let found = host.service.history_type(cx, ty, Vec::new()).await?;
            Ok(unlinked(found.body))
        };
        drop(self.same(what, of_type).await);
        let of_all = async |host: &Host, cx: &Context| {
            let found = host.service.history_system(cx, Vec::new()).await?;
            Ok(unlinked(found.body))
        };
        drop(self.same(what, of_all).await);
    }

    /// Patches that ask what there is, or would set it.
    async fn probe(&self, choice: &mut Choice, what: &str) {
        let (ty, name, members) = choice.of(ELEMENTS);
        let id = choice.below(5);
        let other = world::resource(choice, ty, id);
        let member = choice.of(members);
        let (path, value) = (format!("/{member}"), &other[member]);
        for op in ["test", "remove", "replace", "add"] {
            let patch = json!([{"op": op, "path": path, "value": value}]).to_string();
            let ask = async |host: &Host, cx: &Context| {
                let sent = (PatchFormat::Json, patch.clone().into());
                let (id, options) = (id.to_string(), plain());
                let which = Which::Id(&id);
                let done = host.service.patch(cx, ty, which, sent, &options).await?;
                Ok((done.version, done.body))
            };
            let what = format!("{what}, {op} {name} of {ty}/{id}");
            drop(self.same(&what, ask).await);
        }
    }

    /// Writes back what was read, with a change.
    async fn write_back(&self, choice: &mut Choice, what: &str) {
        let (ty, id) = (choice.of(&TYPES), choice.below(5).to_string());
        if ty == "Binary" {
            return;
        }
        let what = format!("{what}, writing back {ty}/{id}");
        let read = async |host: &Host, cx: &Context| {
            let conditions = ReadConditions::default();
            Ok(host.service.read(cx, ty, &id, &conditions).await?.body)
        };
        let Ok(Some(shown)) = self.same(&what, read).await else {
            return;
        };
        let mut shown: Value = serde_json::from_slice(&shown).unwrap();
        shown["language"] = choice.of(&["de", "fr"]).into();
        let put = async |host: &Host, cx: &Context| {
            let (body, options) = (shown.to_string().into(), plain());
            let which = Which::Id(&id);
            let done = host.service.update(cx, ty, which, body, &options).await?;
            Ok((done.version, done.body))
        };
        drop(self.same(&what, put).await);
    }

    /// The newest observations of somebody.
    async fn newest(&self, choice: &mut Choice, what: &str) {
        let who = format!("Patient/{}", choice.below(5));
        let ask = async |host: &Host, cx: &Context| {
            let call = Invocation {
                name: "lastn",
                ty: "Observation",
                id: "",
                posted: false,
                query: vec![("subject".to_owned(), who.clone())],
                body: bytes::Bytes::new(),
            };
            Ok(unlinked(host.service.operate(cx, call).await?.body))
        };
        drop(self.same(&format!("{what}, $lastn of {who}"), ask).await);
    }

    /// Deletes what a condition finds.
    async fn delete(&self, choice: &mut Choice, what: &str) {
        let ty = choice.of(&TYPES);
        let condition = [questions::clause(choice, ty, 2)];
        let mut text = form_urlencoded::Serializer::new(String::new());
        let text = text.extend_pairs(&condition).finish();
        let delete = async |host: &Host, cx: &Context| {
            let which = Which::Matching(&text);
            let done = host.service.delete(cx, ty, which, &plain()).await?;
            Ok((done.status, done.version))
        };
        drop(
            self.same(&format!("{what}, delete {ty}?{text}"), delete)
                .await,
        );
    }

    /// Reads every record, and compares it with what the rules leave of it.
    async fn is_as_said(&self, seed: u64, rules: &[Said], shown: &mut [usize; 3]) {
        let [(host, cx), _] = self.both();
        let all_seeing = self.all_seeing();
        let conditions = ReadConditions::default();
        for ty in TYPES.into_iter().filter(|ty| *ty != "Binary") {
            for id in ["0", "1", "2", "3", "4"] {
                let read = async |cx: &Context| {
                    let read = host.service.read(cx, ty, id, &conditions).await.ok()?;
                    serde_json::from_slice::<Value>(&read.body?).ok()
                };
                let have = read(&cx).await;
                let Some(mut want) = read(&all_seeing).await else {
                    continue;
                };
                let about = format!("seed {seed}: {ty}/{id} under {}", self.policy);
                let Some(hidden) = hidden(rules, ty, id) else {
                    assert_eq!(have, None, "{about}");
                    shown[0] += 1;
                    continue;
                };
                shown[1 + usize::from(!hidden.is_empty())] += 1;
                let mut have = have.expect(&about);
                let members = hidden.iter().flat_map(|(_, _, members)| *members);
                let text: &[&str] = if hidden.is_empty() { &[] } else { &["text"] };
                for member in members.chain(text) {
                    want.as_object_mut().unwrap().remove(*member);
                }
                // The tag tells that it is a part. What contained ones show has tests of its
                // own; where something of them is hidden there is no narrative, either.
                let others = match want.get("contained") {
                    Some(_) => &["meta", "contained", "text"][..],
                    None => &["meta"],
                };
                for member in others {
                    for resource in [&mut want, &mut have] {
                        resource.as_object_mut().unwrap().remove(*member);
                    }
                }
                assert_eq!(have, want, "{about}");
            }
        }
    }
}

fn plain() -> WriteOptions {
    WriteOptions {
        condition: WriteCondition::None,
        idempotency_key: None,
    }
}

/// A bundle without its links, which are sealed with what chance gives.
fn unlinked(body: Option<bytes::Bytes>) -> Value {
    let mut bundle: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    bundle.as_object_mut().unwrap().remove("link");
    bundle
}

async fn one(seed: u64, hosts: [&Host; 2], tally: &mut Tally, shown: &mut [usize; 3]) {
    let choice = &mut Choice(seed);
    let scope = Scope(u32::try_from(seed + 100).unwrap());
    let (worlds, rules) = Worlds::alike(choice, hosts, scope).await;
    worlds.is_as_said(seed, &rules, shown).await;
    for _ in 0..QUESTIONS {
        let url = questions::search(choice);
        worlds.ask(seed, &url, tally).await;
    }
    for _ in 0..3 {
        let (ty, id) = (choice.of(&TYPES), choice.below(6).to_string());
        worlds.read(seed, ty, &id).await;
        worlds.everything(choice, seed, tally).await;
        let what = format!("seed {seed}");
        worlds.histories(&what, choice.of(&TYPES)).await;
        worlds.newest(choice, &what).await;
        worlds.probe(choice, &what).await;
        worlds.write_back(choice, &what).await;
    }
    worlds.delete(choice, &format!("seed {seed}")).await;
    worlds.refer(choice, seed).await;
    let created = worlds.create(choice, seed).await;
    worlds.patch(choice, seed, created).await;
}

#[test]
fn what_is_hidden_of_records_changes_no_answer() {
    let (seeds, runtime) = (seeds_or(24), runtime());
    let many = seeds.clone().count();
    let (mut tally, mut shown) = (Tally::default(), [0; 3]);
    for seed in seeds {
        runtime.block_on(async {
            let (whole, rest) = (
                Host::over(Arc::new(Memory::new())).await,
                Host::over(Arc::new(Memory::new())).await,
            );
            one(seed, [&whole, &rest], &mut tally, &mut shown).await;
        });
    }
    // Enough is found, enough is refused, and something is hidden.
    let asked = many * QUESTIONS;
    let enough = tally
        .found
        .min(tally.none)
        .min(tally.refused)
        .min(tally.narrowed)
        * 8
        > asked;
    let enough = enough && shown.iter().all(|some| *some * 4 > many);
    assert!(many < 20 || enough, "{tally:?} {shown:?}");
}
