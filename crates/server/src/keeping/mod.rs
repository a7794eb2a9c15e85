//! `salus retention`, `salus hold`, `salus cold` and `salus shred`: how long records are kept and
//! where, what holds them, and how they end, by requests over the data folder's own socket. Without a server
//! they open the folder themselves.

pub(crate) mod cold;
pub(crate) mod hold;
pub(crate) mod retention;
pub(crate) mod shred;

use clap::Args;
use serde_json::Value;

use crate::cli::Place;
use crate::control::Asking;
use crate::open::{self, Server};
use crate::table::table;

type Failure = Box<dyn std::error::Error>;

/// In JSON, and as text for people.
type Answer = (Value, String);

/// Where it is asked, and how it is told.
#[derive(Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    place: Place,

    /// The project
    #[arg(long, default_value = "default", global = true)]
    project: String,

    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Asks the server on the folder, or one that is started for it, and prints the answer.
#[allow(clippy::print_stdout, reason = "the answers go to standard output")]
fn ask(
    asked: &Asked,
    question: impl AsyncFnOnce(&mut Asking) -> Result<Answer, Failure>,
) -> Result<(), Failure> {
    let (config, runtime) = open::existing(&asked.place)?;
    runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let mut asking = Asking::of_project(&config.data, &asked.project).await?;
        let answer = question(&mut asking).await;
        if let Some(server) = server {
            server.stop().await?;
        }
        let (json, text) = answer?;
        match asked.json {
            true => println!("{json}"),
            false => print!("{text}"),
        }
        Ok(())
    })
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// `3 Observation, 1 Encounter`
fn by_type(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let counts: Vec<String> = counts.map(|(ty, count)| format!("{count} {ty}")).collect();
    match counts.is_empty() {
        true => "nothing".to_owned(),
        false => counts.join(", "),
    }
}

/// A member as text.
fn word(value: &Value, member: &str) -> String {
    let value = &value[member];
    match (value.as_str(), value.is_null()) {
        (Some(text), _) => text.to_owned(),
        (None, true) => String::new(),
        (None, false) => value.to_string(),
    }
}
