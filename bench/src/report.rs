//! What was measured, as an aligned table for people and as JSON for comparisons.

use crate::meter::Usage;
use crate::phase::{Measured, Run};
use crate::tally::Class;
use serde::Serialize;
use std::fmt::Write;

/// The whole run.
#[derive(Serialize)]
pub(crate) struct Report {
    clients: usize,
    seed: u64,
    phases: Vec<PhaseReport>,
}

#[derive(Serialize)]
struct PhaseReport {
    phase: &'static str,
    seconds: f64,
    units: u64,
    units_per_second: f64,
    errors: u64,
    server_cpu_seconds_per_1000: Option<f64>,
    bench_cpu_seconds_per_1000: f64,
    server_cores: Option<f64>,
    bench_cores: f64,
    usage: Usage,
    disk_bytes_per_unit: Option<f64>,
    classes: Vec<ClassReport>,
}

#[derive(Serialize)]
struct ClassReport {
    class: &'static str,
    operations: u64,
    units: u64,
    units_per_second: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    errors: u64,
    reasons: Vec<String>,
}

impl Report {
    /// Takes the figures of all phases so far.
    pub(crate) fn new(run: &Run) -> Self {
        Self {
            clients: run.clients,
            seed: run.seed,
            phases: run.phases.borrow().iter().map(phase).collect(),
        }
    }

    /// Errors of all phases.
    pub(crate) fn errors(&self) -> u64 {
        self.phases.iter().map(|phase| phase.errors).sum()
    }

    /// The tables: latencies by class, costs by phase, and the first reasons of failures.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail, here and below.
        let _ = self
            .latencies(&mut text)
            .and_then(|()| self.costs(&mut text))
            .and_then(|()| self.failures(&mut text));
        text
    }

    fn latencies(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "{:<12} {:<26} {:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7}",
            "phase",
            "operation",
            "count",
            "per s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "max ms",
            "errors"
        )?;
        for phase in &self.phases {
            for c in &phase.classes {
                writeln!(
                    text,
                    "{:<12} {:<26} {:>9} {:>10.0} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>7}",
                    phase.phase,
                    c.class,
                    c.units,
                    c.units_per_second,
                    c.p50_ms,
                    c.p95_ms,
                    c.p99_ms,
                    c.max_ms,
                    c.errors
                )?;
            }
        }
        writeln!(text)
    }

    fn costs(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "{:<12} {:>9} {:>8} {:>10} {:>16} {:>9} {:>9} {:>8} {:>9} {:>9} {:>8}",
            "phase",
            "count",
            "seconds",
            "per s",
            "server CPU ms/op",
            "server",
            "bench",
            "RSS MB",
            "peak MB",
            "disk MB",
            "disk B/op"
        )?;
        for phase in &self.phases {
            phase.cost(text)?;
        }
        if let Some(total) = self.crud() {
            total.cost(text)?;
        }
        writeln!(
            text,
            "CPU ms per operation is CPU seconds per 1,000, with the work in the background that the phase left behind; server and bench are cores in use."
        )
    }

    fn failures(&self, text: &mut String) -> std::fmt::Result {
        for phase in &self.phases {
            for class in phase.classes.iter().filter(|class| class.errors > 0) {
                writeln!(
                    text,
                    "\n{} {}: {} errors",
                    phase.phase, class.class, class.errors
                )?;
                for reason in &class.reasons {
                    writeln!(text, "  {reason}")?;
                }
            }
        }
        Ok(())
    }

    /// The four phases of the CRUD mix as one: peers are quoted that way.
    fn crud(&self) -> Option<PhaseReport> {
        let parts: Vec<&PhaseReport> = self
            .phases
            .iter()
            .filter(|phase| phase.phase.starts_with("crud "))
            .collect();
        let (units, seconds) = (
            parts.iter().map(|p| p.units).sum::<u64>(),
            parts.iter().map(|p| p.seconds).sum(),
        );
        let total =
            |each: fn(&PhaseReport) -> f64| -> f64 { parts.iter().map(|part| each(part)).sum() };
        let server = total(|p| p.server_cores.unwrap_or_default() * p.seconds);
        let bench = total(|p| p.bench_cores * p.seconds);
        let last = parts.last()?;
        Some(PhaseReport {
            phase: "crud (all)",
            seconds,
            units,
            units_per_second: per(units as f64, seconds),
            errors: parts.iter().map(|p| p.errors).sum(),
            server_cpu_seconds_per_1000: last
                .server_cores
                .map(|_| per(server * 1_000.0, units as f64)),
            bench_cpu_seconds_per_1000: per(bench * 1_000.0, units as f64),
            server_cores: last.server_cores.map(|_| per(server, seconds)),
            bench_cores: per(bench, seconds),
            usage: last.usage,
            disk_bytes_per_unit: None,
            classes: Vec::new(),
        })
    }
}

impl PhaseReport {
    fn cost(&self, text: &mut String) -> std::fmt::Result {
        let optional = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |v| format!("{v:.digits$}"))
        };
        let megabytes = |bytes: Option<u64>| optional(bytes.map(|bytes| bytes as f64 / 1e6), 0);
        writeln!(
            text,
            "{:<12} {:>9} {:>8.1} {:>10.0} {:>16} {:>9} {:>9.2} {:>8} {:>9} {:>9} {:>8}",
            self.phase,
            self.units,
            self.seconds,
            self.units_per_second,
            optional(self.server_cpu_seconds_per_1000, 3),
            optional(self.server_cores, 2),
            self.bench_cores,
            megabytes(self.usage.server_rss_bytes),
            megabytes(self.usage.server_rss_peak_bytes),
            megabytes(self.usage.disk_bytes),
            optional(self.disk_bytes_per_unit, 0),
        )
    }
}

fn phase(measured: &Measured) -> PhaseReport {
    let (before, after, seconds) = (&measured.before, &measured.after, measured.seconds);
    let units = measured.tally.units();
    let server = after
        .server_cpu_seconds
        .zip(before.server_cpu_seconds)
        .map(|(after, before)| after - before);
    let bench = after.bench_cpu_seconds - before.bench_cpu_seconds;
    let grown = after
        .disk_bytes
        .zip(before.disk_bytes)
        .map(|(after, before)| after as f64 - before as f64);
    PhaseReport {
        phase: measured.name,
        seconds,
        units,
        units_per_second: per(units as f64, seconds),
        errors: measured.tally.errors(),
        server_cpu_seconds_per_1000: server.map(|server| per(server * 1_000.0, units as f64)),
        bench_cpu_seconds_per_1000: per(bench * 1_000.0, units as f64),
        server_cores: server.map(|server| per(server, seconds)),
        bench_cores: per(bench, seconds),
        usage: *after,
        disk_bytes_per_unit: grown.map(|grown| per(grown, units as f64)),
        classes: measured
            .tally
            .classes()
            .map(|(name, class)| class_report(name, class, seconds))
            .collect(),
    }
}

fn class_report(name: &'static str, class: &Class, seconds: f64) -> ClassReport {
    let ms = |q: f64| class.latency.quantile(q) as f64 / 1_000.0;
    ClassReport {
        class: name,
        operations: class.latency.count(),
        units: class.units,
        units_per_second: per(class.units as f64, seconds),
        p50_ms: ms(0.50),
        p95_ms: ms(0.95),
        p99_ms: ms(0.99),
        max_ms: class.latency.max() as f64 / 1_000.0,
        errors: class.errors,
        reasons: class.reasons.clone(),
    }
}

fn per(amount: f64, of: f64) -> f64 {
    if of > 0.0 { amount / of } else { 0.0 }
}
