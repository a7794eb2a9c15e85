//! Reading the audit log of a scope.
//!
//! Entries lie in the order of commits, which is not quite that of times. Each
//! one knows the latest time of any batch up to it, and the store how far a
//! time ever lay before the latest: between them, a span of time is a span of
//! entries, found by halving.

use salus_store::{AuditQuery, AuditRecord, Error, Seq};

use crate::audit::Stored;
use crate::keys;
use crate::reader::Reader;

/// One page of entries.
pub(crate) fn page(reader: &Reader, query: &AuditQuery) -> Result<Vec<AuditRecord>, Error> {
    let mut page = Vec::new();
    if query.limit == 0 {
        return Ok(page);
    }
    let base = match &query.about {
        Some((kind, id)) => keys::record(keys::ABOUT, reader.scope, *kind, id),
        None => base(reader),
    };
    let (first, end) = span(reader, query)?;
    let (start, end) = (with(&base, first), with(&base, end));
    let mut entries = reader.view.toward(&start, &end, !query.ascending)?;
    let mut touched = 0_u64;
    while let Some((key, value)) = entries.next()? {
        let seq = keys::last_number(key);
        touched += 1;
        if touched > reader.core.rows_max {
            let rows_max = reader.core.rows_max;
            return Err(Error::TooCostly { rows_max });
        }
        let value = match query.about {
            Some(_) => load(reader, seq)?.into(),
            None => value,
        };
        let stored = Stored::read(&value)?;
        let wanted = query.from_ms.is_none_or(|from| stored.time_ms >= from)
            && query.to_ms.is_none_or(|to| stored.time_ms < to);
        if wanted {
            page.push(stored.open(reader.scope, seq, &reader.core.keyring)?);
        }
        if page.len() >= query.limit {
            break;
        }
    }
    Ok(page)
}

fn load(reader: &Reader, seq: u64) -> Result<Vec<u8>, Error> {
    let bytes = reader.view.get(&keys::audit(reader.scope, seq))?;
    bytes.ok_or_else(|| Error::Damaged(format!("audit entry {seq} is missing")))
}

/// The seqs, first and one behind the last, between which all entries asked for lie.
fn span(reader: &Reader, query: &AuditQuery) -> Result<(u64, u64), Error> {
    let (mut first, mut end) = (0, reader.at.saturating_add(1));
    match (query.after, query.ascending) {
        (Some(Seq(after)), true) => first = after.saturating_add(1),
        (Some(Seq(after)), false) => end = end.min(after),
        (None, _) => {}
    }
    if let Some(from_ms) = query.from_ms {
        // Before this one, the latest time is earlier: so is every time.
        first = first.max(reached(reader, from_ms)?);
    }
    let lag_ms = reader.core.lag_ms();
    let too_late = query.to_ms.and_then(|to_ms| to_ms.checked_add(lag_ms));
    if let (Some(too_late), false) = (too_late, lag_ms == i64::MAX) {
        // From this one on, no time lies so far before the latest that it is wanted.
        end = end.min(reached(reader, too_late)?);
    }
    Ok((first, end))
}

/// The least seq that no entry lies before whose latest time has reached this time.
fn reached(reader: &Reader, time_ms: i64) -> Result<u64, Error> {
    let base = base(reader);
    let (mut low, mut high) = (0, reader.at.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let mut entries = reader
            .view
            .forward(&with(&base, middle), &with(&base, high))?;
        match entries.next()? {
            Some((key, value)) if Stored::read(&value)?.latest_ms < time_ms => {
                low = keys::last_number(key).saturating_add(1);
            }
            _ => high = middle,
        }
    }
    Ok(low)
}

fn base(reader: &Reader) -> Vec<u8> {
    keys::scoped(keys::AUDIT, reader.scope, keys::SEQ_LEN)
}

fn with(base: &[u8], seq: u64) -> Vec<u8> {
    let mut key = base.to_vec();
    key.extend_from_slice(&seq.to_be_bytes());
    key
}
