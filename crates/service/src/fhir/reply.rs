//! What a use case answers, before a protocol gives it a form.

use bytes::Bytes;

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

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// True when the body shows what was written, which a client may not want back.
    pub written: bool,
    /// The version that the answer shows.
    pub version: Option<u64>,
    /// When that version was written, in milliseconds since 1970 UTC.
    pub updated_ms: Option<i64>,
    /// Where what was made is found, relative to the base URL.
    pub location: Option<String>,
    /// The resource or bundle.
    pub body: Option<Bytes>,
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
            location: None,
            body: None,
        }
    }
}
