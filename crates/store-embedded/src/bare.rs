//! The rows of a store that was made of a log. Its records have none yet, so
//! nothing is read of what was there, and many threads may lay rows at once:
//! each has versions of its own, and postings of one span of seqs are not
//! mixed with those of another.

use salus_store::{Bare, BareRecords, Error, NewRows, Row, Seq};

use crate::core::{Core, kind_of_key, set};
use crate::index::{self, Hints};
use crate::kv::{View, When, Write, sort_for_engine};
use crate::prepare::dates;
use crate::{body, keys, row, text};

/// Keys of a write: few enough for the caches of a core. No two writes have to be there together,
/// since a store whose rows were being made is not opened again.
const PIECE_KEYS: usize = 2_000;

/// Room for the keys of a record, about.
const KEYS_OF_RECORD: usize = 24;

/// The current records whose version lies in a span, without what cannot be opened.
pub(crate) fn records(
    core: &Core,
    (after, upto): (Seq, Seq),
    bytes: usize,
) -> Result<BareRecords, Error> {
    let view = core.kv.view()?;
    let start = keys::at(keys::BODY, after.0.saturating_add(1));
    let end = keys::at(keys::BODY, upto.0.saturating_add(1));
    let mut versions = view.forward(&start, &end)?;
    let mut found = BareRecords::default();
    let mut size = 0;
    while let Some((key, value)) = versions.next()? {
        let seq = keys::last_number(key);
        if size >= bytes {
            found.next = Some(Seq(seq - 1));
            break;
        }
        let stored = body::Stored::read(&value)?;
        if !is_current(&view, &stored, seq)? {
            continue;
        }
        size += value.len();
        match stored.open(seq, &core.codec, &core.keyring) {
            Ok(record) => found.records.push(Bare {
                scope: stored.scope,
                record,
                latest_ms: stored.latest_ms,
            }),
            // Its key was destroyed, or it is damaged, which a check will tell.
            Err(_) => found.unreadable += 1,
        }
    }
    Ok(found)
}

/// The rows of every current record, in the order of scopes, kinds and seqs.
pub(crate) fn all(core: &Core) -> Result<Vec<NewRows>, Error> {
    let _watch = core.superseded.watch();
    let view = core.kv.view()?;
    let visible = core.visible();
    let mut current = view.forward(&[keys::CURRENT], &[keys::CURRENT + 1])?;
    let mut all = Vec::new();
    while let Some((key, value)) = current.next()? {
        let seq = keys::last_number(key);
        let damaged = || Error::Damaged(format!("the rows of version {seq}"));
        let (scope, kind) = kind_of_key(key).ok_or_else(damaged)?;
        if !core.superseded.shows(seq, visible) {
            continue;
        }
        let entry = row::Entry::read(&value)?;
        all.push(NewRows {
            scope,
            kind,
            id: entry.id.into(),
            version: entry.version,
            seq: Seq(seq),
            time_ms: entry.time_ms,
            latest_ms: entry.latest_ms,
            rows: entry.all_rows()?,
            main_date_ms: entry.main_date_ms,
        });
    }
    Ok(all)
}

fn is_current(view: &View, stored: &body::Stored<'_>, seq: u64) -> Result<bool, Error> {
    if stored.is_deleted() || stored.purged().is_some() {
        return Ok(false);
    }
    let key = keys::of_kind_at(keys::CURRENT, stored.scope, stored.kind, seq);
    Ok(view.get(&key)?.is_some())
}

/// Lays the rows of records that have none. Waits for the disk.
pub(crate) fn give_rows(core: &Core, mut all: Vec<NewRows>) -> Result<(), Error> {
    all.sort_by_key(|new| new.seq);
    let mut writes = Vec::with_capacity(all.len() * KEYS_OF_RECORD);
    for new in &mut all {
        Row::sort(&mut new.rows);
        entry(core, new, &mut writes);
    }
    let mut scopes: Vec<_> = all.iter().map(|new| new.scope).collect();
    scopes.sort_unstable();
    scopes.dedup();
    for scope in scopes {
        let of_scope = all.iter().filter(|new| new.scope == scope);
        let rows = of_scope.map(|new| (new.seq.0, new.kind, new.rows.as_slice()));
        for mut block in text::lay(scope, rows) {
            keys::set_seq(&mut block.key, block.first);
            writes.push(set(block.key, block.value));
        }
    }
    core.space.check()?;
    sort_for_engine(&mut writes);
    let mut writes = writes.into_iter();
    while writes.len() > 0 {
        let piece = writes.by_ref().take(PIECE_KEYS).collect();
        core.kv.write_here(piece, When::Later)?;
    }
    Ok(())
}

/// What is kept beside a version, and its index.
fn entry(core: &Core, new: &NewRows, writes: &mut Vec<Write>) {
    let (of, seq) = ((new.scope, new.kind), new.seq.0);
    let mut entry = row::NewEntry {
        id: &new.id,
        version: new.version,
        time_ms: new.time_ms,
        main_date_ms: new.main_date_ms,
        rows: &new.rows,
    }
    .to_bytes();
    row::set_latest(&mut entry, new.latest_ms);
    writes.push(set(keys::of_kind_at(keys::CURRENT, of.0, of.1, seq), entry));
    let hints = Hints::of_rows(&new.rows);
    let mut index = Vec::with_capacity(new.rows.len());
    for row in &new.rows {
        core.index.put_keys(of, row, new.main_date_ms, &mut index);
    }
    for mut key in index {
        keys::set_seq(&mut key, seq);
        let value = match index::has_hints(&key) {
            true => hints.clone(),
            false => Vec::new(),
        };
        writes.push(set(key, value));
    }
    let mut main_dates = core.main_dates.write();
    let observed = dates(&new.rows, new.main_date_ms);
    main_dates.entry(of).or_default().observe(&observed);
}

/// Makes all of it durable, and what was observed on the way.
pub(crate) fn finish(core: &Core) -> Result<(), Error> {
    let main_dates = core.main_dates.read();
    let writes = main_dates.iter().map(|((scope, kind), main_date)| {
        let key = keys::of_kind(keys::DATES, *scope, *kind);
        set(key, main_date.to_bytes())
    });
    let mut writes: Vec<Write> = writes.collect();
    let floor = core.superseded.floor().to_be_bytes();
    writes.push(set(keys::meta(crate::core::META_FLOOR), floor.into()));
    core.kv.write_here(writes, When::Now)
}
