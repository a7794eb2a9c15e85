//! Questions about policies: who may do what with which record, and by which
//! rule; under the policies that there are, or under others before they count.
//!
//! Nothing is done and nothing of a record is shown. What is answered is what
//! `authorize` and the filter of its grant say, as for a request of that one.

use std::collections::BTreeMap;
use std::sync::Arc;

use salus_auth::policy::{Deed, Mask, Statement};
use salus_auth::record::{
    Client, Effect, Email, Membership, Policy, Profile, Saved, SystemRecord, User, Walk,
};
use salus_auth::{Action, Subject, Target};
use salus_fhir::mask::{Path, Paths};
use salus_store::{Filter, Query, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{compile, refuse};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::check_id;
use crate::fhir::types::ResourceType;
use crate::records::read;
use crate::sessions::membership;

/// Questions of a request at most: all types and actions for a few roles.
const QUESTIONS_MAX: usize = 10_000;

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
    /// Also how many records are gained and lost by the other policies.
    #[serde(default)]
    compare: bool,
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
}

/// Somebody under some policies.
struct Judged {
    subject: Arc<Subject>,
    statements: Vec<Statement>,
}

/// The policies that are asked about, and those that there are.
struct Sets {
    asked: Vec<Saved<Policy>>,
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
        Ok(Sets { asked, now })
    }

    async fn answers(
        &self,
        cx: &Context,
        sets: &Sets,
        questions: &[Question],
    ) -> Result<Vec<Value>, Error> {
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
                let subject = subject.ok_or_else(|| fault("is about nobody that there is"))?;
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
            let of = (&*snapshot, asked, now);
            answers.push(self.answer_to(cx, of, question).await?.map_err(fault)?);
        }
        Ok(answers)
    }

    /// Somebody before any policy; `None` if there is no such user or client.
    async fn asker(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        who: &Asker,
    ) -> Result<Option<Subject>, Error> {
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
            return Ok(Some(Subject::user(cx.scope, id, &user.value, &membership)));
        }
        if let Some(id) = client {
            let record = snapshot.get(Client::KIND, id).await?;
            let client = read::<Client>(record.as_ref())?;
            let of = |client: Saved<Client>| {
                Subject::client(cx.scope, id, &client.value, &client.value.scopes)
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
        Ok(Some(Subject::user(
            cx.scope,
            "somebody",
            &user,
            &membership,
        )))
    }

    async fn judged(
        &self,
        cx: &Context,
        policies: &[Saved<Policy>],
        subject: &Subject,
    ) -> Result<Judged, Error> {
        let whole = Arc::new(subject.clone());
        let (under, patients) = self.under_these(policies, whole, cx.now_ms).await?;
        let cx = self.operator_context(cx.scope);
        Ok(Judged {
            statements: compile::statements(&cx, policies, subject, &patients),
            subject: under,
        })
    }

    async fn answer_to(
        &self,
        cx: &Context,
        (snapshot, asked, now): (&dyn Snapshot, &Judged, Option<&Judged>),
        question: &Question,
    ) -> Result<Result<Value, &'static str>, Error> {
        let Some(deed) = Deed::named(&question.action) else {
            return Ok(Err(
                "needs an action: read, search, history, create, update, patch or delete",
            ));
        };
        let (name, id) = match (&question.ty, &question.resource) {
            (Some(ty), None) => (&**ty, None),
            (None, Some(resource)) => match resource.split_once('/') {
                Some((ty, id)) if check_id(id).is_ok() => (ty, Some(id)),
                _ => return Ok(Err("has a resource that is no Type/id")),
            },
            _ => return Ok(Err("needs a type or a resource")),
        };
        let Some(ty) = ResourceType::named(name) else {
            return Ok(Err("names no type of resource"));
        };
        let mut answer = match id {
            None => access(cx, asked, deed, ty),
            Some(id) => {
                self.on_record(cx, (snapshot, asked), deed, (ty, id))
                    .await?
            }
        };
        if let Some(now) = now {
            let (before, after) = (allowed(cx, now, deed, ty), allowed(cx, asked, deed, ty));
            let lost = difference(snapshot, ty, &before, &after).await?;
            let gained = difference(snapshot, ty, &after, &before).await?;
            answer["lost"] = lost.into();
            answer["gained"] = gained.into();
        }
        Ok(Ok(answer))
    }

    async fn on_record(
        &self,
        cx: &Context,
        (snapshot, asked): (&dyn Snapshot, &Judged),
        deed: Deed,
        (ty, id): (ResourceType, &str),
    ) -> Result<Value, Error> {
        let mut answer = access(cx, asked, deed, ty);
        let is_there = self
            .is_visible(snapshot, &Filter::Everything, ty, id)
            .await?;
        let filter = allowed(cx, asked, deed, ty);
        let is_allowed = self.is_visible(snapshot, &filter, ty, id).await?;
        let mut rules = Vec::new();
        let about = |one: &&Statement| one.kind == ty.kind && one.deeds.contains(&deed);
        for statement in asked.statements.iter().filter(about) {
            let matches = self.is_visible(snapshot, &statement.filter, ty, id).await?;
            let effect = match statement.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            };
            rules.push(json!({"rule": &*statement.rule, "effect": effect, "matches": matches}));
        }
        let matching = |effect: &str| {
            let mut all = rules.iter();
            let found = all.find(|one| one["effect"] == effect && one["matches"] == true);
            found.map(|one| one["rule"].clone())
        };
        let decided = match is_allowed {
            true => matching("allow"),
            false if !is_there => Some("there is no such resource".into()),
            false => matching("deny").or_else(|| Some("no rule allows it".into())),
        };
        if answer["allowed"] == true
            && let Some(decided) = decided
        {
            answer["rule"] = decided;
        }
        answer["allowed"] = is_allowed.into();
        answer["rules"] = rules.into();
        let masks = asked.subject.masks();
        let hidden = masks.and_then(|masks| masks.on(ty.kind));
        let fixed = masks.and_then(|masks| masks.fixed(ty.kind, deed));
        for (member, mask) in [("hidden", hidden), ("readOnly", fixed)] {
            let paths = self.masked(snapshot, mask, (ty, id)).await?;
            if is_allowed && !paths.is_empty() {
                let paths = paths.iter().map(Path::to_string);
                answer[member] = paths.collect::<Vec<_>>().into();
            }
        }
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

/// Of a type: nothing, some or all records, and by which rules.
fn access(cx: &Context, asked: &Judged, deed: Deed, ty: ResourceType) -> Value {
    let target = Target::Type(ty.name);
    let granted = salus_auth::authorize(&asked.subject, cx.scope, action_of(deed), target);
    let (records, rule) = match &granted {
        Err(denied) => ("none", denied.rule()),
        Ok(grant) if *grant.filter() == Filter::Nothing => ("none", "no rule allows it"),
        Ok(grant) if *grant.filter() == Filter::Everything => ("all", grant.rule()),
        Ok(grant) => ("some", grant.rule()),
    };
    json!({"allowed": records != "none", "records": records, "rule": rule})
}

fn allowed(cx: &Context, asked: &Judged, deed: Deed, ty: ResourceType) -> Filter {
    let target = Target::Type(ty.name);
    let granted = salus_auth::authorize(&asked.subject, cx.scope, action_of(deed), target);
    granted.map_or(Filter::Nothing, |grant| grant.filter().clone())
}

/// How many records one filter finds and another does not.
async fn difference(
    snapshot: &dyn Snapshot,
    ty: ResourceType,
    one: &Filter,
    other: &Filter,
) -> Result<u64, Error> {
    let is_none = *one == Filter::Nothing || *other == Filter::Everything || one == other;
    if is_none || ty.name == ResourceType::AUDIT_EVENT {
        return Ok(0);
    }
    let mut all = vec![one.clone(), Filter::Not(other.clone().into())];
    all.retain(|filter| *filter != Filter::Everything);
    if *other == Filter::Nothing {
        all.truncate(usize::from(*one != Filter::Everything));
    }
    let query = Query {
        kind: ty.kind,
        filter: match all.is_empty() {
            true => Filter::Everything,
            false => Filter::All(all),
        },
        sort: Vec::new(),
        limit: 0,
        after: None,
        rows: Vec::new(),
    };
    Ok(snapshot.count(&query).await?)
}
