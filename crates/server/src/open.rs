//! A data folder, opened: keys, engine, service, and the folder's own socket.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use salus_crypto::{Founding, Keyring, RootSource, Shreds};
use salus_service::context::World;
use salus_service::jobs::Outside;
use salus_service::keyring as service_keys;
use salus_service::{Service, Settings};
use salus_store::Store;
use salus_store_embedded::{Embedded, Options};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::audit;
use crate::backup::{self, Archives};
use crate::checkpoints::Checkpoints;
use crate::cli::Place;
use crate::config::Config;
use crate::roots::{self, Named};
use crate::{
    cold, connect, control, drill, fencing, fetch, listen, mail, providers, tls, webhooks,
};

/// Trained on synthetic resources by `cargo xtask dictionary`.
pub(crate) static DICTIONARY: &[u8] = include_bytes!("../dictionaries/resource-1.zdict");

/// A folder that cannot be opened or served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot make the data folder {0}: {1}")]
    Folder(PathBuf, std::io::Error),
    #[error("cannot open the keys in {0}: {1}")]
    Keys(PathBuf, salus_crypto::Error),
    #[error("cannot open the store in {0}: {1}")]
    Store(PathBuf, salus_store::Error),
    #[error("cannot start on the data in {0}: {1}")]
    Service(PathBuf, String),
    #[error("cannot listen on {0}: {1}")]
    Listen(String, std::io::Error),
    #[error("the root key cannot be used: {0}")]
    Root(#[from] roots::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error(transparent)]
    Connect(#[from] connect::Error),
    #[error(transparent)]
    Mail(#[from] mail::Error),
    #[error(transparent)]
    Archive(#[from] backup::Error),
    #[error(transparent)]
    Fenced(#[from] fencing::Error),
}

/// Time and randomness of this machine.
pub(crate) struct Machine;

impl Machine {
    /// The time, as others than our own code want it.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

impl World for Machine {
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    fn random(&self, buffer: &mut [u8]) {
        if salus_crypto::random::fill(buffer).is_err() {
            // Without randomness no id and no token is safe: end at once.
            std::process::abort();
        }
    }
}

/// A data folder that is there, and what a command on it runs on.
pub(crate) fn existing(place: &Place) -> Result<(Config, Runtime), Box<dyn std::error::Error>> {
    let config = Config::offline(place)?;
    if !config.data.join("store").exists() {
        return Err(format!("{} holds no store", config.data.display()).into());
    }
    Ok((config, runtime()?))
}

/// What runs the tasks of this process.
pub(crate) struct Runtime(tokio::runtime::Runtime);

impl Runtime {
    /// Waits for some work. Its type ends here: the runtime is compiled once for each type that it waits for.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let work: LocalBoxFuture<'_, T> = Box::pin(work);
        self.0.block_on(work)
    }

    /// Ends it without waiting for what is still under way.
    pub(crate) fn shutdown_background(self) {
        self.0.shutdown_background();
    }
}

/// Begins a runtime.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    built.map(Runtime)
}

/// The keys of a folder and the engine over them.
pub(crate) async fn store(config: &Config) -> Result<(Arc<Keyring>, Arc<Embedded>), Error> {
    let (data, opening) = (&config.data, config.clone());
    // Opening reads files, asks who keeps the root key and replays the log: not for a thread that
    // answers requests.
    let opened = tokio::task::spawn_blocking(move || open(&opening)).await;
    let ended = |_| Error::Service(data.to_owned(), "opening it failed".to_owned());
    opened.map_err(ended)?
}

fn open(config: &Config) -> Result<(Arc<Keyring>, Arc<Embedded>), Error> {
    let data = &config.data;
    fencing::must_be_no_standby(data)?;
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700);
    folder
        .create(data)
        .map_err(|error| Error::Folder(data.to_owned(), error))?;
    let (keys, records) = (config.keys_folder(), data.join("store"));
    let root = roots::of(config.keys.root.as_deref(), &keys)?;
    let founding = if records.exists() {
        Founding::Existing
    } else {
        Founding::New
    };
    let keyring = Keyring::open_from(&keys, &root, founding, Machine.now_ms())
        .map_err(|error| Error::Keys(keys, error))?;
    let options = Options {
        dictionary: DICTIONARY,
        time_max: Duration::from_secs(config.search_seconds_max.into()),
        ..Options::new(records.clone(), Arc::clone(&keyring))
    };
    let engine = Embedded::open(options).map_err(|error| Error::Store(records, error))?;
    Ok((keyring, engine))
}

/// The keyring that is in a folder.
pub(crate) async fn keyring(
    folder: PathBuf,
    root: RootSource,
) -> Result<Arc<Keyring>, Box<dyn std::error::Error>> {
    // Who keeps the root key may have to be asked over the network.
    let opening = tokio::task::spawn_blocking(move || {
        Keyring::open_from(&folder, &root, Founding::Existing, Machine.now_ms())
    });
    Ok(opening.await??)
}

/// A server at work.
pub(crate) struct Server {
    pub(crate) service: Arc<Service>,
    /// Where it listens, if it listens on the network.
    pub(crate) address: Option<std::net::SocketAddr>,
    engine: Arc<Embedded>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    indexing: JoinHandle<()>,
    jobs: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    keys: JoinHandle<()>,
    watching: JoinHandle<()>,
    mailing: Option<JoinHandle<()>>,
    archives: Option<Arc<Archives>>,
    _guard: Option<Arc<fencing::Guard>>,
    checkpoints: Checkpoints,
    drills: Option<drill::Schedule>,
    socket: PathBuf,
}

impl Server {
    /// Opens a folder and answers on its socket, and on the network if asked.
    pub(crate) fn start<'a>(
        config: &'a Config,
        listen: Option<std::net::SocketAddr>,
    ) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(async move {
            fencing::must_be_served(&config.data)?;
            let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
            let post = config.mail.as_ref();
            let post = post.map(|mail| mail::post(mail, config.demo)).transpose()?;
            let web = fetch::Web::new(&config.import_origins, config.import_roots.as_deref())?;
            let (origins, roots) = (&config.provider_origins, config.provider_roots.as_deref());
            let asked = providers::Providers::new(origins, roots)?;
            let (origins, roots) = (&config.alert_origins, config.alert_roots.as_deref());
            let hooks = webhooks::Webhooks::new(origins, roots)?;
            let network = match listen {
                Some(address) => {
                    let failed = |error| Error::Listen(address.to_string(), error);
                    Some(TcpListener::bind(address).await.map_err(failed)?)
                }
                None => None,
            };
            let (keyring, engine) = store(config).await?;
            // A command that opens the folder for a while leaves shipping to the server.
            let archives = match listen {
                Some(_) => Archives::open(config, &keyring, &engine)?,
                None => None,
            };
            let guard = match &archives {
                Some(archives) => Some(archives.guard(config, &engine).await?),
                None => None,
            };
            let every = config.drill.every.filter(|_| listen.is_some());
            let drilled = drill::archives(config).into_keys().collect();
            let drills = drill::Record::open(&config.data, every, drilled, &keyring);
            let drills = drills.map_err(|error| Error::Keys(config.keys_folder(), error))?;
            let drills = Arc::new(drills);
            let address = network
                .as_ref()
                .and_then(|listener| listener.local_addr().ok());
            let base = config.base(address.unwrap_or(config.listen));
            let serving = service(
                config,
                &keyring,
                Arc::clone(&engine),
                base,
                (asked, hooks),
                (archives.as_ref(), &drills),
            );
            let service = serving.await?;
            // A disk that takes nothing is told of each request, too.
            if let Err(error) = service.note_start().await {
                tracing::warn!(
                    cause = error.cause(),
                    "the audit has not that the server starts"
                );
            }
            let (places, roots) = (&config.checkpoints, config.checkpoint_roots.as_deref());
            let checkpoints =
                Checkpoints::start(&service, &config.data, places, roots, &config.archive).await?;
            let settings = salus_api::Settings {
                body_bytes_max: config.body_bytes_max,
                binary_bytes_max: config.binary_bytes_max,
                base_url: config.base_url.clone(),
                https: config.tls.is_some() || config.tls_elsewhere,
                proxies: config.proxies.clone(),
            };
            let router = salus_api::router(Arc::clone(&service), settings);
            // Jobs go on by themselves; who is outside is answered while this server may.
            let answering = router.clone();
            let answering = match &guard {
                Some(guard) => guard.over(answering),
                None => answering,
            };
            let (stop, stopped) = watch::channel(false);
            let mut listeners = Vec::new();
            let socket = control::path(&config.data);
            match control::bind(&config.data) {
                Ok(listener) => {
                    let router = answering.clone().merge(audit::router(Arc::clone(&service)));
                    let router = match &archives {
                        Some(archives) => {
                            let own = backup::router(Arc::clone(archives), Arc::clone(&service));
                            router.merge(own)
                        }
                        None => router,
                    };
                    let router = router.merge(drill::router(drill::Operator {
                        service: Arc::clone(&service),
                        engine: Arc::clone(&engine),
                        archives: archives.clone(),
                        record: Arc::clone(&drills),
                    }));
                    let work = listen::operator(listener, router, stopped.clone());
                    listeners.push(tokio::spawn(work));
                }
                Err(error) => {
                    tracing::warn!(%error, "the data folder's own socket is not served; imports need the server stopped");
                }
            }
            if let Some(archives) = &archives {
                archives.start();
            }
            if let Some(guard) = &guard {
                guard.start();
            }
            let indexing = tokio::spawn({
                let service = Arc::clone(&service);
                async move { service.keep_indexes().await }
            });
            let outside = Outside {
                perform: salus_api::deferred(router),
                fetch: Arc::new(web),
            };
            let jobs = tokio::spawn(Arc::clone(&service).run_jobs(outside));
            let sweeping = tokio::spawn({
                let service = Arc::clone(&service);
                async move {
                    tokio::join!(
                        service.keep_blobs(),
                        service.keep_histories(),
                        service.keep_nothing_ended(),
                        service.keep_registrations(),
                        service.keep_audit(),
                    );
                }
            });
            let keys = tokio::spawn({
                let service = Arc::clone(&service);
                async move { service.keep_keys().await }
            });
            let drills = drill::Schedule::start(&service, &drills, config);
            let watching = tokio::spawn(Arc::clone(&service).run_alerts());
            let mailing = post.map(|post| tokio::spawn(Arc::clone(&service).run_mail(post)));
            if let Some(listener) = network {
                let work = listen::network(listener, acceptor, answering, stopped);
                listeners.push(tokio::spawn(work));
            }
            Ok(Self {
                service,
                address,
                engine,
                stop,
                listeners,
                indexing,
                jobs,
                sweeping,
                keys,
                watching,
                mailing,
                archives,
                _guard: guard,
                checkpoints,
                drills,
                socket,
            })
        })
    }

    /// A server for a command on a folder, if none runs there that can be asked.
    pub(crate) async fn of_folder(config: &Config) -> Result<Option<Self>, Error> {
        match control::Client::connect(&config.data).await {
            Ok(_) => Ok(None),
            Err(_) => Self::start(config, None).await.map(Some),
        }
    }

    /// Lets requests under way finish, then closes the store.
    pub(crate) fn stop(self) -> BoxFuture<'static, Result<(), salus_store::Error>> {
        Box::pin(async move {
            if let Some(drills) = self.drills {
                drills.stop().await;
            }
            self.stop.send_replace(true);
            for listener in self.listeners {
                // A listener that failed has nothing left to finish.
                let _ = listener.await;
            }
            // Both go on from where they were at the next start.
            self.service.pause_jobs().await;
            self.jobs.abort();
            let _ = self.jobs.await;
            self.indexing.abort();
            let _ = self.indexing.await;
            self.sweeping.abort();
            let _ = self.sweeping.await;
            self.keys.abort();
            let _ = self.keys.await;
            self.watching.abort();
            let _ = self.watching.await;
            if let Some(mailing) = self.mailing {
                mailing.abort();
                let _ = mailing.await;
            }
            if let Err(error) = self.service.note_stop().await {
                tracing::warn!(
                    cause = error.cause(),
                    "the audit has not that the server stops"
                );
            }
            // Behind all that writes audit entries.
            self.checkpoints.stop().await;
            // Nothing commits any more.
            if let Some(archives) = self.archives {
                archives.stop().await;
            }
            let _ = std::fs::remove_file(&self.socket);
            self.engine.close().await
        })
    }
}

async fn service(
    config: &Config,
    keyring: &Arc<Keyring>,
    engine: Arc<Embedded>,
    base: String,
    (asked, hooks): (providers::Providers, webhooks::Webhooks),
    (archives, drills): (Option<&Arc<Archives>>, &Arc<drill::Record>),
) -> Result<Arc<Service>, Error> {
    let failed = |reason: String| Error::Service(config.data.clone(), reason);
    let cursor_key = keyring
        .derive("salus paging cursor 1")
        .map_err(|error| failed(error.to_string()))?;
    let checkpoint_key = keyring
        .derive(salus_service::audit::log::KEY_PURPOSE)
        .map_err(|error| failed(error.to_string()))?;
    let mut settings = Settings {
        checkpoint_key: Some(checkpoint_key),
        ..Settings::default()
    };
    settings.json.bytes_max = config.body_bytes_max;
    settings.development = config.development;
    let cores = std::thread::available_parallelism();
    settings.hashes_at_once = cores.ok().map(usize::from);
    settings.jobs.import_origins = config.import_origins.clone();
    settings.jobs.import_bytes_max = config.import_bytes_max;
    settings.cold = cold::settings(config)?;
    settings.federation.origins = config.provider_origins.clone();
    settings.federation.ask = Some(Arc::new(asked));
    settings.keys = service_keys::Settings {
        keyring: Some(Arc::clone(keyring)),
        roots: Some(Arc::new(Named)),
        rotate_days: config.keys.rotation_days,
    };
    settings.alerts.origins = config.alert_origins.clone();
    settings.alerts.hooks = Some(Arc::new(hooks));
    settings.audit.years = config.audit.years;
    settings.audit.shelf = audit::shelf::of(config)?;
    settings.audit.kept = Some(audit::shelf::kept(&config.data));
    let mail = config.mail.as_ref();
    settings.mail = mail.map(|_| salus_service::mail::Settings { base });
    settings.archives = archives.map(|archives| {
        let archives = Arc::clone(archives);
        salus_service::AskArchives(Arc::new(move || {
            let archives = Arc::clone(&archives);
            Box::pin(async move { archives.numbers().await })
        }))
    });
    settings.drills = Some(salus_service::drill::AskDrills(Arc::new({
        let drills = Arc::clone(drills);
        move || drills.numbers()
    })));
    // Before anybody is answered: a keyring from before loses what the ledger names.
    let keys = config.keys_folder();
    let shreds = Shreds::open(&keys, keyring).map_err(|error| Error::Keys(keys, error))?;
    settings.shreds = Some(shreds);
    settings.jobs.kept_ms = i64::from(config.job_hours) * 60 * 60 * 1000;
    let service = Service::open(
        engine.clone(),
        engine,
        Arc::new(Machine),
        settings,
        cursor_key,
    )
    .await;
    let service = service.map_err(|error| {
        let cause = error.cause().unwrap_or_else(|| error.to_string());
        failed(cause)
    })?;
    Ok(Arc::new(service))
}
