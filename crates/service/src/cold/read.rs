//! Reading cold records back, each version and each Binary held against its digest.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use salus_auth::record::{Cold, ColdObject};
use salus_crypto::{SecretKey, Sha256, base64url};
use salus_store::Scope;

use super::gather::own_key;
use super::object::{Fault, Head, digest, entries, open_entry};
use super::{PlaceError, Storage};
use crate::error::{Error, Kind};

/// Why a record was not read back.
pub(super) enum Unread {
    /// Something in cold storage is not what was written there.
    Fault(String, Fault),
    /// It could not be asked.
    Error(Error),
}
salus_phi::guard!(Unread);

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<PlaceError> for Unread {
    fn from(error: PlaceError) -> Self {
        Self::Error(error.into())
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Error(error) => error,
            Unread::Fault(object, fault) => {
                let details = format!("{object}: {fault}; nothing was put back");
                Self::new(Kind::Unprocessable, details)
            }
        }
    }
}

/// A piece of a record, as it is read.
pub(super) enum Piece {
    /// The text of a version.
    Version(Head, Bytes),
    /// Content of a Binary.
    Blob(Head, Bytes),
}

/// Reads objects; keeps the last one, since records lie side by side.
pub(super) struct Reader<'a> {
    storage: &'a Storage,
    scope: Scope,
    last: Option<(String, Vec<u8>)>,
    /// Objects read until now.
    pub(super) objects: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(storage: &'a Storage, scope: Scope) -> Self {
        Self {
            storage,
            scope,
            last: None,
            objects: 0,
        }
    }

    /// Reads all of a record, and compares.
    pub(super) async fn check(&mut self, cold: &Cold) -> Result<(), Unread> {
        let mut reading = self.begin(cold)?;
        while reading.next().await?.is_some() {}
        Ok(())
    }

    /// Begins to read a record.
    pub(super) fn begin<'r>(&'r mut self, cold: &'r Cold) -> Result<Reading<'r, 'a>, Error> {
        Ok(Reading {
            key: own_key(cold)?,
            check: Check::of(cold),
            reader: self,
            cold,
            object: 0,
            ready: VecDeque::new(),
        })
    }

    /// Has an object at hand, opened.
    async fn open(&mut self, object: &ColdObject) -> Result<(), Unread> {
        if self
            .last
            .as_ref()
            .is_some_and(|(name, _)| *name == object.name)
        {
            return Ok(());
        }
        let faulty = |fault| Unread::Fault(object.name.clone(), fault);
        let bytes = self.storage.place.get(&object.name).await?;
        let bytes = bytes.ok_or_else(|| faulty(Fault::Missing))?;
        self.objects += 1;
        let id = object.name.rsplit('/').next().unwrap_or_default();
        let opened = self.storage.objects.open(self.scope, id, &bytes);
        let opened = opened.map_err(faulty)?;
        if digest(&bytes) != object.sha256 {
            return Err(faulty(Fault::Damaged));
        }
        self.last = Some((object.name.clone(), opened));
        Ok(())
    }

    /// The entries of a record in the object at hand.
    fn entries(&self, object: &ColdObject, key: &SecretKey) -> Result<Vec<(Head, Bytes)>, Fault> {
        let (name, opened) = self.last.as_ref().ok_or(Fault::Missing)?;
        let id = name.rsplit('/').next().unwrap_or_default();
        let all = entries(opened).ok_or(Fault::Damaged)?;
        let own = object.first..object.first.saturating_add(object.entries);
        own.map(|number| {
            let sealed = all.get(number as usize).ok_or(Fault::Other)?;
            open_entry(key, (id, number), sealed).ok_or(Fault::Other)
        })
        .collect()
    }
}

/// A record that is being read.
pub(super) struct Reading<'r, 'a> {
    reader: &'r mut Reader<'a>,
    cold: &'r Cold,
    key: SecretKey,
    check: Check,
    /// The next object.
    object: usize,
    ready: VecDeque<Piece>,
}

impl Reading<'_, '_> {
    /// The next piece; `None` behind the last. Only when that has come are the pieces what was
    /// moved.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, Unread> {
        while self.ready.is_empty() {
            let Some(object) = self.cold.objects.get(self.object) else {
                let last = self.cold.objects.last();
                let last = last.map(|object| object.name.clone());
                return match self.check.is_whole(self.cold) {
                    true => Ok(None),
                    false => Err(Unread::Fault(last.unwrap_or_default(), Fault::Other)),
                };
            };
            self.object += 1;
            self.reader.open(object).await?;
            let faulty = |fault| Unread::Fault(object.name.clone(), fault);
            let entries = self.reader.entries(object, &self.key).map_err(faulty)?;
            for (head, content) in entries {
                let piece = self.check.take(self.cold, head, content);
                self.ready
                    .push_back(piece.ok_or_else(|| faulty(Fault::Other))?);
            }
        }
        Ok(self.ready.pop_front())
    }
}

/// What was seen of a record until now.
struct Check {
    versions: usize,
    /// By version: how many bytes of its Binary, and their hash.
    blobs: HashMap<u64, (u64, Sha256)>,
}

impl Check {
    fn of(cold: &Cold) -> Self {
        let blobs = cold.versions.iter().filter_map(|version| {
            let blob = version.blob.as_ref()?;
            (blob.of == version.version).then(|| (blob.of, (0, Sha256::new())))
        });
        Self {
            versions: 0,
            blobs: blobs.collect(),
        }
    }

    /// An entry, if it is the one that comes next.
    fn take(&mut self, cold: &Cold, head: Head, content: Bytes) -> Option<Piece> {
        if head.ty != cold.ty || head.id != cold.id {
            return None;
        }
        if let Some(at) = head.blob_at {
            let (bytes, hash) = self.blobs.get_mut(&head.version)?;
            if at != *bytes {
                return None;
            }
            *bytes += content.len() as u64;
            hash.update(&content);
            return Some(Piece::Blob(head, content));
        }
        // One that is moved again comes with versions that are known.
        let known = cold
            .versions
            .iter()
            .find(|one| one.version == head.version)?;
        let same = known.time_ms == head.time_ms
            && known.deleted == head.deleted
            && known.bytes == content.len() as u64
            && known.sha256 == digest(&content);
        self.versions += 1;
        same.then_some(Piece::Version(head, content))
    }

    fn is_whole(&mut self, cold: &Cold) -> bool {
        let mut hashes: HashMap<u64, (u64, String)> = HashMap::new();
        for (version, (bytes, hash)) in self.blobs.drain() {
            hashes.insert(version, (bytes, base64url(&hash.finish())));
        }
        let mut blobs = cold.versions.iter().filter_map(|one| one.blob.as_ref());
        let same = |blob: &salus_auth::record::ColdBlob| {
            let found = hashes.get(&blob.of);
            found.is_some_and(|(bytes, hash)| *bytes == blob.bytes && *hash == blob.sha256)
        };
        self.versions == cold.versions.len() && blobs.all(same)
    }
}
