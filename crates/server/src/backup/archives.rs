//! The archives of a data folder: shipped to while a server runs, kept small, and asked about.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use salus_archive::s3::{self, S3};
use salus_archive::{
    Archive, Destination, Folder, Keys, Phase, Pruned, Settings, Shipping, Sizes, Source, Status,
    Trouble, Window,
};
use salus_crypto::{Keyring, hex};
use salus_service::context::World;
use salus_store::Log;
use salus_store_embedded::Embedded;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::http::Connector;
use super::schedule::Schedule;
use crate::config;
use crate::connect;
use crate::fencing::{self, Generation, Guard};
use crate::follow;
use crate::open::Machine;

/// How long an orderly stop ships what is left.
const LAST: Duration = Duration::from_secs(20);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An archive that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the archive {0:?} cannot be used: {1}")]
    Place(String, &'static str),
    #[error("the archive cannot be used: {0}")]
    Trouble(#[from] Trouble),
    #[error(transparent)]
    Archive(#[from] salus_archive::Error),
    #[error(transparent)]
    Store(#[from] salus_store::Error),
    #[error(transparent)]
    Connect(#[from] connect::Error),
    #[error(transparent)]
    Fencing(#[from] fencing::Error),
    #[error("the store cannot be compared: {0}")]
    Difference(String),
}

/// How far the work is that somebody waits for.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<(AtomicU64, AtomicU64)>);

impl Progress {
    /// How many of how many objects.
    pub(crate) fn get(&self) -> (u64, u64) {
        (
            self.0.0.load(Ordering::Relaxed),
            self.0.1.load(Ordering::Relaxed),
        )
    }

    pub(super) fn set(&self, done: u64, all: u64) {
        self.0.0.store(done, Ordering::Relaxed);
        self.0.1.store(all, Ordering::Relaxed);
    }
}

/// The archives of a folder.
pub(crate) struct Archives {
    pub(super) archives: Vec<One>,
    data: PathBuf,
    keyring: Arc<Keyring>,
    pub(super) engine: Arc<Embedded>,
    window_ms: i64,
    log_window_ms: Option<i64>,
    pub(super) base_every_ms: Option<i64>,
    pub(super) schedule: Schedule,
    progress: Progress,
    /// What is done is done once at a time.
    working: tokio::sync::Mutex<()>,
    /// But bases are taken beside it, as that takes its time.
    pub(super) taking: tokio::sync::Mutex<()>,
    keeping: Mutex<Vec<JoinHandle<()>>>,
}

pub(super) struct One {
    pub(super) archive: Archive,
    shipping: Mutex<Option<Shipping>>,
}

/// Opens the archive that an operator names: a folder, or a place in S3.
pub(crate) fn open_one(
    text: &str,
    settings: &config::Archives,
    keyring: &Keyring,
) -> Result<Archive, Error> {
    let destination = destination(text, settings)?;
    let keys = Keys::of(keyring).map_err(salus_archive::Error::from)?;
    Ok(Archive::open(destination, keys))
}

/// A folder, or a place in S3, that holds objects.
pub(crate) fn destination(
    text: &str,
    settings: &config::Archives,
) -> Result<Arc<dyn Destination>, Error> {
    Ok(match text.starts_with("s3://") {
        true => Arc::new(bucket(text, settings)?),
        false => Arc::new(Folder::open(Path::new(text))),
    })
}

fn bucket(text: &str, settings: &config::Archives) -> Result<S3, Error> {
    let unusable = |reason| Error::Place(text.to_owned(), reason);
    let mut place = s3::Place::parse(text).map_err(unusable)?;
    if place.region.is_empty() {
        let region = settings.region.clone();
        place.region = region.unwrap_or_else(|| "us-east-1".to_owned());
    }
    let plain = place
        .endpoint
        .as_ref()
        .is_some_and(|url| url.starts_with("http://"));
    let connector = Connector::new(settings.roots.as_deref(), plain)?;
    let credentials = settings.credentials.clone().map(|found| s3::Credentials {
        key_id: found.key_id,
        secret: found.secret,
        token: found.token,
    });
    let now_ms = || Machine.now_ms();
    Ok(S3::open(place, credentials, Arc::new(connector), now_ms)?)
}

impl Archives {
    /// Opens all of them; `None` if there are none. Nothing is shipped yet.
    pub(crate) fn open(
        config: &config::Config,
        keyring: &Arc<Keyring>,
        engine: &Arc<Embedded>,
    ) -> Result<Option<Arc<Self>>, Error> {
        let settings = &config.archive;
        let generation = Generation::read(&config.data)?.number;
        let one = |text: &String| {
            Ok(One {
                archive: open_one(text, settings, keyring)?.of_generation(generation),
                shipping: Mutex::new(None),
            })
        };
        let archives = settings.to.iter().map(one);
        let archives = archives.collect::<Result<Vec<_>, Error>>()?;
        Ok((!archives.is_empty()).then(|| {
            Arc::new(Self {
                archives,
                data: config.data.clone(),
                keyring: Arc::clone(keyring),
                engine: Arc::clone(engine),
                window_ms: i64::from(settings.days) * DAY_MS,
                log_window_ms: settings.window_ms,
                base_every_ms: settings.base_every_ms,
                schedule: settings.schedule,
                progress: Progress::default(),
                working: tokio::sync::Mutex::default(),
                taking: tokio::sync::Mutex::default(),
                keeping: Mutex::default(),
            })
        }))
    }

    /// What looks whether another was promoted in the place of this store.
    pub(crate) async fn guard(
        &self,
        config: &config::Config,
        engine: &Arc<Embedded>,
    ) -> Result<Arc<Guard>, fencing::Error> {
        let archives = self.archives.iter().map(|one| one.archive.clone());
        let (data, lease) = (config.data.clone(), config.archive.lease);
        Guard::open(data, engine, archives.collect(), lease).await
    }

    /// What this store has alone, if another was promoted.
    pub(crate) async fn difference(&self) -> Result<Value, Error> {
        let mut all = Vec::new();
        for one in &self.archives {
            let found = follow::difference(&self.data, &*self.engine, &one.archive).await;
            all.push(found.map_err(|error| Error::Difference(error.to_string()))?);
        }
        Ok(json!({"archives": all}))
    }

    /// Starts shipping to each, and keeping them small.
    pub(crate) fn start(self: &Arc<Self>) {
        let source = Source {
            log: Arc::clone(&self.engine) as Arc<dyn Log>,
            blobs: Arc::clone(&self.engine) as Arc<dyn salus_store::SealedBlobs>,
        };
        for one in &self.archives {
            let settings = Settings::usual(|| Machine.now_ms());
            let shipping = Shipping::start(source.clone(), one.archive.clone(), settings);
            *one.shipping.lock() = Some(shipping);
        }
        // It ends with who started it: what it holds of this is not what keeps it alive.
        let (weak, every) = (Arc::downgrade(self), self.schedule.keep);
        let keeping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(archives) = weak.upgrade() else {
                    return;
                };
                archives.keep().await;
            }
        });
        let taking = Self::take_when_due(Arc::downgrade(self), self.schedule);
        let taking = tokio::spawn(taking);
        *self.keeping.lock() = vec![keeping, taking];
    }

    /// Ships what is left, and ends.
    pub(crate) async fn stop(&self) {
        let keeping = std::mem::take(&mut *self.keeping.lock());
        for keeping in keeping {
            keeping.abort();
            let _ = keeping.await;
        }
        for one in &self.archives {
            let shipping = one.shipping.lock().take();
            if let Some(shipping) = shipping {
                let status = shipping.stop(LAST).await;
                tracing::info!(archive = status.label, seq = status.shipped.0, "shipped");
            }
        }
    }

    /// How far each is, for metrics and health.
    pub(crate) async fn numbers(&self) -> Vec<salus_service::ArchiveNumbers> {
        let head = self.engine.head().await.map_or(0, |head| head.seq.0);
        let now_ms = Machine.now_ms();
        let statuses = self.archives.iter().filter_map(One::status);
        statuses
            .map(|status| salus_service::ArchiveNumbers {
                late: is_late(&status, now_ms),
                lag_seconds: lag_seconds(&status, now_ms),
                lag_seqs: head.saturating_sub(status.shipped.0),
                errors: status.errors,
                segments: status.segments,
                bytes: status.bytes,
            })
            .collect()
    }

    /// How far each is that is shipped to: its name, the last seq that it holds, since when it
    /// is behind, and whether that is for good.
    pub(crate) fn shipped(&self) -> Vec<(String, u64, Option<i64>, bool)> {
        let statuses = self.archives.iter().filter_map(One::status);
        let shipped = statuses.map(|status| {
            let stopped = matches!(status.phase, Phase::Stopped(_));
            (
                status.label,
                status.shipped.0,
                status.behind_since_ms,
                stopped,
            )
        });
        shipped.collect()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// What is there, and how far each is.
    pub(crate) async fn status(&self) -> Result<Value, Error> {
        let head = self.engine.head().await?.seq.0;
        let now_ms = Machine.now_ms();
        let mut all = Vec::new();
        for one in &self.archives {
            let mut shown = json!({"archive": one.archive.label()});
            match one.archive.summary().await {
                Ok(summary) => {
                    shown["segments"] = summary.segments.into();
                    shown["merged"] = summary.merged.into();
                    shown["bytes"] = summary.bytes.into();
                    shown["blobs"] = summary.blobs.into();
                    shown["lastSeq"] = summary.last_seq.0.into();
                    shown["behindSeqs"] = head.saturating_sub(summary.last_seq.0).into();
                    shown["earliest"] = time(summary.times_ms.map(|(first, _)| first));
                    shown["latest"] = time(summary.times_ms.map(|(_, last)| last));
                    let bases = summary.bases.iter();
                    let bases = bases.map(|(name, whole)| super::bases::of(name, whole));
                    shown["bases"] = bases.collect::<Vec<_>>().into();
                    shown["basesCutOff"] = summary.cut_off.into();
                    shown["restorableFrom"] = time(summary.since_ms);
                    shown["restorableTo"] = shown["latest"].clone();
                    let faults = summary.faults.iter().map(ToString::to_string);
                    shown["faults"] = faults.collect::<Vec<_>>().into();
                }
                Err(error) => shown["faults"] = json!([error.to_string()]),
            }
            if let Some(status) = one.status() {
                show(&status, now_ms, &mut shown);
            }
            all.push(shown);
        }
        Ok(json!({"seq": head, "archives": all}))
    }

    /// Reads everything back.
    pub(crate) async fn verify(&self) -> Result<Value, Error> {
        let _one_at_a_time = self.working.lock().await;
        let mut all = Vec::new();
        for one in &self.archives {
            let progress = self.progress();
            let tell = move |done, all| progress.set(done, all);
            let follows = salus_store_embedded::follows;
            let verified = one.archive.verify(&self.keyring, &follows, &tell).await?;
            all.push(json!({
                "archive": one.archive.label(),
                "bases": verified.bases,
                "segments": verified.segments,
                "commits": verified.batches,
                "versions": verified.versions,
                "auditEntries": verified.audit,
                "auditRoot": hex(&verified.frontier.root()),
                "blobs": verified.blobs,
                "blobsShredded": verified.shredded,
                "bytes": verified.bytes,
                "lastSeq": verified.seq.0,
                "earliest": time(verified.times_ms.map(|(first, _)| first)),
                "latest": time(verified.times_ms.map(|(_, last)| last)),
                "faults": verified.faults,
            }));
        }
        Ok(json!({"archives": all}))
    }

    /// Removes what no instant of the window needs.
    pub(crate) async fn prune(&self, dry_run: bool) -> Result<Value, Error> {
        let _one_at_a_time = self.working.lock().await;
        let mut all = Vec::new();
        for one in &self.archives {
            one.archive.must_belong(&*self.engine).await?;
            let pruned = self.prune_one(one, dry_run).await?;
            all.push(json!({
                "archive": one.archive.label(),
                "dryRun": dry_run,
                "segments": pruned.segments.len(),
                "log": pruned.log.len(),
                "prunedTo": pruned.base.map(|base| base.seq.0),
                "faults": pruned.faults,
                "blobs": pruned.blobs.len(),
                "bytes": pruned.bytes,
                "blobsWaiting": pruned.waiting,
                "locked": pruned.kept,
            }));
        }
        Ok(json!({"archives": all}))
    }

    /// Merges small segments.
    pub(crate) async fn merge(&self) -> Result<Value, Error> {
        let _one_at_a_time = self.working.lock().await;
        let mut all = Vec::new();
        for one in &self.archives {
            one.archive.must_belong(&*self.engine).await?;
            let sizes = Sizes {
                count: 2,
                ..Sizes::USUAL
            };
            let (from, to) = one.archive.merge(sizes, Machine.now_ms()).await?;
            all.push(json!({"archive": one.archive.label(), "merged": from, "into": to}));
        }
        Ok(json!({"archives": all}))
    }

    /// Merges and prunes those that are shipped to.
    async fn keep(&self) {
        let _one_at_a_time = self.working.lock().await;
        for one in &self.archives {
            let well = one
                .status()
                .is_some_and(|status| status.phase == Phase::Shipping);
            if !well {
                continue;
            }
            let kept = async {
                let now_ms = (self.schedule.now_ms)();
                one.archive.merge(Sizes::USUAL, now_ms).await?;
                self.prune_one(one, false).await
            };
            match kept.await {
                Ok(pruned) => pruned.faults.iter().for_each(|fault| {
                    tracing::warn!(archive = one.archive.label(), %fault, "the log is not pruned by this base");
                }),
                Err(error) => {
                    tracing::warn!(archive = one.archive.label(), %error, "could not be merged and pruned");
                }
            }
        }
    }

    async fn prune_one(&self, one: &One, dry_run: bool) -> Result<Pruned, salus_archive::Error> {
        let window = Window {
            ms: self.window_ms,
            log_ms: self.log_window_ms,
            taking: self.taking.try_lock().is_err(),
            now_ms: (self.schedule.now_ms)(),
            dry_run,
        };
        let follows = salus_store_embedded::follows;
        one.archive.prune(&*self.engine, window, &follows).await
    }
}

impl One {
    pub(super) fn status(&self) -> Option<Status> {
        self.shipping.lock().as_ref().map(Shipping::status)
    }
}

fn show(status: &Status, now_ms: i64, shown: &mut Value) {
    let (phase, reason) = match &status.phase {
        Phase::Starting => ("starting", None),
        Phase::Shipping => ("shipping", None),
        Phase::Failing(reason) => ("failing", Some(reason)),
        Phase::Stopped(reason) => ("stopped", Some(reason)),
    };
    shown["state"] = phase.into();
    shown["reason"] = reason.map_or(Value::Null, |reason| reason.clone().into());
    shown["behindSeconds"] = lag_seconds(status, now_ms).into();
    shown["errors"] = status.errors.into();
}

fn lag_seconds(status: &Status, now_ms: i64) -> u64 {
    let since = status.behind_since_ms.unwrap_or(now_ms);
    u64::try_from(now_ms.saturating_sub(since) / 1000).unwrap_or(0)
}

fn is_late(status: &Status, now_ms: i64) -> bool {
    status.late || lag_seconds(status, now_ms) > 30
}

pub(super) fn time(ms: Option<i64>) -> Value {
    let time = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or(Value::Null, |time| time.to_string().into())
}
