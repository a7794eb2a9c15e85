//! Records that are in cold storage: what is left of each here, and what moves them.
//!
//! What is here says where a record lies and what it has to be when it is read back, and holds the
//! key of its own that its content there is sealed with once more. It is itself sealed
//! with the key of its patient, so it goes with that.

use std::collections::BTreeMap;

use salus_crypto::{base64url, sha256};
use salus_store::{Filter, Param, Put, Query, Row, SealKey, Test};
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord, matching, token_row};
use crate::Error;

const TYPE: Param = Param::named("salus:Cold", "type");
const STATE: Param = Param::named("salus:Cold", "state");
const OBJECT: Param = Param::named("salus:Cold", "object");
const PATIENT: Param = Param::named("salus:Cold", "patient");

/// A record that is in cold storage, or was and has earlier versions there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cold {
    /// The type of resource.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its id.
    pub id: Box<str>,
    /// Where its current version is.
    pub state: ColdState,
    /// The key that its content is sealed with there, beside that of its patient or project:
    /// 32 bytes in URL-safe Base64.
    pub key: String,
    /// Whose key seals it: a patient's; the project's if there is none.
    pub patient: Option<Box<str>>,
    /// The class of retention that says so.
    pub class: String,
    /// When it was moved, in milliseconds since 1970 UTC.
    pub moved_ms: i64,
    /// The label of who said so.
    pub by: Box<str>,
    /// Why.
    pub reason: String,
    /// Where it lies, in order.
    pub objects: Vec<ColdObject>,
    /// Its versions, the oldest first.
    pub versions: Vec<ColdVersion>,
    /// The end of the date of what it is about, if it says one.
    pub main_ms: Option<i64>,
    /// Its last update.
    pub updated_ms: i64,
    /// Whose compartments it is in.
    pub patients: Vec<Box<str>>,
    /// Its codes and references in the store's format of rows, in URL-safe Base64: by these
    /// policy and holds decide.
    pub rows: String,
    /// Who had it brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<ColdBack>,
}
salus_phi::guard!(Cold);

/// Where the current version of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColdState {
    /// In cold storage.
    Cold,
    /// Here; earlier versions are in cold storage.
    Back,
}

impl ColdState {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Back => "back",
        }
    }
}

/// A part of a record in cold storage.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdObject {
    /// The name of the object.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of all of it, in URL-safe Base64.
    pub sha256: String,
    /// The first of the record's entries in it,
    pub first: u32,
    /// and how many there are.
    pub entries: u32,
}
salus_phi::guard!(ColdObject);

/// A version in cold storage.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdVersion {
    /// The version.
    pub version: u64,
    /// When it was written, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Whether it says that the record was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of its content, in URL-safe Base64.
    pub sha256: String,
    /// The content of a Binary that is a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<ColdBlob>,
}
salus_phi::guard!(ColdVersion);

/// The content of a Binary.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdBlob {
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in URL-safe Base64.
    pub sha256: String,
    /// The version with which it lies there; later ones may share it.
    pub of: u64,
}
salus_phi::guard!(ColdBlob);

/// Who had a record brought back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdBack {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The label of who said so.
    pub by: Box<str>,
    /// Why.
    pub reason: String,
}
salus_phi::guard!(ColdBack);

impl SystemRecord for Cold {
    const NAME: &'static str = "salus:Cold";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            token_row(TYPE, &self.ty),
            token_row(STATE, self.state.word()),
        ];
        let objects = self.objects.iter();
        rows.extend(objects.map(|object| token_row(OBJECT, &object.name)));
        let patients = self.patients.iter();
        rows.extend(patients.map(|patient| token_row(PATIENT, patient)));
        rows
    }
}

impl Cold {
    /// The id of what is left of a record: made of its type and id.
    #[must_use]
    pub fn id_of(ty: &str, id: &str) -> Box<str> {
        base64url(&sha256(format!("{ty}/{id}").as_bytes())).into()
    }

    /// The key that seals it.
    #[must_use]
    pub fn seal(&self) -> SealKey {
        match &self.patient {
            Some(patient) => SealKey::Patient(patient.clone()),
            None => SealKey::Scope,
        }
    }

    /// Those of a type that are in cold storage.
    #[must_use]
    pub fn of_type(ty: &str) -> Query {
        let cold = value(STATE, ColdState::Cold.word());
        matching::<Self>(Filter::All(vec![value(TYPE, ty), cold]))
    }

    /// Those that lie in an object.
    #[must_use]
    pub fn of_object(name: &str) -> Query {
        matching::<Self>(value(OBJECT, name))
    }

    /// Those in the compartment of a patient.
    #[must_use]
    pub fn of_patient(id: &str) -> Query {
        matching::<Self>(value(PATIENT, id))
    }

    /// Those of a type in the compartment of a patient.
    #[must_use]
    pub fn of_patient_and_type(id: &str, ty: &str) -> Query {
        matching::<Self>(Filter::All(vec![value(PATIENT, id), value(TYPE, ty)]))
    }
}

fn value(param: Param, code: &str) -> Filter {
    Filter::Value(
        param,
        Test::Token {
            system: None,
            code: Some(code.into()),
        },
    )
}

impl Saved<Cold> {
    /// The next version, sealed as the record is.
    ///
    /// # Errors
    /// As [`Saved::put`].
    pub fn put_sealed(&self) -> Result<Put, Error> {
        let seal = self.value.seal();
        Ok(Put {
            seal,
            ..self.put()?
        })
    }
}

/// What was moved to cold storage at once. The audit names each record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdMove {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The label of who said so.
    pub by: Box<str>,
    /// Why.
    pub reason: String,
    /// How many records of each type.
    pub counts: BTreeMap<String, u64>,
    /// How many were due and are under legal hold.
    pub held: u64,
    /// How many cannot be moved as they are.
    pub left: u64,
    /// Objects of this name are being written; those that no record lies in are to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Box<str>>,
    /// Type and id of those that lie there and whose versions are to be purged here yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<(String, Box<str>)>,
}
salus_phi::guard!(ColdMove);

impl SystemRecord for ColdMove {
    const NAME: &'static str = "salus:ColdMove";

    fn rows(&self) -> Vec<Row> {
        let pending = self.bundle.is_some() || !self.pending.is_empty();
        match pending {
            true => vec![token_row(MOVE_STATE, "pending")],
            false => Vec::new(),
        }
    }
}

const MOVE_STATE: Param = Param::named("salus:ColdMove", "state");

impl ColdMove {
    /// Those that are not finished.
    #[must_use]
    pub fn unfinished() -> Query {
        matching::<Self>(value(MOVE_STATE, "pending"))
    }
}
