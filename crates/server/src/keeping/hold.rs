//! `salus hold`: legal holds of a project.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Answer, Asked, Asking, Failure, ask, row, table, word};

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus hold list                                             holds in force
  salus hold place 'Case 2026/17' --patient p1 --reason 'a claim was filed'
  salus hold place 'Recall' --search 'Observation?code=4548-4' --reason 'inquiry of the regulator'
  salus hold place 'Case 18' --patient p1 --audit --reason 'who saw the chart is in dispute'
  salus hold place 'Audit' --audit --audit-since 2024-01-01 --reason 'inquiry of the regulator'
  salus hold lift ID --reason 'the claim was settled'

What is under a hold is not purged, not disposed of and not shredded. Each hold is in the audit
with who placed and lifted it, and why.";

#[derive(Args)]
pub(crate) struct HoldArguments {
    #[command(subcommand)]
    command: HoldCommand,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Subcommand)]
enum HoldCommand {
    /// List the holds in force
    List {
        /// Those that were lifted, too
        #[arg(long)]
        all: bool,
    },
    /// Put records under legal hold
    Place {
        /// What people call it: a matter, a case number
        name: String,

        /// The id of a patient all of whose records are held; several may be given
        #[arg(long = "patient", value_name = "ID")]
        patients: Vec<String>,

        /// A search whose records are held, as 'Observation?code=4548-4'; several may be given
        #[arg(long = "search", value_name = "SEARCH")]
        searches: Vec<String>,

        /// Hold the audit, too: entries that name the patients, or all if there is none
        #[arg(long)]
        audit: bool,

        /// Of the audit, what happened since this day
        #[arg(long, value_name = "YYYY-MM-DD", requires = "audit")]
        audit_since: Option<jiff::civil::Date>,

        /// Why, in 10 to 1000 characters
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Lift a hold
    Lift {
        /// Its id
        id: String,

        /// Why, in 10 to 1000 characters
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub(crate) fn run(arguments: &HoldArguments) -> Result<(), Failure> {
    ask(&arguments.asked, async |asking: &mut Asking| {
        answer(asking, &arguments.command).await
    })
}

async fn answer(asking: &mut Asking, command: &HoldCommand) -> Result<Answer, Failure> {
    match command {
        HoldCommand::List { all } => {
            let state = if *all { "all" } else { "open" };
            let holds = asking.get(&format!("/admin/holds?state={state}")).await?;
            let text = list(&holds);
            Ok((holds, text))
        }
        HoldCommand::Place {
            name,
            patients,
            searches,
            audit,
            audit_since,
            reason,
        } => {
            let mut body = json!({
                "name": name, "reason": reason, "patients": patients, "searches": searches,
            });
            if *audit {
                let since = audit_since.map(|since| since.to_string());
                body["audit"] = since.map_or_else(|| json!({}), |since| json!({"since": since}));
            }
            let placed = asking.post("/admin/holds", &body).await?;
            let text = format!("{} is in force: {name}\n", word(&placed, "id"));
            Ok((placed, text))
        }
        HoldCommand::Lift { id, reason } => {
            let path = format!("/admin/holds/{id}/lift");
            let lifted = asking.post(&path, &json!({"reason": reason})).await?;
            let text = format!("{id} is lifted\n");
            Ok((lifted, text))
        }
    }
}

fn list(holds: &Value) -> String {
    let mut rows = vec![row(&["ID", "SINCE", "HOLDS", "STATE", "NAME"])];
    for hold in holds["holds"].as_array().into_iter().flatten() {
        let count = |member: &str| hold[member].as_array().map_or(0, Vec::len);
        let mut holds = format!(
            "{} patients, {} searches",
            count("patients"),
            count("searches")
        );
        if !hold["audit"].is_null() {
            holds.push_str(", audit");
        }
        let lifted = &hold["lifted"];
        let state = match lifted.is_null() {
            true => "in force".to_owned(),
            false => format!("lifted {}", word(lifted, "at")),
        };
        rows.push(vec![
            word(hold, "id"),
            word(hold, "from"),
            holds,
            state,
            word(hold, "name"),
        ]);
    }
    match rows.len() {
        1 => "nothing is under legal hold\n".to_owned(),
        _ => table(&rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_has_a_line() {
        assert_eq!(list(&json!({"holds": []})), "nothing is under legal hold\n");
        let hold = json!({"id": "a", "from": "2026-01-01T00:00:00.000Z", "name": "Case",
            "patients": ["p"], "searches": []});
        let lines = "ID  SINCE                     HOLDS                   STATE     NAME\n\
            a   2026-01-01T00:00:00.000Z  1 patients, 0 searches  in force  Case\n";
        assert_eq!(list(&json!({"holds": [hold]})), lines);
    }
}
