//! Reading the log along what a search narrows it by: records that entries are about,
//! and a span of time.
//!
//! An entry is kept under the patient of each record concerned, and under records of no
//! patient themselves; one that was asked for in vain, under itself. So what concerns a
//! record is found under itself and under the patients whom it has belonged to.

use std::collections::BTreeSet;

use salus_store::{
    AuditQuery, AuditRecord, Comparison, Filter, History, HistoryOf, Kind, Param, Position,
    SealKey, Seq, Snapshot, Test,
};

use crate::error::Error;
use crate::fhir::types::ResourceType;

/// Entries read from the log at once.
const READ_AT_ONCE: usize = 500;
/// Records along which the log is read at once; for more it is read whole.
const ALONG_MAX: usize = 50;

const PATIENT: Param = Param::named(ResourceType::AUDIT_EVENT, "patient");
const ENTITY: Param = Param::named(ResourceType::AUDIT_EVENT, "entity");
const DATE: Param = Param::named(ResourceType::AUDIT_EVENT, "date");
const PATIENTS: Kind = Kind::named("Patient");

/// What an entry is about.
type About = (Kind, Box<str>);

/// A way through the log.
#[derive(Clone, Debug)]
pub(super) struct Way {
    query: AuditQuery,
    /// Only entries about one of these; `None` is all entries.
    along: Option<Vec<About>>,
}

impl Way {
    /// The way for what satisfies all of these filters.
    pub(super) async fn driven(
        snapshot: &dyn Snapshot,
        filters: &[&Filter],
        ascending: bool,
        at: Option<Position>,
    ) -> Result<Self, Error> {
        let backward = at.is_some_and(Position::is_backward);
        let ascending = ascending != backward;
        let after = match at {
            None | Some(Position::End) => None,
            Some(Position::After(seq)) => Some(seq),
            Some(Position::UpTo(seq)) => before(seq, ascending),
        };
        let mut query = AuditQuery {
            ascending,
            after,
            limit: READ_AT_ONCE,
            ..AuditQuery::default()
        };
        let mut along: Option<Vec<About>> = None;
        for part in filters.iter().flat_map(|filter| parts(filter)) {
            narrow(&mut query, part);
            let Some(found) = about(snapshot, part).await? else {
                continue;
            };
            if along.as_ref().is_none_or(|known| found.len() < known.len()) {
                along = Some(found);
            }
        }
        Ok(Self { query, along })
    }

    /// All entries about these records, the oldest first.
    pub(super) fn along(about: Vec<About>, (from_ms, to_ms): (Option<i64>, Option<i64>)) -> Self {
        Self {
            query: AuditQuery {
                ascending: true,
                limit: READ_AT_ONCE,
                from_ms,
                to_ms,
                ..AuditQuery::default()
            },
            along: Some(about),
        }
    }

    /// The same way, from where it begins.
    pub(super) fn begun_anew(mut self) -> Self {
        self.query.after = None;
        self
    }

    /// Whether the oldest come first.
    pub(super) fn ascending(&self) -> bool {
        self.query.ascending
    }

    /// Since when, if it is narrowed so.
    pub(super) fn begins_ms(&self) -> Option<i64> {
        self.query.from_ms
    }

    /// The entry behind which it goes on.
    pub(super) fn after(&self) -> Option<Seq> {
        self.query.after
    }

    /// The next entries, and whether there may be more.
    pub(super) async fn next(
        &mut self,
        snapshot: &dyn Snapshot,
    ) -> Result<(Vec<AuditRecord>, bool), Error> {
        let (records, more) = match &self.along {
            None => {
                let records = snapshot.audit(&self.query).await?;
                let more = records.len() == self.query.limit;
                (records, more)
            }
            Some(along) => merged(snapshot, &self.query, along).await?,
        };
        if let Some(last) = records.last() {
            self.query.after = Some(last.seq);
        }
        Ok((records, more))
    }
}

/// The next entries along several records, each once.
async fn merged(
    snapshot: &dyn Snapshot,
    query: &AuditQuery,
    along: &[About],
) -> Result<(Vec<AuditRecord>, bool), Error> {
    let mut all: Vec<AuditRecord> = Vec::new();
    // Behind this one some of the records may have more.
    let mut known_to: Option<Seq> = None;
    for about in along {
        let one = AuditQuery {
            about: Some(about.clone()),
            ..query.clone()
        };
        let found = snapshot.audit(&one).await?;
        if found.len() == query.limit {
            let last = found.last().map(|record| record.seq);
            known_to = match query.ascending {
                true => known_to.map_or(last, |known| last.map(|last| known.min(last))),
                false => known_to.max(last),
            };
        }
        all.extend(found);
    }
    all.sort_unstable_by_key(|record| record.seq);
    all.dedup_by_key(|record| record.seq);
    if !query.ascending {
        all.reverse();
    }
    if let Some(end) = known_to {
        all.retain(|record| match query.ascending {
            true => record.seq <= end,
            false => record.seq >= end,
        });
    }
    Ok((all, known_to.is_some()))
}

/// The filters that must all hold.
fn parts(filter: &Filter) -> Vec<&Filter> {
    if let Filter::All(all) = filter {
        return all.iter().flat_map(parts).collect();
    }
    vec![filter]
}

/// Narrows the span of time.
fn narrow(query: &mut AuditQuery, part: &Filter) {
    use Comparison::{After, Before, Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let (Filter::Value(DATE, Test::Date(comparison, from, to))
    | Filter::Updated(comparison, from, to)) = part
    else {
        return;
    };
    if matches!(comparison, Equal | GreaterOrEqual | Greater | After) {
        query.from_ms = query.from_ms.max(Some(*from));
    }
    if matches!(comparison, Equal | LessOrEqual | Less | Before) {
        query.to_ms = Some(query.to_ms.map_or(*to, |old| old.min(*to)));
    }
}

/// What an entry is about that satisfies a filter; `None` if that could be anything.
async fn about(snapshot: &dyn Snapshot, part: &Filter) -> Result<Option<Vec<About>>, Error> {
    let mut any = std::slice::from_ref(part);
    if let Filter::Any(several) = part {
        any = several;
    }
    let mut all: BTreeSet<About> = BTreeSet::new();
    for one in any {
        if let Filter::Value(PATIENT, Test::Reference { id, .. }) = one {
            all.insert((PATIENTS, id.clone()));
        } else if let Filter::Value(PATIENT, Test::References(ids)) = one {
            all.extend(ids.ids().iter().map(|id| (PATIENTS, id.clone())));
        } else if let Filter::Value(ENTITY, Test::Reference { kind, id }) = one
            && let Some(kind) = kind
            && let Some(patients) = belonged_to(snapshot, *kind, id).await?
        {
            all.insert((*kind, id.clone()));
            all.extend(patients);
        } else {
            return Ok(None);
        }
        if all.len() > ALONG_MAX {
            return Ok(None);
        }
    }
    Ok(Some(all.into_iter().collect()))
}

/// The patients whom the versions of a record belong to; `None` if there are too many
/// to know, or of some of them it is no longer known.
async fn belonged_to(
    snapshot: &dyn Snapshot,
    kind: Kind,
    id: &str,
) -> Result<Option<BTreeSet<About>>, Error> {
    if kind == PATIENTS {
        return Ok(Some(BTreeSet::new()));
    }
    let history = History {
        of: HistoryOf::Record(kind, id.into()),
        since_ms: None,
        current_ms: None,
        limit: READ_AT_ONCE,
        after: None,
    };
    let found = snapshot.history(&history).await?;
    let oldest = found.hits.last().map(|hit| hit.record.version);
    if found.next.is_some() || oldest.is_some_and(|version| version > 1) {
        return Ok(None);
    }
    let seals = found.hits.into_iter().map(|hit| hit.record.seal);
    let patients = seals.filter_map(|seal| match seal {
        SealKey::Patient(patient) => Some((PATIENTS, patient)),
        SealKey::Scope => None,
    });
    Ok(Some(patients.collect()))
}

/// The place right before one, when the log is read in this direction.
pub(super) fn before(seq: Seq, ascending: bool) -> Option<Seq> {
    match ascending {
        true => seq.0.checked_sub(1).map(Seq),
        false => seq.0.checked_add(1).map(Seq),
    }
}
