//! Questions about a patient, to the server over the data folder's own socket; without one, the
//! folder is opened for them.

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
    let (config, runtime) = open::existing(&arguments.place)?;
    runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let mut asking = Asking::of_project(&config.data, &arguments.project).await?;
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

/// That an id can stand in a path.
pub(super) fn check_id(id: &str) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    match !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
        true => Ok(()),
        false => Err("that is no id of a patient".into()),
    }
}
