//! `salus keys`: how old the keys are, their rotation, and whether each can be unwrapped, by
//! requests to the server over the data folder's own socket. Without a server it opens the folder
//! itself.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::cli::Place;
use crate::control::Asking;
use crate::open::{self, Server};

type Failure = Box<dyn std::error::Error>;

/// How often it asks while it waits.
const LOOK: Duration = Duration::from_millis(100);

/// After how many days a key is due that nobody set another age for.
const DUE_DAYS: i64 = 365;

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus keys status                                 ages of root, project and patient keys; what is due
  salus keys check                                  unwraps every key; exit status 1 if one does not
  salus keys rotate project default --wait          a new key for what is new; patients' keys wrapped by it
  salus keys rotate patient default 1f3c            a new key for what is new of one patient
  salus keys rotate root                            a new root key where the present one is kept
  salus keys rotate root --to passphrase:terminal   the same, kept by somebody else from now on
  salus keys rotate all --wait --json

A running server on the same data folder is asked if there is one; without one,
this command opens the folder itself. Records stay as they are and readable
meanwhile; a rotation that was stopped goes on at the next start. When the root
key moves, --root-key (SALUS_ROOT_KEY) has to name its new place from then on.";

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    place: Place,

    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Show which keys there are, how old they are, and whether who keeps the root key answers
    Status,
    /// Unwrap every key
    Check,
    /// Give keys successors
    Rotate {
        #[command(subcommand)]
        what: Rotate,
    },
}

#[derive(Subcommand)]
enum Rotate {
    /// A new root key: it wraps the purpose key and the keys of projects
    Root {
        /// Who keeps it from now on, as --root-key names it [default: who does now]
        #[arg(long, value_name = "SOURCE")]
        to: Option<String>,
    },
    /// A new key of a project
    Project {
        /// Its name in URLs
        slug: String,

        /// Wait until the keys of its patients are wrapped by it
        #[arg(long)]
        wait: bool,
    },
    /// A new key of a patient
    Patient {
        /// The project's name in URLs
        slug: String,
        /// The patient's id
        id: String,
    },
    /// New keys of the root, all projects and all patients
    All {
        /// Wait until all have them
        #[arg(long)]
        wait: bool,
    },
}

/// Asks, and prints the answer.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (config, runtime) = open::existing(&arguments.place)?;
    runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let root = "/admin/keyring".to_owned();
        let mut asking = Asking::below(&config.data, root).await?;
        let answered = answer(&mut asking, &arguments.command).await;
        if let Some(server) = server {
            server.stop().await?;
        }
        let (answer, text) = answered?;
        match arguments.json {
            true => println!("{answer}"),
            false => print!("{text}"),
        }
        match answer["bad"].as_u64() {
            Some(bad @ 1..) => Err(format!("{bad} keys cannot be unwrapped").into()),
            Some(0) | None => Ok(()),
        }
    })
}

/// In JSON, and as text for people.
type Answer = (Value, String);

async fn answer(asking: &mut Asking, command: &Command) -> Result<Answer, Failure> {
    let what = match command {
        Command::Status => {
            let keys = asking.get("").await?;
            let now = open::Machine.now();
            let text = status(&keys, now);
            return Ok((keys, text));
        }
        Command::Check => {
            let checked = asking.post("/check", &json!({})).await?;
            let text = checked_text(&checked);
            return Ok((checked, text));
        }
        Command::Rotate { what } => what,
    };
    let (body, waits) = match what {
        Rotate::Root { to: Some(to) } => (json!({"what": "root", "to": to}), true),
        Rotate::Root { to: None } => (json!({"what": "root"}), true),
        Rotate::Project { slug, wait } => (json!({"what": "project", "project": slug}), *wait),
        Rotate::Patient { slug, id } => {
            let body = json!({"what": "patient", "project": slug, "patient": id});
            (body, false)
        }
        Rotate::All { wait } => (json!({"what": "all"}), *wait),
    };
    let mut keys = asking.post("/rotate", &body).await?;
    if waits {
        keys = wait(asking, keys).await?;
    }
    let text = rotated(what, &keys);
    Ok((keys, text))
}

/// Waits until no rotation is under way.
async fn wait(asking: &mut Asking, mut keys: Value) -> Result<Value, Failure> {
    let bar = ProgressBar::new(0);
    while !keys["rotation"].is_null() {
        bar.set_length(keys["rotation"]["total"].as_u64().unwrap_or(0));
        bar.set_position(keys["rotation"]["done"].as_u64().unwrap_or(0));
        tokio::time::sleep(LOOK).await;
        keys = asking.get("").await?;
    }
    bar.finish_and_clear();
    Ok(keys)
}

/// The keys for people: a line for each.
fn status(keys: &Value, now: jiff::Timestamp) -> String {
    let root = &keys["root"];
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let answers = match root["answers"].as_bool() {
        Some(true) => "answers".to_owned(),
        _ => format!("DOES NOT ANSWER: {}", word(&root["why"])),
    };
    let due_days = keys["rotateDays"].as_i64().unwrap_or(DUE_DAYS);
    let key = |since: &Value| Age::of(since, now).line(due_days);
    let mut text = format!(
        "root       {}  {} ({})\n           {answers}\npurposes   {}\n",
        key(&root["since"]),
        word(&root["source"]),
        word(&root["id"]),
        // It has no successor: what it derives is in every file.
        Age::of(&keys["purposes"]["created"], now).text(),
    );
    for project in keys["projects"].as_array().into_iter().flatten() {
        let patients = &project["patients"];
        let oldest = match patients["oldest"].is_null() {
            true => String::new(),
            false => format!(", the oldest {}", Age::of(&patients["oldest"], now).text()),
        };
        let name = project["project"].as_str().unwrap_or("(removed)");
        text.push_str(&format!(
            "project    {}  {name}, {} before it\n           {} patients{oldest}; {} keys before these, \
             {} still wrapped by an older key, {} destroyed\n",
            key(&project["created"]),
            project["older"],
            patients["keys"],
            patients["older"],
            patients["behind"],
            patients["destroyed"],
        ));
    }
    let rotation = &keys["rotation"];
    if !rotation.is_null() {
        let (done, total) = (&rotation["done"], &rotation["total"]);
        text.push_str(&format!("rotating   {done} of {total} keys\n"));
    }
    text
}

/// How old a key is.
struct Age(Option<i64>);

impl Age {
    fn of(since: &Value, now: jiff::Timestamp) -> Self {
        let since = since
            .as_str()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok());
        Self(since.map(|since| (now.as_second() - since.as_second()).max(0) / 86_400))
    }

    fn text(&self) -> String {
        match self.0 {
            Some(1) => "1 day".to_owned(),
            Some(days) => format!("{days} days"),
            None => "unknown age".to_owned(),
        }
    }

    /// Lined up with others, and when its successor is due.
    fn line(&self, due_days: i64) -> String {
        let due = match self.0 {
            Some(days) if days >= due_days => "due now".to_owned(),
            Some(days) => format!("due in {} days", due_days - days),
            None => String::new(),
        };
        format!("{:<11}{due:<16}", self.text())
    }
}

fn checked_text(checked: &Value) -> String {
    let faults = checked["faults"].as_array().into_iter().flatten();
    let faults = faults
        .filter_map(Value::as_str)
        .map(|fault| format!("{fault}\n"));
    let faults: String = faults.collect();
    format!(
        "{faults}{} keys unwrap, {} were destroyed, {} do not unwrap\n",
        checked["good"], checked["destroyed"], checked["bad"]
    )
}

fn rotated(what: &Rotate, keys: &Value) -> String {
    let source = keys["root"]["source"].as_str().unwrap_or_default();
    match what {
        Rotate::Root { .. } => format!(
            "the root key is another; {source} keeps it, and --root-key has to name that from now on.\n\
             The one before opens copies of the keyring made until now: destroy it with them.\n"
        ),
        Rotate::Patient { .. } => {
            "what is new of the patient is sealed with a new key\n".to_owned()
        }
        Rotate::Project { .. } | Rotate::All { .. } if keys["rotation"].is_null() => {
            "all have new keys\n".to_owned()
        }
        Rotate::Project { .. } | Rotate::All { .. } => {
            "under way; salus keys status tells how far\n".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_line() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let keys = json!({
            "root": {"source": "passphrase", "id": "0a1b2c3d", "since": "2026-11-13T12:00:00Z",
                "answers": true},
            "purposes": {"created": "2024-11-23T12:00:00Z"},
            "projects": [{"project": "ward", "created": "2025-11-01T00:00:00Z", "older": 1,
                "patients": {"keys": 3, "oldest": "2026-11-22T12:00:00Z", "older": 0, "behind": 2,
                    "destroyed": 1}}],
            "rotation": {"done": 1, "total": 5},
        });
        let lines = "\
root       10 days    due in 355 days   passphrase (0a1b2c3d)
           answers
purposes   730 days
project    387 days   due now           ward, 1 before it
           3 patients, the oldest 1 day; 0 keys before these, 2 still wrapped by an older key, 1 destroyed
rotating   1 of 5 keys
";
        assert_eq!(status(&keys, now), lines);
    }
}
