//! Alerts: rules that watch the audit of a project while it is written, and tell people.
//!
//! An alert says which rule was met, by whom and when, and names the audit events; nothing
//! in it, in a mail, a message or the log is about a patient. It stays open until somebody
//! has said what came of it.

mod facts;
mod rules;
mod tell;
mod watch;

use salus_auth::Action;
pub use salus_auth::record::{
    Alert, AlertRule, Alerting, Disposition, DispositionOutcome, Webhook,
};
use salus_auth::record::{Saved, SystemRecord};
use salus_fhir::reference::is_id;
pub use tell::{Hooks, Message, Settings, Untold};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::jobs::Location;
use crate::pipeline::Write;
use crate::records::{ever, one};

/// Alerts listed at most.
const LISTED_MAX: usize = 200;
/// Characters of what somebody says of one, at most.
const TEXT_MAX: usize = 1000;

impl Service {
    /// The setting of a project, for its administrators.
    pub async fn read_alerting(&self, cx: &Context) -> Result<Alerting, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadSettings)
            .await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let saved = one::<Alerting>(&*self.store, cx.scope, Alerting::ID).await?;
        Ok(saved.map_or_else(Alerting::default, |saved| saved.value))
    }

    /// Sets it. It counts for what comes from now on.
    pub async fn write_alerting(&self, cx: &Context, next: Alerting) -> Result<Alerting, Error> {
        let what = What::SettingChange;
        let grant = self.allow(cx, what, Action::WriteSettings).await?;
        let work = async {
            next.check()?;
            if let Some(hook) = &next.webhook {
                self.check_hook(hook)?;
            }
            let (_, version) = ever::<Alerting>(&*self.store, cx.scope, Alerting::ID).await?;
            let saved = Saved {
                id: Alerting::ID.into(),
                version,
                value: next,
            };
            let write = Write::system(&grant, "Alerting", saved.put()?);
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(saved.value)
        };
        self.attempt(cx, &grant, what, "Alerting", work).await
    }

    /// The alerts of a project, the newest first: those that nobody has said anything about, or all.
    pub async fn list_alerts(
        &self,
        cx: &Context,
        only_open: bool,
    ) -> Result<Vec<Saved<Alert>>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let query = Alert::listed(only_open, LISTED_MAX, None);
        let found = self.snapshot(cx).await?.find(&query).await?;
        let mut alerts = Vec::with_capacity(found.hits.len());
        for hit in &found.hits {
            alerts.extend(Saved::read(&hit.record)?);
        }
        Ok(alerts)
    }

    /// Says what came of an alert. Nobody says it of their own.
    pub async fn dispose_of_alert(
        &self,
        cx: &Context,
        id: &str,
        (outcome, text): (DispositionOutcome, String),
    ) -> Result<Saved<Alert>, Error> {
        let what = What::AdminWrite;
        let grant = self.allow(cx, what, Action::WriteUsers).await?;
        let work = async {
            if text.chars().count() > TEXT_MAX {
                return Err(Error::invalid("text must have 1000 characters at most"));
            }
            let absent = || Error::not_found("there is no such alert");
            if !is_id(id) {
                return Err(absent());
            }
            let found = one::<Alert>(&*self.store, cx.scope, id).await?;
            let mut found = found.ok_or_else(absent)?;
            if *cx.subject.label() == *found.value.agent {
                return Err(Error::new(Kind::Forbidden, "nobody reviews themselves"));
            }
            found.value.disposition = Some(Disposition {
                by: cx.subject.label().into(),
                at_ms: cx.now_ms,
                outcome,
                text,
            });
            let write = Write::system(&grant, "Alert", found.put()?);
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            let unchanged = vec![found.unchanged()];
            self.commit(cx, entry, unchanged, vec![write]).await?;
            found.version += 1;
            Ok(found)
        };
        self.attempt(cx, &grant, what, Alert::NAME, work).await
    }

    /// A message goes only to an origin of the operator's list.
    fn check_hook(&self, hook: &Webhook) -> Result<(), Error> {
        let location = Location::parse(&hook.url)
            .map_err(|form| Error::invalid(format!("webhook.url: {form}")))?;
        match self.settings.alerts.origins.contains(&location.origin) {
            true => Ok(()),
            false => Err(Error::invalid(
                "webhook.url: its origin is not one of --alert-origins, which the operator sets",
            )),
        }
    }
}
