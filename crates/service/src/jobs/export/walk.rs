//! The walk over the records of a type, newest version first.
//!
//! A view of the store is not kept for ever: it is renewed after some minutes,
//! and when the export goes on after a stop. What was changed since the begin
//! and before the walk came to it is no longer there to be found; where each
//! view began and what it has seen is kept, and tells which those are.

use std::sync::Arc;

use salus_store::{At, Content, Hit, Seq, Snapshot};

use super::choice::{Choice, Members};
use super::{Noted, TOP, View};
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::jobs::Halt;
use crate::jobs::files::Lines;
use crate::jobs::record::Role;
use crate::jobs::run::Running;

/// Records that are read at a time.
const PAGE: usize = 500;
/// How long one view is kept, in milliseconds.
const VIEW_MS: i64 = 240_000;

/// The file of a type that is being written, if any.
pub(super) struct Output<'n> {
    pub(super) choice: Choice,
    pub(super) lines: Option<Lines>,
    pub(super) noted: &'n mut Noted,
}

impl Output<'_> {
    /// How many records to read, so that the file does not become longer than it may.
    pub(super) fn page(&self, records_max: u64) -> usize {
        let count = self.lines.as_ref().map_or(0, Lines::count);
        let room = usize::try_from(records_max.saturating_sub(count));
        room.unwrap_or(PAGE).clamp(1, PAGE)
    }
}

impl Running<'_> {
    /// Writes the files of one type.
    pub(super) async fn export_type(
        &mut self,
        ty: ResourceType,
        members: Option<Arc<Members>>,
        noted: &mut Noted,
    ) -> Result<(), Halt> {
        let choice = {
            let cx = self.context().await?;
            Choice::of(self.service, &cx, self.asked()?, (ty, members)).await?
        };
        let files = self.job.value.files.len();
        let mut output = Output {
            choice,
            lines: None,
            noted,
        };
        if !self.few(&mut output).await? {
            self.walk(&mut output).await?;
        }
        self.add_changed(&mut output).await?;
        self.finish_file(&mut output).await?;
        self.add_deleted(&output.choice).await?;
        let point = self.point_mut()?;
        if point.lines > 0 {
            point.told.push(format!("{}={}", ty.name, point.lines));
        }
        point.at += 1;
        point.before = TOP;
        point.views.clear();
        point.lines = 0;
        if self.job.value.files.len() > files {
            self.keep().await?;
        }
        Ok(())
    }

    async fn walk(&mut self, output: &mut Output<'_>) -> Result<(), Halt> {
        let kind = output.choice.ty.kind;
        let mut before = self.point()?.before;
        let records_max = self.service.settings.jobs.file_records_max;
        let mut opened_ms = self.service.now_ms();
        let mut snapshot = self.view(before).await?;
        loop {
            self.active.check()?;
            let now_ms = self.service.now_ms();
            if now_ms - opened_ms > VIEW_MS {
                opened_ms = now_ms;
                snapshot = self.view(before).await?;
            }
            let page = output.page(records_max);
            let hits = snapshot.walk(kind, Seq(before), page, &[]).await?;
            let Some(last) = hits.last() else {
                return Ok(());
            };
            before = last.record.seq.0;
            self.add_page(output, &*snapshot, &hits).await?;
            if output.choice.is_behind(&last.record) {
                return Ok(());
            }
            let full = |lines: &Lines| lines.is_full(records_max);
            if output.lines.as_ref().is_some_and(full) {
                self.finish_file(output).await?;
                self.point_mut()?.before = before;
                self.keep().await?;
            }
            self.tell(output)?;
        }
    }

    /// A new view; what is before this point is seen in it.
    pub(super) async fn view(&mut self, before: u64) -> Result<Box<dyn Snapshot>, Error> {
        let cx = self.context().await?;
        let snapshot = self.service.snapshot_at(&cx, At::Now).await?;
        let seen = snapshot.seq().0;
        self.point_mut()?.views.push(View { before, seen });
        Ok(snapshot)
    }

    pub(super) async fn add_page(
        &mut self,
        output: &mut Output<'_>,
        snapshot: &dyn Snapshot,
        hits: &[Hit],
    ) -> Result<(), Error> {
        let start = self.point()?.seq;
        let records = hits.iter().map(|hit| &hit.record);
        // What was written since the begin is not of that state.
        let records = records.filter(|record| record.seq.0 <= start);
        let wanted: Vec<_> = records
            .filter(|record| output.choice.admits(record))
            .collect();
        let found = output.choice.found(snapshot, wanted.iter().copied());
        let found = found.await?;
        for record in wanted {
            let Content::Body(body) = &record.content else {
                continue;
            };
            if found
                .as_ref()
                .is_some_and(|found| !found.contains(&record.seq))
            {
                continue;
            }
            if !output.choice.is_wanted(snapshot, record).await? {
                continue;
            }
            self.add(output, body).await?;
            self.noted(output, record).await?;
        }
        Ok(())
    }

    /// Writes one resource.
    pub(super) async fn add(&mut self, output: &mut Output<'_>, body: &[u8]) -> Result<(), Error> {
        let lines = match &mut output.lines {
            Some(lines) => lines,
            none => {
                let file = (self.next_number(), output.choice.ty.name, Role::Output);
                let lines = Lines::begin(self.service, self.scope, &self.job, file);
                none.insert(lines.await?)
            }
        };
        lines.line(&output.choice.shown(body)).await
    }

    /// The number of the file after the last.
    pub(in crate::jobs) fn next_number(&self) -> u32 {
        self.job.value.files.len() as u32 + 1
    }

    /// Makes a file durable, and before that the audit of it.
    pub(super) async fn finish_file(&mut self, output: &mut Output<'_>) -> Result<(), Error> {
        self.note_records(output).await?;
        if let Some(lines) = output.lines.take() {
            let file = lines.finish().await?;
            self.point_mut()?.lines += file.count;
            self.job.value.files.push(file);
        }
        Ok(())
    }

    /// Says how far it is.
    pub(super) fn tell(&self, output: &Output<'_>) -> Result<(), Error> {
        let point = self.point()?;
        let lines = output.lines.as_ref().map_or(0, Lines::count) + point.lines;
        let (at, all, ty) = (point.at + 1, point.types.len(), output.choice.ty.name);
        self.active
            .tell(format!("{lines} of {ty}, type {at} of {all}"));
        Ok(())
    }
}
