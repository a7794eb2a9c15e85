//! How long relationships last in a project: the setting, and what it is just now.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use salus_auth::record::{Care, Saved};
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
pub(crate) struct Cares {
    now: RwLock<BTreeMap<Scope, Arc<Care>>>,
    /// Of a project that has none.
    default: Arc<Care>,
    /// Held while a setting is changed, so that the newest is the one that is kept here.
    turn: tokio::sync::Mutex<()>,
}

impl Cares {
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
    pub(crate) fn care(&self, scope: Scope) -> Arc<Care> {
        let known = self.cares.now.read();
        Arc::clone(known.get(&scope).unwrap_or(&self.cares.default))
    }

    /// The setting of a project, for its administrators.
    pub async fn read_care(&self, cx: &Context) -> Result<Care, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadSettings)
            .await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok((*self.care(cx.scope)).clone())
    }

    /// Sets it. It counts from the next request on.
    pub async fn write_care(&self, cx: &Context, care: Care) -> Result<Care, Error> {
        let grant = self
            .allow(cx, What::SettingChange, Action::WriteSettings)
            .await?;
        let work = self.change_care(cx, &grant, care);
        self.attempt(cx, &grant, What::SettingChange, "Care", work)
            .await
    }

    async fn change_care(&self, cx: &Context, grant: &Grant, care: Care) -> Result<Care, Error> {
        care.check()?;
        let _turn = self.cares.turn.lock().await;
        let before = saved(&*self.store, cx.scope).await?;
        let next = Saved {
            id: Care::ID.into(),
            version: before.map_or(0, |before| before.version),
            value: care,
        };
        let write = Write::system(grant, "Care", next.put()?);
        let entry = Entry::new(cx, What::SettingChange, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        let care = Arc::new(next.value);
        let mut known = self.cares.now.write();
        known.insert(cx.scope, Arc::clone(&care));
        drop(known);
        self.sessions.forget_all();
        Ok((*care).clone())
    }
}

async fn saved(store: &dyn Store, scope: Scope) -> Result<Option<Saved<Care>>, Error> {
    one::<Care>(store, scope, Care::ID).await
}
