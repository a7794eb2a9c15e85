//! `salus audit archive`: what of the log is archived, whether it can be read back and proved,
//! and spans of it for auditors.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::Failure;
use crate::cli::Place;
use crate::control::{self, Client};
use crate::open::{self, Server};
use crate::table::lined_up;

pub(super) const EXAMPLES: &str = "\
Examples:
  salus audit archive run --dry-run                    what would be archived, and what would leave the store
  salus audit archive run                              now, not within a day
  salus audit archive list                             the segments, and how much of each is in the store still
  salus audit archive verify --json                    reads every segment back and proves it
  salus audit archive verify --segment copy.bin        one segment, wherever it was kept
  salus audit archive export --from 0 --to 100000 --out old.ndjson
  salus audit verify old.ndjson --key-file key.txt --part --checkpoint /mnt/worm/salus

The archive is that of --audit-archive, SALUS_AUDIT_ARCHIVE or salus.toml. Exit status 1 says that
something is wrong with it.";

#[derive(Args)]
pub(crate) struct ArchiveArguments {
    #[command(flatten)]
    place: Place,

    #[command(subcommand)]
    command: ArchiveCommand,

    /// Where segments are, if no server runs on the folder: a folder, or s3://BUCKET/PREFIX?region=..
    #[arg(
        long,
        env = "SALUS_AUDIT_ARCHIVE",
        value_name = "ARCHIVE",
        global = true
    )]
    audit_archive: Option<String>,

    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum ArchiveCommand {
    /// Archive what is old enough, and remove from the store what may go
    Run {
        /// Only show what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// List the segments
    List,
    /// Read every segment back, and prove it against checkpoints, its neighbours and the store
    Verify {
        /// Only this segment, which is a file somewhere
        #[arg(long, value_name = "FILE")]
        segment: Option<PathBuf>,
    },
    /// Write archived entries into a file, for salus audit verify --part
    #[command(visible_alias = "retrieve")]
    Export {
        /// The place in the log from which on; the whole segment that has it is written
        #[arg(long, value_name = "N", default_value_t = 0)]
        from: u64,

        /// The place up to which; the whole segment before it is written [default: the end]
        #[arg(long, value_name = "N")]
        to: Option<u64>,

        /// A project whose entries are shown; several may be given [default: all]
        #[arg(long = "project", value_name = "SLUG")]
        projects: Vec<String>,

        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub(super) fn run(arguments: &ArchiveArguments) -> Result<(), Failure> {
    let (mut config, runtime) = open::existing(&arguments.place)?;
    if let Some(archive) = &arguments.audit_archive {
        config.audit.archive = Some(archive.clone());
    }
    let answer = runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let client = Client::connect(&config.data).await?;
        let answer = ask(client, &arguments.command).await;
        if let Some(server) = server {
            server.stop().await?;
        }
        answer
    })?;
    match arguments.json {
        true => println!("{answer}"),
        false => print!("{}", text(&arguments.command, &answer)),
    }
    match answer["faults"].as_array().map_or(0, Vec::len) {
        0 => Ok(()),
        1 => Err("the audit archive does not hold: 1 fault".into()),
        n => Err(format!("the audit archive does not hold: {n} faults").into()),
    }
}

async fn ask(mut client: Client, command: &ArchiveCommand) -> Result<Value, Failure> {
    let mut content = Bytes::new();
    let (method, path) = match command {
        ArchiveCommand::Run { dry_run: true } => (Method::POST, "/run?dry-run"),
        ArchiveCommand::Run { dry_run: false } => (Method::POST, "/run"),
        ArchiveCommand::List => (Method::GET, ""),
        ArchiveCommand::Verify { segment: None } => (Method::POST, "/verify"),
        ArchiveCommand::Verify {
            segment: Some(file),
        } => (Method::POST, verify_of(file, &mut content)?),
        ArchiveCommand::Export {
            from,
            to,
            projects,
            out,
        } => {
            let mut path = format!("/operator/audit-archive/export?from={from}");
            if let Some(to) = to {
                path.push_str(&format!("&to={to}"));
            }
            for slug in projects {
                path.push_str(&format!("&project={slug}"));
            }
            return export(client, &path, out).await;
        }
    };
    let path = format!("/operator/audit-archive{path}");
    told(client.send(method, &path, None, content).await?)
}

/// The path for a segment that goes with the question.
fn verify_of(file: &Path, content: &mut Bytes) -> Result<&'static str, Failure> {
    let named = |error: std::io::Error| format!("{}: {error}", file.display());
    *content = std::fs::read(file).map_err(named)?.into();
    Ok("/verify-segment")
}

/// The answer, or why there is none.
fn told(answer: (StatusCode, Bytes)) -> Result<Value, Failure> {
    let body = control::answered("the server", answer)?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

async fn export(mut client: Client, path: &str, out: &Path) -> Result<Value, Failure> {
    let (status, mut body) = client.stream(path).await?;
    if status != StatusCode::OK {
        return told((status, body.collect().await?.to_bytes()));
    }
    let part = out.with_added_extension("part");
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    let mut file = std::io::BufWriter::new(options.open(&part)?);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            file.write_all(&piece)?;
            bytes += piece.len();
        }
    }
    let file = file.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    std::fs::rename(&part, out)?;
    Ok(json!({"file": out.display().to_string(), "bytes": bytes}))
}

fn text(command: &ArchiveCommand, answer: &Value) -> String {
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    let mut text = match command {
        ArchiveCommand::Run { .. } => {
            let would = |did: &str, would: &str| match answer["dryRun"].as_bool() {
                Some(true) => would.to_owned(),
                _ => did.to_owned(),
            };
            format!(
                "{}{} {} entries of archived segments; {} are held and {} are kept longer\n",
                segments(&answer["segments"]),
                would("removed", "would remove"),
                number("removed"),
                number("held"),
                number("kept"),
            )
        }
        ArchiveCommand::List => segments(&answer["segments"]),
        ArchiveCommand::Verify { .. } => format!(
            "{} segments, {} entries, {} as hashes alone, {} checkpoints\n",
            number("segments"),
            number("entries"),
            number("hidden"),
            number("checkpoints"),
        ),
        ArchiveCommand::Export { out, .. } => {
            format!("{} bytes are in {}\n", number("bytes"), out.display())
        }
    };
    for fault in answer["faults"].as_array().into_iter().flatten() {
        text.push_str(&format!("wrong  {}\n", fault.as_str().unwrap_or_default()));
    }
    text
}

fn segments(all: &Value) -> String {
    let rows = all.as_array().into_iter().flatten().map(|segment| {
        let cell = |name: &str| {
            let text = segment[name].as_str().map(str::to_owned);
            text.unwrap_or_else(|| segment[name].to_string())
        };
        let cells = [
            "from", "to", "earliest", "latest", "bytes", "inStore", "held", "name",
        ];
        cells.map(cell).to_vec()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    match rows.is_empty() {
        true => "no segments\n".to_owned(),
        false => lined_up(
            &[
                "FROM", "TO", "EARLIEST", "LATEST", "BYTES", "IN STORE", "HELD", "NAME",
            ],
            &rows,
        ),
    }
}
