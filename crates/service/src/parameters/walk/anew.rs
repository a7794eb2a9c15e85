//! All that a writer makes of a resource for searches, made anew of what is
//! stored: its rows, and the records of what it contains.

use salus_fhir::definitions::SearchKind;
use salus_fhir::reference::Reference;
use salus_fhir::search::{Entry, Extractor, Parameters, Value as Found};
use salus_store::{Hit, Kind, Param, Precondition, Put, Reindexed, Row, Value};

use super::BASES_MAX;
use crate::fhir::{anew, rows};

const NO_BASES: &[&str] = &[];

/// What is made anew for some records.
#[derive(Default)]
pub(super) struct Anew {
    pub(super) rows: Vec<Reindexed>,
    pub(super) contained: Vec<Inside>,
    /// Of how many records it could not be made: those stay as they are.
    pub(super) failed: u64,
}

/// The records of what a resource contains, as its writer makes them.
pub(super) struct Inside {
    /// The resource is still the one.
    pub(super) current: Precondition,
    /// When it was written.
    pub(super) time_ms: i64,
    pub(super) puts: Vec<Put>,
}

/// Makes all anew for records of a type.
pub(super) fn of(ty: &str, parameters: &Parameters, hits: &[Hit], bases: &mut Vec<String>) -> Anew {
    let mut new = Anew::default();
    for hit in hits {
        match one(parameters, ty, hit, bases) {
            Some((rows, inside)) => {
                new.rows.push(rows);
                new.contained.extend(inside);
            }
            None => new.failed += 1,
        }
    }
    if new.failed > 0 {
        let failed = new.failed;
        tracing::warn!(ty, failed, "records keep their old index rows");
    }
    new
}

/// The parameters of R4 that are references of a type.
pub(super) fn references(ty: &str) -> Vec<Param> {
    let all = Parameters::r4().of(ty);
    all.filter(|parameter| parameter.kind == SearchKind::Reference)
        .map(|parameter| rows::param(ty, parameter))
        .collect()
}

fn one(
    parameters: &Parameters,
    ty: &str,
    hit: &Hit,
    bases: &mut Vec<String>,
) -> Option<(Reindexed, Option<Inside>)> {
    let extractor = parameters.extractor(ty)?;
    let record = &hit.record;
    let document = anew::parsed(record)?;
    let mut entries = extractor.extract(document.root(), bases).ok()?;
    let known = bases.len();
    learn(extractor, &entries, &hit.rows, bases);
    if bases.len() > known {
        entries = extractor.extract(document.root(), bases).ok()?;
    }
    let read = (document.root(), &*entries);
    let made = anew::made((parameters, extractor), record, read, bases)?;
    let (kind, version) = (record.kind, record.version);
    let inside = (!made.contained.is_empty()).then(|| Inside {
        current: Precondition::VersionIs {
            kind,
            id: record.id.clone(),
            version: Some(version),
        },
        time_ms: record.time_ms,
        puts: made.contained,
    });
    let rows = Reindexed {
        kind,
        id: record.id.clone(),
        version,
        rows: made.rows,
        main_date_ms: made.main_date_ms,
    };
    Some((rows, inside))
}

/// A URL that the writer took for a record of this server begins with a base
/// of it. Nobody else knows the bases of requests that are long past.
fn learn(extractor: &Extractor, entries: &[Entry<'_>], rows: &[Row], bases: &mut Vec<String>) {
    for entry in entries {
        let Found::ReferenceUri(url) = &entry.value else {
            continue;
        };
        let Some(Reference::Absolute {
            target: Some(local),
            ..
        }) = Reference::parse(url, NO_BASES)
        else {
            continue;
        };
        let Some(parameter) = extractor.parameters().get(usize::from(entry.parameter)) else {
            continue;
        };
        let param = rows::param(extractor.ty(), parameter);
        let was_own = rows.iter().any(|row| {
            let to = Value::Reference {
                kind: Kind::named(local.ty),
                id: local.id.into(),
            };
            row.param == param && row.value == to
        });
        let tail = format!("/{}/{}", local.ty, local.id);
        if was_own
            && bases.len() < BASES_MAX
            && let Some((base, _)) = url.rsplit_once(&tail)
        {
            bases.push(base.to_owned());
        }
    }
}
