//! Small records, rows and queries, said shortly.

use bytes::Bytes;

use crate::ordered::Decimal;
use crate::{
    AuditEntry, Batch, Content, Filter, Found, History, HistoryOf, Kind, Param, Put, Query, Record,
    Row, Scope, SealKey, Test, Value,
};

pub(super) const ONE: Scope = Scope(1);
pub(super) const TWO: Scope = Scope(2);
pub(super) const PATIENT: Kind = Kind::named("Patient");
pub(super) const OBSERVATION: Kind = Kind::named("Observation");
pub(super) const NAME: Param = Param::named("Patient", "name");
pub(super) const CODE: Param = Param::named("Patient", "code");
pub(super) const DATE: Param = Param::named("Patient", "date");

/// Puts in scope [`ONE`] at a time.
pub(super) fn batch(time_ms: i64, puts: Vec<Put>) -> Batch {
    Batch::of(ONE, time_ms, puts)
}

/// A version of a patient without rows, whose body says which one it is.
pub(super) fn patient(id: &str, version: u64) -> Put {
    Put {
        kind: PATIENT,
        id: id.into(),
        version,
        content: Content::Body(format!("{id} {version}").into()),
        rows: Vec::new(),
        main_date_ms: None,
        seal: SealKey::Scope,
    }
}

pub(super) fn patient_with(id: &str, version: u64, rows: Vec<Row>) -> Put {
    let put = patient(id, version);
    Put { rows, ..put }
}

pub(super) fn deletion(id: &str, version: u64) -> Put {
    let content = Content::Deleted;
    Put {
        content,
        ..patient(id, version)
    }
}

pub(super) fn of_kind(kind: Kind, put: Put) -> Put {
    Put { kind, ..put }
}

pub(super) fn entry(body: &str, about: &[(Kind, &str)]) -> AuditEntry {
    AuditEntry {
        body: Bytes::copy_from_slice(body.as_bytes()),
        about: about
            .iter()
            .map(|(kind, id)| (*kind, (*id).into()))
            .collect(),
    }
}

pub(super) fn row(param: Param, value: Value) -> Row {
    Row { param, value }
}

pub(super) fn token(system: &str, code: &str) -> Value {
    Value::Token {
        system: system.into(),
        code: code.into(),
    }
}

pub(super) fn text(exact: &str) -> Value {
    Value::String {
        folded: exact.to_lowercase().into(),
        exact: exact.into(),
    }
}

pub(super) fn date(from_ms: i64, to_ms: i64) -> Value {
    Value::Date { from_ms, to_ms }
}

pub(super) fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).expect("a number")
}

/// All records of a kind that a filter describes, newest first.
pub(super) fn query(kind: Kind, filter: Filter) -> Query {
    Query {
        kind,
        filter,
        sort: Vec::new(),
        limit: 1_000_000,
        after: None,
        rows: Vec::new(),
    }
}

pub(super) fn patients(filter: Filter) -> Query {
    query(PATIENT, filter)
}

pub(super) fn has_code(code: &str) -> Filter {
    let test = Test::Token {
        system: None,
        code: Some(code.into()),
    };
    Filter::Value(CODE, test)
}

pub(super) fn history(of: HistoryOf) -> History {
    History {
        of,
        since_ms: None,
        current_ms: None,
        limit: 1_000_000,
        after: None,
    }
}

pub(super) fn ids(found: &Found) -> Vec<&str> {
    found.hits.iter().map(|hit| &*hit.record.id).collect()
}

/// Ids and versions, as `a 1`.
pub(super) fn versions(found: &Found) -> Vec<String> {
    let hits = found.hits.iter();
    hits.map(|hit| format!("{} {}", hit.record.id, hit.record.version))
        .collect()
}

/// The body as text, `-` for a deletion.
pub(super) fn body(record: &Record) -> &str {
    match &record.content {
        Content::Body(bytes) => std::str::from_utf8(bytes).expect("the body is text"),
        Content::Deleted => "-",
    }
}
