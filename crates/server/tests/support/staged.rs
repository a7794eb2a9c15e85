//! A world of a test's own, for a service in its process.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use salus_service::context::World;

/// A world whose time the test sets, and whose chance is a counter.
pub(crate) struct Staged {
    now_ms: AtomicI64,
    random: AtomicU64,
}

impl Staged {
    pub(crate) fn at(now_ms: i64) -> Self {
        Self {
            now_ms: AtomicI64::new(now_ms),
            random: AtomicU64::new(0),
        }
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

/// The settings of a router over such a service.
pub(crate) fn router_settings() -> salus_api::Settings {
    salus_api::Settings {
        body_bytes_max: 1 << 20,
        binary_bytes_max: 1 << 20,
        base_url: None,
        https: false,
        proxies: salus_api::Proxies::default(),
    }
}

impl World for Staged {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn random(&self, buffer: &mut [u8]) {
        let seed = self.random.fetch_add(1, Ordering::SeqCst);
        let bytes = salus_crypto::sha256(&seed.to_be_bytes());
        for (to, from) in buffer.iter_mut().zip(bytes.into_iter().cycle()) {
            *to = from;
        }
    }
}
