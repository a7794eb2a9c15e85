//! Signs checkpoints of the audit log in time, and brings them where they are kept: beside the
//! store always, and where the operator says, to folders, S3 and witnesses.
//!
//! A place that fails is tried again, is logged and counted, and stops nothing: the log is proved
//! by whatever was kept of it.

mod bucket;
mod folder;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use salus_service::Service;
use salus_service::audit::log::Signed;
use salus_service::jobs::{Location, Origin};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backup;
use crate::config;
pub(crate) use bucket::{Bucket, read_place};
pub(crate) use folder::{Folder, read_all};
use witness::Witness;

/// How long an entry waits at most for the checkpoint that covers it.
const EVERY: Duration = Duration::from_secs(60);
/// How long a place is left alone that has failed.
const RETRY: Duration = Duration::from_secs(15);
/// How long places may take for the last checkpoint when the server stops.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How many days all checkpoints are kept beside the store; of earlier days, the largest one is.
const DAYS_KEPT: usize = 31;

/// Where the operator wants checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder, on a disk of somebody else.
    Folder(PathBuf),
    /// A prefix in S3, as archives are named.
    Bucket(String),
    /// A witness (C2SP tlog-witness), by its submission prefix.
    Witness(Origin, String),
}

/// A place that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error(
    "checkpoints go to folder:PATH, to s3://BUCKET/PREFIX?region=.. or to a witness as \
     https://witness.example.org/prefix (http:// on this machine only), and {0:?} is none"
)]
pub(crate) struct NoPlace(String);

impl Place {
    /// Reads one of `--checkpoints`.
    pub(crate) fn parse(text: &str) -> Result<Self, NoPlace> {
        let refused = || NoPlace(text.to_owned());
        if let Some(path) = text.strip_prefix("folder:").filter(|path| !path.is_empty()) {
            return Ok(Self::Folder(path.into()));
        }
        if text.starts_with("s3://") {
            salus_archive::s3::Place::parse(text).map_err(|_| refused())?;
            return Ok(Self::Bucket(text.to_owned()));
        }
        let Location { origin, target } = Location::parse(text).map_err(|_| refused())?;
        let trusted = origin.is_secure() || origin.is_loopback();
        match trusted && !target.contains('?') {
            true => Ok(Self::Witness(origin, target)),
            false => Err(refused()),
        }
    }
}

/// Brings checkpoints to one place.
pub(crate) trait Publish: Send {
    /// Where to, for the log.
    fn name(&self) -> String;

    /// Brings one there, if it is not there yet.
    ///
    /// # Errors
    /// The reason, for the log.
    fn publish<'a>(
        &'a mut self,
        service: &'a Service,
        signed: &'a Signed,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// Where checkpoints lie beside a store.
pub(crate) fn beside(data: &Path) -> PathBuf {
    data.join("checkpoints")
}

/// The day of a checkpoint, in UTC.
fn day(time_s: u64) -> jiff::civil::Date {
    let seconds = i64::try_from(time_s).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Says so if the log was longer already when the last checkpoint was kept in a place.
fn hold_against(place: &str, kept: Option<u64>, size: u64) {
    if let Some(kept) = kept.filter(|kept| *kept > size) {
        tracing::error!(
            place,
            kept,
            size,
            "the audit log is shorter than a checkpoint that was kept: the store was rolled back"
        );
    }
}

/// What signs and publishes while a server runs.
pub(crate) struct Checkpoints {
    service: Arc<Service>,
    signing: JoinHandle<()>,
    /// What witnesses add is kept in the folders, so these stop last.
    witnesses: Publishing,
    folders: Publishing,
}

impl Checkpoints {
    /// Begins, with a checkpoint at once.
    pub(crate) async fn start(
        service: &Arc<Service>,
        data: &Path,
        places: &[Place],
        roots: Option<&Path>,
        archives: &config::Archives,
    ) -> Result<Self, backup::Error> {
        sign(service).await;
        let (mut witnesses, mut folders) = (Publishing::default(), Publishing::default());
        folders.add(service, Folder::keeping(beside(data), DAYS_KEPT));
        for place in places {
            match place {
                Place::Folder(dir) => folders.add(service, Folder::new(dir.clone())),
                Place::Bucket(text) => {
                    let place = backup::destination(text, archives)?;
                    folders.add(service, Bucket::new(place));
                }
                Place::Witness(origin, target) => {
                    witnesses.add(service, Witness::new(origin, target, roots)?);
                }
            }
        }
        Ok(Self {
            signing: tokio::spawn(keep_signing(Arc::clone(service))),
            service: Arc::clone(service),
            witnesses,
            folders,
        })
    }

    /// Signs what has come since, and waits a while until it is where it should be.
    pub(crate) async fn stop(self) {
        self.signing.abort();
        let _ = self.signing.await;
        sign(&self.service).await;
        self.witnesses.stop().await;
        self.folders.stop().await;
    }
}

/// Places of one kind, each with a task of its own.
struct Publishing {
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            stop: watch::Sender::new(false),
        }
    }
}

impl Publishing {
    fn add(&mut self, service: &Arc<Service>, publisher: impl Publish + 'static) {
        let work = publish(publisher, Arc::clone(service), self.stop.subscribe());
        self.tasks.push(tokio::spawn(work));
    }

    /// Ends when the newest checkpoint is there, or could not be brought there.
    async fn stop(self) {
        self.stop.send_replace(true);
        let all = futures_util::future::join_all(self.tasks);
        if tokio::time::timeout(STOP_MAX, all).await.is_err() {
            tracing::warn!("the last checkpoint could not be brought everywhere in time");
        }
    }
}

async fn keep_signing(service: Arc<Service>) {
    loop {
        tokio::time::sleep(EVERY).await;
        sign(&service).await;
    }
}

async fn sign(service: &Service) {
    if let Err(error) = service.sign_checkpoint().await {
        let cause = error.cause();
        tracing::warn!(cause, "no checkpoint can be signed just now");
    }
}

async fn publish(
    mut publisher: impl Publish,
    service: Arc<Service>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(mut newest) = service.follow_checkpoints() else {
        return;
    };
    loop {
        let stopping = *stop.borrow_and_update();
        let signed = newest.borrow_and_update().clone();
        let mut failed = false;
        if let Some(signed) = signed
            && let Err(reason) = publisher.publish(&service, &signed).await
        {
            let (place, size) = (publisher.name(), signed.checkpoint.size);
            tracing::warn!(
                place,
                size,
                reason,
                "a checkpoint cannot be published just now"
            );
            service.note_unpublished();
            failed = true;
        }
        if stopping {
            return;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            changed = stop.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if failed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_folders_buckets_and_witnesses() {
        let parse = |text| Place::parse(text).ok();
        assert_eq!(parse("folder:/a/b"), Some(Place::Folder("/a/b".into())));
        let Some(Place::Witness(origin, target)) = parse("https://w.example/a") else {
            panic!("no witness");
        };
        assert_eq!(
            (&*origin.to_string(), &*target),
            ("https://w.example", "/a")
        );
        let bucket = "s3://b/p?region=r&lock=governance&lock-days=30";
        assert_eq!(parse(bucket), Some(Place::Bucket(bucket.into())));
        assert!(parse("http://127.0.0.1:81/").is_some());
        for bad in [
            "",
            "folder:",
            "/a/b",
            "http://w.example/",
            "https://w.example/?a",
            "s3://",
            "s3://b?what=1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
