//! Deciding and committing a write: anew when another commit comes first, and
//! not at all when a request of this name was carried out before.

use salus_auth::Grant;
use salus_store::{Content, Filter, Precondition, Query, Record, SealKey};

use super::read::absent;
use super::receipt::{Answer, Named};
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;

/// How often a write is decided anew when another commit comes first.
const ATTEMPTS_MAX: usize = 16;

/// What is to be done, decided on the newest state there was.
pub(super) enum Decision<T> {
    /// Nothing: this is the answer, and the audit has it.
    Answer(T),
    /// These writes, with the entry that tells them; this is the answer once
    /// they are committed.
    Commit {
        entry: Entry,
        preconditions: Vec<Precondition>,
        writes: Vec<Write>,
        answer: T,
    },
}

impl Service {
    /// Commits what `decide` decides, and gives its answer; to a request that
    /// was carried out before, the answer that it got, with the resources if
    /// they are `shown`.
    pub(super) async fn settle<T, F>(
        &self,
        cx: &Context,
        (what, grant): (What, &Grant),
        named: Option<&Named>,
        shown: bool,
        decide: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        T: Answer,
        F: Future<Output = Result<Decision<T>, Error>>,
    {
        for attempt in 0..ATTEMPTS_MAX {
            if let Some(named) = named
                && let Some(answer) = self.repeated(cx, (what, grant), named, shown).await?
            {
                return Ok(answer);
            }
            let (entry, mut preconditions, mut writes, mut answer) = match decide().await? {
                Decision::Answer(answer) => return Ok(answer),
                Decision::Commit {
                    entry,
                    preconditions,
                    writes,
                    answer,
                } => (entry, preconditions, writes, answer),
            };
            let kept = self.keep_hidden(cx, &mut writes).await?;
            for reply in answer.replies() {
                let place = reply.place.as_ref().filter(|_| reply.body.is_some());
                let text = place.and_then(|place| kept.get(&(place.ty.kind, place.id.clone())));
                if let Some(text) = text {
                    reply.body = Some(text.clone());
                }
            }
            let placed = self.place_binaries(cx, &mut writes).await?;
            self.check_writes(cx, &writes, &mut preconditions).await?;
            if writes.iter().any(Write::is_over_hidden) {
                return Err(absent());
            }
            if attempt > 0 {
                self.refuse_over_cold(cx, &writes).await?;
            }
            writes.extend(named.map(|named| named.receipt(grant, &answer)));
            let committed = self.commit(cx, entry, preconditions, writes).await;
            drop(placed);
            match committed {
                Ok(()) => return Ok(answer),
                Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(salus_store::Error::Conflict { precondition: None }.into())
    }

    /// The answer to a request that was carried out before.
    async fn repeated<T: Answer>(
        &self,
        cx: &Context,
        (what, grant): (What, &Grant),
        named: &Named,
        shown: bool,
    ) -> Result<Option<T>, Error> {
        let snapshot = self.snapshot(cx).await?;
        let Some(mut answer) = named.answer::<T>(&*snapshot).await? else {
            return Ok(None);
        };
        let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        let mut records = Vec::new();
        for reply in answer.replies() {
            let (Some(place), Some(version)) = (&reply.place, reply.version) else {
                continue;
            };
            let record = match snapshot.version(place.ty.kind, &place.id, version).await {
                // What was done is told, without what nobody has any more.
                Err(salus_store::Error::Purged) => {
                    let entity = Entity {
                        ty: place.ty.name.into(),
                        id: place.id.clone(),
                        version,
                    };
                    entry.concerns(entity, place.ty.kind, &SealKey::Scope);
                    None
                }
                record => record?,
            };
            let Some(record) = record else {
                continue;
            };
            if let Content::Body(body) = &record.content
                && shown
            {
                reply.body = Some(body.clone());
            }
            records.push(record);
        }
        entry.shows(&records);
        self.record(cx, entry).await?;
        Ok(Some(answer))
    }
}

/// What must hold so that these records still are all that match a query.
pub(super) fn only_matches(query: Query, records: &[Record]) -> Vec<Precondition> {
    let as_it_was = |record: &Record| Precondition::VersionIs {
        kind: record.kind,
        id: record.id.clone(),
        version: Some(record.version),
    };
    let mut preconditions: Vec<_> = records.iter().map(as_it_was).collect();
    let ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
    preconditions.push(Precondition::NoneMatch(Query {
        filter: match ids.is_empty() {
            true => query.filter,
            false => Filter::All(vec![query.filter, Filter::Not(Filter::Ids(ids).into())]),
        },
        limit: 1,
        ..query
    }));
    preconditions
}
