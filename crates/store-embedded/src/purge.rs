//! Purging: of superseded versions only that they were there is left.
//!
//! In the log of changes stands the head of the version and the digest that
//! its chain needs, so the log stays whole, and a body that is lost is told
//! from one that was purged. The keys that lead to the version go, and a mark
//! says of the record which versions do not have one for that reason.
//!
//! What a batch purged is kept under the seq of its last part, for who reads the
//! log; a batch of nothing else takes a seq for itself. Format 1: 1 byte format, 1
//! byte 1 if the seq is its own, else 0, time in 8 bytes, scope in 4, and for each record
//! kind in 4, the first version that stays in 8, 1 byte length of the id, the id.
//!
//! Single versions may be shredded: their content goes alike, and the keys that lead to them
//! stay, so that those before them still have a successor.
//!
//! What was purged is read from no view that is opened afterwards. Below, the
//! old bytes are in the engine's sealed files until it merges the tables that
//! have them.

use std::collections::BTreeMap;

use salus_store::{Error, Kind, Purge, Scope, Seq, Shred, Superseded, SupersededVersion};

use crate::body;
use crate::core::set;
use crate::keys;
use crate::kv::{View, Write};
use crate::newest::Newest;
use crate::reader::Reader;

const FORMAT: u8 = 1;

/// What a batch purged, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    /// The batch did nothing else.
    pub(crate) alone: bool,
    pub(crate) time_ms: i64,
    pub(crate) scope: Scope,
    pub(crate) purges: Vec<Purge>,
}

impl Logged {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT, u8::from(self.alone)];
        bytes.extend_from_slice(&self.time_ms.to_be_bytes());
        bytes.extend_from_slice(&self.scope.0.to_be_bytes());
        for purge in &self.purges {
            bytes.extend_from_slice(&purge.kind.0.to_be_bytes());
            bytes.extend_from_slice(&purge.below.to_be_bytes());
            bytes.push(purge.id.len() as u8);
            bytes.extend_from_slice(purge.id.as_bytes());
        }
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::take(bytes).ok_or_else(|| Error::Damaged("what a batch purged".into()))
    }

    fn take(bytes: &[u8]) -> Option<Self> {
        let ([FORMAT, alone], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (time, rest) = rest.split_first_chunk()?;
        let (scope, mut rest) = rest.split_first_chunk()?;
        let mut purges = Vec::new();
        while !rest.is_empty() {
            let (kind, behind) = rest.split_first_chunk()?;
            let (below, behind) = behind.split_first_chunk()?;
            let (length, behind) = behind.split_first()?;
            let (id, behind) = behind.split_at_checked(usize::from(*length))?;
            purges.push(Purge {
                kind: Kind(u32::from_be_bytes(*kind)),
                id: str::from_utf8(id).ok()?.into(),
                below: u64::from_be_bytes(*below),
            });
            rest = behind;
        }
        Some(Self {
            alone: *alone != 0,
            time_ms: i64::from_be_bytes(*time),
            scope: Scope(u32::from_be_bytes(*scope)),
            purges,
        })
    }
}

/// What a purge of one record does, ready to be written.
pub(crate) struct PreparedPurge {
    kind: Kind,
    id: Box<str>,
    below: u64,
    versions: Vec<Left>,
    /// Single versions: the keys that lead to them stay.
    single: bool,
}

/// What is left of a version.
struct Left {
    version: u64,
    seq: u64,
    bytes: Vec<u8>,
}

impl PreparedPurge {
    /// Purges at most `limit` versions, the oldest first.
    pub(crate) fn of(view: &View, scope: Scope, purge: Purge, limit: usize) -> Result<Self, Error> {
        let Purge { kind, id, below } = purge;
        let from = mark(view, (scope, kind, &id))?;
        let start = keys::record_at(keys::VERSION, scope, kind, &id, from);
        let end = keys::record_at(keys::VERSION, scope, kind, &id, below);
        let mut older = view.forward(&start, &end)?;
        let mut versions = Vec::new();
        while versions.len() < limit
            && let Some((key, value)) = older.next()?
        {
            let (version, seq) = (keys::last_number(key), keys::last_number(&value));
            versions.extend(Left::of(view, version, seq)?);
        }
        Ok(Self {
            kind,
            id,
            below,
            versions,
            single: false,
        })
    }

    /// Purges what another store has purged: also the keys of versions that came without
    /// their content, since the log was read when that was gone already.
    pub(crate) fn followed(view: &View, scope: Scope, purge: Purge) -> Result<Self, Error> {
        let Purge { kind, id, below } = purge;
        let from = mark(view, (scope, kind, &id))?;
        let start = keys::record_at(keys::VERSION, scope, kind, &id, from);
        let end = keys::record_at(keys::VERSION, scope, kind, &id, below);
        let mut older = view.forward(&start, &end)?;
        let mut versions = Vec::new();
        while let Some((key, value)) = older.next()? {
            let (version, seq) = (keys::last_number(key), keys::last_number(&value));
            let left = Left::of_any(view, version, seq)?;
            versions.extend(left.map(|(left, _)| left));
        }
        Ok(Self {
            kind,
            id,
            below,
            versions,
            single: false,
        })
    }

    /// Shreds single versions.
    pub(crate) fn shred(view: &View, scope: Scope, shred: Shred) -> Result<Self, Error> {
        let Shred { kind, id, versions } = shred;
        let mut left = Vec::with_capacity(versions.len());
        for version in versions {
            let key = keys::record_at(keys::VERSION, scope, kind, &id, version);
            if let Some(seq) = view.get(&key)? {
                left.extend(Left::of(view, version, keys::last_number(&seq))?);
            }
        }
        Ok(Self {
            kind,
            id,
            below: 0,
            versions: left,
            single: true,
        })
    }

    /// As the log has it. What is shredded is sealed with a key that is gone, there too.
    pub(crate) fn logged(&self) -> Option<Purge> {
        (!self.single).then(|| Purge {
            kind: self.kind,
            id: self.id.clone(),
            below: self.below,
        })
    }

    pub(crate) fn seqs(&self) -> impl Iterator<Item = u64> {
        self.versions.iter().map(|left| left.seq)
    }

    /// About how many keys it writes.
    pub(crate) fn size(&self) -> usize {
        1 + self.versions.len() * 3
    }
}

impl Left {
    /// Nothing of a deletion, nor of what was purged.
    fn of(view: &View, version: u64, seq: u64) -> Result<Option<Self>, Error> {
        let left = Self::of_any(view, version, seq)?;
        Ok(left.and_then(|(left, purged)| (!purged).then_some(left)))
    }

    /// Nothing of a deletion; else whether it was purged before.
    fn of_any(view: &View, version: u64, seq: u64) -> Result<Option<(Self, bool)>, Error> {
        let bytes = view.get(&keys::at(keys::BODY, seq))?;
        let missing = || Error::Damaged(format!("version {seq} is missing"));
        let bytes = bytes.ok_or_else(missing)?;
        let stored = body::Stored::read(&bytes)?;
        let purged = stored.purged().is_some();
        let is_deleted = stored.is_deleted();
        let left = match purged {
            true => bytes.to_vec(),
            false => stored.left_of(&bytes),
        };
        let left = Self {
            version,
            seq,
            bytes: left,
        };
        Ok((!is_deleted).then_some((left, purged)))
    }
}

/// The writes of purges. While they are made and written, nobody else purges.
pub(crate) fn writes(view: &View, purged: &[(Scope, PreparedPurge)]) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    let mut marks: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for (scope, purge) in purged {
        let PreparedPurge {
            kind, id, versions, ..
        } = purge;
        for left in versions {
            writes.push(set(keys::at(keys::BODY, left.seq), left.bytes.clone()));
            if purge.single {
                continue;
            }
            let version = keys::record_at(keys::VERSION, *scope, *kind, id, left.version);
            writes.push((version, None));
            writes.push((keys::of_kind_at(keys::PAST, *scope, *kind, left.seq), None));
        }
        if !purge.single
            && let Some(last) = versions.last()
        {
            let before = mark(view, (*scope, *kind, id))?;
            let key = keys::record(keys::PURGED, *scope, *kind, id);
            let below = marks.entry(key).or_default();
            *below = before.max(last.version + 1).max(*below);
        }
    }
    let marks = marks.into_iter();
    writes.extend(marks.map(|(key, below)| set(key, below.to_be_bytes().into())));
    Ok(writes)
}

/// The first version of a record that was not purged, as far as is known.
pub(crate) fn mark(view: &View, (scope, kind, id): (Scope, Kind, &str)) -> Result<u64, Error> {
    let mark = view.get(&keys::record(keys::PURGED, scope, kind, id))?;
    Ok(mark.map_or(0, |below| keys::last_number(&below)))
}

impl Reader {
    /// Whether a version that no key leads to was purged.
    pub(crate) fn is_purged(&self, kind: Kind, id: &str, version: u64) -> Result<bool, Error> {
        if version == 0 || version >= mark(&self.view, (self.scope, kind, id))? {
            return Ok(false);
        }
        let key = keys::record_at(keys::VERSION, self.scope, kind, id, version);
        Ok(self.view.get(&key)?.is_none())
    }

    /// Whether only that it was there is left of a version that a key leads to.
    pub(crate) fn is_shredded(&self, seq: u64) -> Result<bool, Error> {
        if self.core.cache.has_body(seq) {
            return Ok(false);
        }
        Ok(body::Stored::read(&self.body(seq)?)?.purged().is_some())
    }

    pub(crate) fn superseded_now(
        &self,
        (kind, id): (Kind, Option<&str>),
        after: Seq,
        limit: usize,
    ) -> Result<Superseded, Error> {
        let mut seqs = match id {
            Some(id) => self.superseded_of_record(kind, id, after.0, limit)?,
            None => self.superseded_of_kind(kind, after.0, limit)?,
        };
        let more = seqs.len() > limit;
        seqs.truncate(limit);
        let next = seqs.last().filter(|_| more).map(|seq| Seq(*seq));
        let mut versions = Vec::with_capacity(seqs.len());
        for seq in seqs {
            versions.extend(self.superseded_version(seq)?);
        }
        Ok(Superseded { versions, next })
    }

    /// One more than the limit, if there are as many.
    fn superseded_of_record(
        &self,
        kind: Kind,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<u64>, Error> {
        let start = keys::record(keys::VERSION, self.scope, kind, id);
        let mut older = self.view.forward(&start, &keys::after_prefix(&start))?;
        let mut seqs = Vec::new();
        while seqs.len() <= limit
            && let Some((_, value)) = older.next()?
        {
            let seq = keys::last_number(&value);
            if after < seq && seq <= self.at {
                seqs.push(seq);
            }
        }
        Ok(seqs)
    }

    fn superseded_of_kind(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<u64>, Error> {
        let of = |seq: u64| keys::of_kind_at(keys::PAST, self.scope, kind, seq.saturating_add(1));
        let mut past = self.view.forward(&of(after), &of(self.at))?;
        let mut seqs = Vec::new();
        while seqs.len() <= limit
            && let Some(key) = past.next_key()?
        {
            seqs.push(keys::last_number(key));
        }
        Ok(seqs)
    }

    fn superseded_version(&self, seq: u64) -> Result<Option<SupersededVersion>, Error> {
        let bytes = self.body(seq)?;
        let stored = body::Stored::read(&bytes)?;
        if stored.is_deleted() || stored.purged().is_some() {
            return Ok(None);
        }
        let key = keys::record(keys::NEWEST, self.scope, stored.kind, stored.id);
        let missing = || Error::Damaged("the next or newest version of a record".into());
        let newest = self.view.get(&key)?.ok_or_else(missing)?;
        let next = stored.version.saturating_add(1);
        Ok(Some(SupersededVersion {
            id: stored.id.into(),
            version: stored.version,
            newest: Newest::read(&newest)?.version,
            time_ms: stored.time_ms,
            superseded_ms: self
                .time_of(stored.kind, stored.id, next)?
                .ok_or_else(missing)?,
            seal: stored.seal(),
        }))
    }
}
