//! Messages to a place of the web, after <https://www.standardwebhooks.com>: what they say,
//! how they are signed, and when one that was not taken is tried again.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::record::{Alert, Alerting, Saved, Unsent, Webhook};
use salus_store::{At, Batch, Scope};
use serde_json::json;

use crate::Service;
use crate::error::Error;
use crate::jobs::{Location, Origin};

/// Messages of a project that are sent in a round.
const AT_ONCE: usize = 50;
/// The pause behind a try that failed, doubled each time, to the longest.
const PAUSE_MS: i64 = 5_000;
const PAUSE_MAX_MS: i64 = 60 * 60 * 1000;
/// After how many tries a message is given up: a day, about.
const TRIES_MAX: u32 = 32;

/// What this deployment says about alerts.
#[derive(Clone, Default)]
pub struct Settings {
    /// Where messages may go: nothing else is ever told.
    pub origins: Vec<Origin>,
    /// Who sends them; without, none is.
    pub hooks: Option<Arc<dyn Hooks>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("origins", &self.origins)
            .field("hooks", &self.hooks.is_some())
            .finish()
    }
}

/// Sends messages to other servers.
pub trait Hooks: Send + Sync {
    /// Sends one by POST, and follows nothing elsewhere. It waits for seconds.
    fn send(&self, message: Message) -> BoxFuture<'_, Result<(), Untold>>;
}

/// A message.
pub struct Message {
    /// Where it goes.
    pub location: Location,
    /// What stands in front of it, by names in lower case.
    pub headers: [(&'static str, String); 3],
    /// What it says, in JSON.
    pub body: Bytes,
}

/// Why a message was not taken, without what it says.
// No PHI: reasons without what was told, written here.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Untold(String);

impl Untold {
    /// For this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl Service {
    /// Sends the messages of a project that are due.
    pub(super) async fn send_messages(
        &self,
        scope: Scope,
        setting: &Alerting,
    ) -> Result<(), Error> {
        let (Some(hook), Some(hooks)) = (&setting.webhook, &self.settings.alerts.hooks) else {
            return Ok(());
        };
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let found = snapshot.find(&Alert::unsent(AT_ONCE)).await?;
        drop(snapshot);
        for hit in &found.hits {
            let Some(mut alert) = Saved::<Alert>::read(&hit.record)? else {
                continue;
            };
            let now_ms = self.now_ms();
            let Some(unsent) = alert.value.unsent.filter(|unsent| unsent.due_ms <= now_ms) else {
                continue;
            };
            // Nothing is sent again and again because it cannot be kept that it was.
            self.ready().await?;
            let told = match self.message(scope, hook, &alert, now_ms) {
                Some(message) => hooks.send(message).await,
                None => Err(Untold::new("its origin is not one of --alert-origins")),
            };
            alert.value.unsent = match told {
                Ok(()) => None,
                Err(why) => {
                    tracing::warn!(reason = %why, "an alert could not be sent to the webhook");
                    again(unsent, now_ms)
                }
            };
            // Somebody may have said something about it meanwhile; then it is sent once more.
            let batch = Batch {
                preconditions: vec![alert.unchanged()],
                ..Batch::of(scope, now_ms, vec![alert.put()?])
            };
            match self.store.commit(batch).await {
                Ok(_) | Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What is sent about an alert; nothing if the operator lists its place no more.
    fn message(
        &self,
        scope: Scope,
        hook: &Webhook,
        alert: &Saved<Alert>,
        now_ms: i64,
    ) -> Option<Message> {
        let location = Location::parse(&hook.url).ok()?;
        let known = &self.settings.alerts.origins;
        known.contains(&location.origin).then_some(())?;
        let key = hook.key()?;
        let slug = self.project_slug(scope);
        let value = &alert.value;
        let body = json!({
            "type": "alert",
            "timestamp": crate::time::instant(now_ms),
            "data": {
                "id": alert.id,
                "project": slug.as_deref(),
                "rule": value.rule,
                "agent": value.agent,
                "from": crate::time::instant(value.from_ms),
                "to": crate::time::instant(value.to_ms),
                "count": value.count,
                "audit_events": value.events,
            },
        });
        let body = body.to_string();
        let seconds = now_ms.div_euclid(1000);
        let signed = format!("{}.{seconds}.{body}", alert.id);
        let signature = salus_crypto::hmac_sha256(&key, signed.as_bytes());
        let headers = [
            ("webhook-id", alert.id.to_string()),
            ("webhook-timestamp", seconds.to_string()),
            (
                "webhook-signature",
                format!("v1,{}", Base64::encode_string(&signature)),
            ),
        ];
        Some(Message {
            location,
            headers,
            body: body.into(),
        })
    }
}

/// When a message is tried once more, if it is.
fn again(unsent: Unsent, now_ms: i64) -> Option<Unsent> {
    let tries = unsent.tries + 1;
    let pause_ms = PAUSE_MS
        .saturating_mul(1 << tries.min(20))
        .min(PAUSE_MAX_MS);
    (tries < TRIES_MAX).then_some(Unsent {
        tries,
        due_ms: now_ms.saturating_add(pause_ms),
    })
}
