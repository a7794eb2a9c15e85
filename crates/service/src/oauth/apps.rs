//! What a user has let clients do: listed, and taken back by the user.

use salus_auth::Action;
use salus_auth::record::{Authorization, Client, Saved, SystemRecord};
use salus_store::Scope;

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::read;
use crate::time::instant;

/// A client that may act for a user.
#[derive(Clone)]
pub struct AppView {
    /// The id of what was agreed to.
    pub id: Box<str>,
    /// The client's id.
    pub client: Box<str>,
    /// What people call the client.
    pub name: String,
    /// What it was given.
    pub scopes: String,
    /// When the user agreed, as an instant.
    pub created: String,
    /// When it ends, if it is not used before.
    pub expires: String,
}
salus_phi::guard!(AppView);

impl Service {
    /// The clients that act for the one who asks. No client sees them.
    pub async fn list_own_apps(&self, cx: &Context) -> Result<Vec<AppView>, Error> {
        let what = What::AdminRead;
        let (home, grant, user) = self.own(cx, what, Action::WriteAccount).await?;
        let work = async {
            let snapshot = self.snapshot(cx).await?;
            let mut views = Vec::new();
            for saved in self.agreed_by(cx, home.scope, &user).await? {
                let agreed = &saved.value.agreed;
                let client = snapshot.get(Client::KIND, &agreed.client).await?;
                let client = read::<Client>(client.as_ref())?;
                views.push(AppView {
                    id: saved.id.clone(),
                    client: agreed.client.clone(),
                    name: client.map(|client| client.value.name).unwrap_or_default(),
                    scopes: agreed.scopes.text(),
                    created: instant(saved.value.created_ms),
                    expires: instant(saved.value.expires_ms),
                });
            }
            Ok(views)
        };
        let views = self.attempt(&home, &grant, what, "Authorization", work);
        let views = views.await?;
        self.noted(&home, &grant, what).await?;
        Ok(views)
    }

    /// Takes back what the one who asks has let a client do, and every token of it.
    pub async fn end_own_app(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let what = What::ConsentWithdrawn;
        let (home, grant, user) = self.own(cx, what, Action::WriteAccount).await?;
        let work = async {
            let all = self.agreed_by(cx, home.scope, &user).await?;
            let found = all.into_iter().find(|saved| *saved.id == *id);
            let found = found.ok_or_else(|| Error::not_found("there is no such app"))?;
            let write = Write::system(&grant, "Authorization", found.delete());
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            self.sessions.forget_all();
            Ok(())
        };
        self.attempt(&home, &grant, what, "Authorization", work)
            .await
    }

    /// What a user has agreed to in a project and is good still.
    pub(crate) async fn agreed_by(
        &self,
        cx: &Context,
        home: Scope,
        user: &str,
    ) -> Result<Vec<Saved<Authorization>>, Error> {
        let snapshot = self.snapshot(cx).await?;
        let mut query = Authorization::of(user);
        let mut all = Vec::new();
        loop {
            let page = snapshot.find(&query).await?;
            for hit in &page.hits {
                all.extend(read::<Authorization>(Some(&hit.record))?);
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        all.retain(|saved| saved.value.agreed.home == home.0 && saved.value.expires_ms > cx.now_ms);
        Ok(all)
    }
}
