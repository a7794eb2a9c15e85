//! The FHIR use cases, a module each, and what they share.

pub(crate) mod anew;
mod batch;
pub mod binary;
mod bundle;
pub(crate) mod contained;
mod create;
mod delete;
mod history;
pub(crate) mod incoming;
pub(crate) mod list;
pub mod operations;
mod patch;
pub(crate) mod read;
mod receipt;
pub mod reply;
pub(crate) mod room;
pub mod rows;
pub mod search;
mod settle;
pub(crate) mod stored;
pub(crate) mod terms;
mod transaction;
pub mod types;
mod update;
mod which;
pub(crate) mod writer;

pub use bundle::{BundleOptions, Returns};
pub use create::CreateOptions;
pub use patch::PatchFormat;
pub(crate) use read::part_of;
pub use read::{ReadConditions, Versions};
pub use which::{DELETED_MAX, Which};

use salus_fhir::reference;

use crate::error::Error;
use types::ResourceType;

/// What to do with search parameters that are not understood
/// (<https://hl7.org/fhir/R4/search.html#errors>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Refuse the request.
    Strict,
    /// Leave them out, and say so in the answer.
    Lenient,
}

/// What must hold for a write to happen
/// (<https://hl7.org/fhir/R4/http.html#concurrency>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteCondition {
    /// Nothing.
    None,
    /// This is the current version.
    VersionIs(u64),
    /// There is no such resource now.
    Absent,
}

/// What a client may ask of an update or a delete.
#[derive(Clone)]
pub struct WriteOptions {
    /// What must hold.
    pub condition: WriteCondition,
    /// Names this request, so that sending it again does nothing again
    /// (`Idempotency-Key`).
    pub idempotency_key: Option<String>,
}
salus_phi::guard!(WriteOptions);

/// The type named in a URL, or 404 (<https://hl7.org/fhir/R4/http.html#create>).
pub(crate) fn resource_type(name: &str) -> Result<ResourceType, Error> {
    ResourceType::named(name)
        .ok_or_else(|| Error::not_found("the type in the URL is not a resource type of FHIR R4"))
}

/// Refuses an id that cannot be one.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    if reference::is_id(id) {
        return Ok(());
    }
    Err(Error::invalid(
        "the id in the URL is not an id: 1 to 64 of A-Z, a-z, 0-9, - and .",
    ))
}

/// Refuses to write what only the server writes.
fn check_writable(ty: ResourceType) -> Result<(), Error> {
    if ty.name == ResourceType::AUDIT_EVENT {
        return Err(Error::new(
            crate::error::Kind::Forbidden,
            "audit events are written by the server alone",
        ));
    }
    Ok(())
}

/// The version of an ETag, `W/"3"` or `"3"`.
#[must_use]
pub fn etag_version(text: &str) -> Option<u64> {
    let tag = text.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}
