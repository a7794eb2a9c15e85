//! Tokens: given to clients for themselves (RFC 6749, 4.4, and SMART Backend
//! Services), looked into (RFC 7662) and taken back (RFC 7009).

use salus_auth::record::{AuthMethod, GrantType, Owner, Saved, Session};
use salus_auth::session::{self, LIFETIME_DEFAULT_MS};
use salus_auth::{Action, Scopes, Target, Token, mfa};
use serde_json::{Value, json};

use super::clients::{Known, Presented};
use super::{Code, Refused, fault, issuer};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::pipeline::Write;
use crate::policy;
use crate::sessions::SignedIn;

/// How long tokens of backend services are good for: five minutes, as SMART recommends.
const BACKEND_LIFETIME_MS: i64 = 5 * 60 * 1000;

const NO_SCOPE: &str = "a scope is not one that this client may have";

impl Service {
    /// A client's token for itself.
    pub async fn client_credentials(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        scopes: &str,
    ) -> Result<SignedIn, Refused> {
        let asked = Scopes::parse(scopes).map_err(|_| fault(Code::InvalidScope, NO_SCOPE))?;
        if policy::scopes::understood(cx, &asked) != asked {
            return Err(fault(Code::InvalidScope, NO_SCOPE));
        }
        let known = self.known_client(cx, presented).await?;
        let client = &known.client;
        if !client.value.may(GrantType::ClientCredentials) {
            return Err(fault(
                Code::UnauthorizedClient,
                "this client is not registered for client_credentials",
            ));
        }
        let lifetime_ms = match client.value.auth {
            AuthMethod::PrivateKeyJwt => BACKEND_LIFETIME_MS,
            AuthMethod::ClientSecret | AuthMethod::None => LIFETIME_DEFAULT_MS,
        };
        let random = self.random();
        let opened =
            session::open_for_client(cx.scope, client, &asked, &random, cx.now_ms, lifetime_ms)
                .map_err(|_| fault(Code::InvalidScope, NO_SCOPE))?;
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, grant.rule());
        entry.agent = opened.subject.label().into();
        let mut preconditions = Vec::new();
        let mut writes = vec![Write::system(&grant, "Session", opened.session.put()?)];
        known.use_up(&grant, &mut preconditions, &mut writes)?;
        let done = self.commit(cx, entry, preconditions, writes).await;
        done.map_err(|error| known.on_conflict(error))?;
        Ok(SignedIn {
            expires_in_s: (opened.session.value.expires_ms - cx.now_ms) / 1000,
            scopes: opened.subject.scopes().map(Scopes::text),
            token: opened.token,
        })
    }

    /// What a token of this project stands for just now, for a client that
    /// keeps a secret. Of another, or of none, nothing is told.
    pub async fn introspect(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        token: &str,
    ) -> Result<Value, Refused> {
        let known = self.known_client(cx, presented).await?;
        if known.client.value.auth == AuthMethod::None {
            return Err(fault(
                Code::UnauthorizedClient,
                "only clients that prove who they are may look into tokens",
            ));
        }
        self.note_use(cx, &known, "introspection", None).await?;
        let inactive = json!({"active": false});
        let Some(token) = Token::parse(token).filter(|token| token.scope() == cx.scope) else {
            return Ok(inactive);
        };
        let Some(session) = self.saved_session(&token).await? else {
            return Ok(inactive);
        };
        let snapshot = self.snapshot(cx).await?;
        let resumed = self.resumed(&*snapshot, cx.scope, &session.value, cx.now_ms);
        let Some(subject) = resumed.await? else {
            return Ok(inactive);
        };
        let value = &session.value;
        let mut shown = json!({
            "active": true,
            "token_type": "Bearer",
            "iss": issuer(cx),
            "iat": value.created_ms.div_euclid(1000),
            "exp": value.expires_ms.div_euclid(1000),
            "scope": subject.scopes().map(Scopes::text).unwrap_or_default(),
        });
        match &value.owner {
            Owner::Client(id) => {
                shown["client_id"] = json!(id);
                shown["sub"] = json!(id);
            }
            Owner::User(id) => {
                // RFC 9470, 6.2.
                shown["sub"] = json!(id);
                shown["acr"] = json!(mfa::class_of(&value.methods));
                let proved_ms = subject.proved_ms().unwrap_or(value.created_ms);
                shown["auth_time"] = json!(proved_ms.div_euclid(1000));
            }
        }
        if let Some(limit) = subject.limit() {
            shown["client_id"] = json!(limit.client());
            shown["scope"] = json!(limit.scopes().text());
        }
        Ok(shown)
    }

    /// Ends a token of the client that asks. That it is none, or another's, is
    /// no error (RFC 7009, 2.2).
    pub async fn revoke(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        token: &str,
    ) -> Result<(), Refused> {
        let known = self.known_client(cx, presented).await?;
        let ended = match Token::parse(token) {
            Some(token) if token.scope() == cx.scope => self.saved_session(&token).await?,
            Some(_) | None => None,
        };
        let own = Owner::Client(known.client.id.clone());
        let ended = ended.filter(|session| {
            let through = session.value.through.as_ref();
            let through = through.is_some_and(|through| through.client == known.client.id);
            session.value.owner == own || through
        });
        self.revoke_refresh(cx, &known.client.id, token).await?;
        let id = ended.as_ref().map(|session| session.id.clone());
        self.note_use(cx, &known, "revocation", ended).await?;
        if let Some(id) = id {
            self.sessions.forget(&id);
        }
        Ok(())
    }

    /// Tells the audit, uses up what the client proved itself with, and ends a session.
    async fn note_use(
        &self,
        cx: &Context,
        known: &Known,
        rule: &str,
        ended: Option<Saved<Session>>,
    ) -> Result<(), Refused> {
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
        entry.agent = format!("Client/{}", known.client.id).into();
        let (mut preconditions, mut writes) = (Vec::new(), Vec::new());
        if let Some(ended) = ended {
            writes.push(Write::system(&grant, "Session", ended.delete()));
        }
        known.use_up(&grant, &mut preconditions, &mut writes)?;
        let done = self.commit(cx, entry, preconditions, writes).await;
        done.map_err(|error| known.on_conflict(error))
    }
}
