//! FHIR transaction: all entries or none, in one commit.
//! <https://hl7.org/fhir/R4/http.html#trules>
//!
//! Every entry is decided on one snapshot, whatever its place (`plan`); the
//! commit takes effect only if no other came in between for the records
//! concerned, and is decided anew otherwise. References to the `fullUrl` of
//! another entry, and conditional references, are rewritten to what was stored
//! (`links`). A resource is validated once, as it will be stored.

mod links;
mod plan;

use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::Issue;
use salus_fhir::validate;
use salus_store::Record;

use super::batch::{ANSWER_BYTES, write_answer};
use super::bundle::{self, Asks, BundleOptions, Request, Returns};
use super::check_writable;
use super::delete::deleted;
use super::operations;
use super::patch::may_read;
use super::receipt::Named;
use super::reply::{Place, Reply, Status};
use super::settle::Decision;
use super::writer::BundleWriter;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use plan::{Decided, Plan};

/// How many entries are prepared before other requests get their turn.
const ENTRIES_A_TURN: usize = 32;

/// What was prepared for the entries: the writes, and an answer for each but `GET`.
type Prepared = (Vec<Write>, Vec<Option<Reply>>);

impl Service {
    /// Carries out all entries or none.
    pub(super) async fn transaction(
        &self,
        cx: &Context,
        grant: &Grant,
        requests: &[Request<'_>],
        named: Option<&Named>,
        options: &BundleOptions,
    ) -> Result<Reply, Error> {
        requests.iter().try_for_each(check_operation)?;
        let grants = self.grants(cx, requests).await?;
        let grant = grants.iter().flatten().next().unwrap_or(grant);
        let returns = match options.returns {
            Returns::Representation if !may_see_all(cx, requests) => Returns::Minimal,
            Returns::Minimal | Returns::Representation | Returns::OperationOutcome => {
                options.returns
            }
        };
        let shown = returns == Returns::Representation;
        let decide = || async {
            let snapshot = self.snapshot(cx).await?;
            let decided = self.decide(cx, &*snapshot, requests, &grants).await?;
            drop(snapshot);
            let (writes, answer) = self.write_all(cx, &decided, &grants, shown).await?;
            let mut entry = Entry::new(cx, What::Transaction, Outcome::Success, grant.rule());
            entry.shows(&decided.found);
            Ok(Decision::Commit {
                entry,
                preconditions: decided.preconditions,
                writes,
                answer,
            })
        };
        let whole = (What::Transaction, grant);
        let answers = self.settle(cx, whole, named, shown, decide).await?;
        self.answer(cx, requests, answers, (returns, options)).await
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
                Asks::Get { .. } | Asks::Operate { .. } => {
                    grants.push(None);
                    continue;
                }
                Asks::Create { ty, .. } => (What::Create, Action::Create, ty, ""),
                Asks::Update { ty, which, .. } => (What::Update, Action::Update, ty, which.id()),
                Asks::Patch { ty, which, .. } => (What::Patch, Action::Patch, ty, which.id()),
                Asks::Delete { ty, which, .. } => (What::Delete, Action::Delete, ty, which.id()),
            };
            check_writable(ty)?;
            let target = Target::Type(ty.name);
            let grant = self.authorize_on(cx, what, action, target, id).await?;
            grants.push(Some(grant));
        }
        Ok(grants)
    }

    /// Prepares every version, and the answer for each entry; or names the
    /// faults of all of them.
    async fn write_all(
        &self,
        cx: &Context,
        decided: &Decided<'_>,
        grants: &[Option<Grant>],
        shown: bool,
    ) -> Result<Prepared, Error> {
        let issues_max = validate::Limits::default().issues_max;
        let mut writes = Vec::with_capacity(decided.plans.len());
        let mut answers = Vec::with_capacity(decided.plans.len());
        let mut faults = Vec::new();
        for (index, (plan, grant)) in decided.plans.iter().zip(grants).enumerate() {
            if index % ENTRIES_A_TURN == ENTRIES_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
            let Some(grant) = grant else {
                answers.push(None);
                continue;
            };
            match self.write(cx, grant, plan, decided) {
                Ok((made, mut reply)) => {
                    writes.extend(made);
                    // It would be held until all are written.
                    reply.body = reply.body.filter(|_| shown);
                    answers.push(Some(reply));
                }
                Err(error) if error.kind() == Kind::Unprocessable => {
                    let issues = error.issues().iter().cloned();
                    faults.extend(issues.map(|issue| in_entry(index, issue)));
                }
                Err(error) => return Err(error),
            }
            if faults.len() >= issues_max {
                break;
            }
        }
        if faults.is_empty() {
            return Ok((writes, answers));
        }
        faults.truncate(issues_max);
        Err(Error::with_issues(Kind::Unprocessable, faults))
    }

    /// What to write for one entry, if anything, and what to answer.
    fn write(
        &self,
        cx: &Context,
        grant: &Grant,
        plan: &Plan<'_>,
        decided: &Decided<'_>,
    ) -> Result<(Vec<Write>, Reply), Error> {
        Ok(match plan {
            Plan::Store(planned) => {
                let stored = self.linked(cx, planned, &decided.links)?;
                let reply = stored.reply(cx, planned.status);
                let write = Write::store(grant, stored).over_hidden(planned.is_hidden);
                (vec![write], reply)
            }
            Plan::Delete { ty, found } => {
                let delete = |record: &Record| {
                    let version = record.version + 1;
                    Write::delete(grant, *ty, &record.id, version, record.seal.clone())
                };
                (found.iter().map(delete).collect(), deleted(found))
            }
            Plan::Existing { ty, record } => {
                let place = Place {
                    ty: *ty,
                    id: record.id.clone(),
                };
                let reply = Reply {
                    place: Some(place),
                    ..super::read::shown(record.clone())
                };
                (Vec::new(), reply)
            }
            Plan::Get => (Vec::new(), Reply::with(Status::NoContent)),
        })
    }

    async fn answer(
        &self,
        cx: &Context,
        requests: &[Request<'_>],
        answers: Vec<Option<Reply>>,
        (returns, options): (Returns, &BundleOptions),
    ) -> Result<Reply, Error> {
        let mut bundle = BundleWriter::new("transaction-response", requests.len() * ANSWER_BYTES);
        for (request, answer) in requests.iter().zip(answers) {
            match answer {
                Some(reply) => write_answer(&mut bundle, Ok(reply), returns),
                None => {
                    let reply = match &request.asks {
                        // Not as one that may change something.
                        Asks::Operate { resource } => {
                            let given = (false, *resource);
                            Box::pin(self.entry_operate(cx, request.url, given)).await
                        }
                        Asks::Get { known, .. } => {
                            Box::pin(self.entry_get(cx, request.url, known, options)).await
                        }
                        // They have their answer from the commit.
                        Asks::Create { .. }
                        | Asks::Update { .. }
                        | Asks::Patch { .. }
                        | Asks::Delete { .. } => Ok(Reply::with(Status::NoContent)),
                    };
                    write_answer(&mut bundle, reply, request.shown(returns));
                }
            }
        }
        Ok(Reply {
            body: Some(bundle.finish()),
            ..Reply::with(Status::Ok)
        })
    }
}

/// Whether the caller may be shown what patches leave.
fn may_see_all(cx: &Context, requests: &[Request<'_>]) -> bool {
    requests.iter().all(|request| match request.asks {
        Asks::Patch { ty, .. } => may_read(cx, ty),
        Asks::Get { .. }
        | Asks::Operate { .. }
        | Asks::Create { .. }
        | Asks::Update { .. }
        | Asks::Delete { .. } => true,
    })
}

/// Operations are carried out behind the commit, so that what they changed
/// would not be all or nothing with the rest.
fn check_operation(request: &Request<'_>) -> Result<(), Error> {
    let Asks::Operate { .. } = request.asks else {
        return Ok(());
    };
    let name = bundle::operation(request.url).unwrap_or_default();
    if !operations::only_writes(name) {
        return Ok(());
    }
    let index = request.index;
    Err(Error::invalid(format!(
        "Bundle.entry[{index}]: an operation that changes something cannot be part of a \
         transaction; send it by itself or in a batch"
    )))
}

/// A fault of an entry's resource, with its place in the bundle.
fn in_entry(index: usize, mut issue: Issue) -> Issue {
    let below = issue.expression.split_once('.').map(|(_, below)| below);
    issue.expression = match below {
        Some(below) => format!("Bundle.entry[{index}].resource.{below}"),
        None => format!("Bundle.entry[{index}].resource"),
    };
    issue
}
