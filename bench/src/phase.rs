//! One measured stretch of a run: clients that repeat operations until the time or the count is used up.

use crate::client::{Session, Target};
use crate::meter::{Meter, Usage};
use crate::tally::Tally;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What every workload needs to know.
pub(crate) struct Run {
    /// The server.
    pub(crate) target: Rc<Target>,
    /// Simulated clients, each with a connection of its own.
    pub(crate) clients: usize,
    /// Bounds of each phase.
    pub(crate) limits: Limits,
    /// Decides data and requests.
    pub(crate) seed: u64,
    /// Only searches whose shape's name holds this.
    pub(crate) shapes: String,
    /// Makes identifiers of this run differ from those of earlier ones.
    pub(crate) serial: u64,
    /// Top-level properties that the server may add.
    pub(crate) ignore: Vec<String>,
    /// Statuses of a read after a delete.
    pub(crate) gone: Vec<u16>,
    /// Sends `If-Match` with updates.
    pub(crate) if_match: bool,
    /// Counters of the processes.
    pub(crate) meter: Meter,
    /// After each phase, the longest wait for the server's work in the background.
    pub(crate) settle: Duration,
    /// What has been measured.
    pub(crate) phases: RefCell<Vec<Measured>>,
}

/// When a phase ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// After this time, with the warm-up before it.
    pub(crate) seconds: Option<f64>,
    /// After so many operations, entries for an import.
    pub(crate) operations: Option<u64>,
    /// Time at the start that is not counted.
    pub(crate) warmup: f64,
}

impl Limits {
    /// No bound but the work itself, for phases that undo what a bounded one did.
    pub(crate) const NONE: Self = Self {
        seconds: None,
        operations: None,
        warmup: 0.0,
    };
}

/// A phase that is over.
pub(crate) struct Measured {
    /// Its name.
    pub(crate) name: &'static str,
    /// Time measured.
    pub(crate) seconds: f64,
    /// What happened.
    pub(crate) tally: Tally,
    /// Counters at the start of measuring.
    pub(crate) before: Usage,
    /// Counters at the end, when the server had settled: a phase pays for all work it caused.
    pub(crate) after: Usage,
}

/// A phase under way.
pub(crate) struct Phase {
    run: Rc<Run>,
    deadline: Option<Instant>,
    left: Cell<u64>,
    tally: RefCell<Tally>,
    mark: Cell<(Instant, Usage)>,
    progress: ProgressBar,
}

impl Phase {
    /// Takes leave for one more operation of so many units; false when the phase is over.
    pub(crate) fn more(&self, units: u64) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(units));
        left > 0
            && self
                .deadline
                .is_none_or(|deadline| Instant::now() < deadline)
    }

    /// A connection for one client.
    pub(crate) fn session(&self) -> Session {
        Session::new(Rc::clone(&self.run.target))
    }

    /// What every workload needs.
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// Counts an operation that has just ended.
    pub(crate) fn record(
        &self,
        class: &'static str,
        units: u64,
        started: Instant,
        outcome: Result<(), String>,
    ) {
        self.progress.inc(units);
        self.tally
            .borrow_mut()
            .record(class, units, started.elapsed(), outcome);
    }

    /// Counts a wrong answer found outside the measured time of an operation.
    pub(crate) fn fault(&self, class: &'static str, outcome: Result<(), String>) {
        if let Err(reason) = outcome {
            self.tally.borrow_mut().fault(class, reason);
        }
    }

    fn restart(&self) {
        self.tally.take();
        self.mark.set((Instant::now(), self.run.meter.read()));
    }
}

/// Runs one phase: `client(phase, number)` for each client, all at once on this thread.
pub(crate) async fn measure<C, F>(run: &Rc<Run>, name: &'static str, limits: Limits, client: C)
where
    C: Fn(Rc<Phase>, usize) -> F,
    F: Future<Output = ()> + 'static,
{
    let phase = Rc::new(start(run, name, limits));
    let mut clients = JoinSet::new();
    for number in 0..run.clients {
        clients.spawn_local(client(Rc::clone(&phase), number));
    }
    let warm = Rc::clone(&phase);
    let warmup = tokio::task::spawn_local(async move {
        if limits.warmup > 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(limits.warmup)).await;
            warm.restart();
        }
    });
    while let Some(ended) = clients.join_next().await {
        if let Err(error) = ended {
            phase.fault("client", Err(error.to_string()));
        }
    }
    warmup.abort();
    let (started, _) = phase.mark.get();
    let seconds = started.elapsed().as_secs_f64();
    run.meter.settle(run.settle).await;
    finish(run, name, seconds, &phase);
}

fn start(run: &Rc<Run>, name: &'static str, limits: Limits) -> Phase {
    let style = ProgressStyle::with_template(
        "{spinner} {msg:<12} {elapsed:>5}  {human_pos} done, {per_sec}",
    );
    let progress = ProgressBar::no_length().with_message(name);
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    progress.enable_steady_tick(Duration::from_millis(250));
    let now = Instant::now();
    let length = limits
        .seconds
        .map(|seconds| Duration::from_secs_f64(seconds + limits.warmup));
    Phase {
        run: Rc::clone(run),
        deadline: length.map(|length| now + length),
        left: Cell::new(limits.operations.unwrap_or(u64::MAX)),
        tally: RefCell::default(),
        mark: Cell::new((now, run.meter.read())),
        progress,
    }
}

fn finish(run: &Run, name: &'static str, seconds: f64, phase: &Phase) {
    let (_, before) = phase.mark.get();
    phase.progress.finish_and_clear();
    run.phases.borrow_mut().push(Measured {
        name,
        seconds,
        tally: phase.tally.take(),
        before,
        after: run.meter.read(),
    });
}
