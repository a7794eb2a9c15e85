//! `salus audit`: the audit as evidence. `patient` and `disclosures`, `key` and `export` ask the
//! server on the folder by its own socket, or open the folder themselves; `verify` needs nothing
//! but an export and a key.

mod archive;
mod asking;
mod chart;
mod disclosures;
mod export;
mod operator;
pub(crate) mod shelf;
mod verify;

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, StatusCode};

use self::archive::ArchiveArguments;
use self::asking::Question;
pub(crate) use self::operator::router;
use crate::cli::Place;
use crate::control::Client;
use crate::open::{self, Server};

pub(crate) type Failure = Box<dyn std::error::Error>;

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus audit patient 01J9…                                who saw this chart: when, who, through what, what for
  salus audit patient 01J9… --from 2026-01-01 --json       one AuditEvent a line
  salus audit patient 01J9… --archive                      with what is in the audit archive
  salus audit disclosures 01J9…                            the accounting of disclosures of six years (45 CFR 164.528)
  salus audit archive list                                 what is archived; see salus audit archive --help
  salus audit key                                          what checkpoints are checked with; give it to auditors
  salus audit export --out audit.ndjson                    the whole log, with all checkpoints kept
  salus audit export --out trial.ndjson --project trial    entries of one project, of others hashes alone
  salus audit verify audit.ndjson --key salus.audit/…      offline, anywhere
  salus audit verify audit.ndjson --key-file key.txt --checkpoint /mnt/worm/checkpoints --json

Exit status 1 says that something is wrong with the log, or that it could not be read.";

#[derive(Args)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Show who saw or changed a patient's records
    Patient(AboutArguments),
    /// Account for the disclosures of a patient's records
    Disclosures(AboutArguments),
    /// Print the key that checkpoints of the log are checked with
    Key {
        #[command(flatten)]
        place: Place,

        /// Print it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the log into a file, for verify
    Export(ExportArguments),
    /// What of the log is archived when its years are over
    #[command(after_help = archive::EXAMPLES)]
    Archive(ArchiveArguments),
    /// Check an export: whether anything in it was changed, and what
    Verify(VerifyArguments),
}

/// A patient and days.
#[derive(Args)]
pub(crate) struct AboutArguments {
    #[command(flatten)]
    place: Place,

    /// The id of the patient
    patient: String,

    /// The project
    #[arg(long, default_value = "default", value_name = "SLUG")]
    project: String,

    /// The first day
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<jiff::civil::Date>,

    /// The last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<jiff::civil::Date>,

    /// For `patient`: read the audit archive, too
    #[arg(long)]
    archive: bool,

    /// Where the audit archive is, if no server runs on the folder
    #[arg(long, env = "SALUS_AUDIT_ARCHIVE", value_name = "ARCHIVE")]
    audit_archive: Option<String>,

    /// Print JSON: for `patient` one AuditEvent a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    place: Place,

    /// The file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// A project whose entries are shown; several may be given [default: all]
    #[arg(long = "project", value_name = "SLUG")]
    projects: Vec<String>,

    /// Leave out the first N entries, which an earlier export has
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,

    /// Print a summary as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// The export
    file: PathBuf,

    /// The key of the log, as salus audit key prints it; several may be given
    #[arg(
        long = "key",
        value_name = "KEY",
        required_unless_present = "key_files"
    )]
    keys: Vec<String>,

    /// A file with keys of the log, one a line; several may be given
    #[arg(long = "key-file", value_name = "FILE", id = "key_files")]
    key_files: Vec<PathBuf>,

    /// Checkpoints that were kept elsewhere: a file, a folder of them, or s3://BUCKET/PREFIX?region=..; several may be given
    #[arg(long = "checkpoint", value_name = "PLACE")]
    checkpoints: Vec<PathBuf>,

    /// The export is of archived segments: leave out checkpoints that cover more of the log
    #[arg(long)]
    part: bool,

    /// The key of a witness that has to have cosigned the newest checkpoint; several may be given
    #[arg(long = "witness", value_name = "KEY")]
    witnesses: Vec<String>,

    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Does what is asked.
pub(crate) fn run(arguments: &AuditArguments) -> Result<(), Failure> {
    match &arguments.command {
        AuditCommand::Patient(arguments) => asking::run(arguments, &Question::Chart),
        AuditCommand::Disclosures(arguments) => asking::run(arguments, &Question::Disclosures),
        AuditCommand::Key { place, json } => key(place, *json),
        AuditCommand::Archive(arguments) => archive::run(arguments),
        AuditCommand::Export(arguments) => export::run(arguments),
        AuditCommand::Verify(arguments) => verify::run(arguments),
    }
}

#[expect(clippy::print_stdout, reason = "the key goes to standard output")]
fn key(place: &Place, json: bool) -> Result<(), Failure> {
    let (config, runtime) = open::existing(place)?;
    let key = runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let mut client = Client::connect(&config.data).await?;
        let asked = client
            .send(Method::GET, "/audit/key", None, Bytes::new())
            .await;
        if let Some(server) = server {
            server.stop().await?;
        }
        let (status, body) = asked?;
        match status {
            StatusCode::OK => Ok::<_, Failure>(String::from_utf8_lossy(&body).trim().to_owned()),
            status => Err(format!("the server answered {status}").into()),
        }
    })?;
    match json {
        true => println!("{}", serde_json::json!({"key": key})),
        false => println!("{key}"),
    }
    Ok(())
}
