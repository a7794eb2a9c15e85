//! `salus drill`: proof that what is archived can be restored.
//!
//! An archive is restored into a folder of its own (`room.rs`) by the functions of `salus
//! restore`, checked there and held against the store that runs (`run.rs`, `held.rs`,
//! `checks.rs`). A server answers what it has at the same point of the log (`operator.rs`),
//! keeps the signed reports (`record.rs`, `kept.rs`), and runs drills by itself (`schedule.rs`).
//! Why it is so: docs/adr/0050-drills.md.
#![allow(clippy::print_stdout, reason = "the report goes to standard output")]

mod arguments;
mod checks;
mod held;
mod kept;
mod live;
mod operator;
mod record;
mod report;
mod room;
mod run;
mod schedule;
mod settings;
mod status;

use std::path::{Path, PathBuf};

use salus_service::context::World;
use salus_service::statement;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use arguments::{DrillArguments, EXAMPLES};
use arguments::{DrillCommand, RunArguments};
pub(crate) use operator::{Operator, router};
pub(crate) use record::Record;
pub(crate) use schedule::{Schedule, archives};
pub(crate) use settings::{Error, File, Settings};

use crate::backup::destination;
use crate::config::{self, Config};
use crate::open::{self, Machine};
use crate::{restore, roots, signed};
use kept::Kept;
use live::Live;
use room::Room;
use run::{Ended, Plan};

pub(super) type Failure = Box<dyn std::error::Error>;

/// A check failed, or a target was missed.
#[derive(Debug, thiserror::Error)]
#[error("the drill failed: {0}")]
pub(crate) struct Failed(String);

/// Runs the command.
pub(crate) fn run(arguments: &DrillArguments) -> Result<(), Failure> {
    if let Some(DrillCommand::Verify { file, key }) = &arguments.command {
        return verify(file, key, arguments.json);
    }
    let config = Config::offline(&arguments.place)?;
    if arguments.run.scheduled {
        // Beside a server everybody else comes first.
        let _ = rustix::process::nice(19);
    }
    let runtime = open::runtime()?;
    let done = runtime.block_on(async {
        match &arguments.command {
            Some(DrillCommand::Status { every }) => {
                let status = status::status(&config, *every).await?;
                print(&status, &status::text(&status), arguments.json);
                status::judge(&status)
            }
            Some(DrillCommand::Key) => key(&config).await,
            Some(DrillCommand::Verify { .. }) => Ok(()),
            None => interruptible(arguments, config).await,
        }
    });
    // What reads the disk is not waited for when somebody wants it to end.
    runtime.shutdown_background();
    done
}

fn print(answer: &Value, text: &str, as_json: bool) {
    match as_json {
        true => println!("{answer}"),
        false => print!("{text}"),
    }
}

/// Runs a drill until it is over or somebody ends it; its folder goes in any case.
async fn interruptible(arguments: &DrillArguments, config: Config) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = drill(arguments, config) => done,
        _ = terminate.recv() => Err("ended before it was over".into()),
        _ = interrupt.recv() => Err("ended before it was over".into()),
    }
}

async fn drill(arguments: &DrillArguments, config: Config) -> Result<(), Failure> {
    let run = &arguments.run;
    let kept = config
        .data
        .join("store")
        .exists()
        .then(|| Kept::of(&config.data));
    let _one_at_a_time = match &kept {
        Some(kept) => {
            kept.make()?;
            Some(kept.lock()?)
        }
        None => None,
    };
    let work = match (&run.to, work(&config)) {
        (Some(to), _) => to.clone(),
        (None, Some(work)) => {
            // Nobody else is there: what lies in it was left by one that was killed.
            room::clear(&work)?;
            work
        }
        (None, None) => return Err("there is no data folder: give a folder by --to".into()),
    };
    let room = Room::make(&work, run.keep)?;
    let plan = plan(run, config, room.path(), kept.as_ref())?;
    let Ended { signed, said, live } = run::run(&plan).await?;
    keep(&signed, &said, kept, live).await?;
    if let Some(out) = &run.out {
        let written = std::fs::write(out, format!("{signed}\n"));
        written.map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    }
    print(&signed, &report::text(&said), arguments.json);
    match report::passed(&said) {
        true => Ok(()),
        false => Err(Failed(report::failed(&said).join(", ")).into()),
    }
}

/// Where a store is restored to unless somebody says otherwise: below the folder that the operator
/// names, or below the data folder.
fn work(config: &Config) -> Option<PathBuf> {
    let there = config.data.join("store").exists();
    let named = config.drill.to.as_ref().map(|to| to.join("salus-drill"));
    named.or_else(|| there.then(|| Kept::of(&config.data).work()))
}

fn plan(
    run: &RunArguments,
    config: Config,
    work: &Path,
    kept: Option<&Kept>,
) -> Result<Plan, Failure> {
    let keys = config.keys_folder();
    let root = roots::of(config.keys.root.as_deref(), &keys)?;
    let mut settings = config.drill;
    if let Some(rto) = run.target_rto {
        settings.targets.rto = rto;
    }
    if let Some(rpo) = run.target_rpo {
        settings.targets.rpo = rpo;
    }
    let mut archives = config.archive;
    archives.roots = run.archive_roots.clone().or(archives.roots);
    let given = match run.from.is_empty() {
        true => &archives.to,
        false => &run.from,
    };
    let from = in_turn(given, &archives, kept)?;
    let mut seed = [0; 8];
    Machine.random(&mut seed);
    Ok(Plan {
        from: from.ok_or("no archive is given: --from DIR or s3://BUCKET/PREFIX")?,
        archives,
        data: config.data,
        keys,
        root,
        work: work.to_owned(),
        until: restore::until(&run.at, run.at_seq)?,
        settings,
        samples: run.samples.into(),
        seed: run.seed.unwrap_or(u64::from_be_bytes(seed) >> 16),
        base_url: run.base_url.clone().or(config.base_url),
        checkpoints: run.checkpoints.clone(),
        scheduled: run.scheduled,
    })
}

/// Of several archives the one whose last drill is longest ago.
fn in_turn(
    given: &[String],
    archives: &config::Archives,
    kept: Option<&Kept>,
) -> Result<Option<String>, Failure> {
    let (Some(kept), [_, _, ..]) = (kept, given) else {
        return Ok(given.first().cloned());
    };
    let last = record::last(kept.all().into_iter());
    let mut all = Vec::with_capacity(given.len());
    for from in given {
        let place = destination(from, archives)?;
        all.push((last.get(place.label()).copied(), from));
    }
    let longest = all.into_iter().min_by_key(|(last, _)| *last);
    Ok(longest.map(|(_, from)| from.clone()))
}

/// The server keeps the report, and notes it; without one it is put into the data folder.
async fn keep(
    signed: &Value,
    said: &Value,
    kept: Option<Kept>,
    live: Option<Live>,
) -> Result<(), Failure> {
    if let Some(live) = live
        && live.ended(signed).await.is_ok()
    {
        return Ok(());
    }
    let ended_ms = record::ended(said).map_or(0, |(ended_ms, _)| ended_ms);
    match kept {
        Some(kept) => Ok(kept.add(ended_ms, signed)?),
        None => Ok(()),
    }
}

/// Prints the public key: a running server has the keyring, else it is opened.
async fn key(config: &Config) -> Result<(), Failure> {
    let public = match Live::of(&config.data).await {
        Some(live) => live.status().await?["key"].take(),
        None => {
            let folder = config.keys_folder();
            let root = roots::of(config.keys.root.as_deref(), &folder)?;
            let keyring = open::keyring(folder, root).await?;
            statement::jwk(&record::key(&keyring)?.public())
        }
    };
    println!("{public}");
    Ok(())
}

fn verify(file: &Path, key: &str, as_json: bool) -> Result<(), Failure> {
    let (text, key) = signed::read(file, key)?;
    let said = statement::verify(&text, salus_service::drill::REPORT, &key)?;
    print(&said, &report::text(&said), as_json);
    Ok(())
}
