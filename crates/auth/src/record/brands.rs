//! What patients know a project by: the brands of its organizations
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html>).

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// The brands of a project. It has one such record at most.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brands {
    /// A Bundle of Organizations and Endpoints, in JSON; nothing if there is none.
    pub bundle: String,
}
salus_phi::guard!(Brands);

impl SystemRecord for Brands {
    const NAME: &'static str = "salus:Brands";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
