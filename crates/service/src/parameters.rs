//! The search parameters of each project.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use salus_fhir::search::Parameters;
use salus_store::Scope;

use crate::Service;

/// What every project has now; those without parameters of their own have R4's.
#[derive(Default)]
pub(crate) struct Sets {
    r4: Arc<Parameters>,
    own: RwLock<HashMap<Scope, Arc<Parameters>>>,
}

impl Service {
    /// The search parameters of a project, as they are now. A request keeps
    /// the ones that it began with.
    #[must_use]
    pub fn parameters(&self, scope: Scope) -> Arc<Parameters> {
        let own = self.parameters.own.read();
        Arc::clone(own.get(&scope).unwrap_or(&self.parameters.r4))
    }
}
