//! The audit as one log that others can hold us to: signed checkpoints, proofs that it only
//! grew, and its export. docs/adr/0043-checkpoints-beside-the-store.md says why it is so.
//!
//! The service signs; whoever runs it keeps and publishes what was signed. The key is derived
//! from the keyring, so nothing is signed without it, and no other key has to be looked after.

mod compare;
mod export;
pub(super) mod lines;
pub(super) mod proof;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use salus_auth::record::{AuditLog, Saved};
use salus_crypto::SecretKey;
use salus_crypto::checkpoint::{Checkpoint, Malformed, Note, Signer, VerifierKey};
use salus_crypto::merkle::{self, Hash};
use salus_store::{AuditTree, Batch, Scope, Store, TreeHead};
use tokio::sync::{Mutex, watch};

use crate::Service;
use crate::context::World;
use crate::error::{Error, Kind};
use crate::records::one;

pub use compare::compare;
pub use export::Export;
pub use lines::{CHECKPOINT, Head, Leaf, LeafEntry, Line, checkpoint_line};

/// The root of the tree over the first entries of a log, as far as this size.
///
/// # Errors
/// When the log cannot be read, or is not so long.
pub async fn root_at(tree: &dyn AuditTree, size: u64) -> Result<Hash, salus_store::Error> {
    Ok(proof::part(tree, 0..size).await?.root())
}

/// What the signing key is derived for. It never means anything else.
pub const KEY_PURPOSE: &str = "salus audit checkpoint 1";

/// A checkpoint, and the note that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// With the signature of the log, and what witnesses have added to it.
    pub note: Note,
}

/// The log of one server.
pub(crate) struct Log {
    signer: Signer,
    newest: watch::Sender<Option<Arc<Signed>>>,
    /// Held while one is signed.
    signing: Mutex<()>,
    signed: AtomicU64,
    unpublished: AtomicU64,
}

/// Numbers about checkpoints that metrics show.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogNumbers {
    /// Entries that the newest checkpoint covers.
    pub covered: u64,
    /// Checkpoints signed since the start.
    pub signed: u64,
    /// How often one could not be kept or published since the start.
    pub unpublished: u64,
}

impl Log {
    /// The log of a store, named when it is opened for the first time.
    pub(crate) async fn open(
        store: &dyn Store,
        world: &dyn World,
        key: &SecretKey,
    ) -> Result<Self, Error> {
        let named = match one::<AuditLog>(store, Scope::SYSTEM, AuditLog::ID).await? {
            Some(saved) => saved.value,
            None => name(store, world).await?,
        };
        Ok(Self {
            signer: signer(&named, key)?,
            newest: watch::Sender::new(None),
            signing: Mutex::new(()),
            signed: AtomicU64::new(0),
            unpublished: AtomicU64::new(0),
        })
    }

    fn numbers(&self) -> LogNumbers {
        let newest = self.newest.borrow();
        LogNumbers {
            covered: newest.as_ref().map_or(0, |signed| signed.checkpoint.size),
            signed: self.signed.load(Ordering::Relaxed),
            unpublished: self.unpublished.load(Ordering::Relaxed),
        }
    }

    fn sign(&self, head: TreeHead, now_ms: i64) -> Result<Arc<Signed>, Error> {
        let time_s = u64::try_from(now_ms / 1000).unwrap_or(0);
        let origin = self.signer.public().name();
        let checkpoint = Checkpoint::new(origin, head.size, head.root, time_s);
        let text = checkpoint.text();
        let signature = self.signer.sign(&text, time_s);
        let note = Note::new(text, signature);
        let signed = Arc::new(Signed { checkpoint, note });
        self.newest.send_replace(Some(Arc::clone(&signed)));
        self.signed.fetch_add(1, Ordering::Relaxed);
        Ok(signed)
    }
}

async fn name(store: &dyn Store, world: &dyn World) -> Result<AuditLog, Error> {
    let mut id = [0; 16];
    world.random(&mut id);
    let saved = Saved::new(AuditLog::ID, AuditLog::new(id));
    let put = saved.put()?;
    let batch = Batch::of(Scope::SYSTEM, world.now_ms(), vec![put]);
    store.commit(batch).await?;
    Ok(saved.value)
}

fn signer(log: &AuditLog, key: &SecretKey) -> Result<Signer, Error> {
    let failed =
        |error| Error::new(Kind::Internal, "the audit log cannot be signed").caused_by(error);
    Signer::new(&log.origin(), key).map_err(failed)
}

impl Service {
    fn log(&self) -> Result<&Log, Error> {
        let none = || Error::not_found("this server signs no checkpoints");
        self.log.as_ref().ok_or_else(none)
    }

    /// The key that checkpoints are checked with, as a line of text.
    pub fn log_key(&self) -> Result<String, Error> {
        Ok(self.log()?.signer.public().to_string())
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Result<Arc<Signed>, Error> {
        let newest = self.log()?.newest.borrow().clone();
        newest.ok_or_else(|| Error::new(Kind::Unavailable, "the first checkpoint is being signed"))
    }

    /// Follows checkpoints as they are signed; `None` if none are.
    #[must_use]
    pub fn follow_checkpoints(&self) -> Option<watch::Receiver<Option<Arc<Signed>>>> {
        self.log.as_ref().map(|log| log.newest.subscribe())
    }

    /// Signs how the log stands now. If it has not grown since, the newest checkpoint stays.
    pub async fn sign_checkpoint(&self) -> Result<Arc<Signed>, Error> {
        let log = self.log()?;
        let _one_at_a_time = log.signing.lock().await;
        let head = self.tree().tree_head().await?;
        let newest = log.newest.borrow().clone();
        match newest {
            Some(signed) if signed.checkpoint.size == head.size => Ok(signed),
            Some(_) | None => log.sign(head, self.now_ms()),
        }
    }

    /// A checkpoint over a part of the log from its beginning, which is published nowhere: it goes
    /// with a segment of the audit archive.
    pub(super) fn sign_part(&self, head: TreeHead) -> Result<Note, Error> {
        let time_s = u64::try_from(self.now_ms() / 1000).unwrap_or(0);
        let signer = &self.log()?.signer;
        let origin = signer.public().name();
        let text = Checkpoint::new(origin, head.size, head.root, time_s).text();
        let signature = signer.sign(&text, time_s);
        Ok(Note::new(text, signature))
    }

    /// What checkpoints of the log are checked with.
    pub(super) fn log_verifier(&self) -> Result<VerifierKey, Error> {
        Ok(self.log()?.signer.public().clone())
    }

    /// Adds lines of cosignatures to the newest checkpoint, if it is still that of this size.
    ///
    /// # Errors
    /// When they are no signatures.
    pub fn add_cosignatures(&self, size: u64, lines: &str) -> Result<(), Malformed> {
        let Some(log) = &self.log else {
            return Ok(());
        };
        let mut added = Ok(());
        log.newest.send_if_modified(|newest| {
            let Some(signed) = newest.as_mut() else {
                return false;
            };
            if signed.checkpoint.size != size {
                return false;
            }
            let mut next = Signed::clone(signed);
            added = next.note.add(lines);
            let changed = added.is_ok() && next.note != signed.note;
            if changed {
                *signed = Arc::new(next);
            }
            changed
        });
        added
    }

    /// The proof that the log of one size grew into that of another (RFC 6962, 2.1.2).
    pub async fn prove_growth(&self, old: u64, size: u64) -> Result<Vec<Hash>, Error> {
        let none = || Error::new(Kind::Internal, "the log was never so long");
        let parts = merkle::consistency(old, size).ok_or_else(none)?;
        Ok(proof::roots(self.tree(), parts).await?)
    }

    /// The proof that an entry is in the log of this size (RFC 6962, 2.1.1).
    pub async fn prove_entry(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        let none = || Error::new(Kind::Internal, "the log was never so long");
        let parts = merkle::inclusion(index, size).ok_or_else(none)?;
        Ok(proof::roots(self.tree(), parts).await?)
    }

    /// Counts that a checkpoint could not be kept or published.
    pub fn note_unpublished(&self) {
        if let Some(log) = &self.log {
            log.unpublished.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn log_numbers(&self) -> LogNumbers {
        self.log.as_ref().map(Log::numbers).unwrap_or_default()
    }

    pub(crate) fn tree(&self) -> &dyn AuditTree {
        self.store.audit_tree()
    }
}
