//! What happens to the server itself, in the log of the system.

use salus_store::Scope;

use super::entry::{Entry, Outcome, What};
use crate::Service;
use crate::error::Error;

impl Service {
    /// Keeps that the server begins to serve.
    pub async fn note_start(&self) -> Result<(), Error> {
        self.note_system(What::SystemStart).await
    }

    /// Keeps that it stops in order.
    pub async fn note_stop(&self) -> Result<(), Error> {
        self.note_system(What::SystemStop).await
    }

    async fn note_system(&self, what: What) -> Result<(), Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let mut entry = Entry::new(&cx, what, Outcome::Success, "operator");
        entry.query = concat!("version ", env!("CARGO_PKG_VERSION")).into();
        self.record(&cx, entry).await
    }
}
