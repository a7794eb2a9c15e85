//! What providers say of themselves, asked for when it is needed and kept in memory for an hour.
//!
//! Only origins that the operator lists are asked, whatever a project or a description names.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use salus_auth::Secret;
use salus_auth::jwk::Jwks;
use salus_auth::openid::Metadata;
use tokio::sync::{Mutex as Turn, Semaphore};

use super::ask::{Question, Unanswered};
use crate::Service;
use crate::error::{Error, Kind};
use crate::jobs::Location;

/// How long what a provider says of itself is believed.
const FRESH_MS: i64 = 60 * 60 * 1000;
/// How soon it is asked again for keys when one is not known, or when it did not answer.
const AGAIN_MS: i64 = 60 * 1000;
const IN_VAIN_MS: i64 = 5 * 1000;
/// Issuers that are kept.
const KNOWN_MAX: usize = 1000;
/// Questions under way at once.
const TURNS: usize = 16;

/// What is known of issuers.
pub(super) struct Known {
    issuers: Mutex<HashMap<Box<str>, Arc<Turn<Issuer>>>>,
    turns: Semaphore,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            issuers: Mutex::default(),
            turns: Semaphore::new(TURNS),
        }
    }
}

/// What is known of one, and when it was asked, in milliseconds since 1970 UTC.
#[derive(Default)]
struct Issuer {
    metadata: Option<(i64, Arc<Metadata>)>,
    keys: Option<(i64, Arc<Jwks>)>,
    /// When it did not answer, and why.
    in_vain: Option<(i64, String)>,
}

impl Known {
    fn issuer(&self, issuer: &str) -> Arc<Turn<Issuer>> {
        let mut issuers = self.issuers.lock();
        if issuers.len() >= KNOWN_MAX && !issuers.contains_key(issuer) {
            issuers.clear();
        }
        Arc::clone(issuers.entry(issuer.into()).or_default())
    }
}

impl Service {
    /// The description of an issuer.
    pub(super) async fn described(&self, issuer: &str) -> Result<Arc<Metadata>, Error> {
        let known = self.federation.known.issuer(issuer);
        let mut known = known.lock().await;
        let now_ms = self.now_ms();
        if let Some((at_ms, metadata)) = &known.metadata
            && now_ms.saturating_sub(*at_ms) < FRESH_MS
        {
            return Ok(Arc::clone(metadata));
        }
        if let Some((at_ms, why)) = &known.in_vain
            && now_ms.saturating_sub(*at_ms) < IN_VAIN_MS
        {
            return Err(unusable(Unanswered::new(why.clone())));
        }
        let metadata = match self.describe(issuer).await {
            Ok(metadata) => Arc::new(metadata),
            Err(why) => {
                known.in_vain = Some((self.now_ms(), why.to_string()));
                return Err(unusable(why));
            }
        };
        known.metadata = Some((now_ms, Arc::clone(&metadata)));
        Ok(metadata)
    }

    async fn describe(&self, issuer: &str) -> Result<Metadata, Unanswered> {
        let location = self.provider_place(&Metadata::url(issuer))?;
        let json = self.asked_of_provider(&location, None, None).await?;
        let metadata = Metadata::parse(&json, issuer).map_err(Unanswered::new)?;
        for url in [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ] {
            self.provider_place(url)?;
        }
        Ok(metadata)
    }

    /// The keys of an issuer; `anew` are others than those that are known, unless it was asked
    /// for them just now.
    pub(super) async fn keys_of(
        &self,
        issuer: &str,
        metadata: &Metadata,
        anew: bool,
    ) -> Result<Arc<Jwks>, Error> {
        let known = self.federation.known.issuer(issuer);
        let mut known = known.lock().await;
        let now_ms = self.now_ms();
        let fresh_ms = if anew { AGAIN_MS } else { FRESH_MS };
        if let Some((at_ms, keys)) = &known.keys
            && now_ms.saturating_sub(*at_ms) < fresh_ms
        {
            return Ok(Arc::clone(keys));
        }
        let asked = async {
            let location = self.provider_place(&metadata.jwks_uri)?;
            let json = self.asked_of_provider(&location, None, None).await?;
            let text = std::str::from_utf8(&json).unwrap_or_default();
            Jwks::parse(text).map_err(|_| Unanswered::new("its keys cannot be used"))
        };
        let keys = Arc::new(asked.await.map_err(unusable)?);
        known.keys = Some((now_ms, Arc::clone(&keys)));
        Ok(keys)
    }

    /// Asks a provider, if there is somebody to ask and not too many do.
    pub(super) async fn asked_of_provider(
        &self,
        location: &Location,
        form: Option<&Secret>,
        authorization: Option<&Secret>,
    ) -> Result<Bytes, Unanswered> {
        let Some(ask) = &self.settings.federation.ask else {
            return Err(Unanswered::new("this server asks no other"));
        };
        let _turn = self
            .federation
            .known
            .turns
            .try_acquire()
            .map_err(|_| Unanswered::new("too many providers are asked just now"))?;
        let question = Question {
            location,
            form,
            authorization,
        };
        ask.ask(question).await
    }

    /// A place that may be asked.
    pub(super) fn provider_place(&self, url: &str) -> Result<Location, Unanswered> {
        let location = Location::parse(url).map_err(|form| {
            let reason = format!("one of its endpoints is no URL to go to: {form}");
            Unanswered::new(reason)
        })?;
        match self.settings.federation.origins.contains(&location.origin) {
            true => Ok(location),
            false => Err(Unanswered::new(format!(
                "one of its endpoints is at {}, which the operator of this server does not list \
                 in --provider-origins",
                location.origin
            ))),
        }
    }
}

/// A provider that cannot be used just now: the cause is for the log.
pub(super) fn unusable(why: Unanswered) -> Error {
    let details = "this provider cannot be used just now; its administrators find the reason by \
                   writing its setting once more";
    Error::new(Kind::Unavailable, details).caused_by(why)
}
