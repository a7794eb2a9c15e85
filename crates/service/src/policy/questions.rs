//! Questions about policies: who may do what with which record, and by which
//! rule; under the policies that there are, or under others before they count.
//!
//! Nothing is done and nothing of a record is shown but its id. What is answered is what
//! `authorize` and the filter of its grant say, as for a request of that one.

mod difference;
mod operation;
mod why;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use salus_auth::policy::{Deed, Mask, Operations, Statement};
use salus_auth::record::{
    Client, Email, Membership, Policy, Profile, Saved, SystemRecord, User, Walk,
};
use salus_auth::{Action, PurposeOfUse, Subject, Target};
use salus_fhir::issue::Issue;
use salus_fhir::mask::{Path, Paths};
use salus_store::{Filter, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

use super::purposes::stating;
use super::relations::Patients;
use super::{compile, refuse};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::check_id;
use crate::fhir::types::ResourceType;
use crate::records::read;
use crate::sessions::membership;
use why::Facts;

/// Questions of a request at most: all types and actions for a few roles.
const QUESTIONS_MAX: usize = 10_000;
/// Ids that a question lists at most of what is gained, and of what is lost.
const IDS_MAX: usize = 1_000;

/// What is asked, with policies in the place of those that there are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// By name; `null` is none of that name.
    #[serde(default)]
    policies: BTreeMap<String, Option<Value>>,
    questions: Vec<Question>,
}

/// Whether somebody may do something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(rename = "as")]
    who: Asker,
    action: String,
    /// Records of a type,
    #[serde(rename = "type")]
    ty: Option<String>,
    /// or the record of this type and id.
    resource: Option<String>,
    /// What a write would make of it, or create.
    content: Option<Value>,
    /// Also how many records are gained and lost by the other policies,
    #[serde(default)]
    compare: bool,
    /// and the ids of so many of each.
    #[serde(default)]
    ids: usize,
    /// For who compares the answer.
    #[serde(default, rename = "expect")]
    _expect: Value,
}

/// Who does it: a user, a client, or a user as there might be.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asker {
    user: Option<String>,
    client: Option<String>,
    roles: Vec<String>,
    groups: Vec<String>,
    profiles: Vec<String>,
    /// What they act for, if it is not what they do by themselves.
    purpose: Option<String>,
}

/// Somebody under some policies.
struct Judged {
    subject: Arc<Subject>,
    statements: Vec<Statement>,
    operations: Operations,
    policies: Arc<[Saved<Policy>]>,
    patients: Patients,
}

/// What a question is about: records of a type, or the one with this id.
#[derive(Clone, Copy)]
struct About<'q> {
    ty: ResourceType,
    id: Option<&'q str>,
    deed: Deed,
}

/// The policies that are asked about, and those that there are.
struct Sets {
    asked: Arc<[Saved<Policy>]>,
    now: Arc<[Saved<Policy>]>,
}

impl Service {
    /// Answers questions about policies.
    pub async fn ask_policies(&self, cx: &Context, body: &[u8]) -> Result<Value, Error> {
        let (what, action) = (What::AdminRead, Action::ReadSettings);
        let grant = self.allow(cx, what, action).await?;
        let work = async {
            let body: Body = serde_json::from_slice(body).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                Error::invalid(format!(
                    "the questions cannot be read at line {line}, column {column}; each has as, \
                     action, and type or resource"
                ))
            })?;
            if body.questions.len() > QUESTIONS_MAX {
                return Err(Error::invalid("there are 10000 questions at most"));
            }
            let sets = self.sets(cx, body.policies).await?;
            let answers = self.answers(cx, &sets, &body.questions).await?;
            self.noted(cx, &grant, what).await?;
            Ok(json!({"answers": answers}))
        };
        self.attempt(cx, &grant, what, "Policy", work).await
    }

    async fn sets(
        &self,
        cx: &Context,
        others: BTreeMap<String, Option<Value>>,
    ) -> Result<Sets, Error> {
        let now = self.policies.of(&*self.store, cx.scope).await?;
        let replaced = |one: &&Saved<Policy>| !others.contains_key(&*one.id);
        let mut asked: Vec<_> = now.iter().filter(replaced).cloned().collect();
        for (name, policy) in &others {
            if !Policy::is_name(name) {
                return Err(Error::invalid(
                    "policies has a name that no policy may have",
                ));
            }
            let Some(policy) = policy else { continue };
            let policy = Policy::parse(policy.to_string().as_bytes()).map_err(refuse)?;
            let faults = compile::faults(&self.operator_context(cx.scope), &policy);
            if !faults.is_empty() {
                return Err(refuse(faults));
            }
            asked.push(Saved::new(name.as_str(), policy));
        }
        Ok(Sets {
            asked: asked.into(),
            now,
        })
    }

    fn answers<'a>(
        &'a self,
        cx: &'a Context,
        sets: &'a Sets,
        questions: &'a [Question],
    ) -> BoxFuture<'a, Result<Vec<Value>, Error>> {
        Box::pin(async move {
            let snapshot = self.whole_snapshot(cx).await?;
            let mut answers = Vec::with_capacity(questions.len());
            // One who asks often is compiled once.
            let mut last: Option<(&Asker, Judged, Option<Judged>)> = None;
            for (at, question) in questions.iter().enumerate() {
                let fault = |message: &str| Error::invalid(format!("questions[{at}] {message}"));
                let is_same = |known: &(&Asker, Judged, Option<Judged>)| {
                    *known.0 == question.who && (known.2.is_some() || !question.compare)
                };
                if !last.as_ref().is_some_and(is_same) {
                    let subject = self.asker(cx, &*snapshot, &question.who).await?;
                    let (subject, client) =
                        subject.ok_or_else(|| fault("is about nobody that there is"))?;
                    let subject = self
                        .asking_for(subject, client.as_ref(), &question.who)
                        .map_err(fault)?;
                    let asked = self.judged(cx, &sets.asked, &subject).await?;
                    let now = match question.compare {
                        true => Some(self.judged(cx, &sets.now, &subject).await?),
                        false => None,
                    };
                    last = Some((&question.who, asked, now));
                }
                let Some((_, asked, now)) = &last else {
                    continue;
                };
                let now = now.as_ref().filter(|_| question.compare);
                if let Some(name) = question.action.strip_prefix('$') {
                    answers.push(operation::answer(cx, asked, name, question).map_err(fault)?);
                    continue;
                }
                let about = question.about().map_err(fault)?;
                let answer = self.answer_to(cx, (&*snapshot, asked, now), (question, about));
                let place = |issue: &mut Issue| {
                    issue.details = format!("questions[{at}]: {}", issue.details).into();
                };
                answers.push(answer.await.map_err(|error| error.told(place))?);
            }
            Ok(answers)
        })
    }

    /// Somebody before any policy; `None` if there is no such user or client.
    async fn asker(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        who: &Asker,
    ) -> Result<Option<(Subject, Option<Client>)>, Error> {
        let (user, client) = (who.user.as_deref(), who.client.as_deref());
        if let Some(id) = user.or(client)
            && check_id(id).is_err()
        {
            return Ok(None);
        }
        if let Some(id) = user {
            let record = snapshot.get(User::KIND, id).await?;
            let Some(user) = read::<User>(record.as_ref())? else {
                return Ok(None);
            };
            let membership = membership(snapshot, Walk::of(&user.value)).await?;
            let subject = Subject::user(cx.scope, id, &user.value, &membership);
            return Ok(Some((subject, None)));
        }
        if let Some(id) = client {
            let record = snapshot.get(Client::KIND, id).await?;
            let client = read::<Client>(record.as_ref())?;
            let of = |Saved { value, .. }: Saved<Client>| {
                let subject = Subject::client(cx.scope, id, &value, &value.scopes);
                (subject, Some(value))
            };
            return Ok(client.map(of));
        }
        let profiles: Result<Vec<Profile>, _> = who
            .profiles
            .iter()
            .map(|text| Profile::parse(text))
            .collect();
        let (Ok(profiles), Ok(email)) = (profiles, Email::parse("somebody@localhost")) else {
            return Ok(None);
        };
        let user = User {
            profiles,
            ..User::new(email, cx.now_ms)
        };
        let (mut roles, mut groups) = (who.roles.clone(), who.groups.clone());
        roles.sort();
        groups.sort();
        let membership = Membership {
            groups: groups.into_iter().map(Into::into).collect(),
            roles,
            ..Membership::default()
        };
        let subject = Subject::user(cx.scope, "somebody", &user, &membership);
        Ok(Some((subject, None)))
    }

    /// Somebody who acts for what is asked about, or what they act for by themselves.
    fn asking_for(
        &self,
        subject: Subject,
        client: Option<&Client>,
        who: &Asker,
    ) -> Result<Subject, &'static str> {
        let purposes = self.purposes(&subject, client);
        let stated = match who.purpose.as_deref().map(PurposeOfUse::parse) {
            Some(None) => return Err("has a purpose that is no code of v3-PurposeOfUse"),
            Some(Some(stated)) if !purposes.allow(stated) => {
                return Err("has a purpose that they may not state");
            }
            stated => stated.flatten(),
        };
        Ok(stating(subject, purposes, stated))
    }

    async fn judged(
        &self,
        cx: &Context,
        policies: &Arc<[Saved<Policy>]>,
        subject: &Subject,
    ) -> Result<Judged, Error> {
        let whole = Arc::new(subject.clone());
        let (under, patients) = self.under_these(policies, whole, cx.now_ms).await?;
        let cx = self.operator_context(cx.scope);
        Ok(Judged {
            statements: compile::statements(&cx, policies, subject, &patients),
            operations: compile::operations(policies, subject, &patients),
            subject: under,
            policies: Arc::clone(policies),
            patients,
        })
    }

    async fn answer_to(
        &self,
        cx: &Context,
        (snapshot, asked, now): (&dyn Snapshot, &Judged, Option<&Judged>),
        (question, about): (&Question, About<'_>),
    ) -> Result<Value, Error> {
        let mut answer = match (&question.content, about.id) {
            (Some(content), _) => {
                self.on_content(cx, (snapshot, asked), about, content)
                    .await?
            }
            (None, Some(id)) => self.on_record(cx, (snapshot, asked), about, id).await?,
            (None, None) => access(cx, asked, about),
        };
        if let Some(now) = now {
            let sides = (allowed(cx, now, about), allowed(cx, asked, about));
            let compared = difference::between(snapshot, about.ty, &sides, question.ids).await?;
            difference::tell(&mut answer, &compared);
            difference::tell_elements(&mut answer, about, now, asked);
        }
        Ok(answer)
    }

    async fn on_record(
        &self,
        cx: &Context,
        (snapshot, asked): (&dyn Snapshot, &Judged),
        about: About<'_>,
        id: &str,
    ) -> Result<Value, Error> {
        let (ty, deed) = (about.ty, about.deed);
        let facts = Facts::Stored(snapshot, (ty, id));
        let is_there = self.holds(&facts, &Filter::Everything).await?;
        let is_allowed = self.holds(&facts, &allowed(cx, asked, about)).await?;
        let mut answer = self.judge(cx, asked, about, (&facts, is_allowed)).await?;
        if !is_there {
            answer["rule"] = "there is no such resource".into();
        }
        let masks = asked.subject.masks();
        let hidden = masks.and_then(|masks| masks.on(ty.kind));
        let fixed = masks.and_then(|masks| masks.fixed(ty.kind, deed));
        for (member, mask) in [("hidden", hidden), ("readOnly", fixed)] {
            let paths = self.masked(snapshot, mask, (ty, id)).await?;
            if is_allowed && !paths.is_empty() {
                answer[member] = texts(&paths);
            }
        }
        Ok(answer)
    }

    /// The answer about one record: whether it is allowed, by which rule, and
    /// what each rule says to it.
    async fn judge(
        &self,
        cx: &Context,
        asked: &Judged,
        about: About<'_>,
        (facts, is_allowed): (&Facts<'_>, bool),
    ) -> Result<Value, Error> {
        let mut answer = access(cx, asked, about);
        let rules = self.why(asked, about, facts).await?;
        let matching = |effect: &str| {
            let mut all = rules.iter();
            let is_it = |one: &&Value| one["effect"] == effect && one["matches"] == true;
            all.find(|one| is_it(one) && one.get("elements").is_none())
                .map(|one| one["rule"].clone())
        };
        let decided = match is_allowed {
            true => matching("allow"),
            false => matching("deny").or_else(|| Some("no rule allows it".into())),
        };
        if answer["allowed"] == true
            && let Some(decided) = decided
        {
            answer["rule"] = decided;
        }
        answer["allowed"] = is_allowed.into();
        answer["rules"] = rules.into();
        Ok(answer)
    }

    async fn masked(
        &self,
        snapshot: &dyn Snapshot,
        mask: Option<&Mask>,
        (ty, id): (ResourceType, &str),
    ) -> Result<Paths, Error> {
        let Some(mask) = mask else {
            return Ok(Paths::default());
        };
        let mut holds = Vec::new();
        for filter in mask.filters() {
            holds.push(self.is_visible(snapshot, filter, ty, id).await?);
        }
        Ok(mask.of(&holds))
    }
}

fn action_of(deed: Deed) -> Action {
    match deed {
        Deed::Read => Action::Read,
        Deed::Search => Action::Search,
        Deed::History => Action::HistoryInstance,
        Deed::Create => Action::Create,
        Deed::Update => Action::Update,
        Deed::Patch => Action::Patch,
        Deed::Delete => Action::Delete,
    }
}

impl Question {
    fn about(&self) -> Result<About<'_>, &'static str> {
        let deed = Deed::named(&self.action);
        let deed = deed.ok_or(
            "needs an action: read, search, history, create, update, patch, delete or an \
                 operation as $export",
        )?;
        if self.ids > IDS_MAX {
            return Err("asks for more than 1000 ids");
        }
        let is_one = |deed| matches!(deed, Deed::Create | Deed::Update | Deed::Patch);
        if self.content.is_some() && !is_one(deed) {
            return Err("has content, which goes with create, update and patch only");
        }
        let own = self.content.as_ref();
        let own = own.and_then(|content| content["resourceType"].as_str());
        let (name, id) = match (&self.ty, &self.resource, own) {
            (Some(ty), None, _) => (&**ty, None),
            (None, Some(resource), _) => match resource.split_once('/') {
                Some((ty, id)) if check_id(id).is_ok() => (ty, Some(id)),
                _ => return Err("has a resource that is no Type/id"),
            },
            (None, None, Some(ty)) => (ty, None),
            _ => return Err("needs a type or a resource"),
        };
        let ty = ResourceType::named(name).ok_or("names no type of resource")?;
        Ok(About { ty, id, deed })
    }
}

/// Of a type: nothing, some or all records, and by which rules.
fn access(cx: &Context, asked: &Judged, about: About<'_>) -> Value {
    let target = Target::Type(about.ty.name);
    let action = action_of(about.deed);
    let granted = salus_auth::authorize(&asked.subject, cx.scope, action, target);
    let (records, rule) = match &granted {
        Err(denied) => ("none", denied.rule()),
        Ok(grant) if *grant.filter() == Filter::Nothing => ("none", "no rule allows it"),
        Ok(grant) if *grant.filter() == Filter::Everything => ("all", grant.rule()),
        Ok(grant) => ("some", grant.rule()),
    };
    json!({"allowed": records != "none", "records": records, "rule": rule})
}

fn allowed(cx: &Context, asked: &Judged, about: About<'_>) -> Filter {
    let target = Target::Type(about.ty.name);
    let action = action_of(about.deed);
    let granted = salus_auth::authorize(&asked.subject, cx.scope, action, target);
    granted.map_or(Filter::Nothing, |grant| grant.filter().clone())
}

fn texts(paths: &Paths) -> Value {
    let texts = paths.iter().map(Path::to_string);
    texts.collect::<Vec<_>>().into()
}
