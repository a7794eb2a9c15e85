//! Which span of the log is the next segment: of one calendar month (UTC) whose entries are all
//! old enough, or of as many as a segment has at most.

use salus_auth::record::{AuditArchive, AuditSegment};
use salus_store::{AuditTree, Scope};

use super::{NAMES, YEARS_MIN};
use crate::Service;
use crate::audit::day::Day;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;

/// Leaves read at once.
pub(super) const LEAVES: u64 = 8192;

impl Service {
    /// The places of the next segment, if it is old enough.
    pub(super) async fn due_span(
        &self,
        archive: &AuditArchive,
    ) -> Result<Option<(u64, u64)>, Error> {
        let first = archive.entries;
        let cutoff_ms = self.cutoff_ms(self.settings.audit.years);
        let most = self.settings.audit.entries_max.max(1);
        let end = span(self.tree(), first, cutoff_ms, most).await?;
        Ok(end.map(|end| (first, end)))
    }

    /// The places of a segment that a run before this one has put there, which the store does
    /// not know of: it is from before.
    pub(super) async fn shelved_span(
        &self,
        archive: &AuditArchive,
    ) -> Result<Option<(u64, u64)>, Error> {
        let (number, first) = (archive.segments, archive.entries);
        let prefix = format!("{NAMES}{number:012}-{first:020}-");
        let names = self.shelf()?.list(&prefix).await.map_err(super::failed)?;
        let end = names.iter().find_map(|name| {
            let end: u64 = name.strip_prefix(&prefix)?.parse().ok()?;
            (end > first).then_some(end)
        });
        let size = self.tree().tree_head().await?.size;
        Ok(end.filter(|end| *end <= size).map(|end| (first, end)))
    }

    /// What is earlier is older than so many years.
    pub(super) fn cutoff_ms(&self, years: u32) -> i64 {
        Day::of(self.now_ms()).years_ago(years.into()).begins_ms()
    }

    /// How many years a scope keeps its entries.
    pub(super) async fn audit_years(&self, cx: &Context) -> Result<u32, Error> {
        let own = self.settings.audit.years;
        if cx.scope == Scope::SYSTEM {
            return Ok(own);
        }
        let setting = self.saved_retention(cx).await?.value;
        let class = setting.of(ResourceType::AUDIT_EVENT);
        Ok(class.map_or(own, |class| class.years.max(own)))
    }

    /// The least that a project may say: what the operator says, and what the rules do.
    pub(crate) fn audit_years_min(&self) -> u32 {
        match self.settings.development {
            true => self.settings.audit.years,
            false => self.settings.audit.years.max(YEARS_MIN),
        }
    }
}

/// The end of the next span.
async fn span(
    tree: &dyn AuditTree,
    first: u64,
    cutoff_ms: i64,
    most: u64,
) -> Result<Option<u64>, Error> {
    let (mut at, mut month_ends_ms) = (first, None);
    loop {
        let limit = LEAVES.min(first.saturating_add(most) - at);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let leaves = tree.tree_leaves(at, limit, &|_| false).await?;
        if leaves.is_empty() {
            return Ok(None);
        }
        for leaf in leaves {
            let ends_ms = *month_ends_ms.get_or_insert_with(|| month_end_ms(leaf.time_ms));
            // What comes behind it, of another month, tells that the month is over.
            if leaf.time_ms >= ends_ms && ends_ms <= cutoff_ms {
                return Ok(Some(at));
            }
            if leaf.time_ms >= cutoff_ms {
                return Ok(None);
            }
            at += 1;
        }
        if at - first == most {
            return Ok(Some(at));
        }
    }
}

/// Where the month of a time ends.
fn month_end_ms(time_ms: i64) -> i64 {
    let day = Day::of(time_ms);
    let month = |day: Day| {
        day.to_string()
            .rsplit_once('-')
            .map(|(month, _)| month.to_owned())
    };
    let mut later = (1..=31).map(|days| day.days_later(days));
    let next = later.find(|later| month(*later) != month(day));
    next.unwrap_or(day).begins_ms()
}

/// The record of a segment, before it has an object.
pub(super) fn record(number: u64, head: &super::segment::Head) -> AuditSegment {
    AuditSegment {
        number,
        places: head.places,
        seqs: head.seqs,
        times_ms: head.times_ms,
        sha256: "".into(),
        bytes: 0,
        made_ms: head.made_ms,
        left: head.places.1 - head.places.0,
        held: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let day = |text| Day::parse(text).unwrap().begins_ms();
        assert_eq!(month_end_ms(day("2026-01-31") + 5), day("2026-02-01"));
        assert_eq!(month_end_ms(day("2028-02-01")), day("2028-03-01"));
        assert_eq!(month_end_ms(day("2026-12-05")), day("2027-01-01"));
    }
}
