//! Who asks, where, when: what every use case is given.

use std::net::IpAddr;
use std::sync::Arc;

use salus_auth::Subject;
use salus_store::Scope;

/// The circumstances of one request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks.
    pub subject: Arc<Subject>,
    /// The project asked.
    pub scope: Scope,
    /// The base URL of the project's FHIR endpoint, without a slash at the end.
    pub base: Arc<str>,
    /// Names this request in logs, the audit and the answer.
    pub request_id: RequestId,
    /// When it came, in milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// Where it came from, if over a network.
    pub remote: Option<IpAddr>,
}

/// The name of a request: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where time and randomness come from, so that tests can bring their own.
pub trait World: Send + Sync {
    /// Milliseconds since 1970 UTC.
    fn now_ms(&self) -> i64;
    /// Fills a buffer with bytes nobody can guess.
    fn random(&self, buffer: &mut [u8]);
}
