//! The first administrator: made with a link that works once, or by the demo.

use salus_auth::record::{Email, Owner, Saved, SetupLink, SystemRecord, User};
use salus_auth::{Action, Secret, credentials};
use salus_store::{Precondition, Scope};

use super::SignedIn;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::projects::DEFAULT;
use crate::records::read;

impl Service {
    /// Whether the server has an administrator.
    pub async fn is_set_up(&self) -> Result<bool, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let query = salus_auth::record::all::<User>(1, None);
        Ok(!self
            .snapshot(&cx)
            .await?
            .find(&query)
            .await?
            .hits
            .is_empty())
    }

    /// A one-time link's secret, with which the first administrator is made.
    pub async fn setup_link(&self) -> Result<Secret, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let grant = self
            .allow(&cx, What::AdminWrite, Action::WriteUsers)
            .await?;
        let (secret, link) = SetupLink::make(&self.random(), cx.now_ms);
        let write = Write::system(&grant, "SetupLink", link.put()?);
        let entry = Entry::new(&cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(&cx, entry, Vec::new(), vec![write]).await?;
        Ok(secret)
    }

    /// Makes the first administrator: of the server and of its default
    /// project. Uses up the link.
    pub async fn set_up(
        &self,
        cx: &Context,
        link: &str,
        email: &str,
        password: Secret,
    ) -> Result<(), Error> {
        let cx = &Context {
            scope: Scope::SYSTEM,
            ..cx.clone()
        };
        let record = self
            .snapshot(cx)
            .await?
            .get(SetupLink::KIND, &SetupLink::id(link))
            .await?;
        let link = SetupLink::check(read::<SetupLink>(record.as_ref())?, cx.now_ms);
        let link = match link {
            Ok(link) => link,
            Err(error) => {
                self.refused(cx, &error).await?;
                return Err(Error::new(
                    Kind::Forbidden,
                    "this link is not valid, or was used; restart the server for a new one",
                ));
            }
        };
        // Whoever has the link was given it by the operator.
        let operator = Context {
            subject: self.sessions.operator(),
            ..cx.clone()
        };
        let grant = self
            .allow(&operator, What::AdminWrite, Action::WriteUsers)
            .await?;
        let user = self.administrator(email, password, cx.now_ms).await?;
        let only = Precondition::NoneMatch(salus_auth::record::all::<User>(1, None));
        let writes = vec![
            Write::system(&grant, "User", user.put()?),
            Write::system(&grant, "SetupLink", link.delete()),
        ];
        let entry = Entry::new(&operator, What::AdminWrite, Outcome::Success, "set-up link");
        self.commit(&operator, entry, vec![only], writes).await?;
        Ok(())
    }

    /// The demo's administrator, with a new password each time: its token.
    pub async fn demo_administrator(
        &self,
        email: &str,
        password: &Secret,
    ) -> Result<SignedIn, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let grant = self
            .allow(&cx, What::AdminWrite, Action::WriteUsers)
            .await?;
        let mut user = self
            .administrator(email, password.clone(), cx.now_ms)
            .await?;
        if let Some(old) = self.user(Scope::SYSTEM, &Email::parse(email)?).await? {
            user.id = old.id;
            user.version = old.version;
        }
        let write = Write::system(&grant, "User", user.put()?);
        let entry = Entry::new(&cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(&cx, entry, Vec::new(), vec![write]).await?;
        let owner = Owner::User(user.id.clone());
        self.sessions.forget_owner(Scope::SYSTEM, &owner);
        user.version += 1;
        self.open_demo(&cx, user).await
    }

    async fn administrator(
        &self,
        email: &str,
        password: Secret,
        now_ms: i64,
    ) -> Result<Saved<User>, Error> {
        let email = Email::parse(email)?;
        let chars_min = self.identity(Scope::SYSTEM).password_length;
        credentials::check_strength(password.expose(), chars_min, &email, &[])?;
        let mut salt = [0; 16];
        self.world.random(&mut salt);
        let hash = self
            .hash(self.place_to_hash()?, move || {
                credentials::hash_password(&password, &salt)
            })
            .await??;
        let mut id = [0; 16];
        self.world.random(&mut id);
        let id = salus_crypto::base64url(&id).replace(['-', '_'], "0");
        let default = self.project_scope(DEFAULT).unwrap_or(Scope::SYSTEM);
        let of = [Scope::SYSTEM, default];
        Ok(User::administrator(&id, email, hash, &of, now_ms))
    }
}
