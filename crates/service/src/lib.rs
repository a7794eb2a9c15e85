//! The use cases: one module for each thing that a client can ask for.
//!
//! [`Service`] is what every protocol calls. Nothing here knows HTTP, and
//! nothing here knows which engine keeps the records. All changes and all
//! reads pass `pipeline`.

pub mod accounts;
pub mod alerts;
pub mod audit;
#[cfg(test)]
mod choice;
pub mod cold;
pub mod context;
mod cors;
mod cursor;
pub mod drill;
pub mod eras;
pub mod error;
pub mod federation;
pub mod fhir;
mod ids;
pub mod jobs;
mod keeping;
pub mod keyring;
pub mod mail;
pub mod mfa;
pub mod oauth;
mod packed;
pub mod parameters;
mod pipeline;
pub mod policy;
pub mod projects;
mod records;
pub mod restored;
pub mod retention;
pub mod sessions;
pub mod shredding;
pub mod statement;
mod time;

use std::sync::Arc;

pub use time::instant;

use futures_util::future::BoxFuture;
use salus_auth::Action;
pub use salus_auth::Network;
pub use salus_auth::Secret;
pub use salus_auth::Subject;
pub use salus_auth::jwk::Jwks;
pub use salus_auth::record::{
    AuditHold, AuthMethod, BreakGlass, Care, Cold, ColdMove, ColdState, Cors, Create, Disposal,
    DynamicRegistration, Email, GrantType, GroupMapping, History, Hold, Identity, KeptFrom,
    LaunchContext, LaunchedWith, Lifted, LockOut, MailText, Minors, Policy, Purged, Reason,
    RegistrationMode, Retention, RetentionClass, ReviewOutcome, Saved, SecondFactor, Shred, SignUp,
    Status, Theme, Then,
};
pub use salus_auth::{Exception, PurposeOfUse, Recipient};
use salus_crypto::SecretKey;
use salus_fhir::json;
use salus_store::{At, Blobs, Scope, Snapshot, Store};

use audit::entry::What;
use context::{Context, RequestId, RequestIds, World};
use error::Error;

/// What the use cases need to know of this deployment.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Limits of what is parsed.
    pub json: json::Limits,
    /// The server is tried out or developed against: administrators need no second factor.
    pub development: bool,
    /// How many passwords are hashed at once: as many as there are cores.
    pub hashes_at_once: Option<usize>,
    /// About alerts.
    pub alerts: alerts::Settings,
    /// About jobs.
    pub jobs: jobs::Settings,
    /// About providers by which users sign in.
    pub federation: federation::Settings,
    /// The ledger of shreddings, over the keys of the store; without it nothing is shredded.
    pub shreds: Option<Arc<salus_crypto::Shreds>>,
    /// About cold storage.
    pub cold: cold::Settings,
    /// About the keys that seal records.
    pub keys: keyring::Settings,
    /// About mail; without, none is sent.
    pub mail: Option<mail::Settings>,
    /// What checkpoints of the audit log are signed with; without, none are.
    pub checkpoint_key: Option<SecretKey>,
    /// How long audit entries are kept, and where they go then.
    pub audit: audit::archive::Settings,
    /// Who says how far the archives are, if there are any.
    pub archives: Option<AskArchives>,
    /// Who says how the last drill ended, if drills are to be run.
    pub drills: Option<drill::AskDrills>,
}

/// Says how far the archives of the store are.
#[derive(Clone)]
pub struct AskArchives(pub Arc<AskArchivesBy>);

/// How it says so.
pub type AskArchivesBy = dyn Fn() -> BoxFuture<'static, Vec<ArchiveNumbers>> + Send + Sync;

impl std::fmt::Debug for AskArchives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskArchives")
    }
}

/// How far an archive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveNumbers {
    /// It has been behind for too long, or is not shipped to any more.
    pub late: bool,
    /// For how long something has been waiting that it does not hold.
    pub lag_seconds: u64,
    /// How many seqs it does not hold.
    pub lag_seqs: u64,
    /// Failures since the start.
    pub errors: u64,
    /// Segments shipped since the start.
    pub segments: u64,
    /// Bytes shipped since the start.
    pub bytes: u64,
}

/// The numbers of a server that metrics show.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Records of all projects that wait to be indexed anew, about.
    pub index_pending: u64,
    /// Records that were indexed anew since the start.
    pub indexed: u64,
    /// The archives, in the order in which they are given.
    pub archives: Vec<ArchiveNumbers>,
    /// About drills, if any is to be run or was.
    pub drills: Option<drill::Numbers>,
    /// About checkpoints of the audit log.
    pub log: audit::log::LogNumbers,
}

/// The use cases of one server.
pub struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) eras: eras::Eras,
    pub(crate) settings: Settings,
    pub(crate) cursor_key: SecretKey,
    pub(crate) projects: projects::Projects,
    pub(crate) cors: cors::Policies,
    pub(crate) identities: accounts::Identities,
    pub(crate) asks: accounts::Asks,
    pub(crate) guesses: accounts::Guesses,
    pub(crate) mailroom: mail::Mailroom,
    pub(crate) parameters: parameters::Sets,
    pub(crate) policies: policy::Policies,
    pub(crate) cares: policy::Cares,
    pub(crate) consents: policy::Consents,
    pub(crate) relations: Arc<policy::relations::Relations>,
    pub(crate) sessions: sessions::Sessions,
    pub(crate) hashing: sessions::Hashing,
    pub(crate) keys: oauth::Keys,
    pub(crate) registrations: oauth::Registrations,
    pub(crate) federation: federation::Federation,
    pub(crate) bundles: fhir::room::Room,
    pub(crate) terms: fhir::terms::Cache,
    pub(crate) jobs: jobs::Jobs,
    pub(crate) fresh_blobs: fhir::binary::FreshBlobs,
    /// Taken to read by what ends records for good, and to write by what forbids it.
    pub(crate) ending: tokio::sync::RwLock<()>,
    /// One move to cold storage at a time.
    pub(crate) cold_moves: tokio::sync::Mutex<()>,
    /// One shredding at a time.
    pub(crate) shredding: tokio::sync::Mutex<()>,
    pub(crate) shut: shredding::Shut,
    log: Option<audit::log::Log>,
    /// One run of the audit archive at a time, and what the one before found.
    pub(crate) archiving: tokio::sync::Mutex<audit::archive::Known>,
    /// Told when a project keeps its history otherwise.
    kept_otherwise: tokio::sync::Notify,
    /// Told when keys are to be rotated.
    keys_due: tokio::sync::Notify,
    request_ids: RequestIds,
}

impl Service {
    /// The scope of the server itself.
    pub const SYSTEM: Scope = Scope::SYSTEM;

    /// A scope in which there is nothing and to which nobody has a key.
    pub const NO_SCOPE: Scope = Scope(u32::MAX);

    /// The service over a store, and blobs kept with it; reads the projects.
    pub fn open(
        store: Arc<dyn Store>,
        blobs: Arc<dyn Blobs>,
        world: Arc<dyn World>,
        settings: Settings,
        cursor_key: SecretKey,
    ) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(async move {
            let projects = projects::Projects::load(&*store).await?;
            let request_ids = RequestIds::new(&*world);
            let eras = eras::Eras::new(&*world);
            let parameters = parameters::Sets::default();
            let cors = cors::Policies::default();
            cors.load(&*store, Scope::SYSTEM).await?;
            let identities = accounts::Identities::default();
            identities.load(&*store, Scope::SYSTEM).await?;
            let cares = policy::Cares::default();
            for (scope, revision) in &projects.found {
                cors.load(&*store, *scope).await?;
                identities.load(&*store, *scope).await?;
                cares.load(&*store, *scope).await?;
                parameters.insert(parameters::open(&*store, *scope, *revision).await?);
            }
            let hashing = sessions::Hashing::new(settings.hashes_at_once);
            let log = match &settings.checkpoint_key {
                Some(key) => Some(audit::log::Log::open(&*store, &*world, key).await?),
                None => None,
            };
            let service = Self {
                store,
                blobs,
                world,
                eras,
                settings,
                cursor_key,
                projects,
                cors,
                identities,
                asks: accounts::Asks::default(),
                guesses: accounts::Guesses::default(),
                mailroom: mail::Mailroom::default(),
                parameters,
                policies: policy::Policies::default(),
                cares,
                consents: policy::Consents::default(),
                relations: Arc::default(),
                sessions: sessions::Sessions::new(),
                hashing,
                keys: oauth::Keys::default(),
                registrations: oauth::Registrations::default(),
                federation: federation::Federation::default(),
                bundles: fhir::room::Room::new(),
                terms: fhir::terms::Cache::new(),
                jobs: jobs::Jobs::new(),
                fresh_blobs: fhir::binary::FreshBlobs::default(),
                ending: tokio::sync::RwLock::default(),
                cold_moves: tokio::sync::Mutex::default(),
                shredding: tokio::sync::Mutex::default(),
                shut: shredding::Shut::default(),
                log,
                archiving: tokio::sync::Mutex::default(),
                kept_otherwise: tokio::sync::Notify::new(),
                keys_due: tokio::sync::Notify::new(),
                request_ids,
            };
            service.ensure_default_project().await?;
            service.finish_disposals().await?;
            service.purge_cold_moves().await?;
            service.replay_shreds().await?;
            Ok(service)
        })
    }

    /// Milliseconds since 1970 UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.world.now_ms()
    }

    /// The time of a request that comes now, and what it holds while it may write.
    #[must_use]
    pub fn enter(&self) -> (i64, Arc<eras::Era>) {
        self.eras.enter(&*self.world)
    }

    /// A name for a request.
    #[must_use]
    pub fn new_request_id(&self) -> RequestId {
        self.request_ids.next()
    }

    /// Whether the store can take a write just now.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.store.ready().await?)
    }

    /// What metrics say of the store, for the server's administrators.
    pub async fn read_metrics(&self, cx: &Context) -> Result<Numbers, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadMetrics).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let (pending, indexed) = self.index_counts().await;
        Ok(Numbers {
            disk_bytes: self.store.disk_bytes(),
            index_pending: pending,
            indexed,
            archives: self.archives().await,
            drills: self.drills(),
            log: self.log_numbers(),
        })
    }

    /// Whether an archive has been behind for too long, or is not shipped to any more.
    pub async fn is_archive_late(&self) -> bool {
        self.archives().await.iter().any(|archive| archive.late)
    }

    async fn archives(&self) -> Vec<ArchiveNumbers> {
        match &self.settings.archives {
            Some(AskArchives(ask)) => ask().await,
            None => Vec::new(),
        }
    }

    /// The subject of a request that brings no credentials.
    #[must_use]
    pub fn anonymous(&self) -> Arc<Subject> {
        self.sessions.anonymous()
    }

    /// The project as it is now, for the one asking: without what is hidden from them.
    pub(crate) async fn snapshot(&self, cx: &Context) -> Result<Box<dyn Snapshot>, Error> {
        self.snapshot_at(cx, At::Now).await
    }

    /// The same of an earlier point.
    pub(crate) async fn snapshot_at(
        &self,
        cx: &Context,
        at: At,
    ) -> Result<Box<dyn Snapshot>, Error> {
        let whole = self.store.snapshot(cx.scope, at).await?;
        Ok(policy::masked::for_subject(&cx.subject, whole))
    }

    /// The project with all that is in it, to decide on: nothing of it is shown.
    pub(crate) async fn whole_snapshot(&self, cx: &Context) -> Result<Box<dyn Snapshot>, Error> {
        Ok(self.store.snapshot(cx.scope, At::Now).await?)
    }

    /// A new id.
    pub(crate) fn new_id(&self, cx: &Context) -> Box<str> {
        let mut random = [0; 16];
        self.world.random(&mut random);
        ids::mint(cx.now_ms, random)
    }
}
