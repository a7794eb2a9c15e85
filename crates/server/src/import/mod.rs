//! `salus import`: files into a project, through a server.
//!
//! A running server on the data folder is used; without one, a server that
//! listens on nothing but the folder's own socket is started here. Pieces are
//! sent a few at a time under names of their own, so that one which was
//! carried out before a stop is not carried out again.
#![allow(clippy::print_stdout, reason = "the summary goes to standard output")]

mod piece;
mod report;
mod send;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::{Mutex, mpsc};

use crate::cli::ImportArguments;
use crate::config::Config;
use crate::control::Client;
use crate::open::{self, Server};
use piece::{Piece, Source};
use report::Report;
use send::Sent;
use state::State;

/// Pieces under way at once: enough that one is prepared while others commit.
const PIECES_AT_ONCE: usize = 4;

/// Runs the import; an error when something could not be loaded.
pub(crate) fn run(arguments: &ImportArguments) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::offline(&arguments.place)?;
    open::runtime()?.block_on(import(arguments, config))
}

async fn import(
    arguments: &ImportArguments,
    config: Config,
) -> Result<(), Box<dyn std::error::Error>> {
    let source = Source::find(&arguments.path)?;
    let own = Server::of_folder(&config).await?;
    let state = State::load(&config.data, &arguments.project, &source)?;
    let report = load(arguments, &config, &source, state).await;
    if let Some(server) = own {
        server.stop().await?;
    }
    let report = report?;
    if arguments.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    match report.faults.len() {
        0 => Ok(()),
        1 => Err("1 part could not be loaded; it is named above".into()),
        n => Err(format!("{n} parts could not be loaded; they are named above").into()),
    }
}

/// Sends every piece and follows the answers.
async fn load(
    arguments: &ImportArguments,
    config: &Config,
    source: &Source,
    mut state: State,
) -> Result<Report, Box<dyn std::error::Error>> {
    let started = Instant::now();
    let bar = progress(source.bytes(), arguments.json);
    bar.set_position(source.bytes_before(state.next()));
    let (to_send, pieces) = mpsc::channel::<Piece>(PIECES_AT_ONCE);
    let (to_collect, mut sent) = mpsc::channel(PIECES_AT_ONCE);
    let reader = {
        let (source, from) = (source.clone(), state.next());
        std::thread::spawn(move || source.read(from, &to_send))
    };
    let pieces = Arc::new(Mutex::new(pieces));
    for _ in 0..PIECES_AT_ONCE {
        let client = Client::connect(&config.data).await?;
        let path = send::path(&arguments.project);
        let worker = send::worker(client, path, state.run().to_owned(), Arc::clone(&pieces));
        tokio::spawn(worker.run(to_collect.clone()));
    }
    drop(to_collect);
    let mut report = Report::new(source.files());
    let mut finished: BTreeMap<usize, Sent> = BTreeMap::new();
    let mut next_number = 0;
    while let Some(result) = sent.recv().await {
        let one = result?;
        finished.insert(one.number, one);
        // Only what is done without a gap is remembered.
        while let Some(one) = finished.remove(&next_number) {
            next_number += 1;
            bar.set_position(source.bytes_before(one.next));
            state.advance(one.next)?;
            report.add(one);
            bar.set_message(report.rate(started.elapsed()));
        }
    }
    bar.finish_and_clear();
    let _ = reader.join();
    report.seconds = started.elapsed().as_secs_f64();
    state.finish()?;
    Ok(report)
}

fn progress(bytes: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let style = "{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

/// A place in the files: which, and how far into it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub(super) struct Place {
    file: usize,
    offset: u64,
    /// Lines before it, in files of lines.
    lines: usize,
}

/// A file or folder that cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("{0} holds no .json or .ndjson file")]
    Empty(PathBuf),
}
