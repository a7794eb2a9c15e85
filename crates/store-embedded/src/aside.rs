//! Work that may take long, kept from holding up everything else.

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Handle, RuntimeFlavor};

/// So much of it is done at once; the rest waits, so that many costly queries
/// together need no more memory and processors than these.
const AT_ONCE: usize = 2;

/// Where work that may take long is let in.
#[derive(Default)]
pub(crate) struct Aside {
    running: Mutex<usize>,
    ended: Condvar,
}

/// Held by work that was let in.
struct Permit<'a>(&'a Aside);

impl Aside {
    /// Does something that may take long. Where a runtime has other workers,
    /// they take over what this one would do meanwhile.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| {
                let _permit = self.enter();
                work()
            }),
            _ => work(),
        }
    }

    fn enter(&self) -> Permit<'_> {
        let mut running = self.running.lock();
        while *running >= AT_ONCE {
            self.ended.wait(&mut running);
        }
        *running += 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.ended.notify_one();
    }
}
