//! `salus audit patient`: who saw a chart, page by page of the search for it.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

use serde_json::Value;

use super::asking::check_id;
use super::{AboutArguments, Failure};
use crate::control::Asking;
use crate::table::{lined_up, plain};

const HEAD: [&str; 7] = ["WHEN", "WHO", "ROLE", "THROUGH", "WHAT", "WHY", "OUTCOME"];
/// Rows whose columns are lined up together.
const ROWS_AT_ONCE: usize = 1000;

/// Prints the oldest entry first.
pub(super) async fn print(
    asking: &mut Asking,
    arguments: &AboutArguments,
    mut archived: Vec<Value>,
) -> Result<(), Failure> {
    check_id(&arguments.patient)?;
    let mut path = format!(
        "/fhir/AuditEvent?patient={}&_sort=date&_count=200",
        arguments.patient
    );
    for (prefix, day) in [("ge", arguments.from), ("le", arguments.to)] {
        if let Some(day) = day {
            path.push_str(&format!("&date={prefix}{day}"));
        }
    }
    let mut printing = Printing {
        json: arguments.json,
        ..Printing::default()
    };
    // Held entries are among the others in time: those of both places are put in order.
    archived.sort_by_key(place);
    let mut archived = archived.into_iter().peekable();
    let mut warning = None;
    loop {
        let page = asking.get(&path).await?;
        for entry in page["entry"].as_array().into_iter().flatten() {
            // An outcome of the search is no entry.
            let event = &entry["resource"];
            if event["resourceType"] != "AuditEvent" {
                warning = event["issue"][0]["details"]["text"]
                    .as_str()
                    .map(str::to_owned);
                continue;
            }
            while let Some(older) = archived.next_if(|older| place(older) < place(event)) {
                printing.event(&older);
            }
            printing.event(event);
        }
        match next(&page) {
            Some(next) => path = next,
            None => break,
        }
    }
    archived.for_each(|event| printing.event(&event));
    printing.end();
    if let Some(warning) = warning.filter(|_| !arguments.archive) {
        // Not among the events, which may be read by a program.
        eprintln!("warning: {warning}; --archive reads it, too");
    }
    Ok(())
}

/// Where an event stands in the log.
fn place(event: &Value) -> u64 {
    let id = event["id"].as_str().and_then(|id| id.parse().ok());
    id.unwrap_or(u64::MAX)
}

/// Events as they are printed.
#[derive(Default)]
struct Printing {
    json: bool,
    rows: Vec<Vec<String>>,
    count: u64,
}

impl Printing {
    fn event(&mut self, event: &Value) {
        self.count += 1;
        match self.json {
            true => println!("{event}"),
            false => self.rows.push(row(event)),
        }
        if self.rows.len() >= ROWS_AT_ONCE {
            print!("{}", lined_up(&HEAD, &std::mem::take(&mut self.rows)));
        }
    }

    fn end(&self) {
        if !self.rows.is_empty() {
            print!("{}", lined_up(&HEAD, &self.rows));
        }
        if !self.json {
            println!("{} entries", self.count);
        }
    }
}

/// The path of the next page, below that of the project.
fn next(page: &Value) -> Option<String> {
    let mut links = page["link"].as_array()?.iter();
    let next = links.find(|link| link["relation"] == "next")?;
    let (_, query) = next["url"].as_str()?.split_once('?')?;
    Some(format!("/fhir/AuditEvent?{query}"))
}

fn row(event: &Value) -> Vec<String> {
    let who = &event["agent"][0];
    let roles = items(&who["role"]).map(|role| code(&role["coding"][0]));
    let through = items(&event["agent"]).skip(1);
    let through = through.filter(|agent| agent["network"]["type"] != "5");
    let through = through.map(|agent| word(&agent["who"]["display"]));
    let purposes = items(&event["purposeOfEvent"]).map(|one| code(&one["coding"][0]));
    let row = [
        word(&event["recorded"]),
        named(&who["who"]),
        joined(roles),
        joined(through),
        what(event),
        joined(purposes),
        outcome(event),
    ];
    row.iter().map(|cell| plain(cell)).collect()
}

/// What people call somebody, and the id if there is one.
fn named(who: &Value) -> String {
    let display = word(&who["display"]);
    match word(&who["identifier"]["value"]) {
        id if id.is_empty() => display,
        id if id.starts_with(&format!("{display}/")) || display == id => id,
        id => format!("{display} ({id})"),
    }
}

/// The interaction, and the types of the records concerned.
fn what(event: &Value) -> String {
    let records = items(&event["entity"]).filter(|entity| entity["role"]["code"] == "4");
    let references = records.filter_map(|entity| entity["what"]["reference"].as_str());
    let mut types: Vec<&str> = references
        .filter_map(|reference| Some(reference.split_once('/')?.0))
        .collect();
    types.sort_unstable();
    let mut told = Vec::new();
    for of_type in types.chunk_by(|one, other| one == other) {
        told.push(match of_type.len() {
            1 => of_type[0].to_owned(),
            count => format!("{count} {}", of_type[0]),
        });
    }
    let code = word(&event["subtype"][0]["code"]);
    let code = match code.as_str() {
        "110127" => "emergency override",
        "110122" => "sign-in",
        code => code,
    };
    format!("{code} {}", told.join(", ")).trim_end().to_owned()
}

fn outcome(event: &Value) -> String {
    match event["outcome"].as_str() {
        Some("0") => "done",
        Some("4") => "refused",
        _ => "failed",
    }
    .to_owned()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn code(coding: &Value) -> String {
    word(&coding["code"])
}

fn joined(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_tells_who_what_and_why() {
        let event = json!({
            "recorded": "2026-11-23T10:00:00.000Z", "outcome": "0",
            "subtype": [{"code": "search-type"}],
            "purposeOfEvent": [{"coding": [{"code": "TREAT"}]}],
            "agent": [
                {"who": {"identifier": {"value": "User/u"}, "display": "Dr. Who"},
                    "role": [{"coding": [{"code": "clinician"}]}]},
                {"who": {"display": "Chart App"}},
                {"who": {"display": "Salus"}, "network": {"type": "5"}},
            ],
            "entity": [
                {"what": {"reference": "Observation/a/_history/1"}, "role": {"code": "4"}},
                {"what": {"reference": "Observation/b/_history/1"}, "role": {"code": "4"}},
                {"what": {"reference": "Patient/p"}, "role": {"code": "1"}},
            ],
        });
        let expect = [
            "2026-11-23T10:00:00.000Z",
            "Dr. Who (User/u)",
            "clinician",
            "Chart App",
            "search-type 2 Observation",
            "TREAT",
            "done",
        ];
        assert_eq!(row(&event), expect);
    }
}
