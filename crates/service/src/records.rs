//! Records of our own kinds, read from the store as they are now.

use salus_auth::record::{self, Saved, SystemRecord};
use salus_store::{At, Content, Record, Scope, Store};

use crate::error::Error;

/// Records of a page.
const PAGE: usize = 500;

/// A record of ours, if there is one that is not deleted.
pub(crate) fn read<T: SystemRecord>(record: Option<&Record>) -> Result<Option<Saved<T>>, Error> {
    match record {
        Some(record) if record.content != Content::Deleted => Ok(Saved::read(record)?),
        Some(_) | None => Ok(None),
    }
}

/// The one of this id, if there is one that is not deleted.
pub(crate) async fn one<T: SystemRecord>(
    store: &dyn Store,
    scope: Scope,
    id: &str,
) -> Result<Option<Saved<T>>, Error> {
    let snapshot = store.snapshot(scope, At::Now).await?;
    read(snapshot.get(T::KIND, id).await?.as_ref())
}

/// The same, and the newest version: of one that was deleted, too, whose next goes on from it.
pub(crate) async fn ever<T: SystemRecord>(
    store: &dyn Store,
    scope: Scope,
    id: &str,
) -> Result<(Option<Saved<T>>, u64), Error> {
    let snapshot = store.snapshot(scope, At::Now).await?;
    let record = snapshot.get(T::KIND, id).await?;
    let version = record.as_ref().map_or(0, |record| record.version);
    Ok((read(record.as_ref())?, version))
}

/// All records of a kind, up to a number of them.
pub(crate) async fn all<T: SystemRecord>(
    store: &dyn Store,
    scope: Scope,
    most: usize,
) -> Result<Vec<Saved<T>>, Error> {
    let snapshot = store.snapshot(scope, At::Now).await?;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = snapshot.find(&record::all::<T>(PAGE, after)).await?;
        for hit in &page.hits {
            found.extend(Saved::<T>::read(&hit.record)?);
        }
        after = page.next;
        if after.is_none() || found.len() >= most {
            return Ok(found);
        }
    }
}
