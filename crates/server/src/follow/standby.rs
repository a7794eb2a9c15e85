//! A standby, open: restored first, then a segment after the other, each commit of it atomically.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use salus_archive::{Archive, Tail};
use salus_service::context::World as _;
use salus_service::restored::following::{Changes, Rows, revision};
use salus_service::restored::{Bared, Given};
use salus_store::{
    Followed, Following as _, Log as _, LogBatch, SealedBlob, SealedBlobs, Seq, Store as _,
};
use salus_store_embedded::{Embedded, Options};

use super::Failure;
use super::keys::{Keys, Renewed};
use super::progress::{Phase, Progress};
use super::state::State;
use crate::config::Archives;
use crate::open::{DICTIONARY, Machine};
use crate::{backup, restore};

/// Bytes of the log that are committed at once, about.
const BYTES_AT_ONCE: usize = 4 << 20;
const BATCHES_AT_ONCE: usize = 512;

/// A standby at work.
pub(super) struct Standby {
    pub(super) data: PathBuf,
    pub(super) state: State,
    pub(super) archive: Archive,
    pub(super) engine: Arc<Embedded>,
    pub(super) tail: Tail,
    pub(super) progress: Arc<Progress>,
    keys: Keys,
    rows: Rows,
    /// Read, and waiting for keys.
    pending: Vec<LogBatch>,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// Something was committed.
    Done,
    /// The standby has all that the archive has.
    Idle,
    /// The log names keys that the copy of the keyring does not have yet.
    LacksKeys,
    /// It has to be closed and opened again: the root key changed.
    Reopen,
}

impl Standby {
    /// Opens a standby; restores it first, if that was not done, or was cut off.
    pub(super) async fn open(
        data: &Path,
        mut state: State,
        progress: &Arc<Progress>,
    ) -> Result<Self, Failure> {
        let keys = {
            let (data, state) = (data.to_owned(), state.clone());
            // Asks who keeps the root key: not for a thread that answers.
            let opened = tokio::task::spawn_blocking(move || {
                Keys::open(&data, &state).map_err(|error| error.to_string())
            });
            opened.await??
        };
        let archive = backup::open_one(&state.from, &Archives::unlisted(), &keys.keyring)?;
        let options = Options {
            dictionary: DICTIONARY,
            ..Options::new(data.join("store"), Arc::clone(&keys.keyring))
        };
        if state.revision == 0 || restore::is_torn(&options.dir) {
            let mut keys = keys;
            let restored = begin(&archive, &options, &mut state, &mut keys, progress).await?;
            if !restored {
                return Err(super::Reopen.into());
            }
            state.write(data)?;
            // One process has the keyring, once.
            drop((keys, options, archive));
            return Box::pin(Self::open(data, state, progress)).await;
        }
        let opened = tokio::task::spawn_blocking(move || Embedded::open(options));
        let engine = opened.await??;
        let store = Bared {
            store: engine.clone(),
            restored: engine.clone(),
        };
        let head = engine.head().await?;
        let rows = Rows::open(store, state.base_url.clone()).await;
        let rows = rows.map_err(cause)?;
        if state.revision != revision() {
            state.again.extend(rows.scopes().map(|scope| scope.0));
            state.revision = revision();
            state.write(data)?;
        }
        progress.at(head.seq, None);
        progress.set(Phase::Following);
        Ok(Self {
            data: data.to_owned(),
            state,
            tail: archive.tail(head.seq),
            archive,
            engine,
            progress: Arc::clone(progress),
            keys,
            rows,
            pending: Vec::new(),
        })
    }

    /// Takes what comes next.
    pub(super) async fn step(&mut self) -> Result<Stepped, Failure> {
        match self.renewed(false) {
            Renewed::Root => return Ok(Stepped::Reopen),
            // What a destroyed key sealed is in older points and in tables that are not merged yet.
            Renewed::Destroyed => self.engine.forget().await?,
            Renewed::Nothing | Renewed::Changed => {}
        }
        let begun_ms = Machine.now_ms();
        if self.pending.is_empty() {
            self.pending = self.tail.next(&*self.engine).await?;
        }
        self.progress.known(self.tail.known());
        if self.pending.is_empty() {
            let head = self.compare().await?;
            self.progress.at(head, self.tail.time_ms());
            self.progress.caught_up(begun_ms);
            return Ok(Stepped::Idle);
        }
        let applied = self.apply().await;
        if applied.is_err() {
            // What was read and not committed is read again.
            self.pending.clear();
            self.tail = self.archive.tail(self.engine.head().await?.seq);
        }
        applied
    }

    /// At the end of a segment, the store has to be what the archive says of it.
    async fn compare(&self) -> Result<Seq, Failure> {
        let head = self.engine.head().await?;
        match self.tail.end().is_none_or(|end| end.is(&head)) {
            true => Ok(head.seq),
            false => Err(Box::new(salus_archive::Error::Elsewhere(
                "what was followed is not what the archive says of itself: its chain of changes \
                 or its audit log is another",
            ))),
        }
    }

    /// Commits what was read, as far as its keys are there.
    async fn apply(&mut self) -> Result<Stepped, Failure> {
        let (mut some, mut bytes) = (Vec::new(), 0);
        let mut batches = std::mem::take(&mut self.pending).into_iter();
        let mut lacks = false;
        while let Some(batch) = batches.next() {
            if !self.has_keys(&batch)? {
                if self.renewed(true) == Renewed::Root {
                    return Ok(Stepped::Reopen);
                }
                if !self.has_keys(&batch)? {
                    lacks = true;
                    self.pending = std::iter::once(batch).chain(batches).collect();
                    break;
                }
            }
            bytes += length(&batch);
            self.take(batch, &mut some).await?;
            if bytes >= BYTES_AT_ONCE || some.len() >= BATCHES_AT_ONCE {
                self.commit(&mut some).await?;
                bytes = 0;
            }
        }
        self.commit(&mut some).await?;
        Ok(match lacks {
            true => Stepped::LacksKeys,
            false => Stepped::Done,
        })
    }

    /// Looks at the copy of the keys. One that cannot be read keeps nothing from what needs no new key.
    fn renewed(&mut self, needed: bool) -> Renewed {
        match self.keys.renew(needed) {
            Ok(renewed) => renewed,
            Err(error) => {
                let reason = format!("the copy of the keys cannot be read: {error}");
                if self.progress.fault(reason.clone()) {
                    tracing::warn!(%reason, "the standby goes on without it");
                }
                Renewed::Nothing
            }
        }
    }

    fn has_keys(&self, batch: &LogBatch) -> Result<bool, Failure> {
        Ok(self.engine.slots_of(batch)? <= self.keys.keyring.slots())
    }

    /// Gives a batch its rows and brings its blobs; what changes how rows are made is committed
    /// at once.
    async fn take(&mut self, batch: LogBatch, some: &mut Vec<Followed>) -> Result<(), Failure> {
        let opened = self.engine.open_batch(&batch).await?;
        let changes = Changes::of(&opened.kinds);
        let scope = batch.scope;
        let mut made = self.rows.of(batch.clone(), opened.clone()).await;
        if made.as_ref().is_ok_and(|(_, given)| given.failed > 0) && !some.is_empty() {
            // A container may be among those that are not committed yet.
            self.commit(some).await?;
            made = self.rows.of(batch, opened).await;
        }
        let (followed, given) = made.map_err(cause)?;
        self.bring_blobs(&given).await?;
        self.progress.given(&given);
        some.push(followed);
        if changes == Changes::Nothing {
            return Ok(());
        }
        if changes == Changes::All && self.state.again.insert(scope.0) {
            // Written down before: who is cut off in between makes them again for nothing.
            self.state.write(&self.data)?;
        }
        self.commit(some).await?;
        self.rows.reload().await.map_err(cause)
    }

    async fn commit(&mut self, some: &mut Vec<Followed>) -> Result<(), Failure> {
        let Some(last) = some.last() else {
            return Ok(());
        };
        let (seq, time_ms) = (last.batch.last, last.batch.time_ms);
        self.engine.follow(std::mem::take(some)).await?;
        self.progress.at(seq, Some(time_ms));
        Ok(())
    }

    async fn bring_blobs(&self, given: &Given) -> Result<(), Failure> {
        for blob in &given.blobs {
            self.bring(blob).await?;
        }
        Ok(())
    }

    /// Brings a blob that is not there yet. One that the archive does not have any more is told:
    /// it was gone from the store for longer than the archive keeps them.
    async fn bring(&self, blob: &SealedBlob) -> Result<(), Failure> {
        if SealedBlobs::sealed(&*self.engine, blob, 0, 1)
            .await?
            .is_some()
        {
            return Ok(());
        }
        if restore::bring(&self.archive, &self.engine, blob).await? {
            self.progress.blob();
        } else {
            tracing::warn!("the archive does not have a blob");
            self.progress
                .fault(format!("the blob {} is not in the archive", blob.id));
        }
        Ok(())
    }

    /// Brings the files of jobs, which no version names.
    pub(super) async fn bring_unnamed(&self) -> Result<(), Failure> {
        for (blob, _) in self.archive.blobs().await? {
            if !Rows::is_named(&blob.id) {
                self.bring(&blob).await?;
            }
        }
        Ok(())
    }

    /// Makes rows again, if definitions of search parameters came.
    pub(super) async fn lay_again(&mut self) -> Result<(), Failure> {
        if self.state.again.is_empty() {
            return Ok(());
        }
        let upto = self.engine.head().await?.seq;
        let scopes = self.state.scopes_again();
        let laid = self.rows.lay_again(&scopes, upto).await.map_err(cause)?;
        tracing::info!(
            records = laid,
            "made rows again, since search parameters changed"
        );
        self.state.again.clear();
        self.state.write(&self.data)
    }

    pub(super) fn key_slots(&self) -> u32 {
        self.keys.keyring.slots()
    }

    pub(super) async fn close(self) -> Result<(), Failure> {
        Ok(self.engine.close().await?)
    }
}

/// Restores all that the archive has now; false if the root key changed meanwhile.
async fn begin(
    archive: &Archive,
    options: &Options,
    state: &mut State,
    keys: &mut Keys,
    progress: &Progress,
) -> Result<bool, Failure> {
    progress.set(Phase::Restoring);
    let (upto, slots) = archive.reach().await?;
    let told = AtomicBool::new(false);
    while keys.keyring.slots() < slots {
        if keys.renew(true)? == Renewed::Root {
            return Ok(false);
        }
        if keys.keyring.slots() < slots {
            progress.set(Phase::WaitingForKeys);
            if !told.swap(true, Ordering::Relaxed) {
                tracing::warn!("the copy of the keys is older than the archive: renew it");
            }
            tokio::time::sleep(super::KEYS_AGAIN).await;
        }
    }
    progress.set(Phase::Restoring);
    // What a restore left that was cut off: nothing else is ever in it.
    if options.dir.exists() {
        std::fs::remove_dir_all(&options.dir)?;
    }
    tracing::info!(seq = upto.0, "restoring the standby");
    let faults = restore::standby(archive, upto, options, state.base_url.as_deref()).await?;
    for fault in faults {
        tracing::error!(%fault, "the archive has a fault");
        progress.fault(fault);
    }
    state.revision = revision();
    state.again.clear();
    Ok(true)
}

fn length(batch: &LogBatch) -> usize {
    let parts = batch.parts.iter().map(|part| match part {
        salus_store::LogPart::Version(bytes) => bytes.len(),
        salus_store::LogPart::Audit { entry, .. } => entry.len(),
        salus_store::LogPart::Purged(_) => 32,
    });
    parts.sum()
}

fn cause(error: salus_service::error::Error) -> Failure {
    let cause = error.cause();
    cause.unwrap_or_else(|| error.to_string()).into()
}
