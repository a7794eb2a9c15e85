//! Tokens handed on: <https://www.rfc-editor.org/rfc/rfc8693>.
//!
//! A client that was asked by another one to do something for its user gets a token
//! of its own. It gives what the first one gave and both clients may do, ends no later,
//! and ends with the same agreement of the user. Off for clients that are not registered for it.

use salus_auth::record::{GrantType, Owner, Through};
use salus_auth::session::{self, LIFETIME_DEFAULT_MS};
use salus_auth::{Action, Scopes, Target, Token, Word};
use serde_json::Map;

use super::clients::Presented;
use super::codes::Given;
use super::{Code, Refused, fault};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::pipeline::Write;

/// How many clients may hand a token on, one to the next.
const EXCHANGES_MAX: u8 = 3;
const NOT_VALID: &str = "subject_token is no token of a client for a user of this project";

impl Service {
    /// A token for what another client's token gives, or less.
    pub async fn exchange(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        (token, scopes): (&str, &str),
    ) -> Result<Given, Refused> {
        let known = self
            .client_for(cx, presented, GrantType::TokenExchange)
            .await?;
        let invalid = || fault(Code::InvalidRequest, NOT_VALID);
        let token = Token::parse(token).ok_or_else(invalid)?;
        let session = self.saved_session(&token).await?.ok_or_else(invalid)?;
        let through = session.value.through.as_ref();
        let through = through.filter(|through| through.project == cx.scope.0);
        let (Some(through), Owner::User(user)) = (through, &session.value.owner) else {
            return Err(invalid());
        };
        let home = token.scope();
        let there = Context {
            scope: home,
            ..cx.clone()
        };
        let snapshot = self.snapshot(&there).await?;
        let resumed = self.resumed(&*snapshot, home, &session.value, cx.now_ms);
        let subject = resumed.await?.ok_or_else(invalid)?;
        if through.exchanges >= EXCHANGES_MAX {
            return Err(fault(
                Code::InvalidRequest,
                "this token was handed on too often",
            ));
        }
        let held = subject.limit().map(|limit| limit.scopes().clone());
        let scopes = handed_on(
            &held.unwrap_or_default(),
            scopes,
            &known.client.value.scopes,
        );
        if scopes.is_empty() {
            return Err(fault(
                Code::InvalidScope,
                "the token and this client have none of these scopes in common",
            ));
        }
        let next = Through {
            client: known.client.id.clone(),
            scopes: scopes.clone(),
            exchanges: through.exchanges + 1,
            ..through.clone()
        };
        let left_ms = session.value.expires_ms.saturating_sub(cx.now_ms);
        let lifetime_ms = left_ms.min(LIFETIME_DEFAULT_MS);
        let times = (cx.now_ms, lifetime_ms);
        // Handing a token on proves nothing anew.
        let proved_ms = subject.proved_ms().unwrap_or(session.value.created_ms);
        let proof = (&*session.value.methods, proved_ms);
        let (token, mut opened) =
            session::open_through(home, user, proof, next, &self.random(), times);
        // What the first one is for, the next one is for.
        opened.value.purpose = session.value.purpose.or(subject.purpose());
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(&there, What::SignIn, Outcome::Success, "token exchange");
        entry.agent = subject.label().into();
        entry.query = format!("client={}&from={}", known.client.id, through.client).into();
        let done = {
            let (mut preconditions, mut used) = (Vec::new(), Vec::new());
            known.use_up(&grant, &mut preconditions, &mut used)?;
            if !used.is_empty() {
                // The client's proof is used up where the client is.
                let entry = Entry::new(cx, What::SignIn, Outcome::Success, "token exchange");
                let done = self.commit(cx, entry, preconditions, used).await;
                done.map_err(|error| known.on_conflict(error))?;
            }
            let write = Write::system(&grant, "Session", opened.put()?);
            self.commit(&there, entry, Vec::new(), vec![write]).await
        };
        done?;
        Ok(Given {
            token,
            expires_in_s: lifetime_ms / 1000,
            scopes: scopes.text(),
            refresh: None,
            id_token: None,
            context: Map::new(),
        })
    }
}

/// What is handed on: nothing that would outlast the token, or tell who the user is anew.
fn handed_on(held: &Scopes, asked: &str, own: &Scopes) -> Scopes {
    let both = held.intersect(own);
    let both = match asked {
        "" => both,
        some => Scopes::known_of(some).intersect(&both),
    };
    both.without(&[Word::OpenId, Word::OfflineAccess, Word::OnlineAccess])
}
