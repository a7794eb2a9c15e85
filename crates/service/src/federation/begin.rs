//! The way to a provider: the authentication request, bound to the browser that takes it
//! (OpenID Connect Core, 3.1.2.1; RFC 7636; RFC 9700, 2.1).

use salus_auth::record::{Provider, ProviderPurpose, ProviderRequest, Saved, Stage, SystemRecord};
use salus_auth::{Action, Secret};

use super::of_provider;
use super::providers::redirect;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::oauth::Asked;
use crate::pipeline::Write;
use crate::records::read;

/// Where a browser goes.
pub struct Away {
    /// The provider, as users see it.
    pub label: String,
    /// Its page, with the request.
    pub url: Secret,
}
salus_phi::guard!(Away);

/// What somebody is asked before they go to a provider from a session.
pub struct Errand {
    /// The provider, as users see it.
    pub label: String,
    /// Whose account it is about.
    pub user: String,
    /// Whether it will be connected; else it is proof that it is still them.
    pub connects: bool,
}
salus_phi::guard!(Errand);

impl Service {
    /// Sends the user of a sign-in page to a provider.
    pub async fn go_to_provider(
        &self,
        cx: &Context,
        name: &str,
        (asked, request): (&Asked, String),
        browser: &str,
    ) -> Result<Away, Error> {
        let purpose = ProviderPurpose::SignIn {
            request,
            strict: asked.is_strict(),
        };
        let age = asked.proof_age_s();
        self.depart(cx, name, purpose, (browser, age), None).await
    }

    /// What a ticket of [`Self::begin_connect`] or [`Self::begin_provider_step_up`] is for, if it
    /// holds and nobody else is signed in at the browser.
    pub async fn errand(
        &self,
        cx: &Context,
        ticket: &str,
        session: Option<&str>,
    ) -> Result<Option<Errand>, Error> {
        let Some(asked) = self.asked_errand(cx, ticket, session).await? else {
            return Ok(None);
        };
        let Some((user, connects)) = whose(&asked.value.purpose) else {
            return Ok(None);
        };
        let user = self.saved_user(cx.scope, user).await?;
        let Some(provider) = self
            .active_provider(cx.scope, &asked.value.provider)
            .await?
        else {
            return Ok(None);
        };
        Ok(Some(Errand {
            label: provider.value.label,
            user: user.value.email.expose().to_owned(),
            connects,
        }))
    }

    /// Sends a browser on the way that a ticket is for: the ticket is used up.
    pub async fn go_on_errand(
        &self,
        cx: &Context,
        ticket: &str,
        (browser, session): (&str, Option<&str>),
    ) -> Result<Option<Away>, Error> {
        let Some(asked) = self.asked_errand(cx, ticket, session).await? else {
            return Ok(None);
        };
        let (name, purpose) = (asked.value.provider.clone(), asked.value.purpose.clone());
        // Whoever is signed in there by habit has not proved it (RFC 9470).
        let browser = (browser, Some(0));
        let away = self.depart(cx, &name, purpose, browser, Some(asked));
        away.await.map(Some)
    }

    async fn asked_errand(
        &self,
        cx: &Context,
        ticket: &str,
        session: Option<&str>,
    ) -> Result<Option<Saved<ProviderRequest>>, Error> {
        let asked = self.provider_request(cx, ticket).await?;
        let asked = asked.filter(|asked| asked.value.is_asked(cx.now_ms));
        let Some((asked, session)) = asked.as_ref().zip(session) else {
            return Ok(asked);
        };
        let meant = whose(&asked.value.purpose).map(|(user, _)| user);
        let there = self.user_here(cx, session).await?;
        let other = there.is_some_and(|there| Some(&*there) != meant);
        Ok((!other).then(|| asked.clone()))
    }

    /// The record of a ticket or a state.
    pub(super) async fn provider_request(
        &self,
        cx: &Context,
        secret: &str,
    ) -> Result<Option<Saved<ProviderRequest>>, Error> {
        let id = ProviderRequest::id(secret);
        let snapshot = self.snapshot(cx).await?;
        read::<ProviderRequest>(snapshot.get(ProviderRequest::KIND, &id).await?.as_ref())
    }

    async fn depart(
        &self,
        cx: &Context,
        name: &str,
        purpose: ProviderPurpose,
        (browser, max_age_s): (&str, Option<u32>),
        used: Option<Saved<ProviderRequest>>,
    ) -> Result<Away, Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let work = async {
            self.count_departure(cx)?;
            let provider = self.active_provider(cx.scope, name).await?;
            let provider = provider.ok_or_else(|| Error::not_found("there is no such provider"))?;
            let metadata = self.described(&provider.value.issuer).await?;
            let redirect = redirect(cx, name);
            let places = (&*provider.value.issuer, &*redirect);
            let random = [self.random(), self.random(), self.random()];
            let random = [&random[0], &random[1], &random[2]];
            let browser = (browser, max_age_s);
            let (state, saved) =
                ProviderRequest::send(name, purpose, places, browser, random, cx.now_ms);
            let url = url(
                &metadata.authorization_endpoint,
                &provider,
                &state,
                &saved.value,
            );
            let mut writes = vec![Write::aside(&grant, saved.put()?)];
            let mut unused = Vec::new();
            if let Some(used) = used {
                unused.push(used.unchanged());
                writes.push(Write::aside(&grant, used.delete()));
            }
            let rule = "sent to a provider";
            let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
            entry.query = of_provider(name);
            self.commit(cx, entry, unused, writes).await?;
            Ok(Away {
                label: provider.value.label,
                url: url.ok_or_else(|| Error::new(Kind::Internal, "there is no way to go"))?,
            })
        };
        self.attempt(cx, &grant, What::SignIn, "Provider", work)
            .await
    }
}

/// Whose errand it is, and whether it connects.
fn whose(purpose: &ProviderPurpose) -> Option<(&str, bool)> {
    match purpose {
        ProviderPurpose::Connect { user } => Some((user, true)),
        ProviderPurpose::StepUp { user, .. } => Some((user, false)),
        ProviderPurpose::SignIn { .. } => None,
    }
}

/// The authentication request; nothing for what was not sent.
fn url(
    endpoint: &str,
    provider: &Saved<Provider>,
    state: &Secret,
    request: &ProviderRequest,
) -> Option<Secret> {
    let Stage::Sent(sent) = &request.stage else {
        return None;
    };
    let provider = &provider.value;
    let scopes = provider.scopes.iter().filter(|scope| *scope != "openid");
    let scopes: Vec<&str> = ["openid"]
        .into_iter()
        .chain(scopes.map(|scope| &**scope))
        .collect();
    let challenge = salus_crypto::sha256(sent.verifier.as_bytes());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([
        ("response_type", "code"),
        ("client_id", &*provider.client_id),
        ("redirect_uri", &*sent.redirect),
        ("scope", &*scopes.join(" ")),
        ("state", state.expose()),
        ("nonce", &*sent.nonce),
        ("code_challenge", &*salus_crypto::base64url(&challenge)),
        ("code_challenge_method", "S256"),
    ]);
    if !provider.second_factor.acr.is_empty() {
        query.append_pair("acr_values", &provider.second_factor.acr.join(" "));
    }
    if let Some(seconds) = sent.max_age_s {
        query.append_pair("max_age", &seconds.to_string());
        if seconds == 0 {
            query.append_pair("prompt", "login");
        }
    }
    let with = if endpoint.contains('?') { '&' } else { '?' };
    Some(Secret::new(format!("{endpoint}{with}{}", query.finish())))
}
