//! FHIR transaction: all entries or none, in one commit.
//! <https://hl7.org/fhir/R4/http.html#trules>
//!
//! Every entry is decided on one snapshot, whatever its place; the commit
//! takes effect only if no other came in between for the records concerned,
//! and is decided anew otherwise. References to the `fullUrl` of another entry,
//! and conditional references, are rewritten to what was stored.

use std::collections::{HashMap, HashSet};

use salus_auth::{Action, Grant, Target};
use salus_fhir::json::{Document, Node};
use salus_fhir::splice::{self, Splices};
use salus_fhir::validate::{self, Valid};
use salus_store::{Content, Kind as RecordKind, Precondition, Put, Record, SealKey, Snapshot};

use super::batch::write_answer;
use super::bundle::{Asks, BundleOptions, Request};
use super::reply::{Reply, Status};
use super::stored::Stored;
use super::types::ResourceType;
use super::update::check_condition;
use super::writer::BundleWriter;
use super::{ATTEMPTS_MAX, Handling, check_writable, search};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

/// How many entries are prepared before other requests get their turn.
const ENTRIES_A_TURN: usize = 32;

/// Remembers which named requests were carried out.
const RECEIPT: RecordKind = RecordKind::named("salus:Receipt");

/// What a transaction does for one entry.
enum Plan<'a> {
    /// Stores a version.
    Store {
        ty: ResourceType,
        id: Box<str>,
        version: u64,
        exists: bool,
        resource: Node<'a>,
    },
    /// Deletes what is there.
    Delete { ty: ResourceType, current: Record },
    /// Deletes nothing, because nothing is there.
    NothingToDelete { ty: ResourceType, id: &'a str },
    /// Leaves alone what a condition found.
    Existing { ty: ResourceType, record: Record },
    /// Answers a `GET`, after the commit.
    Get,
}

/// A transaction's entries, decided on one snapshot.
struct Decided<'a> {
    plans: Vec<Plan<'a>>,
    preconditions: Vec<Precondition>,
    /// What each `fullUrl` and each conditional reference becomes.
    links: HashMap<String, String>,
}

impl Service {
    /// Carries out all entries or none.
    pub(super) async fn transaction(
        &self,
        cx: &Context,
        _valid: &Valid<'_>,
        requests: &[Request<'_>],
        options: &BundleOptions,
    ) -> Result<Reply, Error> {
        let grants = self.grants(cx, requests).await?;
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.snapshot(cx).await?;
            if self.carried_out(&*snapshot, options).await? {
                return Ok(already());
            }
            let decided = self.decide(cx, &*snapshot, requests, &grants).await?;
            drop(snapshot);
            let (mut writes, answers) = self.write_all(cx, &decided, &grants).await?;
            if let (Some(key), Some(grant)) =
                (&options.idempotency_key, grants.iter().flatten().next())
            {
                writes.push(receipt(grant, key));
            }
            let rule = grants.iter().flatten().next().map_or("none", Grant::rule);
            let entry = Entry::new(cx, What::Transaction, Outcome::Success, rule);
            match self.commit(cx, entry, decided.preconditions, writes).await {
                Ok(()) => return self.answer(cx, requests, answers, options).await,
                Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(salus_store::Error::Conflict { precondition: None }.into())
    }

    /// A grant for each entry that changes something; one refusal refuses all.
    async fn grants(
        &self,
        cx: &Context,
        requests: &[Request<'_>],
    ) -> Result<Vec<Option<Grant>>, Error> {
        let mut grants = Vec::with_capacity(requests.len());
        for request in requests {
            let (what, action, ty, id) = match request.asks {
                Asks::Get => {
                    grants.push(None);
                    continue;
                }
                Asks::Create { ty, .. } => (What::Create, Action::Create, ty, ""),
                Asks::Update { ty, id, .. } => (What::Update, Action::Update, ty, id),
                Asks::Delete { ty, id, .. } => (What::Delete, Action::Delete, ty, id),
            };
            check_writable(ty)?;
            let target = Target::Type(ty.name);
            let grant = self.authorize_on(cx, what, action, target, id).await?;
            grants.push(Some(grant));
        }
        Ok(grants)
    }

    /// Decides what each entry does.
    async fn decide<'a>(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        requests: &[Request<'a>],
        grants: &[Option<Grant>],
    ) -> Result<Decided<'a>, Error> {
        let mut decided = Decided {
            plans: Vec::with_capacity(requests.len()),
            preconditions: Vec::new(),
            links: HashMap::new(),
        };
        let mut touched = HashSet::new();
        for (request, grant) in requests.iter().zip(grants) {
            let plan = match grant {
                Some(grant) => {
                    self.plan(cx, snapshot, request, grant, &mut decided.preconditions)
                        .await?
                }
                None => Plan::Get,
            };
            if let Some((ty, id)) = plan.target() {
                if plan.writes() && !touched.insert((ty.name, id.to_owned())) {
                    return Err(Error::invalid(format!(
                        "Bundle.entry[{}]: another entry writes the same resource",
                        request.index
                    )));
                }
                if let Some(full_url) = request.full_url {
                    decided
                        .links
                        .insert(full_url.to_owned(), format!("{}/{id}", ty.name));
                }
            }
            decided.plans.push(plan);
        }
        for (index, plan) in decided.plans.iter().enumerate() {
            if let Plan::Store { resource, .. } = plan {
                let found = conditional_links(*resource, &decided.links);
                for link in found {
                    let target = self.resolve(cx, snapshot, &link, index).await?;
                    decided.links.insert(link, target);
                }
            }
        }
        Ok(decided)
    }

    async fn plan<'a>(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        request: &Request<'a>,
        grant: &Grant,
        preconditions: &mut Vec<Precondition>,
    ) -> Result<Plan<'a>, Error> {
        Ok(match request.asks {
            Asks::Get => Plan::Get,
            Asks::Create {
                ty,
                resource,
                ref if_none_exist,
            } => {
                if let Some(text) = if_none_exist {
                    let query = self.condition(cx, grant, ty, text)?;
                    let mut hits = snapshot.find(&query).await?.hits;
                    if hits.len() > 1 {
                        return Err(several(request.index));
                    }
                    if let Some(hit) = hits.pop() {
                        let record = hit.record;
                        return Ok(Plan::Existing { ty, record });
                    }
                    let condition = Precondition::NoneMatch(query);
                    if preconditions.contains(&condition) {
                        return Err(Error::invalid(format!(
                            "Bundle.entry[{}]: another entry creates under the same condition",
                            request.index
                        )));
                    }
                    preconditions.push(condition);
                }
                let (id, version, exists) = (self.new_id(cx), 1, false);
                Plan::Store {
                    ty,
                    id,
                    version,
                    exists,
                    resource,
                }
            }
            Asks::Update {
                ty,
                id,
                resource,
                condition,
            } => {
                let current = snapshot.get(ty.kind, id).await?;
                check_condition(condition, current.as_ref())?;
                let version = current.as_ref().map_or(1, |record| record.version + 1);
                let exists = current.is_some_and(|record| record.content != Content::Deleted);
                let id = id.into();
                Plan::Store {
                    ty,
                    id,
                    version,
                    exists,
                    resource,
                }
            }
            Asks::Delete { ty, id, condition } => {
                let current = snapshot.get(ty.kind, id).await?;
                check_condition(condition, current.as_ref())?;
                match current.filter(|record| record.content != Content::Deleted) {
                    Some(current) => Plan::Delete { ty, current },
                    None => Plan::NothingToDelete { ty, id },
                }
            }
        })
    }

    /// The one resource that a conditional reference means.
    async fn resolve(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        link: &str,
        index: usize,
    ) -> Result<String, Error> {
        let (name, query) = link.split_once('?').unwrap_or((link, ""));
        let ty = super::resource_type(name)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize(cx, What::Search, Action::Search, target)
            .await?;
        let asked = self.understand(cx, ty, search::pairs(query), Handling::Strict)?;
        let hits = snapshot.find(&asked.query(&grant, 2)).await?.hits;
        match hits.as_slice() {
            [hit] if asked.has_criteria() => Ok(format!("{}/{}", ty.name, hit.record.id)),
            _ => Err(Error::new(
                Kind::Precondition,
                format!(
                    "Bundle.entry[{index}]: a conditional reference must match one resource, and matches {}",
                    if hits.is_empty() { "none" } else { "several" }
                ),
            )),
        }
    }

    /// Prepares every version, and the answer for each entry.
    async fn write_all(
        &self,
        cx: &Context,
        decided: &Decided<'_>,
        grants: &[Option<Grant>],
    ) -> Result<(Vec<Write>, Vec<Option<Reply>>), Error> {
        let mut writes = Vec::with_capacity(decided.plans.len());
        let mut answers = Vec::with_capacity(decided.plans.len());
        for (index, (plan, grant)) in decided.plans.iter().zip(grants).enumerate() {
            if index % ENTRIES_A_TURN == ENTRIES_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
            let answer = match (plan, grant) {
                (
                    Plan::Store {
                        ty,
                        id,
                        version,
                        exists,
                        resource,
                    },
                    Some(grant),
                ) => {
                    let stored = self.linked(cx, *ty, id, *version, *resource, &decided.links)?;
                    let reply = stored_reply(cx, *ty, &stored, *exists);
                    writes.push(Write::store(grant, *ty, stored));
                    Some(reply)
                }
                (Plan::Delete { ty, current }, Some(grant)) => {
                    let version = current.version + 1;
                    let seal = current.seal.clone();
                    writes.push(Write::delete(grant, *ty, &current.id, version, seal));
                    Some(Reply {
                        version: Some(version),
                        ..Reply::with(Status::NoContent)
                    })
                }
                (Plan::Existing { ty, record }, _) => Some(Reply {
                    location: Some(format!(
                        "{}/{}/_history/{}",
                        ty.name, record.id, record.version
                    )),
                    ..super::read::shown(record.clone())
                }),
                (Plan::NothingToDelete { .. }, _) => Some(Reply::with(Status::NoContent)),
                (Plan::Get | Plan::Store { .. } | Plan::Delete { .. }, _) => None,
            };
            answers.push(answer);
        }
        Ok((writes, answers))
    }

    /// A resource with its links rewritten, ready for the store.
    fn linked(
        &self,
        cx: &Context,
        ty: ResourceType,
        id: &str,
        version: u64,
        resource: Node<'_>,
        links: &HashMap<String, String>,
    ) -> Result<Stored, Error> {
        let mut splices = Splices::new();
        splice::add_rewrites(resource, |link| links.get(link).cloned(), &mut splices);
        let text = splices.apply(resource);
        let document =
            Document::parse(text.into_bytes(), &self.settings.json).map_err(|error| {
                Error::new(Kind::Internal, "the server failed on a link").caused_by(error)
            })?;
        let valid = validate::resource(document.root())
            .map_err(|issues| Error::with_issues(Kind::Unprocessable, issues))?;
        Stored::of(cx, ty, id, version, &valid)
    }

    /// Has a request of this name been carried out before?
    async fn carried_out(
        &self,
        snapshot: &dyn Snapshot,
        options: &BundleOptions,
    ) -> Result<bool, Error> {
        match &options.idempotency_key {
            Some(key) => Ok(snapshot.get(RECEIPT, &receipt_id(key)).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn answer(
        &self,
        cx: &Context,
        requests: &[Request<'_>],
        answers: Vec<Option<Reply>>,
        options: &BundleOptions,
    ) -> Result<Reply, Error> {
        let mut bundle = BundleWriter::new("transaction-response", requests.len() * 256);
        for (request, answer) in requests.iter().zip(answers) {
            match answer {
                Some(reply) => write_answer(&mut bundle, Ok(reply), options.representation),
                None => {
                    let reply = Box::pin(self.entry_get(cx, request.url, options)).await;
                    write_answer(&mut bundle, reply, true);
                }
            }
        }
        Ok(Reply {
            body: Some(bundle.finish()),
            ..Reply::with(Status::Ok)
        })
    }
}

impl Plan<'_> {
    /// The resource that the entry's `fullUrl` stands for.
    fn target(&self) -> Option<(ResourceType, &str)> {
        match self {
            Self::Store { ty, id, .. } => Some((*ty, id)),
            Self::Existing { ty, record } => Some((*ty, &record.id)),
            Self::Delete { ty, current } => Some((*ty, &current.id)),
            Self::NothingToDelete { ty, id } => Some((*ty, id)),
            Self::Get => None,
        }
    }

    fn writes(&self) -> bool {
        match self {
            Self::Store { .. } | Self::Delete { .. } | Self::NothingToDelete { .. } => true,
            Self::Existing { .. } | Self::Get => false,
        }
    }
}

/// The conditional references of a resource that are not resolved yet.
fn conditional_links(resource: Node<'_>, known: &HashMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    let look = |link: &str| {
        if let Some((name, _)) = link.split_once('?')
            && !known.contains_key(link)
            && ResourceType::named(name).is_some()
        {
            found.push(link.to_owned());
        }
        None
    };
    splice::add_rewrites(resource, look, &mut Splices::new());
    found.sort_unstable();
    found.dedup();
    found
}

fn stored_reply(cx: &Context, ty: ResourceType, stored: &Stored, exists: bool) -> Reply {
    Reply {
        version: Some(stored.version),
        updated_ms: Some(cx.now_ms),
        location: Some(format!(
            "{}/{}/_history/{}",
            ty.name, stored.id, stored.version
        )),
        body: Some(bytes::Bytes::from(stored.text.clone())),
        ..Reply::with(if exists { Status::Ok } else { Status::Created })
    }
}

fn several(index: usize) -> Error {
    Error::new(
        Kind::Precondition,
        format!("Bundle.entry[{index}]: more than one resource matches its condition"),
    )
}

fn receipt(grant: &Grant, key: &str) -> Write {
    let put = Put {
        kind: RECEIPT,
        id: receipt_id(key).into(),
        version: 1,
        content: Content::Body(bytes::Bytes::new()),
        rows: Vec::new(),
        main_date_ms: None,
        seal: SealKey::Scope,
    };
    Write::system(grant, "Receipt", put)
}

fn receipt_id(key: &str) -> String {
    let hash = salus_crypto::sha256(key.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answer to a request that was carried out before.
fn already() -> Reply {
    Reply {
        body: Some(BundleWriter::new("transaction-response", 0).finish()),
        ..Reply::with(Status::Ok)
    }
}
