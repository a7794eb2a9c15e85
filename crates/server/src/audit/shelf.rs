//! A place of archives as the audit archive sees it, and the checkpoints that lie beside a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_archive::{Destination, Put};
use salus_service::audit::archive::{Kept, Shelf};

use crate::backup::{self, destination};
use crate::checkpoints;
use crate::config::Config;

/// A folder or a place in S3.
struct Place(Arc<dyn Destination>);

/// Where segments go, if the operator says so.
pub(crate) fn of(config: &Config) -> Result<Option<Arc<dyn Shelf>>, backup::Error> {
    let Some(text) = &config.audit.archive else {
        return Ok(None);
    };
    let place = Place(destination(text, &config.archive)?);
    Ok(Some(Arc::new(place)))
}

/// The checkpoints beside a store.
pub(crate) fn kept(data: &Path) -> Arc<Kept> {
    let dir: PathBuf = checkpoints::beside(data);
    Arc::new(move || {
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let read = checkpoints::read_all(&dir).map_err(|error| error.to_string())?;
        let (notes, unreadable) = read;
        if unreadable > 0 {
            tracing::warn!(unreadable, "some checkpoints that were kept cannot be read");
        }
        Ok(notes)
    })
}

impl Shelf for Place {
    fn label(&self) -> &str {
        self.0.label()
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let put = self.0.put(name, bytes).await;
            let put = put.map_err(|trouble| trouble.to_string())?;
            Ok(put == Put::Made)
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, String>> {
        Box::pin(async move {
            let got = self.0.get(name).await;
            got.map_err(|trouble| trouble.to_string())
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let listed = self.0.list(prefix).await;
            let objects = listed.map_err(|trouble| trouble.to_string())?;
            Ok(objects.into_iter().map(|object| object.name).collect())
        })
    }
}
