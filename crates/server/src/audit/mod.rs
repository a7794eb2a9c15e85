//! `salus audit`: what the audit has of a patient, by questions to the server over the
//! data folder's own socket. Without a server it opens the folder itself.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

mod chart;
mod disclosures;
mod table;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::cli::Place;
use crate::control::Client;
use crate::open::{self, Server};

type Failure = Box<dyn std::error::Error>;

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus audit patient 01J9…                           who saw this chart: when, who, through what, what for
  salus audit patient 01J9… --from 2026-01-01 --json  one AuditEvent a line
  salus audit disclosures 01J9…                       the accounting of disclosures of six years (45 CFR 164.528)
  salus audit disclosures 01J9… --from 2026-01-01 --to 2026-06-30

A running server on the same data folder is asked if there is one; without one,
this command opens the folder itself. Each question is in the audit. Exit status 1
says that there was no answer.";

#[derive(Args)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,

    #[command(flatten)]
    pub(crate) place: Place,

    /// The project
    #[arg(long, default_value = "default", global = true)]
    pub(crate) project: String,

    /// Print JSON: for `patient` one AuditEvent a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Show who saw or changed a patient's records
    Patient(Span),
    /// Account for the disclosures of a patient's records
    Disclosures(Span),
}

/// A patient and days.
#[derive(Args)]
pub(crate) struct Span {
    /// The id of the patient
    pub(crate) patient: String,

    /// The first day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: Option<jiff::civil::Date>,

    /// The last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) to: Option<jiff::civil::Date>,
}

/// Asks, and prints the answer.
pub(crate) fn run(arguments: &AuditArguments) -> Result<(), Failure> {
    let (config, runtime) = open::existing(&arguments.place)?;
    runtime.block_on(async {
        let server = match Client::connect(&config.data).await {
            Ok(_) => None,
            Err(_) => Some(Server::start(&config, None).await?),
        };
        let mut asking = Asking {
            client: Client::connect(&config.data).await?,
            root: format!("/p/{}", arguments.project),
        };
        let done = match &arguments.command {
            AuditCommand::Patient(span) => chart::print(&mut asking, span, arguments.json).await,
            AuditCommand::Disclosures(span) => {
                disclosures::print(&mut asking, span, arguments.json).await
            }
        };
        if let Some(server) = server {
            server.stop().await?;
        }
        done
    })
}

/// A connection to a project.
struct Asking {
    client: Client,
    root: String,
}

impl Asking {
    async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        let path = format!("{}{path}", self.root);
        let sent = self.client.send(Method::GET, &path, None, Bytes::new());
        let (status, body) = sent.await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::FORBIDDEN => Err("there is no such project".into()),
            status => {
                let why = body["issue"][0]["details"]["text"].as_str();
                let why = why.unwrap_or("the server gave no reason");
                Err(format!("the server answered {status}: {why}").into())
            }
        }
    }
}

/// That an id can stand in a path.
fn check_id(id: &str) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    match !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
        true => Ok(()),
        false => Err("that is no id of a patient".into()),
    }
}
