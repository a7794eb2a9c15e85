//! The shredding of a patient, as the project keeps it: its id is the patient's.
//!
//! The ledger beside the keyring says the same; an archive ships this one.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// One shredding.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shred {
    /// The label of who asked for it.
    pub by: Box<str>,
    /// Why.
    pub reason: String,
    /// When it was begun, in milliseconds since 1970 UTC.
    pub begun_ms: i64,
    /// When all was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_ms: Option<i64>,
    /// What it was decided on, in JSON: counts by type, and what stays.
    pub plan: serde_json::Value,
    /// Objects of cold storage that hold records of the patient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cold: Vec<String>,
    /// The signed certificate, in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<serde_json::Value>,
}
salus_phi::guard!(Shred);

impl SystemRecord for Shred {
    const NAME: &'static str = "salus:Shred";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
