//! Coming in by mail: an account is asked for, made, or prepared by an invitation; a password is
//! forgotten and chosen anew; an address is confirmed.
//!
//! Who asks for mail is told the same whether or not an account exists: the letter is queued, and
//! only its sending looks (NIST SP 800-63B, 4.2; ASVS 5.0, 6.3.8). There is no account
//! before its address is proved, so nobody can take an address that is another's.

use salus_auth::record::{Email, Letter, Link, Mail, Owner, Purpose, Saved, SignUp, Status, User};
use salus_auth::{Action, Grant, Secret};
use salus_crypto::SecretKey;
use salus_store::{At, Precondition, Scope};

use super::users::check_name;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::one;

/// What people who are not signed in can do by mail.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByMail {
    /// Ask for an account.
    pub sign_up: bool,
    /// Ask for a new password.
    pub recover: bool,
}

impl Service {
    /// What pages can offer to who is not signed in.
    #[must_use]
    pub fn by_mail(&self, cx: &Context) -> ByMail {
        let recover = self.settings.mail.is_some();
        let sign_up = recover && self.check_open(cx.scope).is_ok();
        ByMail { sign_up, recover }
    }

    /// Asks for an account: a link to make it goes to the address.
    pub async fn ask_for_account(&self, cx: &Context, email: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let work = async {
            self.check_open(cx.scope)?;
            self.ask(cx, &grant, Mail::SignUp, email).await
        };
        self.attempt(cx, &grant, What::SignIn, "User", work).await
    }

    /// Asks for a new password: a link to choose it goes to the address.
    pub async fn ask_for_password(&self, cx: &Context, email: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let work = self.ask(cx, &grant, Mail::Recover, email);
        self.attempt(cx, &grant, What::SignIn, "User", work).await
    }

    async fn ask(&self, cx: &Context, grant: &Grant, mail: Mail, to: &str) -> Result<(), Error> {
        let to = Email::parse(to)?;
        self.check_mail()?;
        self.count_ask(cx, &to)?;
        let letter = self.letter(cx, grant, Letter::new(mail, to, cx.now_ms))?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, "mail was asked for");
        entry.query = mail.name().into();
        self.commit(cx, entry, Vec::new(), vec![letter]).await?;
        self.posted();
        Ok(())
    }

    /// Whether people make accounts themselves here. Those of the server are made for them.
    fn check_open(&self, scope: Scope) -> Result<(), Error> {
        let open = scope != Scope::SYSTEM && self.identity(scope).sign_up == SignUp::Open;
        match open {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Forbidden,
                "people do not sign up by themselves here; ask for an invitation",
            )),
        }
    }

    /// Makes the account that a link is for, or gives it its first password.
    pub async fn join(
        &self,
        cx: &Context,
        link: &str,
        name: Option<&str>,
        password: Secret,
    ) -> Result<(), Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let work = self.make_account(cx, &grant, link, name, password);
        self.attempt(cx, &grant, What::SignIn, "User", work).await
    }

    async fn make_account(
        &self,
        cx: &Context,
        grant: &Grant,
        link: &str,
        name: Option<&str>,
        password: Secret,
    ) -> Result<(), Error> {
        let link = self
            .usable(cx, link, &[Purpose::SignUp, Purpose::Invitation])
            .await?;
        let mut user = match self.user(cx.scope, &link.value.email).await? {
            None => {
                let user = self.account_of(cx, &link.value).await?;
                Saved::new(self.new_id(cx), user)
            }
            Some(user) if link.value.purpose == Purpose::Invitation => prepared(user)?,
            Some(_) => return Err(over()),
        };
        if let Some(name) = name {
            check_name(name)?;
            user.value.name = name.to_owned();
        }
        let password = self.new_password(cx, &user.value, password).await?;
        user.value.password = Some(password);
        user.value.verified_ms = Some(cx.now_ms);
        let unused = match user.version {
            0 => vec![Precondition::NoneMatch(User::with_email(&user.value.email))],
            _ => Vec::new(),
        };
        let mut writes = vec![
            Write::system(grant, "User", user.put()?),
            Write::system(grant, "Link", link.delete()),
        ];
        writes.extend(self.other_links(cx, grant, &user, &link.id).await?);
        let entry = self.used(cx, &link, &user);
        self.commit(cx, entry, unused, writes).await.map_err(race)?;
        self.forget_user(cx.scope, &user);
        Ok(())
    }

    /// The account that a link makes.
    pub(crate) async fn account_of(&self, cx: &Context, link: &Link) -> Result<User, Error> {
        let mut user = User::new(link.email.clone(), cx.now_ms);
        let groups = match link.purpose {
            Purpose::Invitation => {
                let gives = link.gives.clone();
                user.name = gives.name;
                user.role_names = gives.roles;
                user.profiles = gives.profiles;
                gives.groups
            }
            Purpose::SignUp | Purpose::Verify | Purpose::Recover => {
                self.check_open(cx.scope)?;
                self.identity(cx.scope).sign_up_groups.clone()
            }
        };
        for id in groups {
            // One that was removed since gives nothing.
            if self.saved_group(cx.scope, &id).await.is_ok() {
                user.groups.push(id);
            }
        }
        user.groups.sort_unstable();
        user.groups.dedup();
        Ok(user)
    }

    /// Confirms an address; if it is another than before, it is the account's from now on.
    pub async fn verify_address(&self, cx: &Context, link: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let work = self.confirm(cx, &grant, link);
        self.attempt(cx, &grant, What::SignIn, "User", work).await
    }

    async fn confirm(&self, cx: &Context, grant: &Grant, link: &str) -> Result<(), Error> {
        let link = self.usable(cx, link, &[Purpose::Verify]).await?;
        let mut user = self.user_of(cx.scope, &link.value).await?;
        let to = &link.value.email;
        let before = std::mem::replace(&mut user.value.email, to.clone());
        user.value.verified_ms = Some(cx.now_ms);
        let moved = before != *to;
        let (mut unused, mut told) = (Vec::new(), false);
        let mut writes = vec![
            Write::system(grant, "User", user.put()?),
            Write::system(grant, "Link", link.delete()),
        ];
        if moved {
            unused.push(Precondition::NoneMatch(User::with_email(to)));
            writes.extend(self.other_links(cx, grant, &user, &link.id).await?);
            let notice = self.notice(cx, grant, Mail::AddressChanged, (&user, before))?;
            told = notice.is_some();
            writes.extend(notice);
        }
        let entry = self.used(cx, &link, &user);
        self.commit(cx, entry, unused, writes).await.map_err(race)?;
        self.forget_user(cx.scope, &user);
        if told {
            self.posted();
        }
        if moved {
            self.end_all(cx, grant, &user.id).await?;
        }
        Ok(())
    }

    /// Gives an account a new password; whoever was signed in is no longer.
    pub async fn choose_password(
        &self,
        cx: &Context,
        link: &str,
        password: Secret,
    ) -> Result<(), Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let work = self.replace_password(cx, &grant, link, password);
        self.attempt(cx, &grant, What::SignIn, "User", work).await
    }

    async fn replace_password(
        &self,
        cx: &Context,
        grant: &Grant,
        link: &str,
        password: Secret,
    ) -> Result<(), Error> {
        let link = self.usable(cx, link, &[Purpose::Recover]).await?;
        let mut user = self.user_of(cx.scope, &link.value).await?;
        if user.value.email != link.value.email {
            return Err(over());
        }
        let password = self.new_password(cx, &user.value, password).await?;
        user.value.password = Some(password);
        user.value.verified_ms.get_or_insert(cx.now_ms);
        let mut writes = vec![
            Write::system(grant, "User", user.put()?),
            Write::system(grant, "Link", link.delete()),
        ];
        writes.extend(self.other_links(cx, grant, &user, &link.id).await?);
        let to = user.value.email.clone();
        let notice = self.notice(cx, grant, Mail::PasswordChanged, (&user, to))?;
        let told = notice.is_some();
        writes.extend(notice);
        let entry = self.used(cx, &link, &user);
        self.commit(cx, entry, Vec::new(), writes)
            .await
            .map_err(race)?;
        if told {
            self.posted();
        }
        self.forget_user(cx.scope, &user);
        self.reopen(cx.scope, &user.value.email);
        self.end_apps(cx, grant, &user.id).await?;
        self.end_all(cx, grant, &user.id).await
    }

    /// Takes back what a user has let clients do, in every project: whoever had the password
    /// could have agreed to it.
    async fn end_apps(&self, cx: &Context, grant: &Grant, user: &str) -> Result<(), Error> {
        for scope in self.projects.scopes() {
            let there = Context {
                scope,
                ..cx.clone()
            };
            let agreed = self.agreed_by(&there, cx.scope, user).await?;
            if agreed.is_empty() {
                continue;
            }
            let ended = agreed.iter();
            let ended = ended.map(|saved| Write::system(grant, "Authorization", saved.delete()));
            let rule = "link in mail: password recovered";
            let entry = Entry::new(&there, What::SignIn, Outcome::Success, rule);
            self.commit(&there, entry, Vec::new(), ended.collect())
                .await?;
            self.sessions.forget_all();
        }
        Ok(())
    }

    /// The links of a user but one: what they were asked for has been done otherwise.
    pub(super) async fn other_links(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &Saved<User>,
        but: &str,
    ) -> Result<Vec<Write>, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let found = snapshot.find(&Link::about(&user.id)).await?;
        let mut writes = Vec::new();
        for hit in &found.hits {
            if let Some(link) = Saved::<Link>::read(&hit.record)?
                && *link.id != *but
            {
                writes.push(Write::aside(grant, link.delete()));
            }
        }
        Ok(writes)
    }

    async fn end_all(&self, cx: &Context, grant: &Grant, user: &str) -> Result<(), Error> {
        let owner = Owner::User(user.into());
        self.end_sessions(cx, grant, &owner, None).await?;
        Ok(())
    }

    /// What is known of a user is no longer so.
    fn forget_user(&self, scope: Scope, user: &Saved<User>) {
        let owner = Owner::User(user.id.clone());
        self.sessions.forget_owner(scope, &owner);
    }

    /// A link that may be used for one of these.
    async fn usable(
        &self,
        cx: &Context,
        text: &str,
        purposes: &[Purpose],
    ) -> Result<Saved<Link>, Error> {
        let key = self.link_key()?;
        let id = Link::id(&key, cx.scope, text).map_err(|_| over())?;
        let found = self.saved_link(cx.scope, id).await?;
        Link::check(found, purposes, cx.now_ms).map_err(|_| over())
    }

    /// The user that a link is about, if they may use it.
    async fn user_of(&self, scope: Scope, link: &Link) -> Result<Saved<User>, Error> {
        let id = link.user.as_deref().ok_or_else(over)?;
        let user = one::<User>(&*self.store, scope, id)
            .await?
            .ok_or_else(over)?;
        match user.value.status {
            Status::Active => Ok(user),
            Status::Suspended => Err(over()),
        }
    }

    fn used(&self, cx: &Context, link: &Saved<Link>, user: &Saved<User>) -> Entry {
        let rule = match link.value.purpose {
            Purpose::SignUp => "link in mail: sign-up",
            Purpose::Invitation => "link in mail: invitation",
            Purpose::Verify => "link in mail: address verified",
            Purpose::Recover => "link in mail: password recovered",
        };
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
        entry.agent = format!("User/{}", user.id).into();
        entry
    }

    /// The key of which links are made.
    pub(crate) fn link_key(&self) -> Result<SecretKey, Error> {
        let failed = |error| Error::new(Kind::Internal, "no link can be made").caused_by(error);
        self.cursor_key.derive("link").map_err(failed)
    }
}

/// A user who was made without a password and has none yet.
fn prepared(user: Saved<User>) -> Result<Saved<User>, Error> {
    let waits = user.value.password.is_none() && user.value.status == Status::Active;
    match waits {
        true => Ok(user),
        false => Err(over()),
    }
}

/// Whatever is wrong with a link: which of it is nobody's affair.
fn over() -> Error {
    Error::new(
        Kind::Forbidden,
        "this link is not valid, or no longer; ask for another",
    )
}

/// Two used a link, or took an address, at once.
fn race(error: salus_store::Error) -> Error {
    if let salus_store::Error::Conflict { .. } = error {
        return over();
    }
    error.into()
}
