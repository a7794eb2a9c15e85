//! Tokens with which clients may register (RFC 7591, 3): given out, listed and ended by
//! administrators.

use salus_auth::record::{INITIAL_TOKENS_MAX, InitialToken, Saved};
use salus_auth::{Action, Grant, Secret};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::{all, one};
use crate::time::instant;

/// Tokens of a project that are read: with those that have ended.
const READ_MAX: usize = 1000;

/// A token to be given out.
#[derive(Clone)]
pub struct InitialTokenToBe {
    /// What people call it.
    pub name: String,
    /// For how many days it is good.
    pub days: i64,
    /// How many clients may register with it.
    pub uses: u32,
}
salus_phi::guard!(InitialTokenToBe);

/// A token as administrators see it: never what is sent of it.
#[derive(Clone)]
pub struct InitialTokenView {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: String,
    /// When it was made, as an instant.
    pub created: String,
    /// When it ends.
    pub expires: String,
    /// How many clients may register with it.
    pub uses_max: u32,
    /// How many have.
    pub uses: u32,
}
salus_phi::guard!(InitialTokenView);

impl Service {
    /// The tokens of a project that are good.
    pub async fn list_initial_tokens(&self, cx: &Context) -> Result<Vec<InitialTokenView>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadClients).await?;
        let work = async {
            let saved = all::<InitialToken>(&*self.store, cx.scope, READ_MAX).await?;
            let good = saved.iter().filter(|one| one.value.holds(cx.now_ms));
            Ok(good.map(view).collect())
        };
        let views = self.attempt(cx, &grant, What::AdminRead, "InitialToken", work);
        let views = views.await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(views)
    }

    /// Makes one; what is sent of it is shown this once.
    pub async fn make_initial_token(
        &self,
        cx: &Context,
        wanted: InitialTokenToBe,
    ) -> Result<(InitialTokenView, Secret), Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        let work = self.put_initial_token(cx, &grant, wanted);
        self.attempt(cx, &grant, What::AdminWrite, "InitialToken", work)
            .await
    }

    async fn put_initial_token(
        &self,
        cx: &Context,
        grant: &Grant,
        wanted: InitialTokenToBe,
    ) -> Result<(InitialTokenView, Secret), Error> {
        let bounds = (wanted.days, wanted.uses);
        let made = InitialToken::make(&self.random(), &wanted.name, bounds, cx.now_ms);
        let (secret, saved) = made?;
        let known = all::<InitialToken>(&*self.store, cx.scope, READ_MAX).await?;
        let (good, over): (Vec<_>, Vec<_>) = known
            .into_iter()
            .partition(|one| one.value.holds(cx.now_ms));
        if good.len() >= INITIAL_TOKENS_MAX {
            return Err(Error::new(
                Kind::Conflict,
                "a project has 50 tokens at most",
            ));
        }
        let mut writes = vec![Write::system(grant, "InitialToken", saved.put()?)];
        // Those that have ended make room.
        writes.extend(over.iter().map(|one| Write::aside(grant, one.delete())));
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), writes).await?;
        Ok((view(&saved), secret))
    }

    /// Ends one at once. Clients that registered with it stay.
    pub async fn end_initial_token(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        let work = async {
            let absent = || Error::not_found("there is no such token");
            let saved = match id.len() {
                1..=64 => one::<InitialToken>(&*self.store, cx.scope, id).await?,
                _ => None,
            };
            let saved = saved.ok_or_else(absent)?;
            let write = Write::system(&grant, "InitialToken", saved.delete());
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(())
        };
        self.attempt(cx, &grant, What::AdminWrite, "InitialToken", work)
            .await
    }
}

fn view(saved: &Saved<InitialToken>) -> InitialTokenView {
    let value = &saved.value;
    InitialTokenView {
        id: saved.id.clone(),
        name: value.name.clone(),
        created: instant(value.created_ms),
        expires: instant(value.expires_ms),
        uses_max: value.uses_max,
        uses: value.uses,
    }
}
