//! `salus retention`, `salus hold` and `salus shred`: how long records are kept, what holds
//! them, and how they end, by requests over the data folder's own socket. Without a server
//! they open the folder themselves.

pub(crate) mod hold;
pub(crate) mod retention;
pub(crate) mod shred;

use clap::Args;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::cli::Place;
use crate::control::Client;
use crate::open::{self, Server};

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

/// A connection to the folder's server.
struct Asking {
    client: Client,
    root: String,
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
        let mut asking = Asking {
            client: Client::connect(&config.data).await?,
            root: format!("/p/{}", asked.project),
        };
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

impl Asking {
    async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None).await
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let path = format!("{}{path}", self.root);
        let (status, body) = self.client.send(method, &path, None, body.into()).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let issues = told["issue"].as_array().into_iter().flatten();
        let details = issues.filter_map(|issue| issue["details"]["text"].as_str());
        let details: Vec<&str> = details.collect();
        Err(match (status, details.is_empty()) {
            (StatusCode::NOT_FOUND, true) => "there is no such project".into(),
            (status, true) => format!("the server answered {status}").into(),
            (_, false) => details.join("; ").into(),
        })
    }
}

/// Rows as lines, their cells under each other.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_each_other() {
        let rows = [row(&["a", "bb", "c"]), row(&["aaa", "b"])];
        assert_eq!(table(&rows), "a    bb  c\naaa  b\n");
        assert_eq!(table(&[]), "");
    }
}
