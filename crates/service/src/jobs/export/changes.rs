//! What changed while an export ran, and what was deleted since the last one.

use salus_fhir::json::write;
use salus_store::{At, Content, History, HistoryOf, Record, Snapshot};

use super::Point;
use super::choice::Choice;
use super::walk::Output;
use crate::error::Error;
use crate::jobs::Halt;
use crate::jobs::files::Lines;
use crate::jobs::record::Role;
use crate::jobs::run::Running;

/// Versions that are read at a time.
const PAGE: usize = 500;
/// Deletions in one bundle.
const DELETIONS: usize = 100;

impl Running<'_> {
    /// Adds what was there when the export began and was changed before the
    /// walk came to it, as it was. Where a filter decides, which is asked about
    /// what is there now, it is as it is now.
    pub(super) async fn add_changed(&mut self, output: &mut Output<'_>) -> Result<(), Halt> {
        let kind = output.choice.ty.kind;
        let start = self.point()?.seq;
        let cx = self.context().await?;
        let snapshot = self.service.snapshot_at(&cx, At::Now).await?;
        let changed = snapshot.changed(&[kind]).await?;
        if changed.is_none_or(|seq| seq.0 <= start) {
            return Ok(());
        }
        let mut history = versions(&output.choice, None);
        loop {
            self.active.check()?;
            let page = snapshot.history(&history).await?;
            for hit in &page.hits {
                if hit.record.seq.0 <= start {
                    return Ok(());
                }
                self.add_before(output, &*snapshot, &hit.record).await?;
            }
            if page.next.is_none() {
                return Ok(());
            }
            history.after = page.next;
        }
    }

    /// Adds the version before one that came since the begin, if that was of
    /// the state then and the walk has not met it.
    async fn add_before(
        &mut self,
        output: &mut Output<'_>,
        snapshot: &dyn Snapshot,
        later: &Record,
    ) -> Result<(), Error> {
        if later.version <= 1 {
            return Ok(());
        }
        let (kind, version) = (later.kind, later.version - 1);
        let before = snapshot.version(kind, &later.id, version).await?;
        let point = self.point()?;
        let met = |before: &Record| before.seq.0 > point.seq || point.has_met(before, later);
        let record = match before {
            Some(before) if met(&before) => return Ok(()),
            Some(before) if !output.choice.is_filtered() => Some(before),
            // What is no longer known in its old version is given in its new one.
            Some(_) | None => snapshot.get(kind, &later.id).await?,
        };
        let Some(record) = record.filter(|record| output.choice.admits(record)) else {
            return Ok(());
        };
        let Content::Body(body) = &record.content else {
            return Ok(());
        };
        let found = output.choice.found(snapshot, [&record].into_iter());
        if found.await?.is_none_or(|found| found.contains(&record.seq)) {
            self.add(output, body).await?;
            self.noted(output, &record).await?;
        }
        Ok(())
    }

    /// Writes a file of what was deleted since the time that was asked for, as
    /// transactions that would delete it.
    pub(super) async fn add_deleted(&mut self, choice: &Choice) -> Result<(), Halt> {
        let Some(since_ms) = choice.tells_deleted() else {
            return Ok(());
        };
        let start = self.point()?.seq;
        let cx = self.context().await?;
        let snapshot = self.service.snapshot_at(&cx, At::Now).await?;
        let mut history = versions(choice, Some(since_ms));
        let (mut lines, mut ids) = (None, Vec::new());
        loop {
            self.active.check()?;
            let page = snapshot.history(&history).await?;
            for hit in &page.hits {
                let record = &hit.record;
                if is_gone(&*snapshot, record, start).await? && choice.is_of_member(record) {
                    ids.push(record.id.clone());
                }
                if ids.len() >= DELETIONS {
                    self.add_deletions(&mut lines, choice, &mut ids).await?;
                }
            }
            history.after = page.next;
            if history.after.is_none() {
                break;
            }
        }
        if !ids.is_empty() {
            self.add_deletions(&mut lines, choice, &mut ids).await?;
        }
        if let Some(lines) = lines {
            let file = lines.finish().await?;
            self.job.value.files.push(file);
        }
        Ok(())
    }

    async fn add_deletions(
        &mut self,
        lines: &mut Option<Lines>,
        choice: &Choice,
        ids: &mut Vec<Box<str>>,
    ) -> Result<(), Error> {
        let lines = match lines {
            Some(lines) => lines,
            none => {
                let file = (self.next_number(), "Bundle", Role::Deleted);
                let new = Lines::begin(self.service, self.scope, &self.job, file);
                none.insert(new.await?)
            }
        };
        let bundle = deletions(choice.ty.name, ids);
        ids.clear();
        lines.line(bundle.as_bytes()).await
    }
}

impl Point {
    /// Whether the walk has met a version that a later one replaced.
    fn has_met(&self, before: &Record, later: &Record) -> bool {
        let views = self.views.iter().rev();
        let mut views = views.filter(|view| before.seq.0 < view.before);
        views.next().is_some_and(|view| later.seq.0 > view.seen)
    }
}

fn versions(choice: &Choice, since_ms: Option<i64>) -> History {
    History {
        of: HistoryOf::Kinds(vec![choice.ty.kind]),
        since_ms,
        current_ms: None,
        limit: PAGE,
        after: None,
    }
}

/// Whether this is a deletion that still held at a point.
async fn is_gone(snapshot: &dyn Snapshot, record: &Record, start: u64) -> Result<bool, Error> {
    if record.content != Content::Deleted || record.seq.0 > start {
        return Ok(false);
    }
    let next = snapshot.version(record.kind, &record.id, record.version + 1);
    Ok(next.await?.is_none_or(|next| next.seq.0 > start))
}

/// A transaction that deletes these.
fn deletions(ty: &str, ids: &[Box<str>]) -> String {
    let mut text = r#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_owned();
    for (at, id) in ids.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str(r#"{"request":{"method":"DELETE","url":"#);
        write::string(&mut text, &format!("{ty}/{id}"));
        text.push_str("}}");
    }
    text.push_str("]}");
    text
}
