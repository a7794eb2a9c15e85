//! `salus backup`: what the archives of a folder hold, whether all of it can be read back, and
//! what of it nobody needs any more.
//!
//! A running server on the folder is asked over its socket; without one the folder is opened here.
#![allow(clippy::print_stdout, reason = "the report goes to standard output")]

mod archives;
mod bases;
mod credentials;
mod http;
mod operator;
mod report;
mod schedule;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::{Method, StatusCode};
use bytes::Bytes;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::cli::Place;
use crate::control::{self, Client};
use crate::open;

pub(crate) use archives::{Archives, Error, destination, open_one};
pub(crate) use credentials::Credentials;
pub(crate) use operator::router;
pub(crate) use schedule::Schedule;

type Failure = Box<dyn std::error::Error>;

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus backup status                                  what the archives hold, and how far behind they are
  salus backup verify                                  read everything back; exit status 1 says that something is wrong
  salus backup verify --archive /backup/salus --json
  salus backup prune --dry-run                         what no instant of the window needs any more
  salus backup merge                                   make small segments large now, not in an hour
  salus backup base                                    take a base now: the log anew, without what was purged

Archives are those of --archive, SALUS_ARCHIVE or salus.toml. A running server on the same
data folder is asked about its own; without one, this command opens the folder itself.";

/// How often the progress is asked for.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Args)]
pub(crate) struct BackupArguments {
    #[command(flatten)]
    place: Place,

    #[command(subcommand)]
    command: BackupCommand,

    /// An archive: a folder, or s3://BUCKET/PREFIX?region=..; several with commas between them
    #[arg(
        long,
        env = "SALUS_ARCHIVE",
        value_name = "ARCHIVES",
        value_delimiter = ',',
        global = true
    )]
    archive: Option<Vec<String>>,

    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Show what the archives hold
    Status,
    /// Read everything back and name what is not what was written
    Verify,
    /// Remove what no instant of the window needs
    Prune {
        /// Only show what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Merge small segments into large ones
    Merge,
    /// Take a base: the log anew, without what was purged since it was shipped
    Base,
}

impl BackupCommand {
    /// How a server is asked for it.
    fn request(&self) -> (Method, &'static str) {
        match self {
            Self::Status => (Method::GET, "/operator/backup"),
            Self::Verify => (Method::POST, "/operator/backup/verify"),
            Self::Prune { dry_run: true } => (Method::POST, "/operator/backup/prune?dry-run"),
            Self::Prune { dry_run: false } => (Method::POST, "/operator/backup/prune"),
            Self::Merge => (Method::POST, "/operator/backup/merge"),
            Self::Base => (Method::POST, "/operator/backup/base"),
        }
    }
}

/// Runs the command; an error when something is wrong with an archive.
pub(crate) fn run(arguments: &BackupArguments) -> Result<(), Failure> {
    let (mut config, runtime) = open::existing(&arguments.place)?;
    if let Some(to) = &arguments.archive {
        config.archive.to.clone_from(to);
    }
    let answer = runtime.block_on(async {
        match Client::connect(&config.data).await {
            Ok(client) => ask(client, &config.data, &arguments.command).await,
            Err(_) => here(&config, &arguments.command).await,
        }
    })?;
    match arguments.json {
        true => println!("{answer}"),
        false => print!("{}", report::text(&answer)),
    }
    report::judge(&answer)
}

async fn ask(mut client: Client, data: &Path, command: &BackupCommand) -> Result<Value, Failure> {
    let (method, path) = command.request();
    let looking = tokio::spawn(look(data.to_owned()));
    let answer = client.send(method, path, None, Bytes::new()).await;
    looking.abort();
    let answer = answer?;
    if answer.0 == StatusCode::NOT_FOUND {
        return Err(
            "the server on this folder ships to no archive: start it with --archive".into(),
        );
    }
    let body = control::answered("the server", answer)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Shows how far the server is with what it was asked for.
async fn look(data: PathBuf) {
    let Ok(mut client) = Client::connect(&data).await else {
        return;
    };
    let bar = ProgressBar::new(0);
    loop {
        tokio::time::sleep(LOOK).await;
        let sent = client.send(Method::GET, "/operator/backup/progress", None, Bytes::new());
        let Ok((StatusCode::OK, body)) = sent.await else {
            return;
        };
        let progress: Value = serde_json::from_slice(&body).unwrap_or_default();
        bar.set_length(progress["all"].as_u64().unwrap_or(0));
        bar.set_position(progress["done"].as_u64().unwrap_or(0));
    }
}

/// Opens the folder and does it here.
async fn here(config: &crate::config::Config, command: &BackupCommand) -> Result<Value, Failure> {
    let (keyring, engine) = open::store(config).await?;
    let opened = Archives::open(config, &keyring, &engine)?;
    let archives = opened.ok_or("no archive is given: --archive DIR or s3://BUCKET/PREFIX")?;
    let bar = ProgressBar::new(0);
    let looking = tokio::spawn({
        let (progress, bar) = (archives.progress(), bar.clone());
        async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let (done, all) = progress.get();
                bar.set_length(all);
                bar.set_position(done);
            }
        }
    });
    let answer = match command {
        BackupCommand::Status => archives.status().await,
        BackupCommand::Verify => archives.verify().await,
        BackupCommand::Prune { dry_run } => archives.prune(*dry_run).await,
        BackupCommand::Merge => archives.merge().await,
        BackupCommand::Base => {
            // What is committed and not shipped is shipped first.
            archives.start();
            let taken = archives.base().await;
            archives.stop().await;
            taken
        }
    };
    looking.abort();
    bar.finish_and_clear();
    salus_store::Store::close(&*engine).await?;
    Ok(answer?)
}
