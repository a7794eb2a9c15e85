//! Tokens: given to clients for themselves (RFC 6749, 4.4, and SMART Backend
//! Services), looked into (RFC 7662) and taken back (RFC 7009).

use std::sync::Arc;

use salus_auth::record::{AuthMethod, GrantType, Owner, Saved, Session};
use salus_auth::session::{self, LIFETIME_DEFAULT_MS};
use salus_auth::{Action, PURPOSE_SYSTEM, Scopes, Subject, Target, Token, assertion, mfa};
use salus_store::{At, Scope};
use serde_json::{Value, json};

use super::clients::{Known, Presented, Proof};
use super::request::stated;
use super::{Code, Refused, fault, issuer};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
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
        (scopes, purpose): (&str, Option<&str>),
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
        let purpose = match asserted(presented.proof, purpose)? {
            Some(text) => stated(client, Some(&text))?,
            None => None,
        };
        let mut opened =
            session::open_for_client(cx.scope, client, &asked, &random, cx.now_ms, lifetime_ms)
                .map_err(|_| fault(Code::InvalidScope, NO_SCOPE))?;
        opened.session.value.purpose = purpose;
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, grant.rule());
        entry.agent = opened.subject.label().into();
        let mut preconditions = Vec::new();
        let mut writes = vec![Write::system(&grant, "Session", opened.session.put()?)];
        known.use_up(&grant, &mut preconditions, &mut writes)?;
        self.note_token(cx, &known).await?;
        let done = self.commit(cx, entry, preconditions, writes).await;
        done.map_err(|error| known.on_conflict(error))?;
        Ok(SignedIn {
            expires_in_s: (opened.session.value.expires_ms - cx.now_ms) / 1000,
            scopes: opened.subject.scopes().map(Scopes::text),
            token: opened.token,
        })
    }

    /// What a token that is good in this project stands for just now, for a client that
    /// keeps a secret. Of another, or of none, nothing is told.
    pub async fn introspect(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        token: &str,
    ) -> Result<Value, Refused> {
        let known = self.known_client(cx, presented).await?;
        let client = &known.client.value;
        if client.auth == AuthMethod::None || client.self_registered.is_some() {
            return Err(fault(
                Code::UnauthorizedClient,
                "only clients that prove who they are, and that an administrator registered, \
                 may look into tokens",
            ));
        }
        self.note_use(cx, &known, "introspection", None).await?;
        let inactive = json!({"active": false});
        let Some((home, session)) = self.session_here(cx, token).await? else {
            return Ok(inactive);
        };
        let snapshot = self.store.snapshot(home, At::Now).await?;
        let resumed = self.resumed(&*snapshot, home, &session.value, cx.now_ms);
        let reaches = |subject: &Arc<Subject>| home == cx.scope || subject.reaches(cx.scope);
        let Some(subject) = resumed.await?.filter(reaches) else {
            return Ok(inactive);
        };
        if self.waits_too_long(home, &session, cx.now_ms) {
            return Ok(inactive);
        }
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
        if let Some(purpose) = subject.purpose() {
            // IHE IUA, ITI-102: the extension of tokens.
            let code = json!({"system": PURPOSE_SYSTEM, "code": purpose.code()});
            shown["extensions"] = json!({"ihe_iua": {"purpose_of_use": [code]}});
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
        let own = Owner::Client(known.client.id.clone());
        let ended = self
            .session_here(cx, token)
            .await?
            .filter(|(home, session)| {
                let through = session.value.through.as_ref();
                let through = through.is_some_and(|through| through.client == known.client.id);
                // The server's own clients may have the same id.
                *home == cx.scope && session.value.owner == own || through
            });
        self.revoke_refresh(cx, &known.client.id, token).await?;
        let id = ended.as_ref().map(|(_, session)| session.id.clone());
        self.note_use(cx, &known, "revocation", ended).await?;
        if let Some(id) = id {
            self.sessions.forget(&id);
        }
        Ok(())
    }

    /// The session of a token that is of use in this project, and where it is kept. Those of
    /// administrators of the server are kept with the server, and are good in every project
    /// that they have a part in; what one of them let a client do is of the client's project.
    async fn session_here(
        &self,
        cx: &Context,
        token: &str,
    ) -> Result<Option<(Scope, Saved<Session>)>, Error> {
        let kept = |token: &Token| [cx.scope, Scope::SYSTEM].contains(&token.scope());
        let Some(token) = Token::parse(token).filter(kept) else {
            return Ok(None);
        };
        let session = self.saved_session(&token).await?;
        let session = session.filter(|session| {
            let through = session.value.through.as_ref();
            through.is_none_or(|through| through.project == cx.scope.0)
        });
        Ok(session.map(|session| (token.scope(), session)))
    }

    /// Whether nobody has used a session of a user for as long as their project allows.
    fn waits_too_long(&self, home: Scope, session: &Saved<Session>, now_ms: i64) -> bool {
        let idle_ms = match &session.value.owner {
            Owner::User(_) => self.identity(home).idle_ms(),
            Owner::Client(_) => None,
        };
        let kept_ms = session.value.used_ms.max(session.value.created_ms);
        let used_ms = self.sessions.used_ms(&session.id).unwrap_or(kept_ms);
        idle_ms.is_some_and(|most_ms| now_ms.saturating_sub(used_ms) >= most_ms)
    }

    /// Tells the audit, uses up what the client proved itself with, and ends a session.
    async fn note_use(
        &self,
        cx: &Context,
        known: &Known,
        rule: &str,
        ended: Option<(Scope, Saved<Session>)>,
    ) -> Result<(), Refused> {
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
        entry.agent = format!("Client/{}", known.client.id).into();
        let (mut preconditions, mut writes) = (Vec::new(), Vec::new());
        if let Some((home, ended)) = ended {
            let write = Write::system(&grant, "Session", ended.delete());
            if home == cx.scope {
                writes.push(write);
            } else {
                let there = Context {
                    scope: home,
                    ..cx.clone()
                };
                let mut entry_there = Entry::new(&there, What::SignIn, Outcome::Success, rule);
                entry_there.agent = entry.agent.clone();
                self.commit(&there, entry_there, Vec::new(), vec![write])
                    .await?;
            }
        }
        known.use_up(&grant, &mut preconditions, &mut writes)?;
        let done = self.commit(cx, entry, preconditions, writes).await;
        done.map_err(|error| known.on_conflict(error))
    }
}

/// The purpose that a request says its token is for, as a parameter or in the client's assertion.
fn asserted(proof: Proof<'_>, parameter: Option<&str>) -> Result<Option<String>, Refused> {
    let mut said = match proof {
        Proof::Assertion(text) => assertion::purposes(text).ok_or_else(|| {
            let why = "purpose_of_use of the extension hl7-b2b must be a list of texts";
            fault(Code::InvalidRequest, why)
        })?,
        Proof::None | Proof::Secret(_) => Vec::new(),
    };
    said.extend(parameter.map(str::to_owned));
    said.dedup();
    match said.len() {
        0 | 1 => Ok(said.pop()),
        _ => Err(fault(
            Code::InvalidRequest,
            "a token is for one purpose_of_use",
        )),
    }
}
