//! Makes segments: a span is read, held against the checkpoints that were kept, sealed, put to
//! its place, read back and compared; then the store notes that it is there.

use futures_util::future::BoxFuture;
use salus_auth::Grant;
use salus_auth::record::{AuditArchive, AuditSegment, Saved};
use salus_crypto::checkpoint::Note;
use salus_crypto::merkle::{Frontier, Hash};
use salus_crypto::{base64, hex, sha256};
use salus_store::{Scope, TreeHead, TreeLeaf};

use super::due::{LEAVES, record};
use super::segment::{Head, Keys, Segment};
use super::{Run, failed};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::audit::log::{self, checkpoint_line, lines, proof};
use crate::audit::verify::{Means, Report, verify};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

/// Segments of a run.
const SEGMENTS_MAX: usize = 50;

impl Service {
    pub(super) fn make_segments<'a>(
        &'a self,
        grant: &'a Grant,
        dry_run: bool,
        run: &'a mut Run,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut archive = self.saved_audit_archive().await?;
            loop {
                let shelved = self.shelved_span(&archive.value).await?;
                let places = match shelved {
                    Some(places) => Some(places),
                    None => self.due_span(&archive.value).await?,
                };
                let Some(places) = places else {
                    return Ok(());
                };
                if run.made.len() == SEGMENTS_MAX {
                    run.more = true;
                    return Ok(());
                }
                let made = self.read_span(places).await?;
                let mut segment = record(archive.value.segments, &made.head);
                if !dry_run {
                    self.shelve(&made, &mut segment).await?;
                    self.note_segment(grant, &mut archive, segment.clone())
                        .await?;
                } else {
                    archive.value.segments += 1;
                    archive.value.entries = places.1;
                }
                run.made.push(segment);
            }
        })
    }

    /// A span as it is in the store, held against the checkpoints that were kept.
    async fn read_span(&self, (first, end): (u64, u64)) -> Result<Segment, Error> {
        let leaves = self.leaves((first, end)).await?;
        let before = proof::part(self.tree(), 0..first).await?;
        let mut frontier = before.clone();
        leaves.iter().for_each(|leaf| frontier.append(leaf.leaf));
        let whole = proof::part(self.tree(), 0..end).await?;
        let [Some(one), Some(last)] = [leaves.first(), leaves.last()] else {
            return Err(salus_store::Error::Damaged("the audit log".into()).into());
        };
        if frontier.root() != whole.root() {
            return Err(salus_store::Error::Damaged("the audit log's tree".into()).into());
        }
        let times = leaves.iter().map(|leaf| leaf.time_ms);
        let times_ms = (times.clone().min(), times.max());
        let head = Head {
            places: (first, end),
            seqs: (one.seq.0, last.seq.0),
            times_ms: (times_ms.0.unwrap_or(0), times_ms.1.unwrap_or(0)),
            made_ms: self.now_ms(),
            roots: (before.root(), frontier.root()),
        };
        let lines = self.lines(&head, &before)?;
        let segment = Segment {
            head,
            lines,
            leaves,
        };
        let kept = self.kept_between(first, end)?;
        let report = self.proved(&segment, kept)?;
        match report.findings.first() {
            None => Ok(segment),
            Some(finding) => {
                let details = "the log is not the one of the checkpoints that were kept: nothing \
                               is archived; see salus check and salus audit verify";
                Err(Error::new(Kind::Unavailable, details)
                    .caused_by(super::Failed(finding.to_string().into())))
            }
        }
    }

    /// All leaves of a span, opened as far as there are keys.
    pub(super) async fn leaves(&self, (first, end): (u64, u64)) -> Result<Vec<TreeLeaf>, Error> {
        let mut leaves = Vec::new();
        let mut at = first;
        while at < end {
            let limit = usize::try_from(LEAVES.min(end - at)).unwrap_or(usize::MAX);
            let some = self.tree().tree_leaves(at, limit, &|_| true).await?;
            if some.is_empty() {
                return Err(salus_store::Error::Damaged("the audit log".into()).into());
            }
            at += some.len() as u64;
            leaves.extend(some);
        }
        Ok(leaves)
    }

    /// The first lines of the export of a segment.
    fn lines(&self, head: &Head, before: &Frontier) -> Result<String, Error> {
        let (first, end) = head.places;
        let note = self.sign_part(TreeHead {
            size: end,
            root: head.roots.1,
        })?;
        let slug = |scope: Scope| Some((scope.0, self.project_slug(scope)?.into()));
        let top = log::Head {
            salus: lines::WHAT.to_owned(),
            version: lines::VERSION,
            origin: self.log_verifier()?.name().to_owned(),
            size: end,
            after: first,
            frontier: before.roots().iter().map(|root| base64(root)).collect(),
            projects: self.scopes().into_iter().filter_map(slug).collect(),
        };
        let mut text = serde_json::to_string(&top).map_err(failed)?;
        text.push('\n');
        text.push_str(&checkpoint_line(&note));
        for (_, kept) in self.kept_between(first, end)? {
            text.push_str(&checkpoint_line(&kept));
        }
        Ok(text)
    }

    /// Checkpoints that were kept and end within a span.
    pub(super) fn kept_between(&self, first: u64, end: u64) -> Result<Vec<(String, Note)>, Error> {
        let Some(kept) = &self.settings.audit.kept else {
            return Ok(Vec::new());
        };
        let mut notes = kept().map_err(failed)?;
        notes.retain(|(_, note)| {
            let size = note.checkpoint().map(|checkpoint| checkpoint.size);
            size.is_ok_and(|size| size > first && size <= end)
        });
        notes.dedup_by(|one, other| one.1 == other.1);
        Ok(notes)
    }

    /// What is found when a segment is checked as an auditor does it.
    pub(super) fn proved(
        &self,
        segment: &Segment,
        elsewhere: Vec<(String, Note)>,
    ) -> Result<Report, Error> {
        let means = Means {
            keys: vec![self.log_verifier()?],
            elsewhere,
            ..Means::default()
        };
        let mut text = segment.lines.clone();
        for (index, leaf) in (segment.head.places.0..).zip(&segment.leaves) {
            lines::put_leaf(&mut text, index, leaf);
        }
        verify(&mut text.as_bytes(), &means, &mut |_, _| {}).map_err(failed)
    }

    /// Puts a segment to its place, unless it is there, and reads it back.
    async fn shelve(&self, made: &Segment, segment: &mut AuditSegment) -> Result<(), Error> {
        let (shelf, name) = (self.shelf()?, segment.name());
        let there = shelf.get(&name).await.map_err(failed)?;
        if there.is_none() {
            if made.leaves.iter().any(|leaf| leaf.cleared) {
                let details = "entries that are not in the store any more were archived before, \
                               and their segment is not at the place of the audit archive: give \
                               the place where it is";
                return Err(Error::new(Kind::Unavailable, details));
            }
            let keys = Keys::of(self.archive_keyring()?).map_err(failed)?;
            let bytes = made.seal(&keys).map_err(failed)?;
            shelf.put(&name, bytes).await.map_err(failed)?;
        }
        let back = shelf.get(&name).await.map_err(failed)?;
        let back = back.ok_or_else(|| failed(format!("{name} cannot be read back")))?;
        let opened = super::open(self.archive_keyring()?, &back);
        let opened = opened.map_err(|fault| failed(format!("{name}: {fault}")))?;
        let same = opened.head.roots == made.head.roots
            && opened.head.places == made.head.places
            && holds(&opened.leaves, &made.leaves);
        if !same {
            return Err(failed(format!("{name} is of another log, or was changed")));
        }
        segment.sha256 = hex(&sha256(&back)).into();
        segment.bytes = back.len() as u64;
        segment.made_ms = opened.head.made_ms;
        Ok(())
    }

    /// The store knows of it from now on.
    async fn note_segment(
        &self,
        grant: &Grant,
        archive: &mut Saved<AuditArchive>,
        segment: AuditSegment,
    ) -> Result<(), Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        archive.value.segments = segment.number + 1;
        archive.value.entries = segment.places.1;
        let mut entry = Entry::new(&cx, What::Export, Outcome::Success, grant.rule());
        entry.query = format!("audit archive: {}", segment.name()).into();
        let saved = Saved::new(AuditSegment::id(segment.number), segment);
        let writes = vec![
            Write::system(grant, "AuditSegment", saved.put()?),
            Write::system(grant, "AuditArchive", archive.put()?),
        ];
        let unchanged = vec![archive.unchanged_or_new()];
        self.commit_system(&cx, entry, unchanged, writes).await?;
        archive.version += 1;
        Ok(())
    }

    pub(super) async fn commit_system(
        &self,
        cx: &Context,
        entry: Entry,
        unchanged: Vec<salus_store::Precondition>,
        writes: Vec<Write>,
    ) -> Result<(), Error> {
        self.commit(cx, entry, unchanged, writes).await?;
        Ok(())
    }
}

/// Whether what was archived has all that the store has of the same leaves.
pub(super) fn holds(archived: &[TreeLeaf], stored: &[TreeLeaf]) -> bool {
    let hash = |leaf: &TreeLeaf| -> Hash { leaf.leaf };
    let pairs = || archived.iter().zip(stored);
    archived.len() == stored.len()
        && pairs().all(|(there, here)| hash(there) == hash(here))
        && pairs().all(|(there, here)| {
            let same = || {
                let of = |leaf: &TreeLeaf| (leaf.scope, leaf.seq, leaf.time_ms);
                of(there) == of(here) && there.opened == here.opened
            };
            here.opened.is_none() || same()
        })
}
