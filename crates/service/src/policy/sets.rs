//! The policy sets that come with the server, each with a file of what it has
//! to allow and refuse: the tests of `salus policy` hold them to it.

use salus_auth::Action;
use serde_json::{Value, json};

use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};

/// A policy to be installed as it is, or to begin with.
#[derive(Clone, Copy, Debug)]
pub struct PolicySet {
    /// Its name.
    pub name: &'static str,
    /// The policy, in JSON.
    pub policy: &'static str,
    /// Fixtures and questions with what is expected, in JSON.
    pub test: &'static str,
}

macro_rules! set {
    ($name:literal) => {
        PolicySet {
            name: $name,
            policy: include_str!(concat!("sets/", $name, ".json")),
            test: include_str!(concat!("sets/", $name, ".test.json")),
        }
    };
}

/// All of them, by name.
pub const SETS: [PolicySet; 5] = [
    set!("clinician-app"),
    set!("front-desk"),
    set!("integration"),
    set!("patient-app"),
    set!("research-read-only"),
];

impl Service {
    /// The policy sets that can be installed, each under its name.
    pub async fn list_policy_sets(&self, cx: &Context) -> Result<Value, Error> {
        let (what, action) = (What::AdminRead, Action::ReadSettings);
        let grant = self.allow(cx, what, action).await?;
        let read = |text: &str| {
            serde_json::from_str::<Value>(text).map_err(|error| {
                Error::new(Kind::Internal, "a policy set cannot be read").caused_by(error)
            })
        };
        let set = |set: PolicySet| {
            let mut value = read(set.policy)?;
            value["name"] = set.name.into();
            value["test"] = read(set.test)?;
            Ok(value)
        };
        let sets: Result<Vec<Value>, Error> = SETS.into_iter().map(set).collect();
        self.noted(cx, &grant, what).await?;
        Ok(json!({"policySets": sets?}))
    }
}
