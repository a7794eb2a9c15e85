//! Blobs in memory, whole.

use bytes::Bytes;

use super::{Memory, reply};
use crate::{Blob, BlobReader, BlobWriter, Blobs, Error, NewBlob, Reply, Scope};

/// A blob that is there.
pub(super) struct Kept {
    time_ms: i64,
    bytes: Bytes,
}

struct Writer {
    store: Memory,
    new: NewBlob,
    bytes: Vec<u8>,
}

struct Reader(Bytes);

impl Blobs for Memory {
    fn create(&self, new: NewBlob) -> Reply<'_, Box<dyn BlobWriter>> {
        let free = self.read(|state| {
            state.open()?;
            new.validate()?;
            match state.blobs.contains_key(&(new.scope, new.id.clone())) {
                true => Err(THERE),
                false => Ok(()),
            }
        });
        let store = self.clone();
        reply(free.map(|()| {
            Box::new(Writer {
                store,
                new,
                bytes: Vec::new(),
            }) as Box<dyn BlobWriter>
        }))
    }

    fn open<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, Option<Box<dyn BlobReader>>> {
        let kept = self.read(|state| {
            let kept = state.blobs.get(&(scope, id.into()));
            kept.map(|kept| kept.bytes.clone())
        });
        reply(Ok(
            kept.map(|bytes| Box::new(Reader(bytes)) as Box<dyn BlobReader>)
        ))
    }

    fn remove<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, ()> {
        self.write(|state| state.blobs.remove(&(scope, id.into())));
        reply(Ok(()))
    }

    fn list<'a>(&'a self, scope: Scope, after: &'a str, limit: usize) -> Reply<'a, Vec<Blob>> {
        reply(Ok(self.read(|state| {
            let of_scope = state.blobs.iter().filter(|((of, _), _)| *of == scope);
            let behind = of_scope.filter(|((_, id), _)| **id > *after);
            let about = |((_, id), kept): (&(Scope, Box<str>), &Kept)| Blob {
                id: id.clone(),
                bytes: kept.bytes.len() as u64,
                time_ms: kept.time_ms,
            };
            behind.map(about).take(limit).collect()
        })))
    }
}

const THERE: Error = Error::Misuse("a blob of this id is there");

impl BlobWriter for Writer {
    fn write(&mut self, bytes: Bytes) -> Reply<'_, ()> {
        self.bytes.extend_from_slice(&bytes);
        reply(Ok(()))
    }

    fn finish(self: Box<Self>) -> Reply<'static, u64> {
        let Self { store, new, bytes } = *self;
        let length = bytes.len() as u64;
        reply(store.write(|state| {
            state.open()?;
            let of = (new.scope, new.id);
            if state.blobs.contains_key(&of) {
                return Err(THERE);
            }
            let kept = Kept {
                time_ms: new.time_ms,
                bytes: bytes.into(),
            };
            state.blobs.insert(of, kept);
            Ok(length)
        }))
    }
}

impl BlobReader for Reader {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, at: u64, max: usize) -> Reply<'_, Bytes> {
        let start = usize::try_from(at).map_or(self.0.len(), |at| at.min(self.0.len()));
        let end = start.saturating_add(max).min(self.0.len());
        reply(Ok(self.0.slice(start..end)))
    }
}
