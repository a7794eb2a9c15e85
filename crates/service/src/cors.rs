//! Which web pages may call a project: the setting, and what it is just now.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use salus_auth::record::{Cors, Saved};
use salus_auth::{Action, Grant};
use salus_store::{Scope, Store};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::one;

/// The id of a project's only record.
const ID: &str = "cors";

/// The policies of all projects that have one.
#[derive(Default)]
pub(crate) struct Policies {
    now: RwLock<BTreeMap<Scope, Arc<Cors>>>,
    /// Held while a policy is changed, so that the newest is the one that is kept here.
    turn: tokio::sync::Mutex<()>,
}

impl Policies {
    /// Reads that of a project when the server starts.
    pub(crate) async fn load(&self, store: &dyn Store, scope: Scope) -> Result<(), Error> {
        if let Some(saved) = saved(store, scope).await? {
            self.now.write().insert(scope, Arc::new(saved.value));
        }
        Ok(())
    }
}

impl Service {
    /// The policy of a project, for the protocol to keep.
    #[must_use]
    pub fn cors(&self, scope: Scope) -> Option<Arc<Cors>> {
        self.cors.now.read().get(&scope).cloned()
    }

    /// The policy of a project, for its administrators.
    pub async fn read_cors(&self, cx: &Context) -> Result<Cors, Error> {
        let action = Action::ReadSettings;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let policy = self.cors(cx.scope);
        Ok(policy.map(|policy| (*policy).clone()).unwrap_or_default())
    }

    /// Sets the policy of a project.
    pub async fn write_cors(
        &self,
        cx: &Context,
        origins: Vec<String>,
        max_age_seconds: u32,
    ) -> Result<Cors, Error> {
        let action = Action::WriteSettings;
        let grant = self.allow(cx, What::SettingChange, action).await?;
        let work = self.change_cors(cx, &grant, origins, max_age_seconds);
        self.attempt(cx, &grant, What::SettingChange, "Cors", work)
            .await
    }

    async fn change_cors(
        &self,
        cx: &Context,
        grant: &Grant,
        origins: Vec<String>,
        max_age_seconds: u32,
    ) -> Result<Cors, Error> {
        let policy = Cors::new(origins, max_age_seconds)?;
        let _turn = self.cors.turn.lock().await;
        let before = saved(&*self.store, cx.scope).await?;
        let next = Saved {
            id: ID.into(),
            version: before.map_or(0, |before| before.version),
            value: policy,
        };
        let write = Write::system(grant, "Cors", next.put()?);
        let entry = Entry::new(cx, What::SettingChange, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        let policy = Arc::new(next.value);
        self.cors.now.write().insert(cx.scope, Arc::clone(&policy));
        Ok((*policy).clone())
    }
}

async fn saved(store: &dyn Store, scope: Scope) -> Result<Option<Saved<Cors>>, Error> {
    one::<Cors>(store, scope, ID).await
}
