//! Rounds in which something fails under a server while clients write: a disk (writes that fail or
//! come short, syncs that fail, no room, a power cut that takes what was not synced), a clock, a
//! process, an archive, or bytes that rot. Whatever happens, everything acknowledged is there
//! afterwards, in the store and in what is restored of its archive, and what cannot be read is said
//! to be damaged, never shown as something else.
//!
//! A bounded number by default. `cargo xtask faults` plays as many as one likes and counts; it runs this program with
//! `SALUS_FAULT_ROUNDS`, `SALUS_FAULT_SEED`, `SALUS_FAULT_PLACES`, `SALUS_FAULT_KINDS`, `SALUS_FAULT_JOBS` and
//! `SALUS_FAULT_TELL`. `SALUS_FAULT_KEEP` leaves the folders of what failed.
//! Needs a C compiler for `shim.c`, which is laid over the C library of what suffers; Linux only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included
#![allow(clippy::print_stdout, clippy::print_stderr)] // says why it skips, and what is found

mod keyring;
mod plan;
mod room;
mod rot;
mod served;
mod shim;
#[path = "../support/mod.rs"]
mod support;
mod writers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use plan::{Place, Plan};
use room::Template;
use shim::Shim;

/// What a round has shown.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Something went wrong, as it was to.
    pub(crate) hit: bool,
    /// Writes that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Of them, those that the archive said it had before the end came.
    pub(crate) shipped: u64,
    /// Versions and keys that were compared and are right.
    pub(crate) recovered: u64,
    /// Damage that was named.
    pub(crate) named: u64,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_silently_wrong() {
    let Some(shim) = Shim::built() else {
        return eprintln!("skipped: there is no C compiler for Linux here");
    };
    let (rounds, seed) = (
        setting("SALUS_FAULT_ROUNDS", 24),
        setting("SALUS_FAULT_SEED", 1),
    );
    let plans = Plan::rounds(
        rounds,
        seed,
        &names("SALUS_FAULT_PLACES"),
        &names("SALUS_FAULT_KINDS"),
    );
    let needs_server = plans.iter().any(|plan| plan.place != Place::Keyring);
    let template = needs_server.then(|| Template::make(seed));
    let (next, hits) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let findings = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..setting("SALUS_FAULT_JOBS", 2) {
            scope.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(finding) = play(&shim, template.as_ref(), plan, &hits) {
                        findings.lock().unwrap().push(finding);
                    }
                }
            });
        }
    });
    let (findings, hits) = (findings.into_inner().unwrap(), hits.into_inner());
    assert!(
        findings.is_empty(),
        "{} findings: {findings:#?}",
        findings.len()
    );
    let many = plans.len() >= 20;
    assert!(
        !many || hits * 2 > plans.len(),
        "only {hits} of {rounds} went wrong"
    );
}

/// Plays one round and says how it went; what it has found.
fn play(
    shim: &Shim,
    template: Option<&Template>,
    plan: &Plan,
    hits: &AtomicUsize,
) -> Option<String> {
    let Plan { place, kind, seed } = plan;
    let place = place.name();
    let room = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let played = catch_unwind(AssertUnwindSafe(|| match (plan.place, template) {
        (Place::Keyring, _) => keyring::round(shim, plan, room.path()),
        (_, Some(template)) => served::round(shim, template, plan, room.path()),
        (_, None) => panic!("there is nothing to begin with"),
    }));
    let (told, finding) = match played {
        Ok(told) => (told, None),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            (Told::default(), Some(text.unwrap_or_default()))
        }
    };
    hits.fetch_add(usize::from(told.hit), Ordering::Relaxed);
    let line = serde_json::json!({
        "place": place, "kind": kind, "seed": seed, "hit": told.hit,
        "acknowledged": told.acknowledged, "shipped": told.shipped,
        "recovered": told.recovered, "named": told.named,
        "ms": begun.elapsed().as_millis() as u64, "finding": finding,
    });
    match std::env::var_os("SALUS_FAULT_TELL") {
        Some(_) => println!("\nround {line}"),
        None => eprintln!("{line}"),
    }
    if finding.is_some() && std::env::var_os("SALUS_FAULT_KEEP").is_some() {
        eprintln!("seed {seed}: kept in {}", room.keep().display());
    }
    finding.map(|finding| {
        format!(
            "cargo xtask faults --rounds 1 --seed {seed} --place {place} --kind {kind}: {finding}"
        )
    })
}

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn names(name: &str) -> Vec<String> {
    let value = std::env::var(name).unwrap_or_default();
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}
