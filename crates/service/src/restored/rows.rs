//! The rows of one record, by what is stored of it: those that its writer gave it.

use std::collections::HashMap;
use std::sync::LazyLock;

use salus_auth::record::{ROWS, RowsOf};
use salus_fhir::search::Parameters;
use salus_store::{At, Bare, Content, Kind, Record, Row, SealedBlob, Store};

use crate::error::Error;
use crate::fhir::anew::{self, Made};
use crate::fhir::binary;
use crate::fhir::contained::{self, Place};
use crate::fhir::types::ResourceType;
use crate::jobs;

/// How the rows of our own kinds are made.
static OWN: LazyLock<HashMap<Kind, RowsOf>> = LazyLock::new(|| {
    let all = ROWS.iter().chain([&jobs::ROWS]);
    all.map(|of| (of.kind, *of)).collect()
});

/// The kinds of contained resources.
static CONTAINED: LazyLock<HashMap<Kind, ResourceType>> = LazyLock::new(|| {
    let all = ResourceType::all().into_iter();
    all.map(|ty| (contained::kept_as(ty).kind, ty)).collect()
});

/// Whether a record is one beside a container.
pub(super) fn is_contained(kind: Kind) -> bool {
    CONTAINED.contains_key(&kind)
}

/// The blob that a record names, unless the version that has it was purged: the link to that
/// stays, and the blob went.
pub(super) async fn blob_of(store: &dyn Store, bare: &Bare) -> Result<Option<SealedBlob>, Error> {
    let (scope, record) = (bare.scope, &bare.record);
    let Some((id, _)) = binary::link(record) else {
        return Ok(None);
    };
    let snapshot = store.snapshot(scope, At::Now).await?;
    let named = binary::is_kept(&*snapshot, record).await?;
    Ok(named.then_some(SealedBlob { scope, id }))
}

/// What comes of a contained resource.
pub(super) enum Inside {
    Made(Made),
    /// Its container is not there any more.
    Gone,
    /// Its rows cannot be made.
    Failed,
}

/// Makes the rows of the records of a project.
pub(super) struct Maker<'p> {
    parameters: &'p Parameters,
    bases: &'p [String],
    /// Of containers that came by: the rows of what they contain.
    contained: HashMap<(Kind, Box<str>), Made>,
}

impl<'p> Maker<'p> {
    pub(super) fn new(parameters: &'p Parameters, bases: &'p [String]) -> Self {
        Self {
            parameters,
            bases,
            contained: HashMap::new(),
        }
    }

    /// The rows of a record that is not contained in another; `None` if they cannot be made.
    pub(super) fn of(&mut self, record: &Record) -> Option<Made> {
        if let Some(of) = OWN.get(&record.kind) {
            return of.rows(record).ok().map(undated);
        }
        if binary::is_link(record.kind) {
            return binary::link(record).map(|(_, rows)| undated(rows));
        }
        match ResourceType::of(record.kind) {
            Some(ty) => self.resource(ty, record),
            // Receipts, which are asked for by their ids alone.
            None => Some(Made::default()),
        }
    }

    fn resource(&mut self, ty: ResourceType, record: &Record) -> Option<Made> {
        let extractor = self.parameters.extractor(ty.name)?;
        let document = anew::parsed(record)?;
        let entries = extractor.extract(document.root(), self.bases).ok()?;
        let (by, read) = ((self.parameters, extractor), (document.root(), &*entries));
        let mut made = anew::made(by, record, read, self.bases)?;
        for put in made.contained.drain(..) {
            let inside = Made {
                rows: put.rows,
                main_date_ms: put.main_date_ms,
                contained: Vec::new(),
            };
            self.contained.insert((put.kind, put.id), inside);
        }
        Some(made)
    }

    /// The rows of a contained resource; of its container, if that did not come by.
    pub(super) async fn of_contained(
        &mut self,
        store: &dyn Store,
        bare: &Bare,
    ) -> Result<Inside, Error> {
        let key = (bare.record.kind, bare.record.id.clone());
        if let Some(made) = self.contained.remove(&key) {
            return Ok(Inside::Made(made));
        }
        let Some(place) = Place::read(&bare.record.content) else {
            return Ok(Inside::Failed);
        };
        let snapshot = store.snapshot(bare.scope, At::Now).await?;
        match snapshot.get(place.container.kind, &place.id).await {
            Ok(Some(container)) if container.content == Content::Deleted => {
                return Ok(Inside::Gone);
            }
            Ok(Some(container)) => drop(self.of(&container)),
            // A version of which only that it was there is left: the next one takes this with it.
            Ok(None) | Err(salus_store::Error::SnapshotGone(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let made = self.contained.remove(&key);
        Ok(made.map_or(Inside::Failed, Inside::Made))
    }
}

fn undated(rows: Vec<Row>) -> Made {
    Made {
        rows,
        ..Made::default()
    }
}
