//! What the caller of a commit does itself, before its batch waits for its
//! turn: encode, compress, seal, hash. Only what depends on the order of
//! commits is left to the committer.

use salus_store::{
    Batch, Content, Error, Held, Kind, Param, Precondition, Purge, Put, Reindexed, Row, Scope,
    SealKey, Shred, Value,
};

use crate::body::NewVersion;
use crate::core::Core;
use crate::index::Hints;
use crate::purge::PreparedPurge;
use crate::reindex::PreparedRows;
use crate::sample::Seen;
use crate::turns::Turn;
use crate::{audit, row, text};

/// A batch, ready to be written.
pub(crate) struct Prepared {
    pub(crate) scope: Scope,
    pub(crate) time_ms: i64,
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) puts: Vec<PreparedPut>,
    /// Their first versions counted from the first of the batch.
    pub(crate) texts: Vec<text::Block>,
    pub(crate) reindexed: Vec<PreparedRows>,
    pub(crate) purged: Vec<PreparedPurge>,
    pub(crate) audit: Vec<PreparedAudit>,
    /// What the log says that it came from.
    pub(crate) expected: Option<Expected>,
    /// Given back when it is decided.
    pub(crate) turn: Option<Turn>,
    /// Given back when every new view shows it.
    pub(crate) held: Option<Held>,
}

/// Where a batch of another's log belongs: it is committed there or not at all.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) chain: [u8; 32],
}

/// A version, ready to be written.
pub(crate) struct PreparedPut {
    pub(crate) kind: Kind,
    pub(crate) id: Box<str>,
    pub(crate) version: u64,
    pub(crate) deleted: bool,
    pub(crate) body: Vec<u8>,
    /// Of the body, for the chain of changes.
    pub(crate) digest: [u8; 32],
    /// As [`row::Entry`] reads it; empty for a deletion.
    pub(crate) entry: Vec<u8>,
    /// Eight bytes at the end of each are free for the seq.
    pub(crate) index: Vec<Vec<u8>>,
    /// The value of those keys that are references.
    pub(crate) hints: Vec<u8>,
    pub(crate) dates: Dates,
    /// Its parameters.
    pub(crate) seen: Seen,
}

/// An audit entry, ready to be written.
pub(crate) struct PreparedAudit {
    pub(crate) entry: audit::NewEntry,
    pub(crate) about: Vec<(Kind, Box<str>)>,
}

/// Which parameters are the main date of a record.
pub(crate) struct Dates {
    pub(crate) has_main: bool,
    /// Parameters whose only value begins at the main date.
    pub(crate) same: Vec<Param>,
    /// All other parameters that have a value.
    pub(crate) other: Vec<Param>,
}

impl Prepared {
    pub(crate) fn new(core: &Core, batch: Batch) -> Result<Self, Error> {
        batch.validate()?;
        let Batch {
            scope,
            time_ms,
            preconditions,
            puts,
            reindexed,
            purged,
            shredded,
            audit,
            held,
        } = batch;
        let last = puts.len().saturating_sub(1);
        let rows = (0..).zip(&puts);
        let rows = rows.map(|(place, put)| (place, put.kind, &*put.rows));
        let texts = text::lay(scope, rows);
        let puts = puts
            .into_iter()
            .enumerate()
            .map(|(at, put)| prepare_put(core, (scope, time_ms), put, at == last));
        let puts = puts.collect::<Result<_, _>>()?;
        let slot = match audit.is_empty() {
            true => None,
            false => Some(core.scope_slot(scope, time_ms)?),
        };
        let audit = audit.into_iter().zip(slot.iter().cycle());
        let audit = audit.map(|(entry, slot)| {
            let sealed = audit::NewEntry::seal(scope, time_ms, *slot, &entry, &core.keyring)?;
            Ok(PreparedAudit {
                entry: sealed,
                about: entry.about,
            })
        });
        Ok(Self {
            scope,
            time_ms,
            preconditions,
            puts,
            texts,
            reindexed: prepare_rows(core, scope, reindexed)?,
            purged: prepare_purges(core, scope, (purged, shredded))?,
            audit: audit.collect::<Result<_, _>>()?,
            expected: None,
            turn: None,
            held,
        })
    }

    /// About how many keys it writes.
    pub(crate) fn size(&self) -> usize {
        let puts = self.puts.iter().map(|put| 6 + put.index.len());
        let audit = self.audit.iter().map(|entry| 1 + entry.about.len());
        let reindexed = self.reindexed.iter().map(PreparedRows::size);
        let purged = self.purged.iter().map(PreparedPurge::size);
        self.texts.len()
            + puts
                .chain(purged)
                .chain(audit)
                .chain(reindexed)
                .sum::<usize>()
    }
}

fn prepare_rows(
    core: &Core,
    scope: Scope,
    reindexed: Vec<Reindexed>,
) -> Result<Vec<PreparedRows>, Error> {
    if reindexed.is_empty() {
        return Ok(Vec::new());
    }
    let view = core.kv.view()?;
    let prepared = reindexed
        .into_iter()
        .map(|new| PreparedRows::of(core, &view, scope, new));
    prepared.filter_map(Result::transpose).collect()
}

fn prepare_purges(
    core: &Core,
    scope: Scope,
    (purged, shredded): (Vec<Purge>, Vec<Shred>),
) -> Result<Vec<PreparedPurge>, Error> {
    if purged.is_empty() && shredded.is_empty() {
        return Ok(Vec::new());
    }
    let view = core.kv.view()?;
    let purged = purged
        .into_iter()
        .map(|purge| PreparedPurge::of(&view, scope, purge, usize::MAX));
    let shredded = shredded
        .into_iter()
        .map(|shred| PreparedPurge::shred(&view, scope, shred));
    purged.chain(shredded).collect()
}

fn prepare_put(
    core: &Core,
    (scope, time_ms): (Scope, i64),
    mut put: Put,
    ends_batch: bool,
) -> Result<PreparedPut, Error> {
    if let SealKey::Patient(id) = &put.seal
        && id.len() > usize::from(u8::MAX)
    {
        return Err(Error::Misuse("the id of a patient is too long"));
    }
    let version = NewVersion {
        scope,
        kind: put.kind,
        id: &put.id,
        version: put.version,
        time_ms,
        ends_batch,
        seal: &put.seal,
        content: &put.content,
    };
    let body = version.to_bytes(&core.codec, &core.keyring)?;
    let deleted = put.content == Content::Deleted;
    Row::sort(&mut put.rows);
    let mut index = Vec::with_capacity(put.rows.len());
    for row in &put.rows {
        core.index
            .put_keys((scope, put.kind), row, put.main_date_ms, &mut index);
    }
    let entry = match deleted {
        true => Vec::new(),
        false => row::NewEntry {
            id: &put.id,
            version: put.version,
            time_ms,
            main_date_ms: put.main_date_ms,
            rows: &put.rows,
        }
        .to_bytes(),
    };
    Ok(PreparedPut {
        kind: put.kind,
        version: put.version,
        deleted,
        digest: salus_crypto::sha256(&body),
        body,
        entry,
        index,
        hints: Hints::of_rows(&put.rows),
        dates: dates(&put.rows, put.main_date_ms),
        seen: Seen::of(&put.rows),
        id: put.id,
    })
}

/// Rows are in the order of parameters.
pub(crate) fn dates(rows: &[Row], main_date_ms: Option<i64>) -> Dates {
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for run in rows.chunk_by(|a, b| a.param == b.param) {
        let is_main = match run {
            [
                Row {
                    param: _,
                    value: Value::Date { from_ms, .. },
                },
            ] => Some(*from_ms) == main_date_ms,
            _ => false,
        };
        let list = if is_main { &mut same } else { &mut other };
        list.extend(run.first().map(|row| row.param));
    }
    Dates {
        has_main: main_date_ms.is_some(),
        same,
        other,
    }
}
