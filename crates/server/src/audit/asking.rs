//! Questions about a patient, to the server over the data folder's own socket; without one, the
//! folder is opened for them.

use std::path::Path;

use serde_json::Value;

use super::{AboutArguments, Failure, chart, disclosures};
use crate::control::Asking;
use crate::open::{self, Server};

/// What is asked.
pub(super) enum Question {
    /// Who saw or changed the records.
    Chart,
    /// The accounting of disclosures.
    Disclosures,
}

/// Asks, and prints the answer.
pub(super) fn run(arguments: &AboutArguments, question: &Question) -> Result<(), Failure> {
    let (mut config, runtime) = open::existing(&arguments.place)?;
    if let Some(archive) = &arguments.audit_archive {
        config.audit.archive = Some(archive.clone());
    }
    runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let mut asking = Asking::of_project(&config.data, &arguments.project).await?;
        let done = match question {
            Question::Chart => {
                let archived = archived(&config.data, arguments).await?;
                chart::print(&mut asking, arguments, archived).await
            }
            Question::Disclosures => disclosures::print(&mut asking, arguments).await,
        };
        if let Some(server) = server {
            server.stop().await?;
        }
        done
    })
}

/// AuditEvents about a patient that are in the audit archive alone, if they are wanted.
async fn archived(data: &Path, arguments: &AboutArguments) -> Result<Vec<Value>, Failure> {
    if !arguments.archive {
        return Ok(Vec::new());
    }
    let mut path = format!(
        "/patient?project={}&patient={}",
        arguments.project, arguments.patient
    );
    for (name, day) in [("from", arguments.from), ("to", arguments.to)] {
        if let Some(day) = day {
            path.push_str(&format!("&{name}={day}"));
        }
    }
    let mut asking = Asking::below(data, "/operator/audit-archive".to_owned()).await?;
    let events = asking.get(&path).await?;
    Ok(events.as_array().cloned().unwrap_or_default())
}

/// That an id can stand in a path.
pub(super) fn check_id(id: &str) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    match !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
        true => Ok(()),
        false => Err("that is no id of a patient".into()),
    }
}
