//! Questions about a patient, to the server over the data folder's own socket; without one, the
//! folder is opened for them.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;

use super::{AboutArguments, Failure, archive, chart, disclosures};
use crate::control::Client;
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
        let mut asking = Asking {
            project: arguments.project.clone(),
            client: Client::connect(&config.data).await?,
            root: format!("/p/{}", arguments.project),
        };
        let done = match question {
            Question::Chart => chart::print(&mut asking, arguments).await,
            Question::Disclosures => disclosures::print(&mut asking, arguments).await,
        };
        if let Some(server) = server {
            server.stop().await?;
        }
        done
    })
}

/// A connection to a project.
pub(super) struct Asking {
    project: String,
    client: Client,
    root: String,
}

impl Asking {
    /// AuditEvents about a patient that are in the audit archive alone.
    pub(super) async fn archived(
        &mut self,
        arguments: &AboutArguments,
    ) -> Result<Vec<Value>, Failure> {
        let mut path = format!(
            "/operator/audit-archive/patient?project={}&patient={}",
            self.project, arguments.patient
        );
        for (name, day) in [("from", arguments.from), ("to", arguments.to)] {
            if let Some(day) = day {
                path.push_str(&format!("&{name}={day}"));
            }
        }
        let sent = self.client.send(Method::GET, &path, None, Bytes::new());
        let (status, body) = sent.await?;
        let events = archive::told(status, &body)?;
        Ok(events.as_array().cloned().unwrap_or_default())
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
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
pub(super) fn check_id(id: &str) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    match !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
        true => Ok(()),
        false => Err("that is no id of a patient".into()),
    }
}
