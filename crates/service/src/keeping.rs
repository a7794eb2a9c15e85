//! Of which types superseded versions are not kept: the setting of a project.
//!
//! [`sweep`] purges what it names, when no page can need it any more.

mod ended;
mod sweep;

use salus_auth::record::{History, Purged, Saved, SystemRecord};
use salus_auth::{Action, Grant};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::pipeline::Write;

/// The id of a project's only record.
const ID: &str = "history";

impl Service {
    /// The setting of a project, for its administrators.
    pub async fn read_history_setting(&self, cx: &Context) -> Result<History, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadSettings)
            .await?;
        let work = async { Ok(self.saved_history(cx).await?.value) };
        let setting = self
            .attempt(cx, &grant, What::AdminRead, "History", work)
            .await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(setting)
    }

    /// Sets of which types superseded versions are purged from now on.
    pub async fn write_history_setting(
        &self,
        cx: &Context,
        purged: Vec<Purged>,
    ) -> Result<History, Error> {
        let (what, action) = (What::SettingChange, Action::WriteSettings);
        let grant = self.allow(cx, what, action).await?;
        let work = self.change_history(cx, &grant, purged);
        self.attempt(cx, &grant, what, "History", work).await
    }

    async fn change_history(
        &self,
        cx: &Context,
        grant: &Grant,
        purged: Vec<Purged>,
    ) -> Result<History, Error> {
        if !purged.iter().all(|rule| purgeable(rule).is_some()) {
            let details = "types must be names of types of resource other than AuditEvent";
            return Err(Error::invalid(details));
        }
        let mut next = self.saved_history(cx).await?;
        next.value.purged = purged;
        let write = Write::system(grant, "History", next.put()?);
        let entry = Entry::new(cx, What::SettingChange, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        self.kept_otherwise.notify_one();
        Ok(next.value)
    }

    async fn saved_history(&self, cx: &Context) -> Result<Saved<History>, Error> {
        let snapshot = self.snapshot(cx).await?;
        let record = snapshot.get(History::KIND, ID).await?;
        let saved = record.as_ref().map(Saved::<History>::read).transpose()?;
        Ok(saved
            .flatten()
            .unwrap_or_else(|| Saved::new(ID, History::default())))
    }
}

/// The type whose versions may be purged.
fn purgeable(rule: &Purged) -> Option<ResourceType> {
    let ty = ResourceType::named(&rule.ty)?;
    (ty.name != ResourceType::AUDIT_EVENT).then_some(ty)
}
