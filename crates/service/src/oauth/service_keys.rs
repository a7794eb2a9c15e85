//! Keys that servers keep: named, for some of the scopes of a client, good from some
//! addresses and until a day. Each use is in the audit as the client's.

use salus_auth::record::{Client, KEYS_MAX, Key, Owner, Saved, Session};
use salus_auth::{Action, Grant, Network, Scopes, Secret, session};
use salus_store::{At, Scope};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::policy;
use crate::records::read;
use crate::time::instant;

/// A key to be made.
#[derive(Clone)]
pub struct KeyToBe {
    /// What people call it.
    pub name: String,
    /// What it may do; nothing is all that the client may.
    pub scopes: String,
    /// The networks that it is good from.
    pub addresses: Vec<String>,
    /// For how many days.
    pub days: i64,
}
salus_phi::guard!(KeyToBe);

/// A key as administrators see it: never what it is used with.
#[derive(Clone)]
pub struct KeyView {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: String,
    /// Where it is good from.
    pub addresses: Vec<Network>,
    /// When it was made, as an instant.
    pub created: String,
    /// When it ends.
    pub expires: String,
    /// When it was used, to a quarter of an hour.
    pub used: Option<String>,
}
salus_phi::guard!(KeyView);

impl Service {
    /// Makes a key of a client; what it is used with is shown this once.
    pub async fn make_key_of(
        &self,
        cx: &Context,
        client: &str,
        key: KeyToBe,
    ) -> Result<(KeyView, Secret), Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        let work = self.put_key(cx, &grant, client, key);
        self.attempt(cx, &grant, What::AdminWrite, "Session", work)
            .await
    }

    /// The keys of a client.
    pub async fn list_keys_of(&self, cx: &Context, client: &str) -> Result<Vec<KeyView>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadClients).await?;
        let work = async {
            self.known(cx, client).await?;
            let keys = self.saved_keys(cx.scope, client).await?;
            let now_ms = cx.now_ms;
            let good = keys.iter().filter(|key| key.value.expires_ms > now_ms);
            let views = good.filter_map(|key| self.view_key(key)).collect();
            self.noted(cx, &grant, What::AdminRead).await?;
            Ok(views)
        };
        self.attempt(cx, &grant, What::AdminRead, "Session", work)
            .await
    }

    /// Ends a key of a client at once.
    pub async fn end_key_of(&self, cx: &Context, client: &str, id: &str) -> Result<(), Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        let work = async {
            let keys = self.saved_keys(cx.scope, client).await?;
            let key = keys.into_iter().find(|key| *key.id == *id);
            let key = key.ok_or_else(|| Error::not_found("there is no such key"))?;
            let write = Write::system(&grant, "Session", key.delete());
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            self.sessions.forget(&key.id);
            Ok(())
        };
        self.attempt(cx, &grant, What::AdminWrite, "Session", work)
            .await
    }

    async fn put_key(
        &self,
        cx: &Context,
        grant: &Grant,
        client: &str,
        wanted: KeyToBe,
    ) -> Result<(KeyView, Secret), Error> {
        let client = self.known(cx, client).await?;
        let addresses = wanted.addresses.iter().map(|text| Network::parse(text));
        let key = Key {
            name: wanted.name,
            addresses: addresses.collect::<Result<_, _>>()?,
        };
        key.check(wanted.days)?;
        let scopes = Scopes::parse(&wanted.scopes)?;
        if policy::scopes::understood(cx, &scopes) != scopes {
            return Err(Error::invalid(
                "scopes: one has a search behind its ? that is not understood for its type",
            ));
        }
        let good = self.saved_keys(cx.scope, &client.id).await?;
        let good = good.iter().filter(|key| key.value.expires_ms > cx.now_ms);
        if good.count() >= KEYS_MAX {
            return Err(Error::new(Kind::Conflict, "a client has 50 keys at most"));
        }
        let lifetime_ms = Key::lifetime_ms(wanted.days);
        let random = self.random();
        let opened =
            session::open_for_client(cx.scope, &client, &scopes, &random, cx.now_ms, lifetime_ms)?;
        let mut session = opened.session;
        session.value.key = Some(key);
        let write = Write::system(grant, "Session", session.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        let view = self.view_key(&session);
        let view = view.ok_or_else(|| Error::new(Kind::Internal, "no key was made"))?;
        Ok((view, opened.token))
    }

    async fn known(&self, cx: &Context, client: &str) -> Result<Saved<Client>, Error> {
        let client = self.client(cx, client).await?;
        client.ok_or_else(|| Error::not_found("there is no such client"))
    }

    async fn saved_keys(&self, scope: Scope, client: &str) -> Result<Vec<Saved<Session>>, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let owner = Owner::Client(client.into());
        let mut query = Session::keys_of(&owner);
        let mut keys = Vec::new();
        loop {
            let page = snapshot.find(&query).await?;
            for hit in &page.hits {
                keys.extend(read::<Session>(Some(&hit.record))?);
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(keys);
            }
        }
    }

    fn view_key(&self, saved: &Saved<Session>) -> Option<KeyView> {
        let session = &saved.value;
        let key = session.key.as_ref()?;
        let used_ms = self.sessions.used_ms(&saved.id).unwrap_or(session.used_ms);
        Some(KeyView {
            id: saved.id.clone(),
            name: key.name.clone(),
            scopes: session.scopes.text(),
            addresses: key.addresses.clone(),
            created: instant(session.created_ms),
            expires: instant(session.expires_ms),
            used: (used_ms > session.created_ms).then(|| instant(used_ms)),
        })
    }
}
