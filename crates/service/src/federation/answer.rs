//! The answer of a provider: checked, its code traded, its id token believed
//! (OpenID Connect Core, 3.1.2.5 to 3.1.3.7; RFC 9207; RFC 9700, 4.4).
//!
//! What was sent holds once, for the browser that was sent and at the address of the provider
//! that it was sent to. The record is gone before the provider is asked.

use base64ct::{Base64, Encoding};
use salus_auth::openid::{self, Expected, Metadata, Told, Wrong};
use salus_auth::record::{AuthMethod, Provider, ProviderPurpose, ProviderRequest, Saved, Sent};
use salus_auth::{Action, Secret, jwt};
use salus_crypto::signing::Algorithm;
use serde::Deserialize;
use serde_json::json;

use super::of_provider;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::oauth::Here;
use crate::pipeline::Write;

/// How long an assertion of ours is good for, in seconds.
const ASSERTION_S: i64 = 60;
const CODE_BYTES_MAX: usize = 4096;
/// The type of the assertions by which we prove who we are (RFC 7523, 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The parameters that a browser brings back.
#[derive(Clone, Default)]
pub struct ProviderAnswer {
    /// What we gave along.
    pub state: Option<String>,
    /// What is traded for an id token.
    pub code: Option<String>,
    /// Who answers.
    pub iss: Option<String>,
    /// Why not.
    pub error: Option<String>,
}
salus_phi::guard!(ProviderAnswer);

/// What comes of an answer.
pub enum Came {
    /// A sign-in goes on, or is done; then a client's request does.
    Here {
        /// The request.
        request: String,
        /// How it goes on.
        here: Here,
    },
    /// The account there is nobody's here. Whoever signs in now, too, has it connected with theirs.
    Unknown {
        /// The request of the client that waits.
        request: String,
        /// The provider, as users see it.
        label: String,
        /// What the sign-in brings along.
        ticket: Secret,
    },
    /// Something else is done.
    Done(&'static str),
    /// Nothing comes of it.
    Refused {
        /// What the user is told.
        why: &'static str,
        /// The request of the client that waits, if one does.
        request: Option<String>,
    },
}
salus_phi::guard!(Came);

/// Why an answer is refused: for the audit, and for the user.
pub(super) struct Stop(pub(super) &'static str, pub(super) &'static str);

const FOREIGN: &str = "This answer belongs to another sign-in, or came too late. Please go back to \
                       the app and begin again.";
const NOT_LET: &str = "The provider did not let you in.";
const UNPROVED: &str = "The provider's answer does not prove who you are.";
const FAILED: &str = "The provider could not be asked who you are. Please try again later.";

/// What is traded for a code.
#[derive(Deserialize)]
struct Traded {
    id_token: String,
}

impl Service {
    /// Takes the answer of a provider, from the browser with this cookie.
    pub async fn came_back(
        &self,
        cx: &Context,
        name: &str,
        browser: Option<&str>,
        answer: &ProviderAnswer,
    ) -> Result<Came, Error> {
        let state = answer.state.as_deref().unwrap_or_default();
        let saved = self.provider_request(cx, state).await?;
        let found = saved.as_ref().zip(browser).and_then(|(saved, browser)| {
            let sent = saved.value.sent_by(browser, cx.now_ms)?;
            Some((saved, browser, sent.clone()))
        });
        let found = found.filter(|(saved, ..)| *saved.value.provider == *name);
        let Some((saved, browser, sent)) = found else {
            let stop = Stop("answer of a provider: state", FOREIGN);
            return self.stopped(cx, name, stop, None).await;
        };
        let purpose = saved.value.purpose.clone();
        let request = match &purpose {
            ProviderPurpose::SignIn { request, .. } => Some(request.clone()),
            ProviderPurpose::Connect { .. } | ProviderPurpose::StepUp { .. } => None,
        };
        if !self
            .use_up_request(cx, saved, "back from a provider")
            .await?
        {
            let stop = Stop("answer of a provider: twice", FOREIGN);
            return self.stopped(cx, name, stop, request).await;
        }
        let provider = self.active_provider(cx.scope, name).await?;
        let Some(provider) = provider.filter(|one| one.value.issuer == sent.issuer) else {
            let stop = Stop("answer of a provider: no such provider", FOREIGN);
            return self.stopped(cx, name, stop, request).await;
        };
        let told = match self.told_by(cx, &provider, &sent, answer).await {
            Ok(told) => told,
            Err(stop) => return self.stopped(cx, name, stop, request).await,
        };
        // The provider was asked meanwhile.
        let (now_ms, era) = self.enter();
        let cx = &Context {
            now_ms,
            era,
            ..cx.clone()
        };
        match self
            .arrived(cx, &provider, (purpose, browser), told)
            .await?
        {
            Ok(came) => Ok(came),
            Err(stop) => self.stopped(cx, name, stop, request).await,
        }
    }

    /// Tells the audit why nothing comes of an answer.
    async fn stopped(
        &self,
        cx: &Context,
        name: &str,
        Stop(rule, why): Stop,
        request: Option<String>,
    ) -> Result<Came, Error> {
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
        if salus_auth::record::is_provider_name(name) {
            entry.query = of_provider(name);
        }
        self.record(cx, entry).await?;
        Ok(Came::Refused { why, request })
    }

    /// Deletes what was kept of a way to a provider; false if somebody else was first.
    pub(super) async fn use_up_request(
        &self,
        cx: &Context,
        saved: &Saved<ProviderRequest>,
        rule: &str,
    ) -> Result<bool, Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
        entry.query = of_provider(&saved.value.provider);
        let write = Write::aside(&grant, saved.delete());
        let unused = vec![saved.unchanged()];
        match self.commit(cx, entry, unused, vec![write]).await {
            Ok(()) => Ok(true),
            Err(salus_store::Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Who has signed in there, as far as the answer proves it.
    async fn told_by(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        sent: &Sent,
        answer: &ProviderAnswer,
    ) -> Result<Told, Stop> {
        let failed = |error: Error| {
            let cause = error.cause();
            tracing::warn!(cause, "a provider cannot be asked");
            Stop("a provider could not be asked", FAILED)
        };
        let metadata = self.described(&sent.issuer).await.map_err(failed)?;
        let named = match &answer.iss {
            Some(named) => *named == sent.issuer,
            None => !metadata.names_itself(),
        };
        if !named {
            return Err(Stop("answer of a provider: issuer", UNPROVED));
        }
        if answer.error.is_some() {
            return Err(Stop("answer of a provider: error", NOT_LET));
        }
        let code = answer.code.as_deref().unwrap_or_default();
        if !(1..=CODE_BYTES_MAX).contains(&code.len()) {
            return Err(Stop("answer of a provider: no code", UNPROVED));
        }
        let traded = self.trade_with(cx, provider, &metadata, (sent, code)).await;
        let id_token = traded.map_err(failed)?;
        let checked = self.check_id_token(provider, &metadata, sent, &id_token);
        let checked = checked.await.map_err(failed)?;
        checked.map_err(|wrong| Stop(wrong.rule(), UNPROVED))
    }

    /// Checks an id token with the keys that are known, and with newer ones if its key is not.
    async fn check_id_token(
        &self,
        provider: &Saved<Provider>,
        metadata: &Metadata,
        sent: &Sent,
        id_token: &Secret,
    ) -> Result<Result<Told, Wrong>, Error> {
        let expected = Expected {
            issuer: &sent.issuer,
            client_id: &provider.value.client_id,
            nonce: &sent.nonce,
            sent_ms: sent.at_ms,
            max_age_s: sent.max_age_s,
        };
        let mut checked = Err(Wrong::Key);
        for anew in [false, true] {
            let keys = self.keys_of(&sent.issuer, metadata, anew).await?;
            let with = (metadata, &*keys);
            checked = openid::check(id_token.expose(), with, expected, self.now_ms());
            if !matches!(checked, Err(Wrong::Key)) {
                break;
            }
        }
        Ok(checked)
    }

    /// Trades a code for an id token (3.1.3.1).
    async fn trade_with(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        metadata: &Metadata,
        (sent, code): (&Sent, &str),
    ) -> Result<Secret, Error> {
        let unusable = super::discovery::unusable;
        let (client, endpoint) = (&*provider.value.client_id, &metadata.token_endpoint);
        let secret = provider.value.secret();
        let secret = secret.as_ref().map_or("", Secret::expose);
        let assertion = match provider.value.auth {
            AuthMethod::PrivateKeyJwt => self.own_assertion(cx, client, endpoint).await?,
            AuthMethod::ClientSecret | AuthMethod::None => String::new(),
        };
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*sent.redirect),
            ("code_verifier", &*sent.verifier),
        ];
        let mut authorization = None;
        match provider.value.auth {
            AuthMethod::ClientSecret if metadata.takes_basic() => {
                authorization = Some(basic(client, secret));
            }
            AuthMethod::ClientSecret => {
                pairs.extend([("client_id", client), ("client_secret", secret)]);
            }
            AuthMethod::PrivateKeyJwt => pairs.extend([
                ("client_id", client),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", &*assertion),
            ]),
            AuthMethod::None => pairs.push(("client_id", client)),
        }
        let location = self.provider_place(endpoint).map_err(unusable)?;
        let form = form_of(&pairs);
        let asked = self.asked_of_provider(&location, Some(&form), authorization.as_ref());
        let json = asked.await.map_err(unusable)?;
        let traded: Result<Traded, _> = serde_json::from_slice(&json);
        let traded = traded.map_err(|_| {
            unusable(super::Unanswered::new(
                "its answer to a code holds no id token",
            ))
        })?;
        Ok(Secret::new(traded.id_token))
    }

    /// Proof of who we are as its client, signed by the key of the project (RFC 7523, 3).
    async fn own_assertion(
        &self,
        cx: &Context,
        client: &str,
        audience: &str,
    ) -> Result<String, Error> {
        let now_s = cx.now_ms.div_euclid(1000);
        let claims = json!({
            "iss": client,
            "sub": client,
            "aud": audience,
            "jti": salus_crypto::base64url(&self.random()),
            "iat": now_s,
            "exp": now_s + ASSERTION_S,
        });
        let keys = self.keys(cx).await?;
        let (id, key) = keys
            .signing(Algorithm::Rs256)
            .ok_or_else(|| Error::new(Kind::Internal, "there is no key to sign with"))?;
        Ok(jwt::sign(key, id, &claims)?)
    }
}

fn form_of(pairs: &[(&str, &str)]) -> Secret {
    let mut form = form_urlencoded::Serializer::new(String::new());
    Secret::new(form.extend_pairs(pairs).finish())
}

/// Id and secret as Basic authentication (RFC 6749, 2.3.1: both form-encoded).
fn basic(client: &str, secret: &str) -> Secret {
    let coded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = Secret::new(format!("{}:{}", coded(client), coded(secret)));
    let coded = Base64::encode_string(pair.expose().as_bytes());
    Secret::new(format!("Basic {coded}"))
}
