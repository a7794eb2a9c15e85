//! A service over memory whose clock a test moves, and people in its project.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use salus_auth::record::{Email, Group, Owner, Saved, SystemRecord, User};
use salus_auth::session::{self, Opened};
use salus_auth::{Secret, Subject};
use salus_crypto::SecretKey;
use salus_store::memory::Memory;
use salus_store::{At, Batch, Put, Scope, Store};

use crate::context::{Context, World};
use crate::error::Error;
use crate::projects::DEFAULT;
use crate::records::read;
use crate::sessions::Credential;
use crate::{Service, Settings, mail};

/// A clock that stands until it is moved, and a chance that counts.
struct Clock(AtomicI64, AtomicU64);

impl World for Clock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self, buffer: &mut [u8]) {
        let number = self.1.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buffer.iter_mut().zip(number.into_iter().cycle()) {
            *to = from;
        }
    }
}

pub(crate) struct Stage {
    pub(crate) service: Service,
    clock: Arc<Clock>,
    store: Memory,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(Clock(AtomicI64::new(1_000_000), AtomicU64::new(1)));
        let store = Memory::new();
        Self {
            service: open(&store, &clock).await,
            clock,
            store,
        }
    }

    /// Ends the service and opens it again over what it has kept.
    pub(crate) async fn restart(&mut self) {
        self.service = open(&self.store, &self.clock).await;
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn advance_minutes(&self, minutes: i64) {
        self.clock.0.fetch_add(minutes * 60_000, Ordering::Relaxed);
    }

    pub(crate) fn scope(&self) -> Scope {
        self.service.project_scope(DEFAULT).unwrap()
    }

    /// What the operator does in the project.
    pub(crate) fn cx(&self) -> Context {
        self.service.operator_context(self.scope())
    }

    /// What somebody unknown does in the project.
    pub(crate) fn nobody(&self) -> Context {
        Context {
            subject: self.service.anonymous(),
            ..self.cx()
        }
    }

    /// Keeps a group as it is given.
    pub(crate) async fn group(&self, id: &str, parents: &[&str], roles: &[&str]) {
        let parents = parents.iter().map(|&id| id.into()).collect();
        let roles = roles.iter().map(|&name| name.into()).collect();
        let group = Group::new(id, parents, roles, false, 0).unwrap();
        self.put(id, group).await;
        self.service.sessions.forget_all();
    }

    /// Keeps a user as `change` makes it of what there is.
    pub(crate) async fn user(&self, id: &str, change: impl FnOnce(&mut User)) {
        let email = Email::parse(&format!("{id}@example.org")).unwrap();
        let before = self.saved::<User>(id).await;
        let mut user = before.map_or(User::new(email, 0), |before| before.value);
        change(&mut user);
        self.put(id, user).await;
        let owner = Owner::User(id.into());
        self.service.sessions.forget_owner(self.scope(), &owner);
    }

    /// A session of a user, as signing in begins it.
    pub(crate) async fn session(&self, id: &str) -> Secret {
        let user = self.saved::<User>(id).await.unwrap();
        let (now_ms, random) = (self.service.now_ms(), self.service.random());
        let lifetime_ms = self.service.identity(self.scope()).session_ms();
        let (scope, membership) = (self.scope(), Default::default());
        let Opened { token, session, .. } =
            session::open_for_user(scope, &user, &membership, &random, now_ms, lifetime_ms)
                .unwrap();
        self.commit(session.put().unwrap()).await;
        token
    }

    /// Who a token is from at the next request.
    pub(crate) async fn who(&self, token: &Secret) -> Result<Arc<Subject>, Error> {
        let credential = Credential::Token(token.expose());
        let cx = self.nobody();
        self.service.authenticate(&cx, credential).await
    }

    pub(crate) async fn saved<T: SystemRecord>(&self, id: &str) -> Option<Saved<T>> {
        let snapshot = self.store.snapshot(self.scope(), At::Now).await.unwrap();
        let record = snapshot.get(T::KIND, id).await.unwrap();
        read(record.as_ref()).unwrap()
    }

    pub(crate) async fn put<T: SystemRecord>(&self, id: &str, value: T) {
        let version = self.saved::<T>(id).await.map_or(0, |saved| saved.version);
        let id = id.into();
        let saved = Saved { id, version, value };
        self.commit(saved.put().unwrap()).await;
    }

    async fn commit(&self, put: Put) {
        let batch = Batch::of(self.scope(), self.service.now_ms(), vec![put]);
        self.store.commit(batch).await.unwrap();
    }
}

async fn open(store: &Memory, clock: &Arc<Clock>) -> Service {
    let world = Arc::<Clock>::clone(clock);
    let key = SecretKey::from_bytes([7; 32]);
    let blobs = Arc::new(Memory::new());
    let store = Arc::new(store.clone());
    let base = "https://salus.example".to_owned();
    let settings = Settings {
        mail: Some(mail::Settings { base }),
        ..Settings::default()
    };
    let service = Service::open(store, blobs, world, settings, key);
    service.await.unwrap()
}
