//! `salus audit disclosures`: the accounting of disclosures of one patient.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

use serde_json::Value;

use super::asking::check_id;
use super::{AboutArguments, Failure};
use crate::control::Asking;
use crate::table::{lined_up, plain};

/// Prints the accounting; what a suspension holds back is told apart.
pub(super) async fn print(asking: &mut Asking, arguments: &AboutArguments) -> Result<(), Failure> {
    check_id(&arguments.patient)?;
    let days = [("from", arguments.from), ("to", arguments.to)];
    let days = days.map(|(name, day)| day.map(|day| format!("{name}={day}")));
    let days: Vec<String> = days.into_iter().flatten().collect();
    let path = format!(
        "/admin/disclosures/{}?{}",
        arguments.patient,
        days.join("&")
    );
    let accounting = asking.get(path.trim_end_matches('?')).await?;
    match arguments.json {
        true => println!("{accounting}"),
        false => print!("{}", text(&accounting)),
    }
    Ok(())
}

fn text(accounting: &Value) -> String {
    let word = |member: &str| accounting[member].as_str().unwrap_or_default();
    let mut text = format!(
        "Disclosures of the records of Patient/{}, {} to {}\n\n",
        plain(word("patient")),
        word("from"),
        word("to")
    );
    text.push_str(&lines(&accounting["disclosures"], "none"));
    let protocols = accounting["protocols"].as_array();
    for protocol in protocols.into_iter().flatten() {
        text.push_str(&research(protocol));
    }
    let excepted = accounting["excepted"].as_object();
    for (reason, count) in excepted.into_iter().flatten() {
        text.push_str(&format!("left out: {count} ({reason})\n"));
    }
    if accounting["withheld"].is_array() {
        text.push_str("\nNot for the patient now: an agency has asked to be left out\n");
        text.push_str(&lines(&accounting["withheld"], ""));
    }
    text
}

fn lines(all: &Value, none: &str) -> String {
    let all = all.as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return format!("{none}\n");
    }
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let head = ["DATE", "LAST", "TIMES", "RECIPIENT", "WHAT", "WHAT FOR"];
    lined_up(&head, &rows)
}

fn row(line: &Value) -> Vec<String> {
    let word = |value: &Value| plain(value.as_str().unwrap_or_default());
    let recipient = &line["recipient"];
    let recipient = [word(&recipient["name"]), word(&recipient["address"])];
    let recipient: Vec<&str> = recipient.iter().map(String::as_str).collect();
    vec![
        word(&line["date"]),
        word(&line["last"]),
        line["times"].to_string(),
        recipient.join(", ").trim_end_matches(", ").to_owned(),
        word(&line["description"]),
        word(&line["purpose"]),
    ]
}

/// 164.528(b)(4)(i): what is told of research in which records may have been disclosed.
fn research(protocol: &Value) -> String {
    let word = |value: &Value| plain(value.as_str().unwrap_or_default());
    let sponsor = &protocol["sponsor"];
    format!(
        "\nResearch: {}\n  {}\n  records: {}\n  from {} to {}\n  sponsor: {}, {} {}\n  \
         The records of this patient may or may not have been disclosed for it.\n",
        word(&protocol["name"]),
        word(&protocol["description"]),
        word(&protocol["records"]),
        word(&protocol["from"]),
        word(&protocol["to"]),
        word(&sponsor["name"]),
        word(&sponsor["address"]),
        word(&protocol["phone"]),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_accounting_is_a_table() {
        let line = json!({"date": "2026-01-02", "last": "2026-03-04", "times": 3,
            "recipient": {"name": "County", "address": "1 Main St"},
            "description": "Observation", "purpose": "PUBHLTH"});
        let accounting = json!({"patient": "p", "from": "2020-11-23", "to": "2026-11-23",
            "disclosures": [line], "protocols": [], "excepted": {"treatment": 2}});
        let expect = "Disclosures of the records of Patient/p, 2020-11-23 to 2026-11-23\n\n\
            DATE        LAST        TIMES  RECIPIENT          WHAT         WHAT FOR\n\
            2026-01-02  2026-03-04  3      County, 1 Main St  Observation  PUBHLTH\n\
            left out: 2 (treatment)\n";
        assert_eq!(text(&accounting), expect);
    }
}
