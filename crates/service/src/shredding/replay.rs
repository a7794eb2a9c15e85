//! What a start has to finish: shreddings that a crash interrupted, and those of which a store
//! or a keyring that was put back from before knows nothing. Nobody is answered before.

use salus_auth::Action;
use salus_auth::record::{Saved, Shred};
use salus_store::Scope;
use serde_json::Value;

use crate::Service;
use crate::audit::entry::What;
use crate::error::{Error, Kind};
use crate::records::{all, one};

impl Service {
    /// Brings ledger, keyring and store to the same.
    pub(crate) async fn replay_shreds(&self) -> Result<(), Error> {
        let Some(shreds) = self.settings.shreds.clone() else {
            return Ok(());
        };
        let failed = |error| {
            let details = "the keyring cannot be brought up to date";
            Error::new(Kind::Unavailable, details).caused_by(error)
        };
        // A ledger from before learns of what the store has seen.
        for scope in self.projects.scopes() {
            for saved in all::<Shred>(&*self.store, scope, usize::MAX).await? {
                let begun_ms = saved.value.begun_ms;
                let begun = shreds.begin(scope.0, &saved.id, begun_ms);
                begun.map_err(failed)?;
                if !shreds.is_destroyed(scope.0, &saved.id) {
                    shreds.destroy(scope.0, &saved.id).map_err(failed)?;
                }
            }
        }
        for known in shreds.all() {
            let scope = Scope(known.scope);
            self.shut.shut(scope, &known.label).await;
            if !self.projects.scopes().contains(&scope) {
                // The store is from before the project: there is nothing to take out.
                continue;
            }
            let saved = one::<Shred>(&*self.store, scope, &known.label).await?;
            let done = saved
                .as_ref()
                .is_some_and(|saved| saved.value.done_ms.is_some());
            let left = match done {
                // A log that was restored may have brought versions back that no key opens.
                true => !self.sealed_for(scope, &known.label).await?.is_empty(),
                false => true,
            };
            match (left, known.done_ms) {
                (true, _) => self.replay(scope, saved, &known).await?,
                (false, None) => {
                    let now_ms = self.now_ms();
                    let finished = shreds.finish(known.scope, &known.label, now_ms);
                    finished.map_err(failed)?;
                }
                (false, Some(_)) => {}
            }
        }
        Ok(())
    }

    async fn replay(
        &self,
        scope: Scope,
        saved: Option<Saved<Shred>>,
        known: &salus_crypto::Shredding,
    ) -> Result<(), Error> {
        let cx = self.operator_context(scope);
        let grant = self.allow(&cx, What::Shred, Action::Shred).await?;
        let saved = saved.unwrap_or_else(|| {
            let shred = Shred {
                by: cx.subject.label().into(),
                reason: "found in the ledger and not in the store, which is from before".to_owned(),
                begun_ms: known.begun_ms,
                done_ms: None,
                plan: Value::Null,
                cold: Vec::new(),
                certificate: None,
            };
            Saved::new(known.label.clone(), shred)
        });
        self.shred_now(&cx, &grant, saved, None).await?;
        tracing::info!("a shredding that was begun before this start is done");
        Ok(())
    }
}
