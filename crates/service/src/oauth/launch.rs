//! Apps that are opened from elsewhere, and what any app is told of the patient:
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch>
//! and <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>.

use salus_auth::record::{Agreed, Client, GrantType, Launch, LaunchContext, Saved, SystemRecord};
use salus_auth::{Action, Grant, Secret, Word};
use serde_json::{Map, Value, json};

use super::issuer;
use super::request::Wanted;
use super::{Code, Fault};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::read;

/// A launch to be made.
#[derive(Clone)]
pub struct LaunchToBe {
    /// The app, by its id as a client.
    pub client: Box<str>,
    /// The id of the user who opens it, if only they may.
    pub user: Option<Box<str>>,
    /// The id of the patient.
    pub patient: Option<Box<str>>,
    /// What else the app is told.
    pub context: LaunchContext,
}
salus_phi::guard!(LaunchToBe);

impl Service {
    /// Makes a launch: what the app is to send as `launch`.
    pub async fn make_launch(&self, cx: &Context, wanted: LaunchToBe) -> Result<Secret, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::Launch).await?;
        let work = self.put_launch(cx, &grant, wanted);
        self.attempt(cx, &grant, What::AdminWrite, "Launch", work)
            .await
    }

    async fn put_launch(
        &self,
        cx: &Context,
        grant: &Grant,
        wanted: LaunchToBe,
    ) -> Result<Secret, Error> {
        let client = self.client(cx, &wanted.client).await?;
        let launched = |client: &Saved<Client>| {
            let asks = client.value.scopes.has(Word::Launch);
            asks && client.value.is_active() && client.value.may(GrantType::AuthorizationCode)
        };
        if !client.as_ref().is_some_and(launched) {
            return Err(Error::invalid(
                "client_id: no client of this id has authorization_code and the scope launch",
            ));
        }
        let (random, whose) = (self.random(), (wanted.client, wanted.user));
        let (secret, saved) =
            Launch::make(&random, whose, wanted.patient, wanted.context, cx.now_ms)?;
        let write = Write::system(grant, "Launch", saved.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        Ok(secret)
    }

    /// The launch that a request is about, if it is about one.
    pub(super) async fn launched(
        &self,
        cx: &Context,
        (wanted, client): (&Wanted, &str),
        user: Option<&str>,
    ) -> Result<Result<Option<Saved<Launch>>, Fault>, Error> {
        let refuse = |why| Ok(Err(Fault::new(Code::InvalidRequest, why)));
        match (&wanted.launch, wanted.scopes.has(Word::Launch)) {
            (None, false) => Ok(Ok(None)),
            (None, true) => refuse("the scope launch takes the parameter launch"),
            (Some(_), false) => refuse("the parameter launch takes the scope launch"),
            (Some(launch), true) => {
                let id = Launch::id(launch);
                let record = self.snapshot(cx).await?.get(Launch::KIND, &id).await?;
                let saved = read::<Launch>(record.as_ref())?;
                match saved.filter(|saved| saved.value.is_for(client, user, cx.now_ms)) {
                    Some(saved) => Ok(Ok(Some(saved))),
                    None => refuse("the launch is not valid here, or no longer"),
                }
            }
        }
    }
}

/// What a client is told beside its token.
pub(super) fn told(cx: &Context, agreed: &Agreed) -> Map<String, Value> {
    let launched = [Word::Launch, Word::LaunchPatient, Word::LaunchEncounter];
    let is_launched = launched.iter().any(|word| agreed.scopes.has(*word));
    if !is_launched && agreed.patient.is_none() {
        return Map::new();
    }
    let mut told = match serde_json::to_value(&agreed.context) {
        Ok(Value::Object(told)) => told,
        Ok(_) | Err(_) => Map::new(),
    };
    if let Some(patient) = &agreed.patient {
        told.insert("patient".to_owned(), json!(patient));
    }
    // Nobody else shows whom it is about, unless who launched it said so.
    told.entry("need_patient_banner").or_insert(json!(true));
    let style = || json!(format!("{}/auth/smart-style.json", issuer(cx)));
    told.entry("smart_style_url").or_insert_with(style);
    told
}
