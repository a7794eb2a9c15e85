//! Who asks, where, when: what every use case is given.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use salus_auth::Subject;
use salus_fhir::search::Parameters;
use salus_store::Scope;

use crate::eras::Era;

/// The circumstances of one request.
#[derive(Clone)]
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
    /// Held while something may be written with this time.
    pub era: Arc<Era>,
    /// The search parameters of the project, as they were when it came.
    pub parameters: Arc<Parameters>,
    /// The `_format` that was asked for, which links to other pages keep.
    pub format: Option<&'static str>,
    /// Where it came from, if over a network.
    pub remote: Option<IpAddr>,
}
salus_phi::guard!(Context);

/// The name of a request: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Gives requests their names.
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(crate) fn new(world: &dyn World) -> Self {
        let mut first = [0; 8];
        world.random(&mut first);
        Self(AtomicU64::new(u64::from_be_bytes(first)))
    }

    /// The next name. They count from a random number and are mixed one to
    /// one (the finalizer of SplitMix64): none comes twice, none looks like
    /// the one before, and no randomness is spent on what is no secret.
    pub(crate) fn next(&self) -> RequestId {
        let mut number = self.0.fetch_add(1, Ordering::Relaxed);
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId(number ^ number >> 31)
    }
}

/// Where time and randomness come from, so that tests can bring their own.
pub trait World: Send + Sync {
    /// Milliseconds since 1970 UTC.
    fn now_ms(&self) -> i64;
    /// Fills a buffer with bytes nobody can guess.
    fn random(&self, buffer: &mut [u8]);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_requests_have_one_name() {
        let ids = RequestIds(AtomicU64::new(u64::MAX - 500));
        let seen: HashSet<_> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(seen.len(), 1000);
        let (one, two) = (ids.next().0, ids.next().0);
        assert!((one ^ two).count_ones() > 8, "{one:x} {two:x}");
    }
}
