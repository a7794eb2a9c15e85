//! The memory twin, following the log of another.

use super::{decode, wide};
use crate::memory::{AuditLine, Memory, reply};
use crate::{
    Batch, Content, Error, Followed, Following, LogBatch, LogPart, Opened, Reindexed, Reply, Seq,
};

impl Following for Memory {
    fn slots_of(&self, _: &LogBatch) -> Result<u32, Error> {
        Ok(0)
    }

    fn open_batch<'a>(&'a self, batch: &'a LogBatch) -> Reply<'a, Opened> {
        let mut opened = Opened::default();
        let versions = batch.parts.iter().filter_map(|part| match part {
            LogPart::Version(bytes) => Some(bytes),
            LogPart::Audit { .. } | LogPart::Purged(_) => None,
        });
        for (seq, bytes) in (batch.first.0..).zip(versions) {
            let Some((mut record, purged)) = decode(&mut &bytes[..], batch.time_ms) else {
                return reply(Err(Error::Damaged(format!("version {seq}"))));
            };
            record.seq = Seq(seq);
            opened.kinds.push(record.kind);
            match (purged, &record.content) {
                (Some(_), _) => opened.unreadable += 1,
                (None, Content::Deleted) => {}
                (None, Content::Body(_)) => opened.push(record, batch.time_ms),
            }
        }
        reply(Ok(opened))
    }

    fn follow(&self, batches: Vec<Followed>) -> Reply<'_, ()> {
        reply(self.write(|state| {
            for Followed { batch, rows } in batches {
                let scope = batch.scope;
                state.refill(batch)?;
                for new in rows {
                    let reindexed = Reindexed {
                        kind: new.kind,
                        id: new.id,
                        version: new.version,
                        rows: new.rows,
                        main_date_ms: new.main_date_ms,
                    };
                    state.reindex(scope, reindexed);
                }
            }
            Ok(())
        }))
    }

    fn draft(&self, batch: Batch) -> Reply<'_, LogBatch> {
        reply(self.read(|state| {
            if batch.audit.is_empty() || !batch.puts.is_empty() {
                return Err(Error::Misuse("a draft is of audit entries"));
            }
            let first = Seq(state.newest.0 + 1);
            let last = Seq(state.newest.0 + batch.audit.len() as u64);
            let parts = batch.audit.into_iter().map(|entry| {
                let line = AuditLine {
                    scope: batch.scope,
                    time_ms: batch.time_ms,
                    entry,
                    cleared: None,
                };
                LogPart::Audit {
                    leaf: wide(line.digest()),
                    entry: line.encode().into(),
                    about: line.entry.about,
                }
            });
            Ok(LogBatch {
                first,
                last,
                time_ms: batch.time_ms,
                scope: batch.scope,
                chain: wide(state.chain),
                parts: parts.collect(),
            })
        }))
    }
}
