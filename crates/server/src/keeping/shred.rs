//! `salus shred`: destroys the keys of a patient and all that leads to their records, shows
//! before what will go, and checks the certificate that is issued for it.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use salus_service::shredding::certificate;
use salus_service::statement;
use serde_json::{Value, json};

use super::{Answer, Asked, Asking, Failure, ask, row, table, word};
use crate::signed;

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus shred patient p1 --reason 'erasure asked for by the patient' --dry-run   what would go
  salus shred patient p1 --reason 'erasure asked for by the patient' --yes --out p1.json
  salus shred list                          who was shredded, when, by whom
  salus shred certificate p1                the certificate once more
  salus shred key > shred-key.json          the public key, to be kept elsewhere
  salus shred verify p1.json --key shred-key.json     offline; exit status 1 if it proves nothing

It refuses while records of the patient are under legal hold or have to be kept. What is destroyed
cannot be brought back, by no backup either; docs/retention.md tells what is left to be done.";

#[derive(Args)]
pub(crate) struct ShredArguments {
    #[command(subcommand)]
    command: ShredCommand,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Subcommand)]
enum ShredCommand {
    /// Shred a patient
    Patient {
        /// The id of the patient
        id: String,

        /// Why, in 10 to 1000 characters
        #[arg(long, value_name = "TEXT")]
        reason: String,

        /// Only show what would go
        #[arg(long)]
        dry_run: bool,

        /// Do not ask
        #[arg(long)]
        yes: bool,

        /// Write the certificate to a file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the patients that were shredded
    List,
    /// Print the certificate of a shredding
    Certificate {
        /// The id of the patient
        id: String,
    },
    /// Print the public key by which certificates are checked
    Key,
    /// Check a certificate, or a signed report of disposals, without a server
    Verify {
        /// The certificate
        file: PathBuf,

        /// The public key: a file, or the key itself
        // A key may begin with a hyphen.
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        key: String,
    },
}

pub(crate) fn run(arguments: &ShredArguments) -> Result<(), Failure> {
    if let ShredCommand::Verify { file, key } = &arguments.command {
        return verify(file, key, arguments.asked.json);
    }
    ask(&arguments.asked, async |asking: &mut Asking| {
        answer(asking, &arguments.command).await
    })
}

async fn answer(asking: &mut Asking, command: &ShredCommand) -> Result<Answer, Failure> {
    match command {
        ShredCommand::Patient {
            id,
            reason,
            dry_run,
            yes,
            out,
        } => {
            let question = json!({"patient": id, "reason": reason, "dryRun": true});
            let plan = asking.post("/admin/shreds", &question).await?;
            let shown = planned(&plan["plan"]);
            if *dry_run {
                return Ok((plan, shown));
            }
            if !yes {
                confirm(&shown, id)?;
            }
            let question = json!({"patient": id, "reason": reason});
            let signed = asking.post("/admin/shreds", &question).await?;
            let mut text = certified(&signed["certificate"]);
            if let Some(out) = out {
                let written = std::fs::write(out, format!("{signed}\n"));
                written.map_err(|error| format!("{id} is shredded, and the certificate cannot be written to {}: {error}; salus shred certificate prints it", out.display()))?;
                text.push_str(&format!("certificate: {}\n", out.display()));
            }
            Ok((signed, text))
        }
        ShredCommand::List => {
            let shreds = asking.get("/admin/shreds").await?;
            let text = list(&shreds);
            Ok((shreds, text))
        }
        ShredCommand::Certificate { id } => {
            let shred = asking.get(&format!("/admin/shreds/{id}")).await?;
            let text = format!("{}\n", shred["certificate"]);
            Ok((shred["certificate"].clone(), text))
        }
        ShredCommand::Key => {
            let key = asking.get("/admin/shred-key").await?;
            let text = format!("{key}\n");
            Ok((key, text))
        }
        // It needs no server.
        ShredCommand::Verify { .. } => Err("there is nothing to check".into()),
    }
}

/// Asks whoever sits at the terminal; a script has to say --yes.
fn confirm(shown: &str, id: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(
            "give --yes to destroy this for good, or --dry-run to see what would go".into(),
        );
    }
    print!("{shown}\nThis cannot be undone. Type the id of the patient to go on: ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match line.trim() == id {
        true => Ok(()),
        false => Err("nothing was done".into()),
    }
}

fn verify(file: &Path, key: &str, as_json: bool) -> Result<(), Failure> {
    let (text, key) = signed::read(file, key)?;
    let forms = [certificate::FORM, certificate::DISPOSALS];
    let proved = statement::verify_one(&text, &forms, &key)?;
    match as_json {
        true => println!("{proved}"),
        false if proved["report"] == "disposals" => {
            let told = super::retention::disposals(&proved);
            print!(
                "the signature holds\nmade {}\n{told}",
                word(&proved, "made")
            );
        }
        false => print!("the signature holds\n{}", certified(&proved)),
    }
    Ok(())
}

fn by_type(records: &Value) -> String {
    let mut rows = vec![row(&["TYPE", "RECORDS", "VERSIONS"])];
    for (ty, counts) in records.as_object().into_iter().flatten() {
        rows.push(vec![
            ty.clone(),
            word(counts, "records"),
            word(counts, "versions"),
        ]);
    }
    table(&rows)
}

fn planned(plan: &Value) -> String {
    let mut text = format!("Patient/{} would lose:\n", word(plan, "patient"));
    text.push_str(&by_type(&plan["erased"]));
    text.push_str(&format!("jobs whose files go: {}\n", plan["jobs"]));
    text.push_str(&left(&plan["stays"]));
    let refused = &plan["refused"];
    if refused["held"] != 0 {
        text.push_str(&format!(
            "refused: {} records are under legal hold\n",
            refused["held"]
        ));
    }
    for (ty, kept) in refused["kept"].as_object().into_iter().flatten() {
        let until = kept["until"].as_str().unwrap_or("a date that nobody knows");
        let count = &kept["records"];
        text.push_str(&format!(
            "refused: {count} {ty} have to be kept until {until}\n"
        ));
    }
    text
}

/// What names the patient and stays.
fn left(stays: &Value) -> String {
    let mut text = String::new();
    for (ty, count) in stays["shared"].as_object().into_iter().flatten() {
        text.push_str(&format!("stays, since others are in it: {count} {ty}\n"));
    }
    for user in stays["users"].as_array().into_iter().flatten() {
        text.push_str(&format!("stays until it is deleted: the account {user}\n"));
    }
    text.push_str("stays: the audit, in which the patient is an id\n");
    text
}

fn certified(certificate: &Value) -> String {
    let mut text = format!(
        "Patient/{} of project {} was shredded on {}\nby {}: {}\n",
        word(certificate, "patient"),
        word(certificate, "project"),
        word(certificate, "done"),
        word(certificate, "requestedBy"),
        word(certificate, "reason"),
    );
    text.push_str(&by_type(&certificate["erased"]["records"]));
    text.push_str(&left(&certificate["stays"]));
    for copy in certificate["copies"].as_array().into_iter().flatten() {
        if let Value::String(until) = &copy["destroyBy"] {
            let what = word(copy, "copy");
            text.push_str(&format!("to be destroyed by {until}: {what}\n"));
        }
    }
    text
}

fn list(shreds: &Value) -> String {
    let mut rows = vec![row(&["PATIENT", "BEGUN", "DONE", "BY", "REASON"])];
    for shred in shreds["shreds"].as_array().into_iter().flatten() {
        let members = ["patient", "begun", "done", "by", "reason"];
        rows.push(members.map(|member| word(shred, member)).into());
    }
    match rows.len() {
        1 => "nobody was shredded\n".to_owned(),
        _ => table(&rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_tells_what_goes_what_stays_and_what_stands_against_it() {
        let plan = json!({"patient": "p", "jobs": 1,
            "erased": {"Patient": {"records": 1, "versions": 3}},
            "stays": {"shared": {"Group": 2}, "users": ["u"]},
            "refused": {"held": 1, "kept": {"Observation": {"records": 4, "until": null}}}});
        let lines = "Patient/p would lose:\n\
            TYPE     RECORDS  VERSIONS\n\
            Patient  1        3\n\
            jobs whose files go: 1\n\
            stays, since others are in it: 2 Group\n\
            stays until it is deleted: the account \"u\"\n\
            stays: the audit, in which the patient is an id\n\
            refused: 1 records are under legal hold\n\
            refused: 4 Observation have to be kept until a date that nobody knows\n";
        assert_eq!(planned(&plan), lines);
    }
}
