//! `$purge-history`: the content of superseded versions goes for good.
//!
//! No standard defines it. What is kept of a version is that it was there; see
//! `docs/adr/0026-purged-versions.md`. A call goes on in steps, each one commit
//! with the audit entry that names its versions, and for a bounded time: what
//! remains then is left to the next call.

use std::collections::HashSet;

use salus_auth::Action;
use salus_auth::policy::{Deed, visible};
use salus_store::{Filter, Query, Seq, Snapshot, Superseded, SupersededVersion};

use super::parameters::{Writer, invalid};
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::read::absent;
use crate::fhir::reply::Reply;
use crate::fhir::search::instant_ms;
use crate::fhir::types::ResourceType;

/// Versions looked at in a step.
const STEP: usize = 500;
/// After this many a call ends,
const PURGED_MAX: usize = 50_000;
/// or after this time.
const TIME_MAX_MS: i64 = 10_000;
/// Of what remains so much is counted.
const REMAINING_MAX: usize = 100_000;

pub(super) static PURGE_HISTORY: Operation = Operation {
    name: "purge-history",
    definition: "urn:salus:operation:purge-history",
    types: &[],
    level: &[Level::System, Level::Type, Level::Instance],
    affects_state: true,
    parameters: &[
        Parameter::given(
            "keep",
            "positiveInt",
            "How many of the newest versions of each resource stay; 1 if it is left out",
        ),
        Parameter::given("before", "instant", "Only versions written before this"),
        Parameter::given("dryRun", "boolean", "Only count them"),
        Parameter {
            name: "purged",
            ..Parameter::returned("integer", "How many versions were purged")
        },
        Parameter {
            name: "remaining",
            ..Parameter::returned("integer", "How many there are to be purged yet")
        },
        Parameter {
            name: "complete",
            ..Parameter::returned(
                "boolean",
                "Whether all were looked at; if not, more may remain than were counted",
            )
        },
        Parameter {
            name: "held",
            ..Parameter::returned("integer", "How many are under legal hold, and stay")
        },
    ],
    searches: false,
    action: Action::PurgeHistory,
    code: Code::PurgeHistory,
};

/// What is to be purged.
struct Wanted {
    keep: u64,
    before_ms: Option<i64>,
    dry_run: bool,
    /// As the audit shows it.
    query: String,
}

/// How far a call is.
struct Progress {
    purged: usize,
    remaining: usize,
    held: usize,
    complete: bool,
    end_ms: i64,
}

impl Service {
    pub(super) async fn purge_history(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
    ) -> Result<Reply, Error> {
        let wanted = Wanted::read(asked)?;
        self.check_purge(cx, asked).await?;
        let mut progress = Progress {
            purged: 0,
            remaining: 0,
            held: 0,
            complete: true,
            end_ms: self.now_ms().saturating_add(TIME_MAX_MS),
        };
        let mut types = asked.ty.map_or_else(ResourceType::all, |ty| vec![ty]);
        let filter = |ty: &ResourceType| visible(asked.grant.subject(), Deed::Delete, ty.kind);
        types.retain(|ty| filter(ty).is_none_or(|filter| *filter != Filter::Nothing));
        for ty in types {
            self.purge_type(cx, asked, &wanted, ty, &mut progress)
                .await?;
        }
        if progress.purged > 0 {
            self.fresh_blobs.sweep_soon();
        } else {
            self.record(cx, asked.entry(cx, &wanted.query)).await?;
        }
        let mut answer = Writer::new();
        answer.value("purged", "Integer", &progress.purged.to_string());
        answer.value("remaining", "Integer", &progress.remaining.to_string());
        answer.value("complete", "Boolean", &progress.complete.to_string());
        answer.value("held", "Integer", &progress.held.to_string());
        Ok(reply(answer.finish()))
    }

    /// A resource that is named must be there.
    async fn check_purge(&self, cx: &Context, asked: &Asked<'_>) -> Result<(), Error> {
        if asked.id.is_empty() {
            return Ok(());
        }
        let ty = asked.ty()?;
        let snapshot = self.snapshot(cx).await?;
        self.check_visible(&*snapshot, &asked.grant, ty, asked.id)
            .await?;
        let known = snapshot.head(ty.kind, asked.id).await?;
        known.map(|_| ()).ok_or_else(absent)
    }

    async fn purge_type(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
        wanted: &Wanted,
        ty: ResourceType,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let id = Some(asked.id).filter(|id| !id.is_empty());
        let mut after = Seq(0);
        while progress.remaining < REMAINING_MAX {
            let snapshot = self.snapshot(cx).await?;
            let found = snapshot.superseded(ty.kind, id, after, STEP).await?;
            let Superseded { versions, next } = found;
            let versions: Vec<_> = versions.into_iter().filter(|one| wanted.has(one)).collect();
            let mut versions = may_delete(&*snapshot, asked, ty, versions).await?;
            drop(snapshot);
            let before = versions.len();
            self.retain_free(cx, ty, &mut versions).await?;
            progress.held += before - versions.len();
            let over = progress.purged >= PURGED_MAX || self.now_ms() >= progress.end_ms;
            if versions.is_empty() || wanted.dry_run || over {
                progress.remaining += versions.len();
                tokio::task::yield_now().await;
            } else {
                let entry = asked.entry(cx, &wanted.query);
                let purged = self.purge(cx, &asked.grant, entry, ty, versions).await?;
                progress.purged += purged;
            }
            match next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
        progress.complete = false;
        Ok(())
    }
}

/// Those versions whose records the caller may delete. Who is no administrator does not
/// purge what is deleted already: nothing says whose it was.
async fn may_delete(
    snapshot: &dyn Snapshot,
    asked: &Asked<'_>,
    ty: ResourceType,
    mut versions: Vec<SupersededVersion>,
) -> Result<Vec<SupersededVersion>, Error> {
    let Some(filter) = visible(asked.grant.subject(), Deed::Delete, ty.kind) else {
        return Ok(versions);
    };
    let ids: HashSet<Box<str>> = versions.iter().map(|one| one.id.clone()).collect();
    let query = Query {
        kind: ty.kind,
        limit: ids.len(),
        filter: Filter::All(vec![
            Filter::Ids(ids.into_iter().collect()),
            (*filter).clone(),
        ]),
        sort: Vec::new(),
        after: None,
        rows: Vec::new(),
    };
    let found = match versions.is_empty() {
        true => Vec::new(),
        false => snapshot.find(&query).await?.hits,
    };
    let found: HashSet<Box<str>> = found.into_iter().map(|hit| hit.record.id).collect();
    versions.retain(|one| found.contains(&one.id));
    Ok(versions)
}

impl Wanted {
    fn read(asked: &Asked<'_>) -> Result<Self, Error> {
        let arguments = &asked.arguments;
        let keep = arguments.number("keep", (1, u32::MAX as usize))?;
        let before = arguments.text("before")?;
        let before_ms = match &before {
            Some(text) => Some(instant_ms(text).ok_or_else(|| {
                invalid("before", "it must be an instant, as 2026-05-01T00:00:00Z")
            })?),
            None => None,
        };
        let dry_run = match arguments.text("dryRun")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("dryRun", "it must be true or false")),
        };
        let keep = keep.unwrap_or(1);
        let before = before.map(|before| format!("&before={before}"));
        let dry = if dry_run { "&dryRun=true" } else { "" };
        Ok(Self {
            keep: keep as u64,
            before_ms,
            dry_run,
            query: format!("keep={keep}{}{dry}", before.unwrap_or_default()),
        })
    }

    fn has(&self, one: &SupersededVersion) -> bool {
        one.version.saturating_add(self.keep) <= one.newest
            && self
                .before_ms
                .is_none_or(|before_ms| one.time_ms < before_ms)
    }
}
