//! What a restore writes, in large pieces: one is collected while the one before it is written.

use std::collections::HashMap;
use std::sync::Arc;

use salus_store::{Error, Kind, Scope};
use tokio::task::JoinHandle;

use crate::core::set;
use crate::kv::{Kv, View, When, Write, wait_for};
use crate::newest::Newest;

/// A piece is written when it has so many keys or bytes.
const KEYS: usize = if cfg!(test) { 40 } else { 20_000 };
const BYTES: usize = 16 << 20;

/// A record.
pub(super) type Of = (Scope, Kind, Box<str>);

pub(super) struct Pieces {
    kv: Arc<Kv>,
    writes: Vec<Write>,
    bytes: usize,
    /// What is looked up again, of the piece that is collected.
    here: Known,
    /// The same of the piece that is being written.
    before: Known,
    writing: Option<JoinHandle<Result<(), Error>>>,
}

/// What was written last, which cannot be read yet.
#[derive(Default)]
struct Known {
    newest: HashMap<Of, Newest>,
    /// The marks of what was purged, by their keys.
    marks: HashMap<Vec<u8>, u64>,
}

impl Pieces {
    pub(super) fn new(kv: Arc<Kv>) -> Self {
        Self {
            kv,
            writes: Vec::new(),
            bytes: 0,
            here: Known::default(),
            before: Known::default(),
            writing: None,
        }
    }

    pub(super) fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.writes.push(set(key, value));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }

    /// What others add to it.
    pub(super) fn writes(&mut self) -> &mut Vec<Write> {
        &mut self.writes
    }

    pub(super) fn set_newest(&mut self, of: Of, newest: Newest) {
        self.here.newest.insert(of, newest);
    }

    pub(super) fn set_mark(&mut self, key: Vec<u8>, below: u64) {
        self.set(key.clone(), below.to_be_bytes().into());
        self.here.marks.insert(key, below);
    }

    /// The newest version of a record, if it is in one of the two pieces.
    pub(super) fn newest(&self, of: &Of) -> Option<Newest> {
        let found = self.here.newest.get(of);
        found.or_else(|| self.before.newest.get(of)).copied()
    }

    /// What was set at a key of a mark, if it is in one of the two pieces.
    pub(super) fn mark(&self, key: &[u8]) -> Option<u64> {
        let found = self.here.marks.get(key);
        found.or_else(|| self.before.marks.get(key)).copied()
    }

    /// What was written before the two pieces.
    pub(super) fn view(&self) -> Result<View, Error> {
        self.kv.view()
    }

    pub(super) fn is_large(&self) -> bool {
        self.writes.len() >= KEYS || self.bytes >= BYTES
    }

    /// Begins to write what was collected, when the piece before it is written. It is durable
    /// when [`Self::close`] is over: until then nobody opens the store.
    pub(super) fn send(&mut self) -> Result<(), Error> {
        self.settle()?;
        self.bytes = 0;
        self.before = std::mem::take(&mut self.here);
        let writes = std::mem::take(&mut self.writes);
        if !writes.is_empty() {
            self.writing = Some(self.kv.begin_write(writes));
        }
        Ok(())
    }

    /// Writes all of it, so that it can be read.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.send()?;
        self.settle()
    }

    /// Makes all of it durable and releases the files.
    pub(super) fn close(mut self) -> Result<(), Error> {
        self.settle()?;
        let writes = std::mem::take(&mut self.writes);
        self.kv.write_here(writes, When::Now)?;
        self.kv.close()
    }

    fn settle(&mut self) -> Result<(), Error> {
        let Some(writing) = self.writing.take() else {
            return Ok(());
        };
        let written = wait_for(writing);
        self.before = Known::default();
        written.map_err(|e| Error::Unavailable(e.to_string()))?
    }
}
