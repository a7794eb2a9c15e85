//! What a use case answers, before a protocol gives it a form.

use bytes::Bytes;
use salus_fhir::issue::{Issue, operation_outcome};

use super::binary::Content;
use super::types::ResourceType;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done; here it is.
    Ok,
    /// Something new was made.
    Created,
    /// Done, and there is nothing to show.
    NoContent,
    /// The client has it already.
    NotModified,
}

/// A resource, wherever its base URL is.
#[derive(Clone)]
pub struct Place {
    /// Its type.
    pub ty: ResourceType,
    /// Its id.
    pub id: Box<str>,
}
salus_phi::guard!(Place);

/// An answer.
#[derive(Clone)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// True when the body shows what was written, which a client may not want back.
    pub written: bool,
    /// The version that the answer shows.
    pub version: Option<u64>,
    /// When that version was written, in milliseconds since 1970 UTC.
    pub updated_ms: Option<i64>,
    /// The resource that was written, whose version this is.
    pub place: Option<Place>,
    /// The resource or bundle.
    pub body: Option<Bytes>,
    /// The content of a Binary that is not in the body.
    pub content: Option<Content>,
}
salus_phi::guard!(Reply);

/// What is told of a write that succeeded, if a client wants an OperationOutcome.
#[must_use]
pub fn done() -> String {
    operation_outcome(&[Issue::information("done")])
}

impl Reply {
    /// A reply of nothing but its status.
    #[must_use]
    pub fn with(status: Status) -> Self {
        Self {
            status,
            written: false,
            version: None,
            updated_ms: None,
            place: None,
            body: None,
            content: None,
        }
    }

    /// Where the version that was written is found, relative to the base URL.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        let (Place { ty, id }, version) = (self.place.as_ref()?, self.version?);
        Some(format!("{}/{id}/_history/{version}", ty.name))
    }
}
