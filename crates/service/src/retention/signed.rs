//! The report of what was disposed of, signed as certificates of shreddings are: what, when, by
//! whom, why and how. It names types and counts, and no record.

use salus_auth::Action;
use salus_auth::record::{Disposal, Saved};
use serde_json::{Value, json};

use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::records::all;
use crate::shredding::certificate;
use crate::statement;
use crate::time::instant;

/// Disposals of one report; the newest, if there are more.
const LISTED_MAX: usize = 10_000;
const KEPT_MAX: usize = 1_000_000;

impl Service {
    /// What was disposed of until now, signed.
    pub async fn sign_disposals(&self, cx: &Context) -> Result<Value, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let work = async {
            let signer = self.keys_to_destroy()?.signer();
            let mut disposals = all::<Disposal>(&*self.store, cx.scope, KEPT_MAX).await?;
            disposals.sort_by_key(|saved| saved.value.at_ms);
            let more = disposals.len().saturating_sub(LISTED_MAX);
            let listed: Vec<Value> = disposals[more..].iter().map(view).collect();
            let payload = json!({
                "version": 1,
                "report": "disposals",
                "project": self.project_slug(cx.scope).unwrap_or_default(),
                "made": instant(cx.now_ms),
                "madeBy": cx.subject.label(),
                "complete": more == 0,
                "method": {
                    "standard": "NIST SP 800-88 Rev. 2",
                    "sanitization": "Clear",
                    "live": "the records were deleted, the content of every version was taken out, \
                             and the engine's tables were written anew without it and its values",
                    "cold": "the key of its own that sealed the content there was taken out with what was left \
                             here; objects were removed when nothing else lay in them",
                    "copies": "copies of the store and its archive have the records until they are \
                               destroyed or pruned: the keys are those of the patients' other records",
                },
                "disposals": listed,
            });
            Ok(statement::sign(signer, certificate::DISPOSALS, &payload))
        };
        let signed = self
            .attempt(cx, &grant, What::AdminRead, "Disposal", work)
            .await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(signed)
    }
}

fn view(saved: &Saved<Disposal>) -> Value {
    let disposal = &saved.value;
    json!({
        "id": saved.id,
        "at": instant(disposal.at_ms),
        "by": disposal.by,
        "reason": disposal.reason,
        "disposed": disposal.counts,
        "classes": disposal.classes,
        "cold": disposal.cold,
        "objectsLeft": disposal.objects.len(),
        "held": disposal.held,
        "done": disposal.pending.is_empty(),
    })
}
