//! What is known here of a cold record: whether policy would show it, whether it is under hold,
//! and what others are counted by.
//!
//! Of its values codes and references are kept. A filter that asks for anything else is not answered
//! by guessing: then policy does not show the record, and a hold has it.

use salus_auth::record::{Cold, ColdState, Saved, SystemRecord};
use salus_fhir::issue::{Issue, IssueType};
use salus_store::{Candidate, Filter, Record, Rows, Seq, Snapshot, Test};

use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;
use crate::records::read;
use crate::retention::Counted;

/// Encounters of a patient that are looked at.
const ENCOUNTERS_MAX: usize = 10_000;

/// Whether a filter finds a record that is in cold storage; `None` if that takes values that
/// are not known here.
pub(super) fn finds(filter: &Filter, cold: &Cold) -> Option<bool> {
    if !is_decided(filter) {
        return None;
    }
    let bytes = salus_crypto::from_base64url(&cold.rows)?;
    let candidate = Candidate {
        id: &cold.id,
        time_ms: cold.updated_ms,
        seq: Seq(0),
        rows: Rows::stored(&bytes).ok()?,
    };
    Some(filter.matches(&candidate))
}

/// Whether codes and references, the id and the last update decide.
fn is_decided(filter: &Filter) -> bool {
    match filter {
        Filter::Everything | Filter::Nothing | Filter::Ids(_) | Filter::Updated(..) => true,
        Filter::All(filters) | Filter::Any(filters) => filters.iter().all(is_decided),
        Filter::Not(filter) => is_decided(filter),
        Filter::Value(_, test) => matches!(
            test,
            Test::Token { .. } | Test::Tokens(_) | Test::Reference { .. } | Test::References(_)
        ),
        Filter::Refers { .. } | Filter::Referred { .. } => false,
    }
}

impl crate::retention::Held {
    /// Whether a hold has a cold record.
    pub(super) fn has_cold(
        &self,
        cx: &crate::context::Context,
        cold: &Cold,
    ) -> Result<bool, Error> {
        for hold in self.each() {
            let of = |id: &str| cold.patients.iter().any(|own| **own == *id);
            let sealed = |id: &str| cold.patient.as_deref() == Some(id);
            if hold.patients.iter().any(|id| of(id) || sealed(id)) {
                return Ok(true);
            }
            for search in &hold.searches {
                let (of, filter) = crate::retention::understood(cx, search)?;
                if of.name == cold.ty && finds(&filter, cold) != Some(false) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// What a cold record is counted by.
pub(super) fn counted(cold: &Cold) -> Counted {
    Counted {
        main_ms: cold.main_ms,
        updated_ms: cold.updated_ms,
        patients: cold.patients.clone(),
    }
}

/// When the last encounter of a patient ended that is in cold storage.
pub(crate) async fn last_encounter(
    snapshot: &dyn Snapshot,
    patient: &str,
) -> Result<Option<i64>, Error> {
    let query = salus_store::Query {
        limit: ENCOUNTERS_MAX,
        ..Cold::of_patient_and_type(patient, "Encounter")
    };
    let mut latest = None;
    for hit in snapshot.find(&query).await?.hits {
        if let Some(saved) = read::<Cold>(Some(&hit.record))? {
            let cold = saved.value;
            latest = latest.max(Some(cold.main_ms.unwrap_or(cold.updated_ms)));
        }
    }
    Ok(latest)
}

/// What is left of a record that is in cold storage.
pub(super) async fn left(
    snapshot: &dyn Snapshot,
    ty: ResourceType,
    id: &str,
) -> Result<Option<Saved<Cold>>, Error> {
    let record = snapshot.get(Cold::KIND, &Cold::id_of(ty.name, id)).await?;
    read::<Cold>(record.as_ref())
}

/// The same, if its current version is there.
pub(super) async fn cold(
    snapshot: &dyn Snapshot,
    ty: ResourceType,
    id: &str,
) -> Result<Option<Cold>, Error> {
    let left = left(snapshot, ty, id).await?.map(|saved| saved.value);
    Ok(left.filter(|left| left.state == ColdState::Cold))
}

/// Whether the current version of a record is in cold storage.
pub(crate) async fn is_cold(
    snapshot: &dyn Snapshot,
    ty: &str,
    id: &str,
) -> Result<bool, salus_store::Error> {
    let record = snapshot.get(Cold::KIND, &Cold::id_of(ty, id)).await?;
    // One that cannot be read is not written over either.
    let cold = |record: &Record| {
        let saved = Saved::<Cold>::read(record);
        saved.map_or(true, |saved| {
            saved.is_some_and(|saved| saved.value.state == ColdState::Cold)
        })
    };
    Ok(record.as_ref().is_some_and(cold))
}

/// What somebody is told who reads a cold record.
pub(super) fn elsewhere() -> Error {
    let details = "this resource is in cold storage: an administrator of the project can have it \
                   brought back (POST /admin/cold/retrieve; salus cold retrieve TYPE/ID)";
    let issue = Issue::error(IssueType::Incomplete, String::new(), details);
    Error::with_issues(Kind::Gone, vec![issue])
}

/// What somebody is told who writes over a cold record.
pub(super) fn refused() -> Error {
    let details = "a resource of this id is in cold storage: have it brought back before it is \
                   changed (POST /admin/cold/retrieve; salus cold retrieve TYPE/ID)";
    Error::new(Kind::Conflict, details)
}

#[cfg(test)]
mod tests {
    use salus_store::{Comparison, Kind as RecordKind, Param, Row, Value};

    use super::*;

    const CODE: Param = Param::named("Observation", "code");
    const DATE: Param = Param::named("Observation", "date");

    fn token(code: &str) -> Filter {
        Filter::Value(
            CODE,
            Test::Token {
                system: None,
                code: Some(code.into()),
            },
        )
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let row = Row {
            param: CODE,
            value: Value::Token {
                system: "s".into(),
                code: "a".into(),
            },
        };
        let mut rows = Vec::new();
        row.write(&mut rows);
        let cold = Cold {
            ty: "Observation".into(),
            id: "o".into(),
            state: ColdState::Cold,
            key: String::new(),
            patient: None,
            class: String::new(),
            moved_ms: 0,
            by: "".into(),
            reason: String::new(),
            objects: Vec::new(),
            versions: Vec::new(),
            main_ms: None,
            updated_ms: 5,
            patients: Vec::new(),
            rows: salus_crypto::base64url(&rows),
            back: None,
        };
        let date = Filter::Value(DATE, Test::Date(Comparison::Equal, 0, 1));
        let not = |filter: Filter| Filter::Not(Box::new(filter));
        let linked = Filter::Refers {
            param: CODE,
            kind: RecordKind::named("Patient"),
            filter: Box::new(Filter::Everything),
        };
        for (filter, expected) in [
            (Filter::Everything, Some(true)),
            (token("a"), Some(true)),
            (token("b"), Some(false)),
            (not(token("b")), Some(true)),
            (Filter::Ids(vec!["o".into()]), Some(true)),
            (date.clone(), None),
            (not(date.clone()), None),
            (Filter::All(vec![token("a"), not(date)]), None),
            (linked, None),
        ] {
            assert_eq!(finds(&filter, &cold), expected, "{filter:?}");
        }
    }
}
