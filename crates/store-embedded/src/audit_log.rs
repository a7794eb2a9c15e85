//! Reading the audit log of a scope.

use salus_store::{AuditQuery, AuditRecord, Error, Seq};

use crate::audit::Stored;
use crate::keys;
use crate::kv::Cursor;
use crate::reader::Reader;

/// One page of entries.
pub(crate) fn page(reader: &Reader, query: &AuditQuery) -> Result<Vec<AuditRecord>, Error> {
    let mut page = Vec::new();
    if query.limit == 0 {
        return Ok(page);
    }
    let mut entries = open(reader, query)?;
    let mut touched = 0_u64;
    while let Some(key) = entries.next_key()? {
        let seq = keys::last_number(key);
        touched += 1;
        if touched > reader.core.rows_max {
            let rows_max = reader.core.rows_max;
            return Err(Error::TooCostly { rows_max });
        }
        let key = keys::audit(reader.scope, seq);
        let bytes = reader.view.get(&key)?;
        let bytes = bytes.ok_or_else(|| Error::Damaged(format!("audit entry {seq} is missing")))?;
        let stored = Stored::read(&bytes)?;
        let from_ms = query.from_ms.unwrap_or(i64::MIN);
        if !query.ascending && stored.latest_ms < from_ms {
            // Neither this one nor any before it.
            break;
        }
        if stored.time_ms < from_ms || query.to_ms.is_some_and(|to| stored.time_ms >= to) {
            continue;
        }
        page.push(stored.open(reader.scope, seq, &reader.core.keyring)?);
        if page.len() >= query.limit {
            break;
        }
    }
    Ok(page)
}

/// The keys of the entries in question, each with the seq at its end.
fn open<'a>(reader: &'a Reader, query: &AuditQuery) -> Result<Cursor<'a>, Error> {
    let base = match &query.about {
        Some((kind, id)) => keys::record(keys::ABOUT, reader.scope, *kind, id),
        None => keys::scoped(keys::AUDIT, reader.scope, keys::SEQ_LEN),
    };
    let with = |seq: u64| {
        let mut key = base.clone();
        key.extend_from_slice(&seq.to_be_bytes());
        key
    };
    let first_hidden = reader.at.saturating_add(1);
    if query.ascending {
        let start = query.after.map_or(0, |Seq(after)| after.saturating_add(1));
        reader.view.forward(&with(start), &with(first_hidden))
    } else {
        let end = query
            .after
            .map_or(first_hidden, |Seq(after)| after.min(first_hidden));
        reader.view.backward(&with(0), &with(end))
    }
}
