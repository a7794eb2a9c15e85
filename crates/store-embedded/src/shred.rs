//! What ending the records of a patient needs beside purging: what their key sealed is found
//! without opening it, and what older points could still be asked for goes at once.

use std::sync::Arc;

use salus_store::{Error, Scope, SealKey, SealedVersion, SealedVersions, Seq};

use crate::collect::{self, Stop};
use crate::core::Core;
use crate::newest::Newest;
use crate::{body, keys};

/// Versions that a patient's key sealed, along the log.
pub(crate) fn sealed(
    core: &Core,
    (scope, patient): (Scope, &str),
    after: Seq,
    limit: usize,
) -> Result<SealedVersions, Error> {
    let start = keys::at(keys::BODY, after.0.saturating_add(1));
    let end = keys::at(keys::BODY, core.visible().saturating_add(1));
    let view = core.kv.view()?;
    let mut log = view.forward(&start, &end)?;
    let mut found = SealedVersions::default();
    for _ in 0..limit {
        let Some((key, bytes)) = log.next()? else {
            return Ok(SealedVersions {
                next: None,
                ..found
            });
        };
        found.next = Some(Seq(keys::last_number(key)));
        let stored = body::Stored::read(&bytes)?;
        let by_patient = matches!(stored.seal(), SealKey::Patient(id) if *id == *patient);
        if stored.scope != scope || !by_patient || stored.purged().is_some() {
            continue;
        }
        let newest = keys::record(keys::NEWEST, scope, stored.kind, stored.id);
        let missing = || Error::Damaged("the newest version of a record".into());
        let newest = Newest::read(&view.get(&newest)?.ok_or_else(missing)?)?;
        found.versions.push(SealedVersion {
            kind: stored.kind,
            id: stored.id.into(),
            version: stored.version,
            newest: newest.version,
            deleted: stored.is_deleted(),
        });
    }
    Ok(found)
}

/// Removes what only older points need, from the index, from memory, and from tables that
/// hold what was removed.
pub(crate) fn forget(core: &Arc<Core>, stop: &Stop) -> Result<(), Error> {
    collect::collect(core, core.visible(), stop)?;
    if stop.is_stopped() {
        return Err(crate::closed());
    }
    core.cache.clear();
    core.samples.unload();
    core.kv.rewrite()
}
