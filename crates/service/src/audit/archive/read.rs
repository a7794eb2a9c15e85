//! Reads the audit archive: checks all of it, gives spans of it out as exports, and finds who saw
//! a chart in it.

use bytes::Bytes;
use salus_auth::record::AuditSegment;
use salus_auth::{Action, Target};
use salus_crypto::merkle::{Frontier, Hash};
use salus_store::{AuditRecord, Scope, TreeLeaf};
use serde::Serialize;

use super::segment::Segment;
use super::{NAMES, failed};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::audit::event;
use crate::audit::log::{self, CHECKPOINT, lines, proof};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;

/// Entries of a chart that are given out, at most.
const EVENTS_MAX: usize = 1_000_000;
/// Leaves of a piece of an export.
const PIECE: usize = 2048;

/// What checking the archive found.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Segments that were read.
    pub segments: u64,
    /// Entries that were read and opened.
    pub entries: u64,
    /// Of these, the hash alone: their key was destroyed.
    pub hidden: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Checkpoints that the segments were held against, their own among them.
    pub checkpoints: u64,
    /// What is wrong, one line each; none if the archive holds.
    pub faults: Vec<String>,
}
salus_phi::guard!(Verified);

/// An export of archived segments under way.
pub struct ArchivedExport<'a> {
    service: &'a Service,
    segments: std::vec::IntoIter<AuditSegment>,
    opened: Vec<Scope>,
    head: Option<Bytes>,
    now: Option<(u64, std::vec::IntoIter<TreeLeaf>)>,
}

impl Service {
    /// Reads every segment back and proves it, against the checkpoints that were kept, the
    /// segments around it and the tree that the store keeps.
    pub async fn verify_audit_archive(&self) -> Result<Verified, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let what = What::SystemCheck;
        let grant = self.allow(&cx, what, Action::ReadSettings).await?;
        self.noted(&cx, &grant, what).await?;
        let mut verified = Verified::default();
        let (mut expected, mut names) = (0, Vec::new());
        let mut root = Frontier::default().root();
        for saved in self.segments().await? {
            let segment = saved.value;
            let name = segment.name();
            if segment.places.0 != expected {
                let fault = format!("{name}: the segment before it is not known");
                verified.faults.push(fault);
            }
            expected = segment.places.1;
            match self.read_segment(&segment).await {
                Ok(read) => {
                    self.verify_segment(&name, &read, root, &mut verified)
                        .await?;
                    root = read.head.roots.1;
                    verified.segments += 1;
                    verified.bytes += segment.bytes;
                }
                Err(fault) => {
                    verified.faults.push(fault);
                    root = proof::part(self.tree(), 0..expected).await?.root();
                }
            }
            names.push(name);
        }
        let there = self.shelf()?.list(NAMES).await.map_err(failed)?;
        let unknown = there.iter().filter(|name| !names.contains(name));
        let unknown = unknown.map(|name| format!("{name}: the store knows of no such segment"));
        verified.faults.extend(unknown);
        Ok(verified)
    }

    /// Proves one segment that somebody has as a file, whether the store knows of it or not.
    pub async fn verify_audit_segment(&self, bytes: &[u8]) -> Result<Verified, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let what = What::SystemCheck;
        let grant = self.allow(&cx, what, Action::ReadSettings).await?;
        self.noted(&cx, &grant, what).await?;
        let mut verified = Verified {
            segments: 1,
            bytes: bytes.len() as u64,
            ..Verified::default()
        };
        match super::open(self.archive_keyring()?, bytes) {
            Ok(read) if read.head.places.1 <= self.tree().tree_head().await?.size => {
                let before = proof::part(self.tree(), 0..read.head.places.0).await?;
                self.verify_segment("the segment", &read, before.root(), &mut verified)
                    .await?;
            }
            Ok(_) => {
                let fault = "the segment has more than the log in the store";
                verified.faults.push(fault.to_owned());
            }
            Err(fault) => verified.faults.push(format!("the segment: {fault}")),
        }
        Ok(verified)
    }

    async fn verify_segment(
        &self,
        name: &str,
        read: &Segment,
        root: Hash,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let (first, end) = read.head.places;
        let report = self.proved(read, self.kept_between(first, end)?)?;
        verified.entries += report.shown;
        verified.hidden += report.hidden;
        verified.checkpoints += report.checkpoints + report.elsewhere;
        let findings = report.findings.iter();
        let findings = findings.map(|finding| format!("{name}: {finding}"));
        verified.faults.extend(findings);
        if read.head.roots.0 != root {
            let fault = format!("{name}: it does not continue the segment before it");
            verified.faults.push(fault);
        }
        if proof::part(self.tree(), 0..end).await?.root() != read.head.roots.1 {
            let fault = format!("{name}: the log in the store is another one");
            verified.faults.push(fault);
        }
        Ok(())
    }

    /// The segments that have the places of a span, as an export. Entries are shown of these
    /// projects, or of all; of others the leaf alone.
    pub async fn export_archived(
        &self,
        cx: &Context,
        projects: &[String],
        (from, to): (u64, Option<u64>),
    ) -> Result<ArchivedExport<'_>, Error> {
        let target = Target::Type(ResourceType::AUDIT_EVENT);
        let grant = self
            .authorize(cx, What::Search, Action::Search, target)
            .await?;
        let opened = self.exported_scopes(projects)?;
        let segments = self.segments().await?.into_iter().map(|saved| saved.value);
        let wanted =
            |one: &AuditSegment| one.places.1 > from && to.is_none_or(|to| one.places.0 < to);
        let segments: Vec<_> = segments.filter(wanted).collect();
        if segments.is_empty() {
            return Err(Error::not_found("the audit archive has no such entries"));
        }
        for scope in &opened {
            self.note_export(cx, *scope, grant.rule()).await?;
        }
        let head = self.archived_head(&segments, &opened).await?;
        Ok(ArchivedExport {
            service: self,
            segments: segments.into_iter(),
            opened,
            head: Some(head.into()),
            now: None,
        })
    }

    /// The first line, the checkpoint over all of it, and those of every segment.
    async fn archived_head(
        &self,
        segments: &[AuditSegment],
        opened: &[Scope],
    ) -> Result<String, Error> {
        let (mut head, mut checkpoints) = (None, Vec::new());
        for segment in segments {
            let read = self.read_segment(segment).await.map_err(failed)?;
            let mut lines = read.lines.lines();
            let own = lines.next().and_then(log::Head::read);
            let own = own.ok_or_else(|| failed(format!("{}: its head", segment.name())))?;
            let top = head.get_or_insert_with(|| own.clone());
            top.size = own.size;
            top.projects.extend(own.projects);
            let own = lines.filter(|line| line.starts_with(CHECKPOINT));
            // The one over all of a segment comes first, so the last one's is the first of all.
            checkpoints.splice(0..0, own.map(|line| format!("{line}\n")));
        }
        let mut head = head.ok_or_else(|| failed("there is no segment"))?;
        let shown = |scope: &u32, _: &mut String| opened.contains(&Scope(*scope));
        head.projects.retain(shown);
        let mut text = serde_json::to_string(&head).map_err(failed)?;
        text.push('\n');
        text.extend(checkpoints);
        Ok(text)
    }

    /// AuditEvents about a patient that are archived and not in the store any more, the oldest
    /// first, within a span of time: for who may see the whole audit of the project.
    pub async fn archived_events(
        &self,
        cx: &Context,
        patient: &str,
        (from_ms, to_ms): (Option<i64>, Option<i64>),
    ) -> Result<Vec<String>, Error> {
        let target = Target::Type(ResourceType::AUDIT_EVENT);
        let what = What::Search;
        let grant = self.authorize(cx, what, Action::Search, target).await?;
        if !grant.audits() {
            return Err(Error::new(Kind::Forbidden, crate::pipeline::FORBIDDEN));
        }
        let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        entry.ty = ResourceType::AUDIT_EVENT.into();
        entry.query = format!("patient={patient} (audit archive)").into();
        self.record(cx, entry).await?;
        let in_time = |time_ms: i64| {
            from_ms.is_none_or(|from| time_ms >= from) && to_ms.is_none_or(|to| time_ms < to)
        };
        let mut events = Vec::new();
        for saved in self.segments().await? {
            let (earliest_ms, latest_ms) = saved.value.times_ms;
            let late = to_ms.is_some_and(|to| earliest_ms >= to);
            if late || from_ms.is_some_and(|from| latest_ms < from) {
                continue;
            }
            let read = self.read_segment(&saved.value).await.map_err(failed)?;
            for leaf in read.leaves {
                if leaf.scope != cx.scope || !in_time(leaf.time_ms) {
                    continue;
                }
                if let Some(text) = self.archived_event(cx, patient, &leaf).await? {
                    events.push(text);
                }
                if events.len() > EVENTS_MAX {
                    let details = "there are too many entries; narrow the days";
                    return Err(Error::new(Kind::Unprocessable, details));
                }
            }
        }
        Ok(events)
    }

    async fn archived_event(
        &self,
        cx: &Context,
        patient: &str,
        leaf: &TreeLeaf,
    ) -> Result<Option<String>, Error> {
        let Some(opened) = &leaf.opened else {
            return Ok(None);
        };
        let Some(entry) = Entry::decode(&opened.body) else {
            return Err(Error::new(Kind::Internal, "an audit entry cannot be read"));
        };
        let mut entities = entry.entities.iter();
        let about = entities.any(|entity| entity.ty == "Patient" && *entity.id == *patient);
        // What is in the store still is found there.
        if !about || !self.tree().is_cleared(cx.scope, leaf.seq).await? {
            return Ok(None);
        }
        let record = AuditRecord {
            seq: leaf.seq,
            time_ms: leaf.time_ms,
            body: opened.body.clone(),
        };
        Ok(Some(event::text(&record, &entry, &cx.base)))
    }
}

impl ArchivedExport<'_> {
    /// The next piece, of whole lines; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        loop {
            if let Some((index, leaves)) = &mut self.now {
                let mut text = String::new();
                for mut leaf in leaves.take(PIECE) {
                    if !self.opened.contains(&leaf.scope) {
                        leaf.opened = None;
                    }
                    lines::put_leaf(&mut text, *index, &leaf);
                    *index += 1;
                }
                if !text.is_empty() {
                    return Ok(Some(text.into()));
                }
            }
            let Some(segment) = self.segments.next() else {
                return Ok(None);
            };
            let read = self.service.read_segment(&segment).await.map_err(failed)?;
            self.now = Some((segment.places.0, read.leaves.into_iter()));
        }
    }
}
