//! One's own account, and the sessions of users: one's own for everyone,
//! those of others for administrators.

use salus_auth::record::{Email, Letter, Mail, Owner, Saved, Session, User};
use salus_auth::{Action, Grant, Secret, Token, credentials};
use salus_store::{At, Scope};

use super::users::{UserView, check_name, concern};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::one;
use crate::sessions::Credential;
use crate::time::instant;

/// How many sessions are listed.
const SESSIONS_MAX: usize = 500;

/// A session as its owner and administrators see it.
#[derive(Clone)]
pub struct SessionView {
    /// The id: a hash, which is no token.
    pub id: Box<str>,
    /// When it began, as an instant.
    pub created: String,
    /// When it was used, as far as that was kept.
    pub used: String,
    /// When it ends.
    pub expires: String,
    /// Whether it is the one that the request came with.
    pub current: bool,
}
salus_phi::guard!(SessionView);

/// What somebody changes of their own account; `None` stays as it is.
#[derive(Default)]
pub struct AccountChange {
    /// What people call them.
    pub name: Option<String>,
    /// What they sign in with.
    pub email: Option<String>,
    /// Their password, for the address.
    pub password: Option<Secret>,
}
salus_phi::guard!(AccountChange);

impl Service {
    /// One's own account.
    pub async fn read_account(&self, cx: &Context) -> Result<UserView, Error> {
        let (cx, grant, id) = self.own(cx, What::AdminRead, Action::ReadAccount).await?;
        let cx = &cx;
        let work = async {
            let user = self.saved_user(cx.scope, &id).await?;
            let mut entry = Entry::new(cx, What::AdminRead, Outcome::Success, grant.rule());
            concern::<User>(&mut entry, &user.id, user.version);
            self.record(cx, entry).await?;
            Ok(self.view_user(&user))
        };
        self.attempt(cx, &grant, What::AdminRead, "User", work)
            .await
    }

    /// Changes one's own password: the old one is asked for, if there is one, and all other
    /// sessions end.
    pub async fn change_password(
        &self,
        cx: &Context,
        credential: Credential<'_>,
        old: Option<Secret>,
        new: Secret,
    ) -> Result<(), Error> {
        let (cx, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = self.exchange_password(&cx, &grant, &id, credential, (old, new));
        self.attempt_on(&cx, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    async fn exchange_password(
        &self,
        cx: &Context,
        grant: &Grant,
        id: &str,
        credential: Credential<'_>,
        (old, new): (Option<Secret>, Secret),
    ) -> Result<(), Error> {
        let mut user = self.prove_own(cx, id, old).await?;
        user.value.password = Some(self.new_password(cx, &user.value, new).await?);
        let to = user.value.email.clone();
        let mut writes = vec![Write::system(grant, "User", user.put()?)];
        writes.extend(self.other_links(cx, grant, &user, "").await?);
        let notice = self.notice(cx, grant, Mail::PasswordChanged, (&user, to))?;
        let told = notice.is_some();
        writes.extend(notice);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), writes).await?;
        if told {
            self.posted();
        }
        let current = current(credential);
        let owner = Owner::User(id.into());
        self.sessions.forget_owner(cx.scope, &owner);
        self.end_sessions(cx, grant, &owner, current.as_deref())
            .await?;
        Ok(())
    }

    /// The one who asks, if this is their password. Who has none, since they sign in by a
    /// provider or a passkey, has to have done that lately.
    async fn prove_own(
        &self,
        cx: &Context,
        id: &str,
        password: Option<Secret>,
    ) -> Result<Saved<User>, Error> {
        let user = self.saved_user(cx.scope, id).await?;
        if user.value.password.is_none() {
            self.needs_step_up(cx)?;
            return Ok(user);
        }
        let password = password.ok_or_else(|| {
            Error::invalid("the password of the account is needed for this, as long as it has one")
        })?;
        let (attempt, place) = self.attempt_on_password(cx, &user.value.email).await?;
        let (checked, user) = self
            .hash(place, move || {
                (credentials::check_password(Some(&user), &password), user)
            })
            .await?;
        if checked.is_err() {
            return Err(Error::new(
                Kind::Unprocessable,
                "the old password is not the one of this account",
            ));
        }
        self.guesses.right(&attempt, cx.now_ms);
        Ok(user)
    }

    /// Changes one's own name, or asks for another address: a link goes there, and it counts when
    /// that is used. For an address the password is asked for.
    pub async fn change_account(
        &self,
        cx: &Context,
        change: AccountChange,
    ) -> Result<UserView, Error> {
        let (cx, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = self.alter_account(&cx, &grant, &id, change);
        self.attempt_on(&cx, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    async fn alter_account(
        &self,
        cx: &Context,
        grant: &Grant,
        id: &str,
        change: AccountChange,
    ) -> Result<UserView, Error> {
        let mut user = self.saved_user(cx.scope, id).await?;
        let mut writes = Vec::new();
        let asked = change.email.is_some();
        if let Some(email) = &change.email {
            let email = Email::parse(email)?;
            user = self.prove_own(cx, id, change.password).await?;
            writes.push(self.letter_to_verify(cx, grant, &user, email)?);
        }
        if let Some(name) = change.name {
            check_name(&name)?;
            user.value.name = name;
            writes.push(Write::system(grant, "User", user.put()?));
        }
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        match writes.is_empty() {
            true => self.record(cx, entry).await?,
            false => self.commit(cx, entry, Vec::new(), writes).await?,
        }
        if asked {
            self.posted();
        }
        let owner = Owner::User(user.id.clone());
        self.sessions.forget_owner(cx.scope, &owner);
        Ok(self.view_user(&user))
    }

    /// Asks for a link that confirms one's own address.
    pub async fn ask_to_verify(&self, cx: &Context) -> Result<(), Error> {
        let (cx, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let (cx, grant) = (&cx, &grant);
        let work = async {
            let user = self.saved_user(cx.scope, &id).await?;
            let email = user.value.email.clone();
            let letter = self.letter_to_verify(cx, grant, &user, email)?;
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![letter]).await?;
            self.posted();
            Ok(())
        };
        self.attempt_on(cx, grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    fn letter_to_verify(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &Saved<User>,
        to: Email,
    ) -> Result<Write, Error> {
        self.check_mail()?;
        self.count_ask(cx, &to)?;
        let letter = Letter {
            user: Some(user.id.clone()),
            ..Letter::new(Mail::Verify, to, cx.now_ms)
        };
        self.letter(cx, grant, letter)
    }

    /// Removes one's own account. Who administers something asks another administrator.
    pub async fn delete_account(
        &self,
        cx: &Context,
        password: Option<Secret>,
    ) -> Result<(), Error> {
        let (cx, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let (cx, grant) = (&cx, &grant);
        let work = async {
            let user = self.prove_own(cx, &id, password).await?;
            if !user.value.roles.is_empty() {
                return Err(Error::new(
                    Kind::Conflict,
                    "another administrator has to do this to your account",
                ));
            }
            self.needs_step_up(cx)?;
            let mut writes = self.other_links(cx, grant, &user, "").await?;
            writes.extend(self.removed_with(cx, grant, &id).await?);
            writes.push(Write::system(grant, "User", user.delete()));
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), writes).await?;
            let owner = Owner::User(user.id);
            self.sessions.forget_owner(cx.scope, &owner);
            self.end_sessions(cx, grant, &owner, None).await?;
            Ok(())
        };
        self.attempt_on(cx, grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    /// One's own sessions, the newest first.
    pub async fn list_own_sessions(
        &self,
        cx: &Context,
        credential: Credential<'_>,
    ) -> Result<Vec<SessionView>, Error> {
        let (cx, grant, id) = self.own(cx, What::AdminRead, Action::ReadAccount).await?;
        self.noted(&cx, &grant, What::AdminRead).await?;
        self.sessions_of(cx.scope, &id, credential).await
    }

    /// Ends one of one's own sessions. Whoever has found one open must not shut its owner out of
    /// the others, so it takes a fresh proof (ASVS 5.0, 7.5.2).
    pub async fn end_own_session(&self, cx: &Context, session: &str) -> Result<(), Error> {
        let (cx, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(&cx)?;
            self.end_session(&cx, &grant, &id, session).await
        };
        self.attempt(&cx, &grant, What::AdminWrite, "Session", work)
            .await
    }

    /// Ends all of one's own sessions but the one that asks: how many there were.
    pub async fn end_other_sessions(
        &self,
        cx: &Context,
        credential: Credential<'_>,
    ) -> Result<usize, Error> {
        let (cx, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(&cx)?;
            let (owner, current) = (Owner::User(id), current(credential));
            let entry = Entry::new(&cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.record(&cx, entry).await?;
            self.end_sessions(&cx, &grant, &owner, current.as_deref())
                .await
        };
        self.attempt(&cx, &grant, What::AdminWrite, "Session", work)
            .await
    }

    /// The sessions of a user, the newest first, for administrators.
    pub async fn list_sessions(
        &self,
        cx: &Context,
        user: &str,
        credential: Credential<'_>,
    ) -> Result<Vec<SessionView>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        let work = async {
            let user = self.saved_user(cx.scope, user).await?;
            let mut entry = Entry::new(cx, What::AdminRead, Outcome::Success, grant.rule());
            concern::<User>(&mut entry, &user.id, user.version);
            self.record(cx, entry).await?;
            self.sessions_of(cx.scope, &user.id, credential).await
        };
        self.attempt(cx, &grant, What::AdminRead, "User", work)
            .await
    }

    /// Ends a session of a user, for administrators.
    pub async fn revoke_session(
        &self,
        cx: &Context,
        user: &str,
        session: &str,
    ) -> Result<(), Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = self.end_session(cx, &grant, user, session);
        self.attempt(cx, &grant, What::AdminWrite, "Session", work)
            .await
    }

    /// Ends all sessions of a user, for administrators; how many there were.
    pub async fn revoke_sessions(&self, cx: &Context, user: &str) -> Result<usize, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let user = self.saved_user(cx.scope, user).await?;
            let owner = Owner::User(user.id);
            self.end_sessions(cx, &grant, &owner, None).await
        };
        self.attempt(cx, &grant, What::AdminWrite, "User", work)
            .await
    }

    /// The one who asks, where their record is.
    pub(crate) async fn own(
        &self,
        cx: &Context,
        what: What,
        action: Action,
    ) -> Result<(Context, Grant, Box<str>), Error> {
        // Where they ask they must be known, or it is another project's affair.
        self.allow(cx, what, action).await?;
        let cx = Context {
            scope: cx.subject.home(),
            ..cx.clone()
        };
        let grant = self.allow(&cx, what, action).await?;
        let id = cx.subject.user_id().unwrap_or_default().into();
        Ok((cx, grant, id))
    }

    async fn sessions_of(
        &self,
        home: Scope,
        user: &str,
        credential: Credential<'_>,
    ) -> Result<Vec<SessionView>, Error> {
        let mut query = Session::of(&Owner::User(user.into()));
        query.limit = SESSIONS_MAX;
        let snapshot = self.store.snapshot(home, At::Now).await?;
        let found = snapshot.find(&query).await?;
        let (current, now_ms) = (current(credential), self.now_ms());
        let mut views = Vec::new();
        for hit in &found.hits {
            if let Some(session) = Saved::<Session>::read(&hit.record)?
                && session.value.expires_ms > now_ms
            {
                views.push(view(session, current.as_deref()));
            }
        }
        views.sort_by(|a, b| b.created.cmp(&a.created));
        Ok(views)
    }

    async fn end_session(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &str,
        session: &str,
    ) -> Result<(), Error> {
        let absent = || Error::not_found("there is no such session");
        // An id of a session is a hash in base64url, which is no id of FHIR.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if session.len() > 64 || !session.bytes().all(plain) || session.is_empty() {
            return Err(absent());
        }
        let found = one::<Session>(&*self.store, cx.scope, session)
            .await?
            .ok_or_else(absent)?;
        if found.value.owner != Owner::User(user.into()) {
            return Err(absent());
        }
        let write = Write::system(grant, "Session", found.delete());
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        self.sessions.forget(session);
        Ok(())
    }
}

fn view(session: Saved<Session>, current: Option<&str>) -> SessionView {
    let value = session.value;
    SessionView {
        current: current == Some(&*session.id),
        id: session.id,
        created: instant(value.created_ms),
        used: instant(value.used_ms.max(value.created_ms)),
        expires: instant(value.expires_ms),
    }
}

/// The id of the session that a request came with.
pub(super) fn current(credential: Credential<'_>) -> Option<Box<str>> {
    match credential {
        Credential::Token(text) => Token::parse(text).map(|token| token.session_id().into()),
        Credential::None | Credential::Operator => None,
    }
}
