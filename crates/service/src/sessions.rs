//! Signing in and out, and who a token belongs to.

mod hashing;
mod seen;
mod setup;

use std::sync::Arc;

use salus_auth::record::{
    Email, Group, Membership, Owner, Saved, Session, Status, SystemRecord, User, Walk,
};
use salus_auth::session;
use salus_auth::{Action, PurposeOfUse, Secret, Subject, Target, Token, credentials, mfa};
use salus_store::{At, Content, Scope, SealKey, Snapshot};

use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::mfa::SignInStep;
use crate::pipeline::Write;
use crate::projects::DEFAULT;
use crate::records::{one, read};
pub(crate) use hashing::{Hashing, Place};
pub(crate) use seen::Sessions;
use seen::{Seen, Use};

/// The rule by which a token of a user is refused who was suspended or removed since.
pub(crate) const TERMINATED: &str = "token of a suspended account";

/// What a request brings to say who it is from.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// A bearer token.
    Token(&'a str),
    /// It came through the data folder's own socket.
    Operator,
}
salus_phi::guard!(Credential<'_>);

/// A new session, for its owner.
pub struct SignedIn {
    /// The bearer token.
    pub token: Secret,
    /// How long it is good for, in seconds.
    pub expires_in_s: i64,
    /// What it may do, for a client.
    pub scopes: Option<String>,
}
salus_phi::guard!(SignedIn);

impl Service {
    /// Who a request is from. A refusal is in the audit before it is returned.
    pub async fn authenticate(
        &self,
        cx: &Context,
        credential: Credential<'_>,
    ) -> Result<Arc<Subject>, Error> {
        let known = match credential {
            Credential::None => None,
            Credential::Operator => return Ok(self.sessions.operator()),
            Credential::Token(text) => self.session(cx, text).await?,
        };
        if let Some(subject) = known {
            return Ok(subject);
        }
        let (rule, user) = self.why_unknown(credential).await?;
        let mut entry = Entry::new(cx, What::Unauthenticated, Outcome::Refused, rule);
        if let Some(id) = user {
            let entity = Entity {
                ty: "User".into(),
                id,
                version: 0,
            };
            entry.concerns(entity, User::KIND, &SealKey::Scope);
        }
        self.record(cx, entry).await?;
        Err(Error::new(
            Kind::Unauthenticated,
            "send a valid token as Authorization: Bearer …; POST /auth/token gives one",
        ))
    }

    /// Why a credential is not known, for the audit, and the user who was suspended or removed
    /// since they were given it.
    async fn why_unknown(
        &self,
        credential: Credential<'_>,
    ) -> Result<(&'static str, Option<Box<str>>), Error> {
        let unknown = ("no valid token", None);
        let Credential::Token(text) = credential else {
            return Ok(unknown);
        };
        let Some(token) = Token::parse(text) else {
            return Ok(unknown);
        };
        let Some(Owner::User(id)) = self.last_owner(&token).await? else {
            return Ok(unknown);
        };
        let user = one::<User>(&*self.store, token.scope(), &id).await?;
        Ok(match user.map(|user| user.value.status) {
            Some(Status::Active) => unknown,
            Some(Status::Suspended) | None => (TERMINATED, Some(id)),
        })
    }

    /// Whose session a token is or was, as long as that is kept.
    async fn last_owner(&self, token: &Token) -> Result<Option<Owner>, Error> {
        let (kind, id) = (Session::KIND, token.session_id());
        let snapshot = self.store.snapshot(token.scope(), At::Now).await?;
        let mut record = snapshot.get(kind, id).await?;
        if let Some(ended) = record.as_ref().filter(|it| it.content == Content::Deleted) {
            record = match snapshot.version(kind, id, ended.version - 1).await {
                Err(salus_store::Error::Purged) => None,
                before => before?,
            };
        }
        Ok(read::<Session>(record.as_ref())?.map(|session| session.value.owner))
    }

    /// Refuses a request to a project that does not exist, as one to a
    /// project that the caller has no part in.
    pub async fn refuse_project(&self, cx: &Context) -> Error {
        let entry = Entry::new(
            cx,
            What::Unauthenticated,
            Outcome::Refused,
            "no such project",
        );
        match self.record(cx, entry).await {
            Ok(()) => Error::new(Kind::Forbidden, crate::pipeline::FORBIDDEN),
            Err(error) => error,
        }
    }

    async fn session(&self, cx: &Context, text: &str) -> Result<Option<Arc<Subject>>, Error> {
        let Some(token) = Token::parse(text) else {
            return Ok(None);
        };
        let known = self.sessions.seen(token.session_id());
        let known = known.filter(|seen| {
            seen.subject.is_fresh(cx.now_ms) && seen.is_meant(|| self.parameters(token.scope()))
        });
        let seen = match known {
            Some(seen) => seen,
            None => match self.see(&token, cx.now_ms).await? {
                Some(seen) => seen,
                None => return Ok(None),
            },
        };
        match seen.used(cx.now_ms, cx.remote) {
            Use::Over => return Ok(None),
            Use::Noted => {}
            Use::ToBeKept => self.keep_use(cx, &token, &seen.subject).await?,
        }
        Ok(Some(Arc::clone(&seen.subject)))
    }

    /// Reads a session and whom it speaks for, and keeps them in memory.
    async fn see(&self, token: &Token, now_ms: i64) -> Result<Option<Arc<Seen>>, Error> {
        let home = token.scope();
        let ended = self.sessions.ended();
        let parameters = Arc::downgrade(&self.parameters(home));
        let snapshot = self.store.snapshot(home, At::Now).await?;
        let record = snapshot.get(Session::KIND, token.session_id()).await?;
        let Some(found) = read::<Session>(record.as_ref())? else {
            return Ok(None);
        };
        let resumed = self.resumed(&*snapshot, home, &found.value, now_ms);
        let Some(subject) = resumed.await? else {
            return Ok(None);
        };
        let subject = named(subject, token);
        let idle_ms = match &found.value.owner {
            Owner::User(_) => self.identity(home).idle_ms(),
            Owner::Client(_) => None,
        };
        let seen = Seen::new((subject, parameters), home, found.value, idle_ms);
        let seen = Arc::new(seen);
        self.sessions.keep(token.session_id(), &seen, ended);
        Ok(Some(seen))
    }

    /// Who a session speaks for that acts for another purpose than by itself. It is compiled once,
    /// and kept beside the session for as long as that is.
    pub(crate) async fn session_for(
        &self,
        token: &Token,
        purpose: PurposeOfUse,
        now_ms: i64,
    ) -> Result<Option<Arc<Subject>>, Error> {
        let home = token.scope();
        let seen = self.sessions.seen(token.session_id());
        let now = || self.parameters(home);
        let known = seen
            .as_ref()
            .and_then(|seen| seen.acting_for(purpose, now_ms, now));
        if known.is_some() {
            return Ok(known);
        }
        let parameters = Arc::downgrade(&self.parameters(home));
        let snapshot = self.store.snapshot(home, At::Now).await?;
        let record = snapshot.get(Session::KIND, token.session_id()).await?;
        let Some(found) = read::<Session>(record.as_ref())? else {
            return Ok(None);
        };
        let resumed = self.resumed_for(&*snapshot, home, &found.value, (Some(purpose), now_ms));
        let subject = resumed.await?.map(|subject| named(subject, token));
        if let (Some(seen), Some(subject)) = (seen, &subject) {
            seen.keep(purpose, subject, parameters);
        }
        Ok(subject)
    }

    /// Keeps that a session is in use, for when it is no longer in memory.
    async fn keep_use(
        &self,
        cx: &Context,
        token: &Token,
        subject: &Arc<Subject>,
    ) -> Result<(), Error> {
        let cx = &Context {
            subject: Arc::clone(subject),
            scope: token.scope(),
            ..cx.clone()
        };
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let snapshot = self.snapshot(cx).await?;
        let record = snapshot.get(Session::KIND, token.session_id()).await?;
        // If it has just ended, the next request is told.
        let Some(mut session) = read::<Session>(record.as_ref())? else {
            return Ok(());
        };
        session.value.used_ms = cx.now_ms;
        let write = Write::aside(&grant, session.put()?);
        let entry = Entry::new(cx, What::SignIn, Outcome::Success, "session in use");
        match self.commit(cx, entry, Vec::new(), vec![write]).await {
            Ok(()) | Err(salus_store::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Who a session speaks for now; `None` if it no longer does for anyone.
    pub(crate) async fn resumed(
        &self,
        snapshot: &dyn Snapshot,
        home: Scope,
        session: &Session,
        now_ms: i64,
    ) -> Result<Option<Arc<Subject>>, Error> {
        self.resumed_for(snapshot, home, session, (None, now_ms))
            .await
    }

    /// The same, acting for a purpose that is stated, if it may be.
    async fn resumed_for(
        &self,
        snapshot: &dyn Snapshot,
        home: Scope,
        session: &Session,
        (stated, now_ms): (Option<PurposeOfUse>, i64),
    ) -> Result<Option<Arc<Subject>>, Error> {
        let (kind, id) = session::owner_key(session);
        let owner = snapshot.get(kind, id).await?;
        let (membership, needs) = match &session.owner {
            Owner::Client(_) => (Membership::default(), false),
            Owner::User(_) => match read::<User>(owner.as_ref())? {
                Some(user) => {
                    let membership = membership(snapshot, Walk::of(&user.value)).await?;
                    let needs = self.needs_factor(home, &user.value, &membership);
                    (membership, needs)
                }
                None => return Ok(None),
            },
        };
        let subject = match session::resume(home, session, owner.as_ref(), &membership, now_ms) {
            Ok(subject) => subject,
            Err(salus_auth::Error::Refused(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let subject = match needs && !mfa::is_multi(&session.methods) {
            true => Arc::new((*subject).clone().without_factor()),
            false => subject,
        };
        let subject = Arc::unwrap_or_clone(subject);
        let subject = self.with_purposes(subject, session, stated).await?;
        let subject = self.under_policies(Arc::new(subject), now_ms).await?;
        match &session.through {
            Some(through) => self.through(subject, through).await,
            None => Ok(Some(subject)),
        }
    }

    /// The session of a token, whether or not it still holds.
    pub(crate) async fn saved_session(
        &self,
        token: &Token,
    ) -> Result<Option<Saved<Session>>, Error> {
        one::<Session>(&*self.store, token.scope(), token.session_id()).await
    }

    /// What follows from an address and a password of a user of the project,
    /// or of the server where no project is named.
    pub async fn sign_in(
        &self,
        cx: &Context,
        email: &str,
        password: Secret,
    ) -> Result<SignInStep, Error> {
        let (cx, proved) = self.prove_password(cx, email, password).await?;
        match proved {
            Ok(user) => self.after_password(&cx, user).await,
            Err(error) => {
                self.refused(&cx, &error).await?;
                Err(error.into())
            }
        }
    }

    /// The user whose password this is, and where their record is kept; a
    /// refusal is for the caller to put into the audit. Guessing is held up by the
    /// account and by where it comes from, whether or not there is such an account.
    pub(crate) async fn prove_password(
        &self,
        cx: &Context,
        email: &str,
        password: Secret,
    ) -> Result<(Context, Result<Saved<User>, salus_auth::Error>), Error> {
        let email = Email::parse(email)?;
        let (attempt, place) = self.attempt_on_password(cx, &email).await?;
        let mut cx = cx.clone();
        let mut user = self.user(cx.scope, &email).await?;
        if user.is_none() && self.project_scope(DEFAULT) == Some(cx.scope) {
            cx.scope = Scope::SYSTEM;
            user = self.user(cx.scope, &email).await?;
        }
        let (checked, user) = self
            .hash(place, move || {
                let checked = credentials::check_password(user.as_ref(), &password);
                (checked, user)
            })
            .await?;
        let unknown = salus_auth::Error::Refused(salus_auth::Refusal::Unknown);
        let proved = checked.and_then(|()| user.ok_or(unknown));
        if proved.is_ok() {
            self.guesses.right(&attempt, cx.now_ms);
        }
        Ok((cx, proved))
    }

    /// Ends the session of a token.
    pub async fn sign_out(&self, cx: &Context, credential: Credential<'_>) -> Result<(), Error> {
        let grant = self.allow(cx, What::SignOut, Action::SignOut).await?;
        let Credential::Token(text) = credential else {
            return Ok(());
        };
        let Some(token) = Token::parse(text) else {
            return Ok(());
        };
        let mut cx = cx.clone();
        cx.scope = token.scope();
        let record = self
            .snapshot(&cx)
            .await?
            .get(Session::KIND, token.session_id())
            .await?;
        if let Some(session) = read::<Session>(record.as_ref())? {
            let write = Write::system(&grant, "Session", session.delete());
            let entry = Entry::new(&cx, What::SignOut, Outcome::Success, "signed out");
            self.commit(&cx, entry, Vec::new(), vec![write]).await?;
        }
        self.sessions.forget(token.session_id());
        Ok(())
    }

    pub(crate) async fn user(
        &self,
        scope: Scope,
        email: &Email,
    ) -> Result<Option<Saved<User>>, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let found = snapshot.find(&User::with_email(email)).await?;
        read::<User>(found.hits.first().map(|hit| &hit.record))
    }

    pub(crate) async fn refused(
        &self,
        cx: &Context,
        error: &salus_auth::Error,
    ) -> Result<(), Error> {
        if let salus_auth::Error::Refused(refusal) = error {
            let entry = Entry::new(cx, What::SignIn, Outcome::Refused, refusal.rule());
            self.record(cx, entry).await?;
        }
        Ok(())
    }
}

/// Whom a session speaks for, as the audit tells them from others.
fn named(subject: Arc<Subject>, token: &Token) -> Arc<Subject> {
    let subject = Arc::unwrap_or_clone(subject);
    Arc::new(subject.in_session(token.session_id()))
}

/// What groups come to.
pub(crate) async fn membership(
    snapshot: &dyn Snapshot,
    mut walk: Walk,
) -> Result<Membership, Error> {
    while let Some(id) = walk.next_id() {
        let record = snapshot.get(Group::KIND, &id).await?;
        if let Some(group) = read::<Group>(record.as_ref())? {
            walk.found(id, group.value)?;
        }
    }
    Ok(walk.end())
}
