//! The drills that a server runs by itself, of each of its archives: each in a process of its own, with
//! the least priority, one at a time, and ended with the server. It complains when one fails or
//! none was run in time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use salus_service::Service;
use salus_service::context::World;
use salus_service::drill::Noted;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::record::Record;
use super::room;
use crate::backup::destination;
use crate::checkpoints;
use crate::config::Config;
use crate::open::Machine;

/// How often it is looked whether something is due, at most.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a drill is over.
const ENDED: Duration = Duration::from_millis(200);
/// When the first one is run, at most, and when one is tried again that could not be carried out.
const FIRST_MAX: Duration = Duration::from_secs(10 * 60);
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);

/// What runs drills.
pub(crate) struct Schedule {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Schedule {
    /// Begins, if drills are to be run at all.
    pub(crate) fn start(
        service: &Arc<Service>,
        record: &Arc<Record>,
        config: &Config,
    ) -> Option<Self> {
        let every = record.every?;
        if let Some(root) = &config.keys.root
            && ["passphrase:terminal", "passphrase:fd:"]
                .iter()
                .any(|once| root.starts_with(once))
        {
            tracing::warn!(
                "drills cannot be run: the root key is given once, at the start, and a drill has to ask for it"
            );
        }
        let (stop, stopped) = watch::channel(false);
        let run = Run {
            service: Arc::clone(service),
            record: Arc::clone(record),
            every,
            arguments: arguments(config),
            archives: archives(config),
            work: super::work(config)?,
            stopped,
            tried_ms: BTreeMap::new(),
            told_ms: None,
        };
        Some(Self {
            task: tokio::spawn(run.run()),
            stop,
        })
    }

    /// Ends, with a drill that is under way.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// What the archives of a server are called in reports, and what the operator wrote.
pub(crate) fn archives(config: &Config) -> BTreeMap<String, String> {
    let all = config.archive.to.iter().filter_map(|from| {
        // One that cannot be opened at all has stopped the start.
        let place = destination(from, &config.archive).ok()?;
        Some((place.label().to_owned(), from.clone()))
    });
    all.collect()
}

/// How `salus` is called for a drill of this server, but for the archive.
fn arguments(config: &Config) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["drill", "--scheduled", "--json"].map(Into::into).into();
    let mut add = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    add("--data", config.data.clone().into());
    add("--keys", config.keys_folder().into());
    if let Some(root) = &config.keys.root {
        add("--root-key", root.into());
    }
    if let Some(file) = &config.drill.file {
        add("--config", file.clone().into());
    }
    if let Some(base_url) = &config.base_url {
        add("--base-url", base_url.into());
    }
    if let Some(roots) = &config.archive.roots {
        add("--archive-roots", roots.clone().into());
    }
    for place in &config.checkpoints {
        if let checkpoints::Place::Folder(folder) = place {
            add("--checkpoints", folder.clone().into());
        }
    }
    arguments
}

struct Run {
    service: Arc<Service>,
    record: Arc<Record>,
    every: Duration,
    arguments: Vec<OsString>,
    /// By what they are called in reports.
    archives: BTreeMap<String, String>,
    /// Where a drill restores to.
    work: PathBuf,
    stopped: watch::Receiver<bool>,
    /// When one could not be carried out, by archive.
    tried_ms: BTreeMap<String, i64>,
    /// When it was told that none was run.
    told_ms: Option<i64>,
}

impl Run {
    async fn run(mut self) {
        let look = LOOK_MAX.min(self.every / 10).max(ENDED);
        while !*self.stopped.borrow() {
            for (archive, from) in self.archives.clone() {
                if Machine.now_ms() >= self.due_ms(&archive) && !*self.stopped.borrow() {
                    self.drill(&archive, &from).await;
                }
            }
            self.complain(Machine.now_ms()).await;
            tokio::select! {
                () = tokio::time::sleep(look) => {}
                changed = self.stopped.changed() => if changed.is_err() { return },
            }
        }
    }

    /// When the next one of an archive is due.
    fn due_ms(&self, archive: &str) -> i64 {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let due_ms = match self.record.last(archive) {
            Some((ended_ms, _)) => ended_ms.saturating_add(ms(self.every)),
            None => self.record.since_ms + ms(FIRST_MAX.min(self.every / 10)),
        };
        let tried_ms = self.tried_ms.get(archive);
        let retry_ms = tried_ms.map(|tried_ms| tried_ms + ms(RETRY_MAX.min(self.every)));
        due_ms.max(retry_ms.unwrap_or(0))
    }

    async fn drill(&mut self, archive: &str, from: &str) {
        let before = self.record.last(archive);
        let ended = match self.start(from) {
            Ok(child) => self.wait(child).await,
            Err(error) => Err(format!("it cannot be started: {error}")),
        };
        if let Err(error) = room::clear(&self.work) {
            tracing::warn!(%error, "the folder of a drill cannot be removed");
        }
        if *self.stopped.borrow() {
            return;
        }
        // One that was carried out has handed over its report.
        if self.record.last(archive) != before {
            self.tried_ms.remove(archive);
            return;
        }
        let reason = ended.err().unwrap_or_else(|| "it left no report".into());
        tracing::warn!(archive, reason, "a drill could not be carried out");
        self.record.broke(archive);
        self.tried_ms.insert(archive.to_owned(), Machine.now_ms());
        self.note(Noted::Failed, "could not be carried out").await;
    }

    fn start(&self, from: &str) -> std::io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        let command = command.args(&self.arguments).args(["--from", from]);
        let command = command.stdin(Stdio::null());
        // What went wrong is for the server's own log.
        command.stdout(Stdio::null()).spawn()
    }

    /// Waits until it is over, or ends it with the server.
    async fn wait(&mut self, mut child: Child) -> Result<(), String> {
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(status.to_string()),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            tokio::select! {
                () = tokio::time::sleep(ENDED) => {}
                _ = self.stopped.changed() => {
                    // It holds no data of its own: what it leaves behind is removed.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err("the server stops".into());
                }
            }
        }
    }

    /// Tells that none was run in time, once in the time in which one should be.
    async fn complain(&mut self, now_ms: i64) {
        let every_ms = i64::try_from(self.every.as_millis()).unwrap_or(i64::MAX);
        let told = self
            .told_ms
            .is_some_and(|told_ms| now_ms - told_ms < every_ms);
        if told || !self.record.is_overdue(now_ms) {
            return;
        }
        self.told_ms = Some(now_ms);
        tracing::warn!("a drill is overdue: nobody knows whether the archive can be restored");
        self.note(Noted::Overdue, "overdue").await;
    }

    async fn note(&self, noted: Noted, text: &str) {
        if let Err(error) = self.service.note_drill(noted, text).await {
            let cause = error.cause();
            tracing::warn!(cause, "the audit has not what became of a drill");
        }
    }
}
