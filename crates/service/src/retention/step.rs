//! What ends records in steps, each a commit with the record that says how far it is: disposals,
//! and moves to cold storage.

use salus_auth::Grant;
use salus_auth::record::{ColdMove, Disposal, Saved, SystemRecord};
use salus_store::{Kind as RecordKind, Purge, SealKey};

use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Ended;

/// A record that is kept of such work.
pub(crate) trait Step: SystemRecord {
    /// What it is in the audit,
    const WHAT: What;
    /// and what the record is called there.
    const ENTITY: &'static str;

    /// Why it is done.
    fn reason(&self) -> &str;
}

impl Step for Disposal {
    const WHAT: What = What::Disposal;
    const ENTITY: &'static str = "Disposal";

    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Step for ColdMove {
    const WHAT: What = What::ColdMoved;
    const ENTITY: &'static str = "ColdMove";

    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Service {
    /// Ends a step: its record says so from now on, and what is purged goes with that.
    pub(crate) async fn end_step<T: Step>(
        &self,
        cx: &Context,
        grant: &Grant,
        saved: &mut Saved<T>,
        purged: Vec<Purge>,
    ) -> Result<(), Error> {
        let ended = Ended {
            purged,
            beside: vec![saved.put()?],
            ..Ended::default()
        };
        self.end_records(cx, grant, entry(cx, grant, saved), ended)
            .await?;
        saved.version += 1;
        Ok(())
    }
}

/// The entry about a step; the records that it is about are to be added.
pub(crate) fn entry<T: Step>(cx: &Context, grant: &Grant, saved: &Saved<T>) -> Entry {
    let mut entry = Entry::new(cx, T::WHAT, Outcome::Success, grant.rule());
    entry.query = saved.value.reason().into();
    let entity = Entity {
        ty: T::ENTITY.into(),
        id: saved.id.clone(),
        version: saved.version + 1,
    };
    entry.concerns(entity, T::KIND, &SealKey::Scope);
    entry
}

/// The content of all versions of records that were deleted, by type and id.
pub(crate) fn purges(pending: Vec<(String, Box<str>)>) -> Vec<Purge> {
    let purged = pending.into_iter().map(|(ty, id)| Purge {
        kind: RecordKind::named(&ty),
        id,
        below: u64::MAX,
    });
    purged.collect()
}
