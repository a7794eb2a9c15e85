//! Codes and refresh tokens, traded for tokens of users:
//! <https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3> and section 6.
//!
//! A code that comes twice, and a refresh token that was replaced, are in the
//! hands of two: all that came of them ends (RFC 9700, 2.1.1 and 4.14.2).

use std::sync::Arc;

use salus_auth::record::{
    Agreed, Authorization, Client, Code as CodeRecord, GrantType, Refresh, Saved, Status,
    SystemRecord, Through, User,
};
use salus_auth::session::{self, LIFETIME_DEFAULT_MS};
use salus_auth::{Action, Grant, Limit, Scopes, Secret, Subject, Target, Word};
use salus_store::{At, Precondition, Scope};
use serde_json::{Map, Value};

use super::clients::{Known, Presented};
use super::{Code, Refused, fault, launch};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::policy;
use crate::records::{one, read};

/// What a client is given for a user.
pub struct Given {
    /// The bearer token.
    pub token: Secret,
    /// How long it is good for, in seconds.
    pub expires_in_s: i64,
    /// What it may do.
    pub scopes: String,
    /// How to get another one.
    pub refresh: Option<Secret>,
    /// Who the user is, signed.
    pub id_token: Option<String>,
    /// The patient that it is about, and what else the client is told.
    pub context: Map<String, Value>,
}
salus_phi::guard!(Given);

impl Service {
    /// Trades a code (RFC 6749, 4.1.3; RFC 7636, 4.5).
    pub async fn trade_code(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        code: &str,
        (redirect, verifier): (Option<&str>, Option<&str>),
    ) -> Result<Given, Refused> {
        let known = self
            .client_for(cx, presented, GrantType::AuthorizationCode)
            .await?;
        let record = self.snapshot(cx).await?;
        let record = record.get(CodeRecord::KIND, &CodeRecord::id(code)).await?;
        let Some(mut saved) = read::<CodeRecord>(record.as_ref())? else {
            return Err(self.not_given(cx, "no such code").await?);
        };
        if let Some(authorization) = &saved.value.used {
            self.end(cx, authorization, "a code came twice").await?;
            return Err(invalid("the code was used"));
        }
        let checked = saved
            .value
            .check(&known.client.id, redirect, verifier, cx.now_ms);
        if let Err(fault) = checked {
            self.not_given(cx, "code does not hold").await?;
            return Err(fault.into());
        }
        let agreed = saved.value.agreed.clone();
        let unchanged = saved.unchanged();
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let (random, last) = (self.random(), self.random());
        let id = Authorization::id(&random);
        saved.value.used = Some(id);
        let write = Write::system(&grant, "Code", saved.put()?);
        let kept = (vec![unchanged], vec![write]);
        let with = (agreed, "code", kept);
        self.give_agreed_with(cx, &grant, &known, with, (&random, &last))
            .await
    }

    /// Gives what a user agreed to, and keeps what was used up for it.
    pub(super) async fn give_agreed(
        &self,
        cx: &Context,
        grant: &Grant,
        known: &Known,
        with: (Agreed, &str, (Vec<Precondition>, Vec<Write>)),
    ) -> Result<Given, Refused> {
        let parts = (&self.random(), &self.random());
        self.give_agreed_with(cx, grant, known, with, parts).await
    }

    async fn give_agreed_with(
        &self,
        cx: &Context,
        grant: &Grant,
        known: &Known,
        (agreed, rule, (preconditions, mut writes)): (
            Agreed,
            &str,
            (Vec<Precondition>, Vec<Write>),
        ),
        parts: (&[u8; 32], &[u8; 32]),
    ) -> Result<Given, Refused> {
        let Some(user) = self.active_user(&agreed).await? else {
            return Err(self.not_given(cx, "user does not hold").await?);
        };
        let refreshed = known.client.value.may(GrantType::RefreshToken)
            && (agreed.scopes.has(Word::OfflineAccess) || agreed.scopes.has(Word::OnlineAccess));
        let (refresh, authorization) = Authorization::make(agreed, parts, refreshed, cx.now_ms);
        writes.push(Write::system(grant, "Authorization", authorization.put()?));
        self.keep(cx, grant, known, rule, (preconditions, writes))
            .await?;
        let scopes = authorization.value.agreed.scopes.clone();
        self.give(cx, grant, &authorization, (&user, &scopes), refresh)
            .await
    }

    /// Trades a refresh token (RFC 6749, 6); it is replaced.
    pub async fn refresh(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        token: &str,
        scopes: &str,
    ) -> Result<Given, Refused> {
        let known = self
            .client_for(cx, presented, GrantType::RefreshToken)
            .await?;
        let Some(refresh) = Refresh::parse(token) else {
            return Err(self.not_given(cx, "no refresh token").await?);
        };
        let record = self.snapshot(cx).await?;
        let record = record.get(Authorization::KIND, &refresh.id).await?;
        let Some(mut saved) = read::<Authorization>(record.as_ref())? else {
            return Err(self.not_given(cx, "no such authorization").await?);
        };
        if saved.value.agreed.client != known.client.id {
            return Err(self.not_given(cx, "of another client").await?);
        }
        if !saved.value.is_current(&refresh) {
            self.end(cx, &saved.id, "a refresh token came twice")
                .await?;
            return Err(invalid("the refresh token was used"));
        }
        let user = self.active_user(&saved.value.agreed).await?;
        let (Some(user), true) = (user, saved.value.expires_ms > cx.now_ms) else {
            return Err(self.not_given(cx, "authorization does not hold").await?);
        };
        let given = match scopes {
            "" => saved.value.agreed.scopes.clone(),
            some => Scopes::known_of(some).intersect(&saved.value.agreed.scopes),
        };
        if given.is_empty() {
            return Err(fault(
                Code::InvalidScope,
                "the user did not agree to these scopes",
            ));
        }
        let unchanged = saved.unchanged();
        let next = saved.value.replace(&refresh, &self.random(), cx.now_ms);
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let writes = vec![Write::system(&grant, "Authorization", saved.put()?)];
        self.keep(
            cx,
            &grant,
            &known,
            "refresh token",
            (vec![unchanged], writes),
        )
        .await?;
        self.give(cx, &grant, &saved, (&user, &given), Some(next))
            .await
    }

    /// Ends an authorization if this client has this refresh token of it.
    pub(super) async fn revoke_refresh(
        &self,
        cx: &Context,
        client: &str,
        token: &str,
    ) -> Result<(), Error> {
        let Some(refresh) = Refresh::parse(token) else {
            return Ok(());
        };
        let record = self.snapshot(cx).await?;
        let record = record.get(Authorization::KIND, &refresh.id).await?;
        match read::<Authorization>(record.as_ref())? {
            Some(saved) if *saved.value.agreed.client == *client => {
                self.end(cx, &saved.id, "revocation").await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Ends an authorization, and with it every token that came of it.
    pub(super) async fn end(&self, cx: &Context, id: &str, rule: &str) -> Result<(), Error> {
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        loop {
            let record = self
                .snapshot(cx)
                .await?
                .get(Authorization::KIND, id)
                .await?;
            let Some(saved) = read::<Authorization>(record.as_ref())? else {
                break;
            };
            let entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
            let write = Write::system(&grant, "Authorization", saved.delete());
            match self.commit(cx, entry, Vec::new(), vec![write]).await {
                Ok(()) => break,
                // It was refreshed meanwhile: once more.
                Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.sessions.forget_all();
        Ok(())
    }

    /// Who a client acts for, as far as it may: nobody if client or authorization are gone.
    pub(crate) async fn through(
        &self,
        subject: Arc<Subject>,
        through: &Through,
    ) -> Result<Option<Arc<Subject>>, Error> {
        let project = Scope(through.project);
        let snapshot = self.store.snapshot(project, At::Now).await?;
        let client = snapshot.get(Client::KIND, &through.client).await?;
        let client = read::<Client>(client.as_ref())?;
        let id = &through.authorization;
        let authorization = snapshot.get(Authorization::KIND, id).await?;
        let authorization = read::<Authorization>(authorization.as_ref())?;
        let (Some(client), Some(authorization)) = (client, authorization) else {
            return Ok(None);
        };
        if !client.value.is_active() {
            return Ok(None);
        }
        let agreed = &authorization.value.agreed;
        let scopes = through.scopes.intersect(&agreed.scopes);
        let scopes = scopes.intersect(&client.value.scopes);
        let patient = agreed.patient.as_deref();
        let limit = Limit::new(project, &client.id, &scopes, patient);
        let rules = policy::scopes::rules(&self.operator_context(project), &scopes, patient);
        let subject = Arc::unwrap_or_clone(subject);
        let subject = subject.through_app(&client.id, &client.value);
        Ok(Some(Arc::new(subject.limited(limit, rules))))
    }

    pub(super) async fn client_for(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        grant: GrantType,
    ) -> Result<Known, Refused> {
        let known = self.known_client(cx, presented).await?;
        if known.client.value.may(grant) {
            return Ok(known);
        }
        let why = "this client is not registered for this grant_type";
        Err(fault(Code::UnauthorizedClient, why))
    }

    async fn active_user(&self, agreed: &Agreed) -> Result<Option<Saved<User>>, Error> {
        let user = one::<User>(&*self.store, Scope(agreed.home), &agreed.user).await?;
        Ok(user.filter(|user| user.value.status == Status::Active))
    }

    /// Commits what was used up; who comes second gets nothing.
    async fn keep(
        &self,
        cx: &Context,
        grant: &Grant,
        known: &Known,
        rule: &str,
        (mut preconditions, mut writes): (Vec<Precondition>, Vec<Write>),
    ) -> Result<(), Refused> {
        known.use_up(grant, &mut preconditions, &mut writes)?;
        self.note_token(cx, known).await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
        entry.agent = format!("Client/{}", known.client.id).into();
        match self.commit(cx, entry, preconditions, writes).await {
            Ok(()) => Ok(()),
            Err(salus_store::Error::Conflict { .. }) => Err(invalid("it was used")),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the session in which the client acts for the user.
    async fn give(
        &self,
        cx: &Context,
        grant: &Grant,
        authorization: &Saved<Authorization>,
        (user, scopes): (&Saved<User>, &Scopes),
        refresh: Option<Secret>,
    ) -> Result<Given, Refused> {
        let agreed = &authorization.value.agreed;
        let through = Through {
            project: cx.scope.0,
            client: agreed.client.clone(),
            authorization: authorization.id.clone(),
            scopes: scopes.clone(),
            exchanges: 0,
        };
        let home = Scope(agreed.home);
        let times = (cx.now_ms, LIFETIME_DEFAULT_MS);
        let random = self.random();
        let proof = (&*agreed.methods, agreed.proof_ms());
        let (token, mut session) =
            session::open_through(home, &user.id, proof, through, &random, times);
        session.value.purpose = agreed.purpose;
        let id_token = match scopes.has(Word::OpenId) {
            true => Some(self.id_token(cx, agreed, user, &token).await?),
            false => None,
        };
        let there = Context {
            scope: home,
            ..cx.clone()
        };
        let mut entry = Entry::new(&there, What::SignIn, Outcome::Success, grant.rule());
        entry.agent = format!("User/{}", user.id).into();
        entry.query = format!("client={}", agreed.client).into();
        let write = Write::system(grant, "Session", session.put()?);
        self.commit(&there, entry, Vec::new(), vec![write]).await?;
        Ok(Given {
            token,
            expires_in_s: LIFETIME_DEFAULT_MS / 1000,
            scopes: scopes.text(),
            refresh,
            id_token,
            context: launch::told(cx, agreed),
        })
    }

    /// Tells the audit why nothing is given, and the client that it is not.
    pub(super) async fn not_given(&self, cx: &Context, rule: &str) -> Result<Refused, Error> {
        let entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
        self.record(cx, entry).await?;
        Ok(invalid("code or refresh token is not valid"))
    }
}

fn invalid(why: &'static str) -> Refused {
    fault(Code::InvalidGrant, why)
}
