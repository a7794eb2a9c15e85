//! The demo: a synthetic population, an administrator and a client.
//!
//! Fresh credentials at every start; the population only once. A folder that
//! holds anything else is refused, so that a demo's credentials never open
//! real data.

use std::fmt::Write as _;

use indicatif::{ProgressBar, ProgressStyle};
use salus_service::fhir::{BundleOptions, Handling, Returns};
use salus_service::{Secret, Service};
use salus_synthetic::Population;

/// The id of the demo's client.
pub(crate) const CLIENT: &str = "demo";
const ADMINISTRATOR: &str = "admin@demo.example";
/// What the demo's client may do: everything with resources, nothing with the server.
const CLIENT_SCOPES: &str = "system/*.cruds";
/// The population is the same in every demo.
const SEED: u64 = 1;
const TODAY: jiff::civil::Date = jiff::civil::date(2026, 1, 1);

/// A demo's credentials.
pub(crate) struct Demo {
    pub(crate) admin_token: Secret,
    pub(crate) client_secret: Secret,
    password: Secret,
}

/// Why there can be no demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "this folder was not made with --demo and has an administrator; start it without --demo, or choose another --data"
    )]
    NotADemo,
    #[error("the demo could not be made: {0}")]
    Failed(String),
}

impl From<salus_service::error::Error> for Error {
    fn from(error: salus_service::error::Error) -> Self {
        let reason = error.issues().iter().map(ToString::to_string);
        let reason = error.cause().into_iter().chain(reason);
        Self::Failed(reason.collect::<Vec<_>>().join("; "))
    }
}

/// Fills an empty folder and makes fresh credentials.
pub(crate) async fn prepare(
    service: &Service,
    patients: usize,
    quiet: bool,
) -> Result<Demo, Error> {
    let scope = service
        .project_scope(salus_service::projects::DEFAULT)
        .ok_or(Error::NotADemo)?;
    let cx = service.operator_context(scope);
    let known = service.list_clients(&cx).await?;
    let is_demo = known.iter().any(|client| &*client.id == CLIENT);
    if !is_demo {
        if service.is_set_up().await? {
            return Err(Error::NotADemo);
        }
        populate(service, &cx, patients, quiet).await?;
    }
    let client_secret = service
        .renew_client(&cx, CLIENT, "Demo client", CLIENT_SCOPES)
        .await?;
    let password = random_password()?;
    let admin_token = service
        .demo_administrator(ADMINISTRATOR, &password)
        .await?
        .token;
    Ok(Demo {
        admin_token,
        client_secret,
        password,
    })
}

async fn populate(
    service: &Service,
    cx: &salus_service::context::Context,
    patients: usize,
    quiet: bool,
) -> Result<(), Error> {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(patients as u64)
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} patients") {
        bar.set_style(style);
    }
    let population = Population::new(SEED, patients, TODAY);
    let options = BundleOptions {
        returns: Returns::Minimal,
        handling: Handling::Strict,
        idempotency_key: None,
    };
    let directory = (patients > 0).then(|| population.directory().0);
    for bundle in directory
        .into_iter()
        .chain(population.lives().map(|life| life.text))
    {
        service.bundle(cx, bundle.into(), options.clone()).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn random_password() -> Result<Secret, Error> {
    let bytes = salus_crypto::random::bytes::<15>();
    let bytes = bytes.map_err(|error| Error::Failed(error.to_string()))?;
    Ok(Secret::new(salus_crypto::base64url(&bytes)))
}

impl Demo {
    /// What to print for a person: everything needed to try it.
    pub(crate) fn welcome(&self, base: &str) -> String {
        let mut text = String::new();
        let token = self.admin_token.expose();
        let secret = self.client_secret.expose();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\
Salus answers at {base}/fhir

  administrator   {ADMINISTRATOR}
  password        {password}
  token           {token}
  client id       {CLIENT}
  client secret   {secret}

Try it (the token is good for an hour; starting again gives a new one):

  curl -H 'Authorization: Bearer {token}' '{base}/fhir/Patient?_count=2&_pretty=true'

  curl -H 'Authorization: Bearer {token}' '{base}/fhir/Observation?code=http://loinc.org|8867-4&_sort=-date&_count=3&_pretty=true'

  curl -d grant_type=client_credentials -d client_id={CLIENT} -d client_secret={secret} {base}/auth/token

",
            password = self.password.expose(),
        );
        text
    }
}
