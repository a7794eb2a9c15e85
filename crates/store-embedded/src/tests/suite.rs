//! The conformance suite.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use salus_crypto::{Founding, Keyring};
use salus_store::Store;
use salus_store::conformance::Engine;
use tempfile::TempDir;

use crate::{Embedded, Options};

struct OnDisk {
    dir: TempDir,
    keyring: Mutex<Option<Arc<Keyring>>>,
    runtime: tokio::runtime::Runtime,
}

impl OnDisk {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            keyring: Mutex::new(None),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn open(&self, founding: Founding) -> Arc<dyn Store> {
        let mut held = self.keyring.lock();
        // The old one holds the lock of its file.
        drop(held.take());
        let keyring = Keyring::open(&self.dir.path().join("keys"), founding, 0).unwrap();
        *held = Some(Arc::clone(&keyring));
        let options = Options {
            disk_bytes_min: 0,
            ..Options::new(self.dir.path().join("store"), keyring)
        };
        Embedded::open(options).unwrap()
    }
}

impl Engine for OnDisk {
    fn create(&self) -> Arc<dyn Store> {
        self.open(Founding::New)
    }

    fn reopen(&self) -> Option<Arc<dyn Store>> {
        Some(self.open(Founding::Existing))
    }

    fn wait(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        self.runtime.block_on(future);
    }
}

salus_store::conformance!(OnDisk::new());
