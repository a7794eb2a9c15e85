//! A drill from beginning to end: an archive restored into a folder of its own, checked there, and
//! held against the store that runs.
//!
//! The point is taken from the running store before anything is read of the archive, so both are
//! compared at the same place of the log, whatever is written meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_archive::{Archive, Summary, Until};
use salus_crypto::checkpoint::Note;
use salus_crypto::{Keyring, RootSource, hex};
use salus_service::context::World;
use salus_store::Seq;
use salus_store_embedded::Embedded;
use serde_json::{Value, json};

use super::checks::{self, Check};
use super::held::Held;
use super::kept::Kept;
use super::live::{Live, Point, Question};
use super::report::{self, Measured, Said};
use super::settings::Settings;
use super::{Failure, record, room};
use crate::config;
use crate::open::{self, Machine};
use crate::restore::{self, Report};
use crate::{backup, checkpoints};

/// How often it is looked whether the archive has got to the point.
const LOOK: Duration = Duration::from_millis(50);
/// How long it may take to get there beside the target.
const SHIPPING_MAX: Duration = Duration::from_secs(10);
/// How long an archive may show less than was shipped to it.
const SHOWING_MAX: Duration = Duration::from_secs(3);

/// What a drill is about.
pub(super) struct Plan {
    pub(super) from: String,
    pub(super) archives: config::Archives,
    pub(super) data: PathBuf,
    pub(super) keys: PathBuf,
    pub(super) root: RootSource,
    pub(super) work: PathBuf,
    pub(super) until: Until,
    pub(super) settings: Settings,
    pub(super) samples: usize,
    pub(super) seed: u64,
    pub(super) base_url: Option<String>,
    pub(super) checkpoints: Vec<PathBuf>,
    pub(super) scheduled: bool,
}

/// The signed report, and what it says.
pub(super) struct Ended {
    pub(super) signed: Value,
    pub(super) said: Value,
    /// The running server, which is told.
    pub(super) live: Option<Live>,
}

/// Runs one. An error if it could not be carried out, which says nothing about the archive.
pub(super) async fn run(plan: &Plan) -> Result<Ended, Failure> {
    let (begun, begun_ms) = (Instant::now(), Machine.now_ms());
    let notes = notes(plan)?;
    let live = Live::of(&plan.data).await;
    let question = Question {
        seed: plan.seed,
        each: plan.samples,
        seq: None,
        audit_size: None,
    };
    let point = match &live {
        Some(live) => Some(live.point(&question).await?),
        None => None,
    };
    // Behind the point, so that they have every key that it names.
    let keyring = keys(plan).await?;
    let archive = backup::open_one(&plan.from, &plan.archives, &keyring)?;
    let mut trial = Trial {
        plan,
        question,
        notes,
        archive,
        keyring,
        live,
        point,
        summary: Summary::default(),
        measured: Measured::default(),
        checks: Vec::new(),
    };
    let keys_s = begun.elapsed().as_secs_f64();
    trial.measured.steps.push(("keys", keys_s));
    let restored = trial.restore().await?;
    let said = trial.judge(restored, begun_ms).await?;
    let key = record::key(&trial.keyring)?;
    let signed = salus_service::statement::sign(&key, salus_service::drill::REPORT, &said);
    Ok(Ended {
        signed,
        said,
        live: trial.live,
    })
}

/// The checkpoints that were kept before the drill.
fn notes(plan: &Plan) -> Result<Vec<Note>, Failure> {
    let beside = checkpoints::beside(&plan.data);
    let places = plan.checkpoints.iter().cloned();
    let mut notes = Vec::new();
    for place in places.chain(beside.exists().then_some(beside)) {
        let read = checkpoints::read_all(&place);
        let (some, _) = read.map_err(|error| format!("{}: {error}", place.display()))?;
        notes.extend(some.into_iter().map(|(_, note)| note));
    }
    Ok(notes)
}

/// A copy of the keys, opened by the root key of the original: that is not copied.
async fn keys(plan: &Plan) -> Result<Arc<Keyring>, Failure> {
    let copy = plan.work.join("keys");
    restore::copy_without_root(&plan.keys, &copy)?;
    open::keyring(copy, plan.root.clone()).await
}

/// A drill under way.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    question: Question,
    pub(super) notes: Vec<Note>,
    archive: Archive,
    pub(super) keyring: Arc<Keyring>,
    live: Option<Live>,
    /// Of the running store, before anything was read of the archive.
    point: Option<Point>,
    summary: Summary,
    measured: Measured,
    checks: Vec<Check>,
}

/// What came of restoring.
struct Restored {
    report: Report,
    engine: Arc<Embedded>,
}

impl Trial<'_> {
    /// Restores as far as there is something, and opens it as a server would.
    async fn restore(&mut self) -> Result<Option<Restored>, Failure> {
        let until = self.wait_shipped().await?;
        let disk_bytes = self.point.as_ref().map_or(0, |point| point.disk_bytes);
        room::must_fit(&self.plan.work, self.summary.bytes, disk_bytes)?;
        let (work, base_url) = (&self.plan.work, self.plan.base_url.as_deref());
        let restored =
            restore::restore((&self.archive, until), (work, &self.keyring), base_url).await;
        let report = match restored {
            Ok(report) => report,
            Err(error) => {
                let why = vec![format!("it could not be restored: {error}")];
                self.checks.push(Check::of("archive", why));
                return Ok(None);
            }
        };
        let steps = report.steps.iter();
        let steps = steps.map(|(name, took)| (*name, took.as_secs_f64()));
        self.measured.steps.extend(steps);
        let begun = Instant::now();
        let engine = restore::open(work, &self.keyring).await?;
        let opened_s = begun.elapsed().as_secs_f64();
        self.measured.steps.push(("open", opened_s));
        Ok(Some(Restored { report, engine }))
    }

    /// Waits until the archive holds what the running store held when the drill began; up to
    /// where the log is to be read.
    async fn wait_shipped(&mut self) -> Result<Until, Failure> {
        let begun = Instant::now();
        let most = self.plan.settings.targets.rpo.saturating_add(SHIPPING_MAX);
        loop {
            self.summary = match self.archive.summary().await {
                Ok(summary) => summary,
                // What is restored tells it, too.
                Err(salus_archive::Error::Fault(fault)) => Summary {
                    faults: vec![fault],
                    ..Summary::default()
                },
                Err(error) => return Err(error.into()),
            };
            let Some(point) = &self.point else {
                return Ok(self.plan.until);
            };
            if self.plan.until != Until::End {
                return Ok(self.plan.until);
            }
            if self.summary.last_seq.0 >= point.seq {
                return Ok(Until::Seq(Seq(point.seq)));
            }
            let shipper = self.shipper();
            let well = shipper.as_ref().is_some_and(|shipped| !shipped.stopped);
            let shown = shipper.is_some_and(|shipped| shipped.seq < point.seq);
            let most = if shown { most } else { SHOWING_MAX.min(most) };
            if !well || begun.elapsed() > most {
                return Ok(Until::End);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The running server's knowledge of this archive, if it ships to it.
    fn shipper(&self) -> Option<super::live::Shipped> {
        let label = self.archive.label();
        let all = &self.point.as_ref()?.archives;
        all.iter().find(|one| one.archive == label).cloned()
    }

    /// Checks all of it; the report.
    async fn judge(&mut self, restored: Option<Restored>, begun_ms: i64) -> Result<Value, Failure> {
        let (mut view, mut counts, mut samples) = (json!({}), json!({}), json!({}));
        let against = match &self.live {
            Some(_) => "the running store",
            None => "the archive and earlier drills",
        };
        let report = restored.as_ref().map(|restored| &restored.report);
        self.measured.lost = self.lost(report, begun_ms);
        if let Some(Restored { report, engine }) = restored {
            let held = Held::of(&engine, &report).await?;
            self.of_archive(&report);
            let compared = self.of_point(&held, &report).await?;
            samples = json!({"seed": self.plan.seed, "each": self.plan.samples,
                "records": compared});
            let before = self.proved();
            let checks = held.checks(self, &report, before).await?;
            self.checks.extend(checks);
            (view, counts) = (held.view(&report), held.counts());
            salus_store::Store::close(&*engine).await?;
        }
        view["latest"] = (!self.is_past()).into();
        let times = self.measured.checks(&self.plan.settings);
        self.checks.extend(times);
        let said = Said {
            begun_ms,
            ended_ms: Machine.now_ms(),
            by: json!({
                "userId": rustix::process::getuid().as_raw(),
                "how": if self.plan.scheduled { "schedule" } else { "command" },
            }),
            archive: self.archive.label().to_owned(),
            restored: view,
            against,
            counts,
            samples,
        };
        let settings = &self.plan.settings;
        Ok(report::report(said, &self.checks, &self.measured, settings))
    }

    /// What the drill of this archive before this one said, as far as the store's key signed it.
    fn proved(&self) -> Option<Value> {
        let key = record::key(&self.keyring).ok()?.public();
        let label = self.archive.label();
        let kept = Kept::of(&self.plan.data);
        kept.proved(&key).find(|said| said["archive"] == *label)
    }

    /// What the archive lacks, and whether the store that was made of it fits together.
    fn of_archive(&mut self, report: &Report) {
        let listed = self.summary.faults.iter();
        let listed: Vec<_> = listed.map(ToString::to_string).collect();
        let mut faults = checks::archive(&report.damaged, &listed);
        let empty = report.head.is_none_or(|head| head.seq.0 == 0);
        if empty && !self.is_past() {
            faults.push("the archive holds nothing".to_owned());
        }
        if !report.lost.is_empty() {
            faults.push(format!(
                "{} records are without content: it was purged before it was archived",
                report.lost.len()
            ));
        }
        self.checks.push(Check::of("archive", faults));
        self.checks.push(Check::of("store", report.unfit.clone()));
    }

    /// Holds what was restored against the running store at the same point, if there is one; how
    /// many records were compared.
    async fn of_point(&mut self, held: &Held, report: &Report) -> Result<usize, Failure> {
        let (point, no_such) = match self.truth(held).await {
            Some(Ok(point)) => (Some(point), None),
            Some(Err(error)) => (None, Some(format!("the running store: {error}"))),
            None => (None, None),
        };
        self.checks
            .extend(whole((point.as_ref(), no_such), held, report));
        let kinds = point.as_ref().map(|point| point.kinds.clone());
        let kinds = kinds.unwrap_or_else(|| held.kinds());
        let live = point.and_then(|point| point.samples);
        match held.samples(&kinds, &self.question).await {
            Ok(samples) => {
                let compared = checks::samples(live.as_deref(), &samples);
                self.checks.extend(compared);
                Ok(samples.len())
            }
            Err(error) => {
                let why = vec![format!("they cannot be read: {error}")];
                self.checks.push(Check::of("records", why));
                Ok(0)
            }
        }
    }

    /// What the running store is at the point that was restored.
    async fn truth(&mut self, held: &Held) -> Option<Result<Point, Failure>> {
        let live = self.live.as_ref()?;
        let same = self.point.take_if(|point| point.seq == held.seq.0);
        if let Some(point) = same {
            return Some(Ok(point));
        }
        let question = Question {
            seq: Some(held.seq.0),
            audit_size: Some(held.audit_size),
            ..self.question
        };
        Some(live.point(&question).await)
    }

    /// How many seconds of commits would have been lost, had the machine of the store been lost
    /// when the drill began.
    fn lost(&self, report: Option<&Report>, begun_ms: i64) -> f64 {
        let wanted = self.point.as_ref().map_or(0, |point| point.seq);
        let short = self.summary.last_seq.0 < wanted;
        let whole = !short && report.is_some_and(|report| report.damaged.is_empty());
        let (earliest_ms, latest_ms) = self.summary.times_ms.unwrap_or((begun_ms, begun_ms));
        let restored_ms = report.and_then(|report| report.time_ms);
        let restored_ms = restored_ms.unwrap_or(earliest_ms);
        let lost_ms = match (&self.point, whole) {
            (Some(_), true) => self.shipper().map_or(0, |shipped| shipped.behind_ms),
            (Some(_), false) => begun_ms.saturating_sub(restored_ms).max(0).cast_unsigned(),
            // Nobody knows more than the archive and the checkpoints.
            (None, _) => {
                let covered = report.and_then(|report| report.head);
                let signed_ms = self.signed_ms(covered.map_or(0, |head| head.audit_size));
                let newest_ms = if whole { restored_ms } else { latest_ms };
                let newest_ms = newest_ms.max(signed_ms.unwrap_or(0));
                newest_ms.saturating_sub(restored_ms).max(0).cast_unsigned()
            }
        };
        match self.is_past() {
            // What is behind the instant was not to be restored.
            true if whole => 0.0,
            _ => lost_ms as f64 / 1000.0,
        }
    }

    /// When the newest checkpoint was signed that covers more than so many entries.
    fn signed_ms(&self, covered: u64) -> Option<i64> {
        let notes = self.notes.iter().filter_map(|note| note.checkpoint().ok());
        let beyond = notes.filter(|one| !self.is_past() && one.size > covered);
        let times = beyond.filter_map(|one| one.time_s());
        // Some time in that second.
        let time_ms = times.max()?.saturating_mul(1000).saturating_add(999);
        i64::try_from(time_ms).ok()
    }

    /// Whether an instant was asked for: then there is more behind it.
    pub(super) fn is_past(&self) -> bool {
        self.plan.until != Until::End
    }
}

/// The checks of all versions, audit entries and counts.
fn whole(
    (point, no_such): (Option<&Point>, Option<String>),
    held: &Held,
    report: &Report,
) -> [Check; 3] {
    let (mut chain, mut audit) = (report.findings.clone(), Vec::new());
    chain.extend(no_such);
    if let Some(point) = point {
        if point.chain != hex(&held.tally.chain) {
            chain.push("its changes are not those of the running store".to_owned());
        }
        if (point.audit_size, &*point.audit_root) != (held.audit_size, &hex(&held.audit_root)) {
            audit.push("its audit log is not that of the running store".to_owned());
        }
    }
    let counts = match point {
        Some(point) => checks::counts(&point.counts(), &held.tally.kinds),
        None => checks::indexed(&report.given, report.lost.len(), &held.tally.kinds),
    };
    [
        Check::of("chain", chain),
        Check::of("audit", audit),
        Check::of("counts", counts),
    ]
}
