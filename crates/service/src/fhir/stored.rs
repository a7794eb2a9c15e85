//! A resource on its way into the store: stamped, indexed, its key chosen.

use bytes::Bytes;
use salus_fhir::compartment;
use salus_fhir::splice::{self, Stamp};
use salus_fhir::validate::Valid;
use salus_store::{Put, Row, SealKey};

use super::contained::Container;
use super::list;
use super::reply::{Place, Reply, Status};
use super::rows::rows;
use super::types::ResourceType;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::parameters;

/// The next version of a resource, as it will be stored.
pub(crate) struct Stored {
    pub(crate) ty: ResourceType,
    pub(crate) id: Box<str>,
    pub(crate) version: u64,
    pub(crate) text: Bytes,
    pub(crate) rows: Vec<Row>,
    pub(crate) main_date_ms: Option<i64>,
    pub(crate) seal: SealKey,
    /// The records of what it contains.
    pub(crate) contained: Vec<Put>,
}

impl Stored {
    /// Prepares a version. The text is the client's, but for `id`,
    /// `meta.versionId` and `meta.lastUpdated`.
    pub(crate) fn of(
        cx: &Context,
        ty: ResourceType,
        id: &str,
        version: u64,
        valid: &Valid<'_>,
    ) -> Result<Self, Error> {
        let node = valid.node();
        if ty.kind == parameters::DEFINITIONS {
            parameters::check(cx, id, node)?;
        }
        let extractor = cx
            .parameters
            .extractor(ty.name)
            .ok_or_else(|| Error::new(Kind::Internal, "the type has no search parameters"))?;
        let entries = extractor
            .extract(node, &[&*cx.base])
            .map_err(|issue| Error::with_issues(Kind::Unprocessable, vec![issue]))?;
        let patients = compartment::patients(ty.name, id, &entries);
        let stamp = Stamp {
            id,
            version: &version.to_string(),
            last_updated: &crate::time::instant(cx.now_ms),
        };
        let container = Container { ty, id, version };
        let main_date_ms = extractor.main_date(&entries).map(|span| span.from_ms);
        let seal = seal(&patients);
        let mut rows = rows(extractor, &entries, node);
        list::add_members(ty, node, &[&*cx.base], &mut rows);
        Ok(Self {
            ty,
            id: id.into(),
            version,
            text: splice::stamp(node, &stamp).into(),
            rows,
            contained: container.puts(&cx.parameters, &[&*cx.base], node, (main_date_ms, &seal))?,
            main_date_ms,
            seal,
        })
    }

    /// What to answer once it is stored.
    pub(crate) fn reply(&self, cx: &Context, status: Status) -> Reply {
        Reply {
            written: true,
            version: Some(self.version),
            updated_ms: Some(cx.now_ms),
            place: Some(Place {
                ty: self.ty,
                id: self.id.clone(),
            }),
            body: Some(self.text.clone()),
            ..Reply::with(status)
        }
    }
}

/// A record of one patient is sealed with that patient's key. One of several
/// is sealed with the project's, so that destroying one patient's key does not
/// destroy what belongs to another too.
fn seal<S: AsRef<str>>(patients: &[S]) -> SealKey {
    match patients {
        [patient] => SealKey::Patient(patient.as_ref().into()),
        _ => SealKey::Scope,
    }
}
