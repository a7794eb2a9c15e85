//! Records whose newest version was purged before the log was read: where the log ends, they are
//! what nobody has any more.
//!
//! They are deleted in the store that was made, and its audit says so: reading one is answered
//! (410), searches leave it out, and who has its content elsewhere may put it again.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use salus_store::{Batch, Content, Lost, Put, Scope, SealKey, Store};

use crate::audit::entry::{Entity, Entry, What};
use crate::error::Error;
use crate::fhir::types::ResourceType;

/// Records of one commit.
const STEP: usize = 200;

/// Deletes records that are without content, with what names them in the audit.
///
/// # Errors
/// When the store cannot be written.
pub fn leave_out<'a>(
    store: &'a dyn Store,
    lost: &'a [Lost],
    now_ms: i64,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let mut scopes: BTreeMap<Scope, Vec<&Lost>> = BTreeMap::new();
        for one in lost {
            scopes.entry(one.scope).or_default().push(one);
        }
        for (scope, lost) in scopes {
            for some in lost.chunks(STEP) {
                let puts = some.iter().map(|one| deletion(one)).collect();
                let batch = Batch {
                    audit: vec![entry(some).seal()],
                    ..Batch::of(scope, now_ms, puts)
                };
                store.commit(batch).await?;
            }
        }
        Ok(())
    })
}

fn deletion(lost: &Lost) -> Put {
    Put {
        kind: lost.kind,
        id: lost.id.clone(),
        version: lost.version + 1,
        content: Content::Deleted,
        rows: Vec::new(),
        main_date_ms: None,
        // The patient's key may be destroyed.
        seal: SealKey::Scope,
    }
}

/// Names those that are resources.
fn entry(some: &[&Lost]) -> Entry {
    let mut entry = Entry::by_operator(What::SystemRestore);
    entry.query = "content=purged".into();
    for one in some {
        if let Some(ty) = ResourceType::of(one.kind) {
            let entity = Entity {
                ty: ty.name.into(),
                id: one.id.clone(),
                version: one.version,
            };
            entry.concerns(entity, one.kind, &one.seal);
        }
    }
    entry
}
