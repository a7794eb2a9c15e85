//! Answers about policies for people: aligned tables.

use http::StatusCode;
use serde_json::Value;

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Rows under a heading, each column as wide as it has to be.
fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|text| text.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let heading: Vec<String> = heading.iter().map(|text| (*text).to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The policy sets.
pub(super) fn sets(sets: &Value) -> String {
    let row = |set: &Value| {
        vec![
            word(&set["name"]).to_owned(),
            word(&set["description"]).to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = items(&sets["policySets"]).map(row).collect();
    table(&["NAME", "WHAT IT IS FOR"], &rows)
}

/// Who asks in a question.
fn asker(who: &Value) -> String {
    for form in ["user", "client"] {
        if let Some(id) = who[form].as_str() {
            return format!("{form}:{id}");
        }
    }
    let names = |form: &str| items(&who[form]).map(word).collect::<Vec<_>>().join(",");
    let all = [names("roles"), names("profiles")];
    let all: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    all.join(" ")
}

/// Expectations that were compared.
pub(super) fn results(results: &[Value], failed: usize) -> String {
    let row = |one: &Value| {
        let (question, answer) = (&one["question"], &one["answer"]);
        let about = question["resource"]
            .as_str()
            .unwrap_or(word(&question["type"]));
        let met = match one["met"] == true {
            true => "ok",
            false => "NOT MET",
        };
        let allowed = match answer["allowed"] == true {
            true => "allowed",
            false => "refused",
        };
        let by = format!("{allowed} by {}", word(&answer["rule"]));
        vec![
            met.to_owned(),
            asker(&question["as"]),
            word(&question["action"]).to_owned(),
            about.to_owned(),
            by,
        ]
    };
    let rows: Vec<Vec<String>> = results.iter().map(row).collect();
    let text = table(&["", "WHO", "ACTION", "WHAT", "ANSWER"], &rows);
    format!("{text}{} met, {failed} not met\n", results.len() - failed)
}

/// Why something is allowed or not.
pub(super) fn explained(answer: &Value) -> String {
    let allowed = match answer["allowed"] == true {
        true => "allowed",
        false => "refused",
    };
    let mut text = format!("{allowed} by {}\n", word(&answer["rule"]));
    for (member, says) in [("hidden", "not shown"), ("readOnly", "not to be changed")] {
        let paths: Vec<&str> = items(&answer[member]).map(word).collect();
        if !paths.is_empty() {
            text.push_str(&format!("{says}: {}\n", paths.join(", ")));
        }
    }
    let row = |rule: &Value| {
        let matches = match rule["matches"] == true {
            true => "matches",
            false => "does not match",
        };
        vec![
            word(&rule["rule"]).to_owned(),
            word(&rule["effect"]).to_owned(),
            matches.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = items(&answer["rules"]).map(row).collect();
    if !rows.is_empty() {
        text.push_str(&table(&["RULE", "EFFECT", "THE RECORD"], &rows));
    }
    text
}

/// What the audit has of a request.
pub(super) fn event(event: &Value) -> String {
    let mut rows = vec![
        ("when", word(&event["recorded"]).to_owned()),
        ("what", word(&event["subtype"][0]["code"]).to_owned()),
        ("outcome", word(&event["outcome"]).to_owned()),
        ("why", word(&event["outcomeDesc"]).to_owned()),
    ];
    for agent in items(&event["agent"]) {
        rows.push(("who", word(&agent["who"]["display"]).to_owned()));
        rows.extend(items(&agent["policy"]).map(|rule| ("rule", word(rule).to_owned())));
    }
    for entity in items(&event["entity"]) {
        let about = word(&entity["what"]["reference"]).to_owned();
        rows.push(("about", about));
    }
    rows.retain(|(_, text)| !text.is_empty());
    let line = |(name, text): &(&str, String)| format!("{name:8}{text}\n");
    rows.iter().map(line).collect()
}

/// Who gains and loses what.
pub(super) fn changes(changes: &[Value]) -> String {
    if changes.is_empty() {
        return "nobody gains or loses any record\n".to_owned();
    }
    let row = |one: &Value| {
        vec![
            word(&one["user"]).to_owned(),
            word(&one["type"]).to_owned(),
            one["gained"].to_string(),
            one["lost"].to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    table(&["USER", "TYPE", "GAINED", "LOST"], &rows)
}

/// Role by type by action.
pub(super) fn matrix(actions: &[&str], rows: &[Value]) -> String {
    let row = |one: &Value| {
        let mut cells = vec![word(&one["role"]).to_owned(), word(&one["type"]).to_owned()];
        cells.extend(items(&one["records"]).map(|records| match word(records) {
            "none" => "-".to_owned(),
            other => other.to_owned(),
        }));
        cells
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    table(&[&["ROLE", "TYPE"], actions].concat(), &rows)
}

/// What the server said against it.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> String {
    let outcome: Value = serde_json::from_slice(body).unwrap_or_default();
    let said: Vec<&str> = items(&outcome["issue"])
        .map(|issue| {
            issue["details"]["text"]
                .as_str()
                .unwrap_or(word(&issue["diagnostics"]))
        })
        .filter(|text| !text.is_empty())
        .collect();
    match said.is_empty() {
        true => format!("the server answered {status}"),
        false => said.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_aligned() {
        let changes = [json!({"user": "u", "type": "Patient", "gained": 12, "lost": 0})];
        let text = "USER  TYPE     GAINED  LOST\nu     Patient  12      0\n";
        assert_eq!(super::changes(&changes), text);
        let rows = [json!({"role": "r", "type": "Group", "records": ["all", "none"]})];
        let text = "ROLE  TYPE   read  search\nr     Group  all   -\n";
        assert_eq!(matrix(&["read", "search"], &rows), text);
    }

    #[test]
    fn an_explanation_names_the_rule_that_decides() {
        let answer = json!({"allowed": false, "rule": "p/no", "rules": [
            {"rule": "p/yes", "effect": "allow", "matches": true},
            {"rule": "p/no", "effect": "deny", "matches": true},
        ]});
        let text = "refused by p/no\nRULE   EFFECT  THE RECORD\np/yes  allow   matches\n\
             p/no   deny    matches\n";
        assert_eq!(explained(&answer), text);
    }
}
