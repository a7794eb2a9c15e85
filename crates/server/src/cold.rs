//! Where cold storage is: a folder or a bucket, as an archive's destination.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_archive::{Destination, Put, Trouble};
use salus_service::cold::{ColdPlace, PlaceError, Settings};

use crate::backup;
use crate::config::Config;

/// A destination that holds cold records.
struct Place {
    destination: Arc<dyn Destination>,
    locked: bool,
}

/// The cold storage that an operator names, if one is named.
pub(crate) fn settings(config: &Config) -> Result<Settings, backup::Error> {
    let Some(text) = &config.cold else {
        return Ok(Settings::default());
    };
    let place = Place {
        destination: backup::destination(text, &config.archive)?,
        locked: text.starts_with("s3://") && text.contains("lock-days="),
    };
    Ok(Settings {
        place: Some(Arc::new(place)),
    })
}

impl ColdPlace for Place {
    fn label(&self) -> &str {
        self.destination.label()
    }

    fn is_locked(&self) -> bool {
        self.locked
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PlaceError>> {
        Box::pin(async move {
            let length = bytes.len();
            match self.destination.put(name, bytes).await.map_err(failed)? {
                Put::Made => Ok(()),
                // A bucket may have done what it said it had not; what is there is read back.
                Put::Taken => match self.destination.get(name).await.map_err(failed)? {
                    Some(there) if there.len() == length => Ok(()),
                    Some(_) | None => Err(PlaceError(format!("{name} is taken"))),
                },
            }
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, PlaceError>> {
        Box::pin(async move { self.destination.get(name).await.map_err(failed) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, PlaceError>> {
        Box::pin(async move {
            let objects = self.destination.list(prefix).await.map_err(failed)?;
            Ok(objects.into_iter().map(|object| object.name).collect())
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), PlaceError>> {
        Box::pin(async move { self.destination.remove(name).await.map_err(failed) })
    }
}

fn failed(trouble: Trouble) -> PlaceError {
    PlaceError(trouble.to_string())
}
