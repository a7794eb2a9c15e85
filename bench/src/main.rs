//! A load generator for FHIR servers: ours and its peers.
//!
//! It shares two cores with the server it measures, so it is one thread that
//! spends its time on sockets, and it checks what comes back without building
//! trees. It knows nothing of the product's crates: only FHIR over HTTP.

mod check;
mod cli;
mod client;
mod content;
mod draw;
mod error;
#[cfg(test)]
mod fake;
mod histogram;
mod meter;
mod phase;
mod population;
mod report;
mod resource;
mod serve;
mod tally;
mod workload;

use clap::Parser;
use cli::{Cli, Workload};
use client::{Credentials, Target};
use error::Error;
use meter::Meter;
use phase::{Limits, Run};
use report::Report;
use serve::Served;
use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn main() -> ExitCode {
    let cli = Cli::parse();
    match measured(&cli) {
        Ok(report) => {
            print!("{}", report.table());
            ExitCode::from(u8::from(report.errors() > 0))
        }
        Err(error) => {
            eprintln!("salus-bench: {error}");
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stderr)]
fn measured(cli: &Cli) -> Result<Report, Error> {
    let served = match &cli.serve {
        Some(binary) => Some(Served::start(
            binary,
            cli.data.as_deref(),
            cli.server_log.as_deref(),
        )?),
        None => None,
    };
    let run = Rc::new(prepare(cli, served.as_ref())?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, workloads(cli, &run));
    let report = Report::new(&run);
    if let Some(served) = served {
        let start = served.start.as_millis();
        let stop = served.stop()?.as_millis();
        eprintln!("server: ready after {start} ms, stopped after {stop} ms");
    }
    if let Some(path) = &cli.json {
        serde_json::to_writer_pretty(std::fs::File::create(path)?, &report)?;
    }
    outcome.inspect_err(|_| eprint!("{}", report.table()))?;
    Ok(report)
}

/// The order matters: searches need to know all that is there, so they come before everything that writes more.
async fn workloads(cli: &Cli, run: &Rc<Run>) -> Result<(), Error> {
    use workload::{crud, everything, import, load, mixed, search, small};
    let asked = |workload| cli.workload.includes(workload);
    if asked(Workload::Search) || asked(Workload::Mixed) {
        let alone = load::server_is_empty(run).await;
        let population = load::run(run, cli.load as usize).await?;
        if asked(Workload::Search) {
            search::run(run, &population, alone).await;
        }
        if asked(Workload::Mixed) {
            mixed::run(run, &population).await;
        }
    }
    if asked(Workload::Small) {
        small::run(run).await;
    }
    if asked(Workload::Crud) {
        crud::run(run).await;
    }
    match &cli.bundles {
        Some(folder) => {
            if asked(Workload::Everything) {
                everything::run(run, folder).await?;
            }
            if asked(Workload::Import) {
                import::run(run, folder).await?;
            }
            Ok(())
        }
        None if [Workload::Everything, Workload::Import].contains(&cli.workload) => {
            Err(Error::Bundles {
                path: "--bundles".into(),
                reason: "this workload needs a folder of bundles".to_owned(),
            })
        }
        None => Ok(()),
    }
}

fn prepare(cli: &Cli, served: Option<&Served>) -> Result<Run, Error> {
    let unbounded = cli.seconds.is_none() && cli.operations.is_none();
    // Nothing we write may meet what an earlier run wrote.
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Run {
        target: Rc::new(target(cli, served)?),
        clients: usize::from(cli.clients),
        limits: Limits {
            seconds: if unbounded { Some(30.0) } else { cli.seconds },
            operations: cli.operations,
            warmup: cli.warmup,
        },
        seed: cli.seed,
        shapes: cli.shapes.clone(),
        serial: since.as_millis() as u64 & 0xffff_ffff,
        ignore: cli.ignore.clone(),
        gone: cli.gone.clone(),
        if_match: !cli.no_if_match,
        meter: Meter {
            pid: served.map(Served::pid).or(cli.pid),
            data: served
                .map(|served| served.data.clone())
                .or(cli.data.clone()),
        },
        settle: Duration::from_secs_f64(cli.settle),
        phases: RefCell::default(),
    })
}

fn target(cli: &Cli, served: Option<&Served>) -> Result<Target, Error> {
    let timeout = Duration::from_secs_f64(cli.timeout);
    if let Some(served) = served {
        let ready = &served.ready;
        let target = Target::new(&ready.fhir, timeout, false)?.with_token(&ready.admin_token)?;
        return Ok(target.with_credentials(Credentials {
            id: ready.client_id.clone(),
            secret: ready.client_secret.clone(),
            path: "/auth/token".to_owned(),
        }));
    }
    let mut target = Target::new(
        cli.base.as_deref().unwrap_or_default(),
        timeout,
        cli.allow_remote,
    )?;
    if let Some(token) = &cli.token {
        target = target.with_token(token)?;
    }
    match (&cli.client_id, &cli.client_secret, &cli.token_url) {
        (Some(id), Some(secret), Some(url)) => Ok(target.with_credentials(Credentials {
            id: id.clone(),
            secret: secret.clone(),
            path: Target::new(url, timeout, cli.allow_remote)?.into_path(),
        })),
        _ => Ok(target),
    }
}
