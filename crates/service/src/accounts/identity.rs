//! How the users of a project come in: the setting, and what it is just now.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use salus_auth::record::{Identity, Saved};
use salus_auth::{Action, Grant};
use salus_store::{Scope, Store};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::one;

/// The settings of all projects that have one.
#[derive(Default)]
pub(crate) struct Identities {
    now: RwLock<BTreeMap<Scope, Arc<Identity>>>,
    /// Of a project that has none.
    default: Arc<Identity>,
    /// Held while a setting is changed, so that the newest is the one that is kept here.
    turn: tokio::sync::Mutex<()>,
}

impl Identities {
    /// Reads that of a project when the server starts.
    pub(crate) async fn load(&self, store: &dyn Store, scope: Scope) -> Result<(), Error> {
        if let Some(saved) = saved(store, scope).await? {
            self.now.write().insert(scope, Arc::new(saved.value));
        }
        Ok(())
    }
}

impl Service {
    /// The setting of a project as it is now.
    pub(crate) fn identity(&self, scope: Scope) -> Arc<Identity> {
        let known = self.identities.now.read();
        Arc::clone(known.get(&scope).unwrap_or(&self.identities.default))
    }

    /// The setting of a project, for its administrators.
    pub async fn read_identity(&self, cx: &Context) -> Result<Identity, Error> {
        let action = Action::ReadSettings;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok((*self.identity(cx.scope)).clone())
    }

    /// Sets it. Sessions that have waited too long by it end at once.
    pub async fn write_identity(
        &self,
        cx: &Context,
        identity: Identity,
    ) -> Result<Identity, Error> {
        let action = Action::WriteSettings;
        let grant = self.allow(cx, What::SettingChange, action).await?;
        let work = self.change_identity(cx, &grant, identity);
        self.attempt(cx, &grant, What::SettingChange, "Identity", work)
            .await
    }

    async fn change_identity(
        &self,
        cx: &Context,
        grant: &Grant,
        mut identity: Identity,
    ) -> Result<Identity, Error> {
        identity.check()?;
        identity.sign_up_groups = self.known_groups(cx.scope, identity.sign_up_groups).await?;
        let _turn = self.identities.turn.lock().await;
        let before = saved(&*self.store, cx.scope).await?;
        let next = Saved {
            id: Identity::ID.into(),
            version: before.map_or(0, |before| before.version),
            value: identity,
        };
        let write = Write::system(grant, "Identity", next.put()?);
        let entry = Entry::new(cx, What::SettingChange, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        let identity = Arc::new(next.value);
        let mut known = self.identities.now.write();
        known.insert(cx.scope, Arc::clone(&identity));
        drop(known);
        self.sessions.forget_all();
        Ok((*identity).clone())
    }
}

async fn saved(store: &dyn Store, scope: Scope) -> Result<Option<Saved<Identity>>, Error> {
    one::<Identity>(store, scope, Identity::ID).await
}
