//! The keys that a project signs with, and what others check with.
//!
//! They are made when they are first asked for, and replaced when they are
//! old, or when an administrator wants it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use salus_auth::jwk::{Jwk, Jwks};
use salus_auth::record::{Saved, SigningKey};
use salus_auth::{Action, Grant};
use salus_crypto::signing::{Algorithm, SigningKey as Key};
use salus_store::Scope;

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::all;

/// Keys of a project that are read: with three each quarter, of many years.
const KEYS_MAX: usize = 1000;

/// The keys of all projects that were asked for them.
#[derive(Default)]
pub(crate) struct Keys {
    sets: RwLock<BTreeMap<Scope, Arc<KeySet>>>,
    /// Held while keys are made, which takes long.
    making: tokio::sync::Mutex<()>,
}

/// The keys of a project.
pub(crate) struct KeySet(Vec<Opened>);

struct Opened {
    saved: Saved<SigningKey>,
    key: Key,
}

impl KeySet {
    fn open(saved: Vec<Saved<SigningKey>>) -> Result<Self, Error> {
        let open = |saved: Saved<SigningKey>| {
            let key = saved.value.open()?;
            Ok(Opened { saved, key })
        };
        saved
            .into_iter()
            .map(open)
            .collect::<Result<_, Error>>()
            .map(Self)
    }

    /// What signs with an algorithm, with its name.
    pub(crate) fn signing(&self, algorithm: Algorithm) -> Option<(&str, &Key)> {
        let signs = |one: &&Opened| one.saved.value.signs() && one.key.algorithm() == algorithm;
        let one = self.0.iter().find(signs);
        one.map(|one| (&*one.saved.id, &one.key))
    }

    fn is_fresh(&self, now_ms: i64) -> bool {
        SigningKey::ALGORITHMS.into_iter().all(|algorithm| {
            let of_it = |one: &&Opened| one.key.algorithm() == algorithm;
            let mut signing = self.0.iter().filter(|one| one.saved.value.signs());
            let one = signing.find(of_it);
            one.is_some_and(|one| !one.saved.value.is_old(now_ms))
        })
    }

    fn shown(&self, now_ms: i64) -> Jwks {
        let shown = self.0.iter().filter(|one| one.saved.value.is_shown(now_ms));
        Jwks::new(shown.map(jwk).collect())
    }

    /// All that the project has ever signed with, to know its own signatures by.
    pub(super) fn ever(&self) -> Jwks {
        Jwks::new(self.0.iter().map(jwk).collect())
    }
}

fn jwk(one: &Opened) -> Jwk {
    Jwk {
        id: Some(one.saved.id.clone()),
        algorithm: Some(one.key.algorithm()),
        key: one.key.public(),
    }
}

impl Service {
    /// The public keys of a project, for everyone.
    pub async fn public_keys(&self, cx: &Context) -> Result<Jwks, Error> {
        let keys = self.keys(cx).await?;
        Ok(keys.shown(cx.now_ms))
    }

    /// Replaces the keys of a project; what they signed can be checked for a day longer.
    pub async fn rotate_keys(&self, cx: &Context) -> Result<Jwks, Error> {
        let grant = self
            .allow(cx, What::KeyRotated, Action::WriteSettings)
            .await?;
        let work = async {
            let _turn = self.keys.making.lock().await;
            self.make_keys(cx, &grant, |_| true).await
        };
        let made = self.attempt(cx, &grant, What::KeyRotated, "SigningKey", work);
        Ok(made.await?.shown(cx.now_ms))
    }

    /// The keys of a project, with one for each algorithm that is not old.
    pub(crate) async fn keys(&self, cx: &Context) -> Result<Arc<KeySet>, Error> {
        if let Some(keys) = self.known_keys(cx) {
            return Ok(keys);
        }
        let _turn = self.keys.making.lock().await;
        if let Some(keys) = self.known_keys(cx) {
            return Ok(keys);
        }
        let saved = all::<SigningKey>(&*self.store, cx.scope, KEYS_MAX).await?;
        let keys = KeySet::open(saved)?;
        if keys.is_fresh(cx.now_ms) {
            let keys = Arc::new(keys);
            self.keys.sets.write().insert(cx.scope, Arc::clone(&keys));
            return Ok(keys);
        }
        let operator = self.operator_context(cx.scope);
        let action = Action::WriteSettings;
        let grant = self.allow(&operator, What::KeyRotated, action).await?;
        let is_old = |key: &SigningKey| key.is_old(cx.now_ms);
        self.make_keys(&operator, &grant, is_old).await
    }

    fn known_keys(&self, cx: &Context) -> Option<Arc<KeySet>> {
        let keys = self.keys.sets.read().get(&cx.scope).cloned();
        keys.filter(|keys| keys.is_fresh(cx.now_ms))
    }

    /// Replaces those keys, and makes those that there are none of.
    async fn make_keys(
        &self,
        cx: &Context,
        grant: &Grant,
        replaced: impl Fn(&SigningKey) -> bool,
    ) -> Result<Arc<KeySet>, Error> {
        let mut saved = all::<SigningKey>(&*self.store, cx.scope, KEYS_MAX).await?;
        let mut writes = Vec::new();
        let mut missing = SigningKey::ALGORITHMS.to_vec();
        for one in saved.iter_mut().filter(|one| one.value.signs()) {
            if replaced(&one.value) {
                one.value.replaced_ms = Some(cx.now_ms);
                writes.push(Write::system(grant, "SigningKey", one.put()?));
                one.version += 1;
            } else {
                let algorithm = one.value.open()?.algorithm();
                missing.retain(|other| *other != algorithm);
            }
        }
        for algorithm in missing {
            let mut one = self.make_key(cx, algorithm).await?;
            writes.push(Write::system(grant, "SigningKey", one.put()?));
            one.version += 1;
            saved.push(one);
        }
        let entry = Entry::new(cx, What::KeyRotated, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), writes).await?;
        let keys = Arc::new(KeySet::open(saved)?);
        self.keys.sets.write().insert(cx.scope, Arc::clone(&keys));
        Ok(keys)
    }

    async fn make_key(
        &self,
        cx: &Context,
        algorithm: Algorithm,
    ) -> Result<Saved<SigningKey>, Error> {
        let stopping = || Error::new(Kind::Unavailable, "the server is stopping");
        let made = tokio::task::spawn_blocking(move || Key::generate(algorithm));
        let made = made.await.map_err(|error| stopping().caused_by(error))?;
        let pkcs8 = made
            .map_err(|error| Error::new(Kind::Internal, "no key could be made").caused_by(error))?;
        let id = self.new_id(cx);
        Ok(SigningKey::new(&id, algorithm, &pkcs8, cx.now_ms))
    }
}
