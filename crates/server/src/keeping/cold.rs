//! `salus cold`: records that are seldom needed, in a place for objects, verified and brought back.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Answer, Asked, Asking, Failure, ask, row, table, word};

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus cold status                                    where it is, what is there, what was moved
  salus cold list                                      which records are there
  salus cold move --reason 'yearly move' --dry-run     how many are due
  salus cold move --reason 'yearly move'
  salus cold retrieve Observation/o1 --reason 'asked for by the ward'
  salus cold history Observation/o1                    the versions that are there
  salus cold verify                                    reads all of it back; exit status 1 if something is not as it was

What is due, classes of retention say (`cold_after_years`); docs/retention.md tells the form. A
server is told with --cold, SALUS_COLD or `cold` in salus.toml where cold storage is.";

#[derive(Args)]
pub(crate) struct ColdArguments {
    #[command(subcommand)]
    command: ColdCommand,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Subcommand)]
enum ColdCommand {
    /// Show where cold storage is, how many records are there, and what was moved
    Status,
    /// List the records that are, or have versions, in cold storage
    List,
    /// Move what is due
    Move {
        /// Why, in 10 to 1000 characters
        #[arg(long, value_name = "TEXT")]
        reason: String,

        /// Only count
        #[arg(long)]
        dry_run: bool,
    },
    /// Bring a record back
    Retrieve {
        /// Its type and id, as Observation/o1
        #[arg(value_name = "TYPE/ID")]
        record: String,

        /// Why, in 10 to 1000 characters
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Print the versions of a record that are in cold storage, as a Bundle
    History {
        /// Its type and id, as Observation/o1
        #[arg(value_name = "TYPE/ID")]
        record: String,
    },
    /// Read everything back, and compare
    Verify,
}

pub(crate) fn run(arguments: &ColdArguments) -> Result<(), Failure> {
    ask(&arguments.asked, async |asking: &mut Asking| {
        answer(asking, &arguments.command).await
    })
}

async fn answer(asking: &mut Asking, command: &ColdCommand) -> Result<Answer, Failure> {
    match command {
        ColdCommand::Status => {
            let status = asking.get("/admin/cold").await?;
            let text = status_text(&status);
            Ok((status, text))
        }
        ColdCommand::List => list(asking).await,
        ColdCommand::Move { reason, dry_run } => move_all(asking, reason, *dry_run).await,
        ColdCommand::Retrieve { record, reason } => {
            let (ty, id) = parts(record)?;
            let body = json!({"type": ty, "id": id, "reason": reason});
            let back = asking.post("/admin/cold/retrieve", &body).await?;
            Ok((back, format!("{record} is back\n")))
        }
        ColdCommand::History { record } => {
            let (ty, id) = parts(record)?;
            let path = format!("/admin/cold/records/{ty}/{id}/history");
            let history = asking.get(&path).await?;
            let text = format!("{history}\n");
            Ok((history, text))
        }
        ColdCommand::Verify => verify(asking).await,
    }
}

/// Type and id, of characters that can stand in a path.
fn parts(record: &str) -> Result<(&str, &str), Failure> {
    let plain = |text: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        !text.is_empty() && text.len() <= 64 && text.bytes().all(legal)
    };
    match record.split_once('/') {
        Some((ty, id)) if plain(ty) && plain(id) => Ok((ty, id)),
        Some(_) | None => Err("a record is named as Observation/o1".into()),
    }
}

/// All pages.
async fn list(asking: &mut Asking) -> Result<Answer, Failure> {
    let mut records = Vec::new();
    let mut path = "/admin/cold/records".to_owned();
    loop {
        let mut page = asking.get(&path).await?;
        let next = page["next"].as_u64();
        if let Some(Value::Array(more)) = page.get_mut("records").map(Value::take) {
            records.extend(more);
        }
        match next {
            Some(next) => path = format!("/admin/cold/records?before={next}"),
            None => break,
        }
    }
    let text = records_text(&records);
    Ok((json!({"records": records}), text))
}

/// Until nothing more is due; how much a call does is bounded.
async fn move_all(asking: &mut Asking, reason: &str, dry_run: bool) -> Result<Answer, Failure> {
    let body = json!({"reason": reason, "dryRun": dry_run});
    let mut text = String::new();
    let mut moves = Vec::new();
    loop {
        let moved = asking.post("/admin/cold/move", &body).await?;
        text.push_str(&moved_text(&moved));
        let goes_on = moved["complete"] == false && !dry_run && moved["moved"] != json!({});
        moves.push(moved);
        if !goes_on {
            break;
        }
    }
    if moves.last().is_some_and(|moved| moved["complete"] == false) {
        text.push_str("more is due: give the command again\n");
    }
    Ok((json!({"moves": moves}), text))
}

async fn verify(asking: &mut Asking) -> Result<Answer, Failure> {
    let (mut records, mut objects, mut faults) = (0, 0, Vec::new());
    let mut body = json!({});
    loop {
        let mut part = asking.post("/admin/cold/verify", &body).await?;
        records += part["records"].as_u64().unwrap_or(0);
        objects += part["objects"].as_u64().unwrap_or(0);
        if let Some(Value::Array(more)) = part.get_mut("faults").map(Value::take) {
            faults.extend(more);
        }
        match part["next"].as_u64() {
            Some(next) => body = json!({"before": next}),
            None => break,
        }
    }
    let lines = faults.iter().map(|fault| {
        let (record, object) = (word(fault, "record"), word(fault, "object"));
        format!("{record}: {object}: {}\n", word(fault, "fault"))
    });
    let lines: String = lines.collect();
    let told = format!("{lines}{records} records in {objects} objects are what they were");
    match faults.is_empty() {
        true => {
            let answer = json!({"records": records, "objects": objects, "faults": faults});
            Ok((answer, format!("{told}\n")))
        }
        false => Err(format!("{told}; {} are not", faults.len()).into()),
    }
}

fn status_text(status: &Value) -> String {
    let mut text = match status["place"].as_str() {
        Some(place) => format!("cold storage: {place}\n"),
        None => "this server has no cold storage: start it with --cold\n".to_owned(),
    };
    let mut rows = vec![row(&["TYPE", "RECORDS"])];
    for (ty, count) in status["records"].as_object().into_iter().flatten() {
        rows.push(vec![ty.clone(), count.to_string()]);
    }
    if rows.len() > 1 {
        text.push_str(&table(&rows));
    }
    let mut rows = vec![row(&[
        "MOVED AT", "BY", "RECORDS", "HELD", "LEFT", "REASON",
    ])];
    for moved in status["moves"].as_array().into_iter().flatten() {
        rows.push(vec![
            word(moved, "at"),
            word(moved, "by"),
            counts(moved),
            word(moved, "held"),
            word(moved, "left"),
            word(moved, "reason"),
        ]);
    }
    if rows.len() > 1 {
        text.push_str(&format!("\n{}", table(&rows)));
    }
    text
}

fn records_text(records: &[Value]) -> String {
    let mut rows = vec![row(&["RECORD", "STATE", "MOVED", "VERSIONS", "OBJECTS"])];
    for record in records {
        let count = |member: &str| record[member].as_array().map_or(0, Vec::len).to_string();
        rows.push(vec![
            format!("{}/{}", word(record, "type"), word(record, "id")),
            word(record, "state"),
            word(record, "moved"),
            count("versions"),
            count("objects"),
        ]);
    }
    match rows.len() {
        1 => "nothing is in cold storage\n".to_owned(),
        _ => table(&rows),
    }
}

fn moved_text(moved: &Value) -> String {
    let counts = counts(moved);
    let mut text = match moved["dryRun"] == true {
        true => format!("would be moved: {counts}\n"),
        false => format!("moved: {counts}\n"),
    };
    for (member, told) in [
        ("held", "under legal hold"),
        ("left", "cannot be moved as they are"),
    ] {
        if moved[member] != 0 {
            text.push_str(&format!("{told}: {}\n", moved[member]));
        }
    }
    text
}

fn counts(moved: &Value) -> String {
    super::by_type(&moved["moved"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_named_by_type_and_id() {
        assert_eq!(
            parts("Observation/o-1.a").unwrap(),
            ("Observation", "o-1.a")
        );
        for text in ["Observation", "Observation/", "/a", "a/b/c", "a/b?c"] {
            assert!(parts(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moves_and_records_have_lines() {
        let moved = json!({"dryRun": false, "moved": {"Observation": 2}, "held": 1, "left": 0});
        assert_eq!(
            moved_text(&moved),
            "moved: 2 Observation\nunder legal hold: 1\n"
        );
        assert_eq!(records_text(&[]), "nothing is in cold storage\n");
        let record = json!({"type": "Observation", "id": "a", "state": "cold",
            "moved": "2026-01-01T00:00:00.000Z", "versions": [1, 2], "objects": [1]});
        let lines = "RECORD         STATE  MOVED                     VERSIONS  OBJECTS\n\
            Observation/a  cold   2026-01-01T00:00:00.000Z  2         1\n";
        assert_eq!(records_text(&[record]), lines);
    }
}
