//! `salus retention`: how long records are kept, what is due, what was disposed of.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{Answer, Asked, Asking, Failure, ask, row, table, word};

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus retention show                                how long records are kept
  salus retention set classes.json                    docs/retention.md tells the form
  salus retention report                              what is kept, due, held, and was disposed of
  salus retention report --signed --out disposed.json   what was disposed of, signed
  salus retention dispose --reason 'yearly' --dry-run  how many would go
  salus retention dispose --reason 'yearly disposal, approved by the privacy officer'

Only classes that say `dispose` are disposed of, and never what is under legal hold. Exit status 1
says that it could not be done.";

#[derive(Args)]
pub(crate) struct RetentionArguments {
    #[command(subcommand)]
    command: RetentionCommand,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Subcommand)]
enum RetentionCommand {
    /// Print the classes
    Show,
    /// Set the classes
    Set {
        /// A file in JSON
        file: PathBuf,
    },
    /// Count what is kept and due, and list what was disposed of
    Report {
        /// Only what was disposed of, signed: `salus shred verify` checks it
        #[arg(long)]
        signed: bool,

        /// Write what is signed to a file
        #[arg(long, value_name = "FILE", requires = "signed")]
        out: Option<PathBuf>,
    },
    /// Dispose of what is due
    Dispose {
        /// Why, in 10 to 1000 characters
        #[arg(long, value_name = "TEXT")]
        reason: String,

        /// Only count
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) fn run(arguments: &RetentionArguments) -> Result<(), Failure> {
    ask(&arguments.asked, async |asking: &mut Asking| {
        answer(asking, &arguments.command).await
    })
}

async fn answer(asking: &mut Asking, command: &RetentionCommand) -> Result<Answer, Failure> {
    match command {
        RetentionCommand::Show => {
            let setting = asking.get("/admin/retention").await?;
            let text = classes(&setting);
            Ok((setting, text))
        }
        RetentionCommand::Set { file } => {
            let read = std::fs::read(file);
            let read = read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let body: Value = serde_json::from_slice(&read)
                .map_err(|error| format!("{} is no JSON: {error}", file.display()))?;
            let setting = asking
                .send(Method::PUT, "/admin/retention", Some(&body))
                .await?;
            let text = classes(&setting);
            Ok((setting, text))
        }
        RetentionCommand::Report { signed: true, out } => {
            let signed = asking.get("/admin/retention/disposals").await?;
            let text = match out {
                Some(out) => {
                    let written = std::fs::write(out, format!("{signed}\n"));
                    written.map_err(|error| format!("cannot write {}: {error}", out.display()))?;
                    format!(
                        "{}report: {}\n",
                        disposals(&signed["certificate"]),
                        out.display()
                    )
                }
                None => format!("{signed}\n"),
            };
            Ok((signed, text))
        }
        RetentionCommand::Report { .. } => {
            let report = asking.get("/admin/retention/report").await?;
            let text = reported(&report);
            Ok((report, text))
        }
        RetentionCommand::Dispose { reason, dry_run } => {
            let body = json!({"reason": reason, "dryRun": dry_run});
            let disposed = asking.post("/admin/retention/dispose", &body).await?;
            let text = disposed_of(&disposed);
            Ok((disposed, text))
        }
    }
}

fn classes(setting: &Value) -> String {
    let mut rows = vec![row(&[
        "CLASS", "YEARS", "FROM", "MINORS", "THEN", "COLD", "TYPES",
    ])];
    for class in setting["classes"].as_array().into_iter().flatten() {
        let minors = &class["minors"];
        let minors = match minors.is_null() {
            true => "-".to_owned(),
            false => format!("{}+{}", minors["until_age"], minors["years"]),
        };
        rows.push(vec![
            word(class, "name"),
            word(class, "years"),
            word(class, "from"),
            minors,
            word(class, "then"),
            match class["cold_after_years"].is_null() {
                true => "-".to_owned(),
                false => word(class, "cold_after_years"),
            },
            types(class).join(" "),
        ]);
    }
    match rows.len() {
        1 => "no class says how long anything is kept\n".to_owned(),
        _ => table(&rows),
    }
}

fn types(class: &Value) -> Vec<&str> {
    let types = class["types"].as_array().into_iter().flatten();
    types.filter_map(Value::as_str).collect()
}

fn reported(report: &Value) -> String {
    let mut rows = vec![row(&[
        "CLASS", "TYPE", "KEPT", "UNKNOWN", "DUE", "HELD", "THEN", "COLD", "COLD DUE",
    ])];
    for class in report["classes"].as_array().into_iter().flatten() {
        for ty in class["types"].as_array().into_iter().flatten() {
            rows.push(vec![
                word(class, "name"),
                word(ty, "type"),
                word(ty, "kept"),
                word(ty, "unknown"),
                word(ty, "due"),
                word(ty, "held"),
                word(class, "then"),
                word(ty, "cold"),
                word(ty, "coldDue"),
            ]);
        }
    }
    let mut text = match rows.len() {
        1 => "no class says how long anything is kept\n".to_owned(),
        _ => table(&rows),
    };
    if report["complete"] == false {
        text.push_str("not all records were looked at: there are too many for one report\n");
    }
    let disposals = disposals(report);
    if !disposals.is_empty() {
        text.push('\n');
        text.push_str(&disposals);
    }
    text
}

/// A line for each disposal; nothing if there is none.
pub(super) fn disposals(report: &Value) -> String {
    let mut rows = vec![row(&["DISPOSED AT", "BY", "RECORDS", "HELD", "REASON"])];
    for disposal in report["disposals"].as_array().into_iter().flatten() {
        rows.push(vec![
            word(disposal, "at"),
            word(disposal, "by"),
            counts(disposal),
            word(disposal, "held"),
            word(disposal, "reason"),
        ]);
    }
    match rows.len() {
        1 => String::new(),
        _ => table(&rows),
    }
}

fn counts(disposal: &Value) -> String {
    super::by_type(&disposal["disposed"])
}

fn disposed_of(disposed: &Value) -> String {
    let (done, counts) = (disposed["dryRun"] == false, counts(disposed));
    let mut text = match done {
        true => format!("disposed of: {counts}\n"),
        false => format!("would be disposed of: {counts}\n"),
    };
    if disposed["held"] != 0 {
        text.push_str(&format!("under legal hold: {}\n", disposed["held"]));
    }
    if disposed["complete"] == false {
        text.push_str("more is due: give the command again\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_tables() {
        let report = json!({"complete": true, "classes": [
            {"name": "notes", "then": "dispose", "types": [
                {"type": "Observation", "kept": 3, "unknown": 0, "due": 2, "held": 1,
                    "cold": 7, "coldDue": 0}]}],
            "disposals": [{"at": "2026-01-01T00:00:00.000Z", "by": "Operator", "held": 0,
                "disposed": {"Observation": 4}, "reason": "yearly disposal"}]});
        let lines = "CLASS  TYPE         KEPT  UNKNOWN  DUE  HELD  THEN     COLD  COLD DUE\n\
            notes  Observation  3     0        2    1     dispose  7     0\n\n\
            DISPOSED AT               BY        RECORDS        HELD  REASON\n\
            2026-01-01T00:00:00.000Z  Operator  4 Observation  0     yearly disposal\n";
        assert_eq!(reported(&report), lines);
        let none = json!({"dryRun": true, "disposed": {}, "held": 2, "complete": false});
        let lines = "would be disposed of: nothing\nunder legal hold: 2\n\
            more is due: give the command again\n";
        assert_eq!(disposed_of(&none), lines);
    }
}
