//! A bundle: the objects that are made of some records of one key.

use salus_auth::record::ColdObject;
use salus_crypto::SecretKey;
use salus_store::{Scope, SealKey};

use super::Storage;
use super::object::{Head, digest, put_entry};
use crate::error::Error;

/// An object is closed when it holds so much.
const OBJECT_BYTES: usize = 8 << 20;

/// Objects in the making. None but the open one is in memory.
pub(super) struct Bundle<'a> {
    storage: &'a Storage,
    scope: Scope,
    seal: &'a SealKey,
    now_ms: i64,
    name: &'a str,
    /// Those that are written.
    done: Vec<ColdObject>,
    open: Vec<u8>,
    entries: u32,
}

/// Where the entries of a record begin and end: object and entry, before and behind.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    object: usize,
    entry: u32,
}

impl<'a> Bundle<'a> {
    pub(super) fn new(
        storage: &'a Storage,
        (scope, seal): (Scope, &'a SealKey),
        (name, now_ms): (&'a str, i64),
    ) -> Self {
        Self {
            storage,
            scope,
            seal,
            now_ms,
            name,
            done: Vec::new(),
            open: Vec::new(),
            entries: 0,
        }
    }

    /// Where it is.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            object: self.done.len(),
            entry: self.entries,
        }
    }

    /// Adds an entry.
    pub(super) async fn add(
        &mut self,
        key: &SecretKey,
        head: &Head,
        content: &[u8],
    ) -> Result<(), Error> {
        if !self.open.is_empty() && self.open.len() + content.len() > OBJECT_BYTES {
            self.close().await?;
        }
        let at = (&*self.id(), self.entries);
        put_entry(key, at, (head, content), &mut self.open)?;
        self.entries += 1;
        Ok(())
    }

    /// Writes what is open, and gives all objects.
    pub(super) async fn finish(mut self) -> Result<Vec<ColdObject>, Error> {
        self.close().await?;
        Ok(self.done)
    }

    fn id(&self) -> String {
        object_id(self.name, self.done.len())
    }

    async fn close(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let id = self.id();
        let name = format!("{}{id}", self.storage.objects.folder(self.scope));
        let (key, about) = ((self.scope, self.seal), (&*id, self.now_ms));
        let sealed = self.storage.objects.seal(key, about, &self.open)?;
        self.done.push(ColdObject {
            bytes: sealed.len() as u64,
            sha256: digest(&sealed),
            name: name.clone(),
            first: 0,
            entries: self.entries,
        });
        self.storage.place.put(&name, sealed).await?;
        self.open.clear();
        self.entries = 0;
        Ok(())
    }
}

/// The id of an object of a bundle.
fn object_id(bundle: &str, number: usize) -> String {
    format!("{bundle}-{number:04}")
}

/// Of all objects of a bundle those in which a record lies between two marks, with its entries.
pub(super) fn between(objects: &[ColdObject], from: Mark, to: Mark) -> Vec<ColdObject> {
    let mut own = Vec::new();
    for (at, object) in objects.iter().enumerate().skip(from.object) {
        let first = if at == from.object { from.entry } else { 0 };
        let end = if at == to.object {
            to.entry
        } else {
            object.entries
        };
        if at > to.object {
            break;
        }
        if end > first {
            own.push(ColdObject {
                first,
                entries: end - first,
                ..object.clone()
            });
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_lies_between_its_marks() {
        let object = |name: &str, entries| ColdObject {
            name: name.into(),
            bytes: 1,
            sha256: String::new(),
            first: 0,
            entries,
        };
        let all = [object("a", 3), object("b", 2), object("c", 4)];
        let own = |from: (usize, u32), to: (usize, u32)| {
            let mark = |(object, entry)| Mark { object, entry };
            let own = between(&all, mark(from), mark(to));
            let own = own.iter().map(|one| (&*one.name, one.first, one.entries));
            own.map(|(name, first, count)| format!("{name}{first}+{count}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(own((0, 0), (0, 2)), "a0+2");
        // The first did not fit into what was open.
        assert_eq!(own((0, 3), (1, 1)), "b0+1");
        assert_eq!(own((0, 2), (2, 1)), "a2+1 b0+2 c0+1");
        assert_eq!(own((2, 1), (2, 4)), "c1+3");
    }
}
