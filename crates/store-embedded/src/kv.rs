//! The ordered key-value store below: get, range both ways, atomic durable
//! batch, snapshot. Nothing outside this file knows which library it is, so
//! that it can be replaced.
//!
//! Today it is SurrealKV, which seals every file of its own with keys derived
//! from ours. Its background work (flush, compaction) runs on a small runtime
//! of its own, so that it never holds a worker that answers requests.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use parking_lot::{Mutex, RwLock};
use salus_crypto::SecretKey;
use salus_store::Error;
use surrealkv::{
    CipherPreference, CompactRangeOptions, CompressionType, Durability, LSMIterator, Mode,
    SoftwareKeyManager, Transaction, Tree, TreeBuilder, WalRecoveryMode,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

mod merge;
mod torn;

use merge::{Written, merge_in_pauses};

/// How much memory the store may use, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Keys of recent writes, before they are written as a table. Up to three
    /// times this are held, and their values beside them.
    pub recent: usize,
    /// Blocks of tables.
    pub blocks: u64,
    /// Versions read lately.
    pub versions: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            recent: 12 << 20,
            blocks: 32 << 20,
            versions: 64 << 20,
        }
    }
}

/// A key and its value.
pub(crate) type Entry<'a> = (&'a [u8], Cow<'a, [u8]>);

/// One change to a key: a new value, or its removal.
pub(crate) type Write = (Vec<u8>, Option<Vec<u8>>);

/// The open store.
pub(crate) struct Kv {
    dir: PathBuf,
    tree: Arc<RwLock<Option<Tree>>>,
    written: Arc<Written>,
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
}

/// One for the committer and the log, two for flush and compaction.
const WORKERS: usize = 3;

/// What it is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Serving,
    /// What is written young is merged when it serves, once.
    Filling,
}

/// Held of what is written before it becomes a table, when much is: fewer tables, each of a
/// wider span of keys, are written and merged again.
const RECENT_TO_FILL: usize = 48 << 20;

/// When a write is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the call returns.
    Now,
    /// Some time; a crash may lose it, whole and with all that came behind it.
    Later,
}

impl Kv {
    /// Opens the store in a folder, or makes it there.
    pub(crate) fn open(dir: &Path, key: &SecretKey, memory: Memory) -> Result<Self, Error> {
        Self::open_for(dir, key, memory, Use::Serving)
    }

    /// The same, to lay much into it before anybody asks it.
    pub(crate) fn open_to_fill(dir: &Path, key: &SecretKey, memory: Memory) -> Result<Self, Error> {
        let recent = memory.recent.max(RECENT_TO_FILL);
        Self::open_for(dir, key, Memory { recent, ..memory }, Use::Filling)
    }

    fn open_for(dir: &Path, key: &SecretKey, memory: Memory, to: Use) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(2)
            .thread_name("salus-store")
            .enable_time()
            .build()
            .map_err(|e| Error::Unavailable(format!("no threads: {e}")))?;
        let keys = Arc::new(SoftwareKeyManager::new(*key.as_bytes()));
        let options = options(dir, memory).with_encryption(keys, CipherPreference::Auto);
        let tree = {
            let _inside = runtime.enter();
            let torn = torn::ends_cut_short(&dir.join("wal")).map_err(|e| unreadable(dir, &e))?;
            let recovery = match torn {
                true => WalRecoveryMode::SalvageValidPrefix,
                false => WalRecoveryMode::AbsoluteConsistency,
            };
            let options = options.clone().with_wal_recovery_mode(recovery);
            TreeBuilder::with_options(options)
                .build()
                .map_err(|e| opening(dir, &e))?
        };
        let tree = Arc::new(RwLock::new(Some(tree)));
        let written = Arc::new(Written::default());
        if to == Use::Serving {
            runtime.spawn(merge_in_pauses(
                Arc::downgrade(&tree),
                Arc::clone(&written),
                options.with_block_cache_capacity(0),
            ));
        }
        Ok(Self {
            dir: dir.into(),
            tree,
            written,
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
        })
    }

    /// A consistent view of all that was written until now.
    pub(crate) fn view(&self) -> Result<View, Error> {
        let transaction = self.with_tree(|tree| tree.begin_with_mode(Mode::ReadOnly))?;
        Ok(View(transaction))
    }

    /// Writes all of it, or fails. After a failure it is not known what a
    /// later opening will find: all of it or none.
    pub(crate) async fn write(&self, writes: Vec<Write>, when: When) -> Result<(), Error> {
        let durability = match when {
            When::Now => Durability::Immediate,
            When::Later => Durability::Eventual,
        };
        let mut transaction = self
            .with_tree(|tree| tree.begin_with_mode(Mode::WriteOnly))?
            .with_durability(durability);
        self.written.add(&writes);
        for (key, value) in writes {
            match value {
                Some(value) => transaction.set(key, value),
                None => transaction.delete(key),
            }
            .map_err(|e| fault(&e))?;
        }
        transaction.commit().await.map_err(|e| fault(&e))
    }

    /// As [`Self::write`], but waits on this thread, which must not be one
    /// that answers requests.
    pub(crate) fn write_here(&self, writes: Vec<Write>, when: When) -> Result<(), Error> {
        let _inside = self.handle.enter();
        wait_for(self.write(writes, when))
    }

    /// Begins to write much of it, which is durable some time.
    pub(crate) fn begin_write(
        self: &Arc<Self>,
        mut writes: Vec<Write>,
    ) -> JoinHandle<Result<(), Error>> {
        let kv = Arc::clone(self);
        self.handle.spawn(async move {
            sort_for_engine(&mut writes);
            kv.write(writes, When::Later).await
        })
    }

    /// Begins to write what is in memory as tables, so that little of it is left when the store
    /// is closed; that waits for it. What fails is told by the closing.
    pub(crate) fn begin_flush(&self) {
        let tree = Arc::clone(&self.tree);
        let options = CompactRangeOptions {
            flush_memtable: true,
            // No table is merged.
            target_level: Some(0),
            rewrite_bottommost: false,
        };
        self.handle.spawn_blocking(move || {
            if let Some(tree) = tree.read().as_ref() {
                drop(tree.compact_range(None, None, &options));
            }
        });
    }

    /// Starts work where the engine does its own.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle.spawn(work)
    }

    /// Writes all that is stored anew, so that no table holds what was replaced or removed, and
    /// takes as long as that does. Not for threads that answer requests.
    pub(crate) fn rewrite(&self) -> Result<(), Error> {
        let options = CompactRangeOptions {
            flush_memtable: true,
            target_level: None,
            rewrite_bottommost: true,
        };
        let _inside = self.handle.enter();
        self.with_tree(|tree| tree.compact_range(None, None, &options))
    }

    /// Why nothing can be written any more, if that is so.
    pub(crate) fn stopped(&self) -> Option<Error> {
        let tree = self.tree.read();
        let tree = tree.as_ref()?;
        if !tree.is_stopped() {
            return None;
        }
        let why = tree.background_error();
        Some(why.map_or_else(
            || Error::Unavailable("the engine stopped".into()),
            |why| fault(&why.error),
        ))
    }

    /// Bytes of all files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        folder_bytes(&self.dir, 4)
    }

    /// Writes out what is in memory and releases the files. Not for threads
    /// that answer requests.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let (tree, runtime) = (self.tree.write().take(), self.runtime.lock().take());
        let (Some(tree), Some(runtime)) = (tree, runtime) else {
            return Ok(());
        };
        let _inside = self.handle.enter();
        let closed = wait_for(tree.close());
        drop(tree);
        runtime.shutdown_background();
        closed.map_err(|e| fault(&e))
    }

    fn with_tree<T>(&self, act: impl FnOnce(&Tree) -> surrealkv::Result<T>) -> Result<T, Error> {
        match self.tree.read().as_ref() {
            Some(tree) => act(tree).map_err(|e| fault(&e)),
            None => Err(Error::Unavailable("it is closed".into())),
        }
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        let tree = self.tree.write().take();
        let runtime = self.runtime.lock().take();
        // Without a close this is a crash as far as the files are concerned:
        // all that was promised is in the log. Only the lock has to go.
        if let Some(tree) = &tree {
            tree.abandon();
        }
        let _inside = self.handle.enter();
        drop(tree);
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

/// The order in which the engine collects much with the fewest comparisons: it seeks the place of
/// each key in a tree whose nodes are walked from their least key on. Of two writes to a key the
/// later one stays behind.
pub(crate) fn sort_for_engine(writes: &mut [Write]) {
    writes.sort_by(|one, other| other.0.cmp(&one.0));
}

fn options(dir: &Path, memory: Memory) -> surrealkv::Options {
    let mut options = surrealkv::Options::new()
        .with_path(dir.into())
        .with_block_size(4 << 10)
        .with_block_cache_capacity(memory.blocks)
        .with_max_memtable_size(memory.recent)
        .with_memtable_stall_threshold(3)
        .with_l0_stall_threshold(400)
        .with_target_file_size(32 << 20)
        // Keys of one index repeat each other; bodies are sealed already.
        .with_compression_per_level(vec![CompressionType::SnappyCompression]);
    // All of level 1 is written again with each merge of level 0, so under a
    // load, what is merged must not be much smaller than what it is merged
    // into. It waits as long as this under a load only; see `merge`.
    options.level0_max_files = 96;
    options.max_bytes_for_level = 2 << 30;
    options.level_multiplier = 8.0;
    options
}

/// A consistent view. Dropping it releases it.
pub(crate) struct View(Transaction);

impl View {
    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(key).map_err(|e| fault(&e))
    }

    /// The entries from `start` (inclusive) to `end` (exclusive), from the least key up.
    pub(crate) fn forward(&self, start: &[u8], end: &[u8]) -> Result<Cursor<'_>, Error> {
        self.toward(start, end, false)
    }

    /// The entries from `start` (inclusive) to `end` (exclusive), from the greatest key down.
    pub(crate) fn backward(&self, start: &[u8], end: &[u8]) -> Result<Cursor<'_>, Error> {
        self.toward(start, end, true)
    }

    /// The same in either direction.
    pub(crate) fn toward(
        &self,
        start: &[u8],
        end: &[u8],
        backward: bool,
    ) -> Result<Cursor<'_>, Error> {
        if start >= end {
            return Ok(Cursor {
                inner: None,
                backward,
                fresh: false,
            });
        }
        let mut inner = self.0.range(start, end).map_err(|e| fault(&e))?;
        if backward {
            inner.seek_last()
        } else {
            inner.seek_first()
        }
        .map_err(|e| fault(&e))?;
        Ok(Cursor {
            inner: Some(Box::new(inner)),
            backward,
            fresh: true,
        })
    }
}

/// A walk over entries in order.
pub(crate) struct Cursor<'a> {
    inner: Option<Box<dyn LSMIterator + 'a>>,
    backward: bool,
    /// It stands on an entry that was not given yet.
    fresh: bool,
}

impl Cursor<'_> {
    /// Goes forward, so that the next entry is the first one from this key on.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        let Some(inner) = &mut self.inner else {
            return Ok(());
        };
        match inner.seek(key).map_err(|e| fault(&e))? {
            true => self.fresh = true,
            false => self.inner = None,
        }
        Ok(())
    }

    /// Goes to the next entry and gives its key; `None` behind the last one.
    pub(crate) fn next_key(&mut self) -> Result<Option<&[u8]>, Error> {
        let Some(inner) = &mut self.inner else {
            return Ok(None);
        };
        if self.fresh {
            self.fresh = false;
        } else if self.backward {
            inner.prev().map_err(|e| fault(&e))?;
        } else {
            inner.next().map_err(|e| fault(&e))?;
        }
        if !inner.valid() {
            self.inner = None;
        }
        Ok(self.key())
    }

    /// The key of the entry it stands on.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.inner.as_ref().map(|inner| inner.key().user_key())
    }

    /// As [`Self::next_key`], with the value.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'_>>, Error> {
        if self.next_key()?.is_none() {
            return Ok(None);
        }
        let Some(inner) = &self.inner else {
            return Ok(None);
        };
        let value = inner.value_ref().map_err(|e| fault(&e))?;
        Ok(Some((inner.key().user_key(), value)))
    }
}

/// Waits for a future on this thread. Unlike a runtime's `block_on` it may be
/// called where a runtime is running, as when a server opens its store.
pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    // A task that waits here is not polled anew, so its budget is never filled again: what
    // asks for it would wait for ever.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

pub(crate) fn folder_bytes(dir: &Path, depth: u8) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() && depth > 0 => folder_bytes(&entry.path(), depth - 1),
        Ok(about) if about.is_file() => about.len(),
        _ => 0,
    });
    sizes.sum()
}

fn unreadable(dir: &Path, error: &std::io::Error) -> Error {
    Error::Unavailable(format!("{}: {error}", dir.display()))
}

fn opening(dir: &Path, error: &surrealkv::Error) -> Error {
    let fault = if let surrealkv::Error::Wal(what) = error {
        // The files of the log were just read, so it is what is in them.
        Fault::Damage(what.clone())
    } else {
        classify(error)
    };
    match fault {
        Fault::Damage(what) => Error::Damaged(format!("{}: {what}", dir.display())),
        Fault::Trouble(what) => Error::Unavailable(format!("{}: {what}", dir.display())),
    }
}

fn fault(error: &surrealkv::Error) -> Error {
    match classify(error) {
        Fault::Damage(what) => Error::Damaged(what),
        Fault::Trouble(what) => Error::Unavailable(what),
    }
}

enum Fault {
    Damage(String),
    Trouble(String),
}

/// Messages of the library name files and places, never keys or values, but
/// for the catch-all ones: of those only the kind is told.
fn classify(error: &surrealkv::Error) -> Fault {
    use surrealkv::Error as E;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library may add kinds of errors at any time"
    )]
    match error.poisoned_by() {
        E::Encryption(_)
        | E::CorruptedBlock(_)
        | E::CorruptedTableMetadata(_)
        | E::InvalidTableFormat
        | E::TableMetadataNotFound
        | E::TableNotFound(_)
        | E::Corruption(_)
        | E::ManifestCorruption(_)
        | E::ManifestMissing(_)
        | E::LoadManifestFail(_)
        | E::WalCorruption { .. }
        | E::SSTable(_) => Fault::Damage(error.to_string()),
        E::Io(_) | E::DatabaseStopped(_) | E::DatabasePoisoned(_) => {
            Fault::Trouble(error.to_string())
        }
        E::PipelineStall => Fault::Trouble("it is closed".into()),
        other => Fault::Trouble(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_may_wait_for_many_writes_one_behind_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::from_bytes([7; 32]);
        let kv = Kv::open(dir.path(), &key, Memory::default()).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        let written = runtime.block_on(async {
            // Some hundred use up what a task may do before it is polled anew.
            (0..1_000u32)
                .map(|n| {
                    kv.write_here(
                        vec![(n.to_be_bytes().into(), Some(Vec::new()))],
                        When::Later,
                    )
                })
                .filter(Result::is_ok)
                .count()
        });
        assert_eq!(written, 1_000);
        kv.close().unwrap();
    }
}
