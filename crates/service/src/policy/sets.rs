//! The policy sets that come with the server, each with what it has to allow
//! and refuse: [`super::tests::sets`] holds them to it.

use salus_auth::Action;
use serde_json::{Value, json};

use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};

/// Each by its name, in the form of a policy with `test` beside the rules.
pub(super) const SETS: [(&str, &str); 5] = [
    ("clinician-app", include_str!("sets/clinician-app.json")),
    ("front-desk", include_str!("sets/front-desk.json")),
    ("integration", include_str!("sets/integration.json")),
    ("patient-app", include_str!("sets/patient-app.json")),
    (
        "research-read-only",
        include_str!("sets/research-read-only.json"),
    ),
];

impl Service {
    /// The policy sets that can be installed, each under its name.
    pub async fn list_policy_sets(&self, cx: &Context) -> Result<Value, Error> {
        let (what, action) = (What::AdminRead, Action::ReadSettings);
        let grant = self.allow(cx, what, action).await?;
        let set = |(name, text): (&str, &str)| {
            let mut set: Value = serde_json::from_str(text).map_err(|error| {
                Error::new(Kind::Internal, "a policy set cannot be read").caused_by(error)
            })?;
            set["name"] = name.into();
            Ok(set)
        };
        let sets: Result<Vec<Value>, Error> = SETS.into_iter().map(set).collect();
        self.noted(cx, &grant, what).await?;
        Ok(json!({"policySets": sets?}))
    }
}
