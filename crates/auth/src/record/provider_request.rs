//! Users who are on their way to a provider: what has to be known of them when they come back.
//!
//! A record holds for ten minutes and once. It is found by the `state` that the answer brings, and
//! belongs to the browser that has its cookie (RFC 9700, 4.7).

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Foreign, Saved, SystemRecord, expires_row};
use crate::{Secret, token};

/// How long somebody may take at a provider, or on the way there.
pub const PROVIDER_REQUEST_LIFETIME_MS: i64 = 10 * 60 * 1000;

/// Somebody's way to a provider, in the scope of the project. Its id is the hash of a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderRequest {
    /// The name of the provider.
    pub provider: Box<str>,
    /// What it is for.
    pub purpose: ProviderPurpose,
    /// How far it is.
    pub stage: Stage,
    expires_ms: i64,
}
salus_phi::guard!(ProviderRequest);

/// What somebody goes to a provider for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderPurpose {
    /// To sign in, and to go on with a client's request.
    SignIn {
        /// The request, as it came.
        request: String,
        /// Whether the client takes nobody without a second factor.
        strict: bool,
    },
    /// To connect the account there with this user.
    Connect {
        /// The user's id.
        user: Box<str>,
    },
    /// To prove once more that it is this user.
    StepUp {
        /// The user's id.
        user: Box<str>,
        /// The id of the session.
        session: Box<str>,
    },
}
salus_phi::guard!(ProviderPurpose);

/// How far it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nobody has opened the page yet that leads there; found by its ticket.
    Asked,
    /// The browser was sent there; found by its state.
    Sent(Sent),
    /// It came back, and the account there is nobody's here yet; found by its ticket.
    Proved {
        /// The hash of the browser's cookie.
        browser: Box<str>,
        /// Who they are there.
        foreign: Foreign,
    },
}
salus_phi::guard!(Stage);

/// What was said to the provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The hash of the browser's cookie.
    browser: Box<str>,
    /// The issuer, as it was then.
    pub issuer: String,
    /// Where the answer comes to.
    pub redirect: String,
    /// What the id token brings back.
    pub nonce: String,
    /// What the code is traded with (RFC 7636).
    pub verifier: String,
    /// How old the proof may be, in seconds, if that was asked.
    pub max_age_s: Option<u32>,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
}
salus_phi::guard!(Sent);

impl SystemRecord for ProviderRequest {
    const NAME: &'static str = "salus:ProviderRequest";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(self.expires_ms)]
    }
}

impl ProviderRequest {
    /// One that nobody has gone with yet, and its ticket.
    #[must_use]
    pub fn ask(
        provider: &str,
        purpose: ProviderPurpose,
        random: &[u8; 32],
        now_ms: i64,
    ) -> (Secret, Saved<Self>) {
        Self::at(provider, purpose, Stage::Asked, random, now_ms)
    }

    /// One that goes now, and its state.
    #[must_use]
    pub fn send(
        provider: &str,
        purpose: ProviderPurpose,
        (issuer, redirect): (&str, &str),
        (browser, max_age_s): (&str, Option<u32>),
        [state, nonce, verifier]: [&[u8; 32]; 3],
        now_ms: i64,
    ) -> (Secret, Saved<Self>) {
        let sent = Sent {
            browser: token::id(browser),
            issuer: issuer.to_owned(),
            redirect: redirect.to_owned(),
            nonce: salus_crypto::base64url(nonce),
            verifier: salus_crypto::base64url(verifier),
            max_age_s,
            at_ms: now_ms,
        };
        Self::at(provider, purpose, Stage::Sent(sent), state, now_ms)
    }

    /// What is left when it came back with somebody who is not known here, and its ticket.
    #[must_use]
    pub fn prove(
        purpose: ProviderPurpose,
        (browser, foreign): (&str, Foreign),
        random: &[u8; 32],
        now_ms: i64,
    ) -> (Secret, Saved<Self>) {
        let provider = foreign.provider.clone();
        let stage = Stage::Proved {
            browser: token::id(browser),
            foreign,
        };
        Self::at(&provider, purpose, stage, random, now_ms)
    }

    fn at(
        provider: &str,
        purpose: ProviderPurpose,
        stage: Stage,
        random: &[u8; 32],
        now_ms: i64,
    ) -> (Secret, Saved<Self>) {
        let secret = Secret::new(salus_crypto::base64url(random));
        let request = Self {
            provider: provider.into(),
            purpose,
            stage,
            expires_ms: now_ms.saturating_add(PROVIDER_REQUEST_LIFETIME_MS),
        };
        let id = token::id(secret.expose());
        (secret, Saved::new(id, request))
    }

    /// The id of the record of a ticket or a state.
    #[must_use]
    pub fn id(secret: &str) -> Box<str> {
        token::id(secret)
    }

    /// What was said to the provider, if this browser has said it and may still be answered.
    #[must_use]
    pub fn sent_by(&self, browser: &str, now_ms: i64) -> Option<&Sent> {
        match &self.stage {
            Stage::Sent(sent) if self.holds(now_ms) && is_of(&sent.browser, browser) => Some(sent),
            Stage::Sent(_) | Stage::Asked | Stage::Proved { .. } => None,
        }
    }

    /// Who was proved to be there, if by this browser and not too long ago.
    #[must_use]
    pub fn proved_by(&self, browser: &str, now_ms: i64) -> Option<&Foreign> {
        match &self.stage {
            Stage::Proved {
                browser: known,
                foreign,
            } if self.holds(now_ms) && is_of(known, browser) => Some(foreign),
            Stage::Proved { .. } | Stage::Asked | Stage::Sent(_) => None,
        }
    }

    /// Whether nobody has gone with it and somebody still may.
    #[must_use]
    pub fn is_asked(&self, now_ms: i64) -> bool {
        self.stage == Stage::Asked && self.holds(now_ms)
    }

    fn holds(&self, now_ms: i64) -> bool {
        now_ms < self.expires_ms
    }
}

fn is_of(known: &str, browser: &str) -> bool {
    salus_crypto::same(known.as_bytes(), token::id(browser).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: ProviderPurpose = ProviderPurpose::SignIn {
        request: String::new(),
        strict: false,
    };

    #[test]
    fn an_answer_is_for_the_browser_that_was_sent() {
        let places = ("https://a.example", "https://b.example/back");
        let (browser, random) = (("cookie", None), [&[1; 32], &[2; 32], &[3; 32]]);
        let (state, saved) = ProviderRequest::send("p", PURPOSE, places, browser, random, 1000);
        assert_eq!(saved.id, ProviderRequest::id(state.expose()));
        let request = saved.value;
        let end_ms = 1000 + PROVIDER_REQUEST_LIFETIME_MS;
        assert!(request.sent_by("cookie", end_ms - 1).is_some());
        assert!(request.sent_by("cookie", end_ms).is_none());
        assert!(request.sent_by("other", 1000).is_none());
        assert!(request.sent_by("", 1000).is_none());
        assert!(!request.is_asked(1000) && request.proved_by("cookie", 1000).is_none());
        let sent = request.sent_by("cookie", 1000).unwrap();
        assert_ne!(sent.nonce, sent.verifier);
    }

    #[test]
    fn each_stage_is_no_other() {
        let (_, asked) = ProviderRequest::ask("p", PURPOSE, &[1; 32], 0);
        let end_ms = PROVIDER_REQUEST_LIFETIME_MS;
        assert!(asked.value.is_asked(end_ms - 1) && !asked.value.is_asked(end_ms));
        assert!(asked.value.sent_by("", 0).is_none());
        let foreign = Foreign {
            provider: "p".into(),
            issuer: "https://a.example".to_owned(),
            subject: "1".to_owned(),
            proved_ms: None,
            two: false,
            groups: Vec::new(),
        };
        let proof = ("cookie", foreign);
        let (_, proved) = ProviderRequest::prove(PURPOSE, proof, &[1; 32], 0);
        assert!(proved.value.proved_by("cookie", end_ms - 1).is_some());
        assert!(proved.value.proved_by("cookie", end_ms).is_none());
        assert!(proved.value.proved_by("other", 0).is_none());
        assert!(!proved.value.is_asked(0) && proved.value.sent_by("cookie", 0).is_none());
    }
}
