//! Answers about policies for people: aligned tables.

use serde_json::Value;

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Rows under a heading, each column as wide as it has to be.
fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    lines(heading, rows).concat()
}

/// Its lines.
fn lines(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = heading.iter().map(|text| text.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heading: Vec<String> = heading.iter().map(|text| (*text).to_owned()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    std::iter::once(&heading).chain(rows).map(line).collect()
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
    if let Some(name) = who.as_str() {
        return name.to_owned();
    }
    for form in ["user", "client"] {
        if let Some(id) = who[form].as_str() {
            return format!("{form}:{id}");
        }
    }
    let names = |form: &str| items(&who[form]).map(word).collect::<Vec<_>>().join(",");
    let purpose = match word(&who["purpose"]) {
        "" => String::new(),
        purpose => format!("for {purpose}"),
    };
    let all = [names("roles"), names("profiles"), purpose];
    let all: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    all.join(" ")
}

/// What a question is about.
fn subject(question: &Value) -> String {
    let named = question["resource"].as_str().or(question["type"].as_str());
    let named = named.or(question["content"]["resourceType"].as_str());
    let with = if question["content"].is_null() {
        ""
    } else {
        " with content"
    };
    format!("{}{with}", named.unwrap_or_default())
}

/// Expectations that were compared: each with what differs.
pub(super) fn results(results: &[Value], failed: usize) -> String {
    let row = |one: &Value| {
        let (question, answer) = (&one["question"], &one["answer"]);
        let met = match one["met"] == true {
            true => "ok",
            false => "NOT MET",
        };
        vec![
            met.to_owned(),
            asker(&question["as"]),
            word(&question["action"]).to_owned(),
            subject(question),
            decision(answer),
        ]
    };
    let rows: Vec<Vec<String>> = results.iter().map(row).collect();
    let mut lines = lines(&["", "WHO", "ACTION", "WHAT", "ANSWER"], &rows).into_iter();
    let mut text = lines.next().unwrap_or_default();
    for (line, one) in lines.zip(results) {
        text.push_str(&line);
        for differs in items(&one["differs"]) {
            let (member, expected) = (word(&differs["member"]), &differs["expected"]);
            let got = match differs["got"].is_null() {
                true => "nothing".to_owned(),
                false => differs["got"].to_string(),
            };
            text.push_str(&format!(
                "         {member}: expected {expected}, got {got}\n"
            ));
        }
    }
    format!("{text}{} met, {failed} not met\n", results.len() - failed)
}

fn decision(answer: &Value) -> String {
    let rule = word(&answer["rule"]);
    match answer["allowed"] == true {
        true => format!("allowed by {rule}"),
        // A reason, and not the name of a rule.
        false if rule.contains(' ') => format!("refused: {rule}"),
        false => format!("refused by {rule}"),
    }
}

/// Why something is allowed or not.
pub(super) fn explained(answer: &Value) -> String {
    let mut text = format!("{}\n", decision(answer));
    for (member, says) in [
        ("hidden", "not shown"),
        ("readOnly", "not to be changed"),
        ("elements", "not theirs to write"),
    ] {
        let paths = words(&answer[member]);
        if !paths.is_empty() {
            text.push_str(&format!("{says}: {paths}\n"));
        }
    }
    let rules: Vec<&Value> = items(&answer["rules"]).collect();
    let row = |rule: &&Value| {
        let effect = match rule.get("elements") {
            None => word(&rule["effect"]).to_owned(),
            Some(paths) => format!("{} {}", word(&rule["effect"]), words(paths)),
        };
        vec![word(&rule["rule"]).to_owned(), effect, matches(rule)]
    };
    let rows: Vec<Vec<String>> = rules.iter().map(row).collect();
    if rows.is_empty() {
        return text;
    }
    let mut lines = lines(&["RULE", "EFFECT", "THE RECORD"], &rows).into_iter();
    text.push_str(&lines.next().unwrap_or_default());
    for (line, rule) in lines.zip(rules) {
        text.push_str(&line);
        for part in items(&rule["parts"]) {
            let (name, says) = (word(&part["part"]), word(&part["says"]));
            let because = match part["because"].as_str() {
                Some(because) => format!(": {because}"),
                None => String::new(),
            };
            text.push_str(&format!("  {name} {says} {}{because}\n", matches(part)));
        }
    }
    text
}

fn matches(one: &Value) -> String {
    match one["matches"] == true {
        true => "matches".to_owned(),
        false => "does not match".to_owned(),
    }
}

fn words(list: &Value) -> String {
    items(list).map(word).collect::<Vec<_>>().join(", ")
}

/// What the audit has of a request.
pub(super) fn event(event: &Value) -> String {
    let mut rows = vec![
        ("when", word(&event["recorded"]).to_owned()),
        ("what", word(&event["subtype"][0]["code"]).to_owned()),
        ("outcome", outcome(word(&event["outcome"])).to_owned()),
    ];
    let purposes = items(&event["purposeOfEvent"]);
    rows.extend(purposes.map(|one| ("for", word(&one["coding"][0]["code"]).to_owned())));
    for agent in items(&event["agent"]) {
        let who = word(&agent["who"]["identifier"]["value"]);
        rows.push(("who", who.to_owned()));
        let rules = items(&agent["policy"]).map(word);
        let rules = rules.map(|rule| rule.strip_prefix("urn:salus:rule:").unwrap_or(rule));
        rows.extend(rules.map(|rule| ("rule", rule.to_owned())));
    }
    for entity in items(&event["entity"]) {
        let name = if entity["type"]["code"] == "XrequestId" {
            "request"
        } else {
            "about"
        };
        let what = &entity["what"];
        let named = what["reference"]
            .as_str()
            .or(what["identifier"]["value"].as_str());
        rows.push((name, named.unwrap_or_default().to_owned()));
    }
    rows.retain(|(_, text)| !text.is_empty());
    let line = |(name, text): &(&str, String)| format!("{name:9}{text}\n");
    rows.iter().map(line).collect()
}

/// <https://hl7.org/fhir/R4/valueset-audit-event-outcome.html>
fn outcome(code: &str) -> &str {
    match code {
        "0" => "done",
        "4" => "refused",
        "8" | "12" => "failed",
        code => code,
    }
}

/// Who gains and loses what.
pub(super) fn changes(changes: &[Value]) -> String {
    if changes.is_empty() {
        return "nobody gains or loses anything\n".to_owned();
    }
    let row = |one: &Value| {
        vec![
            word(&one["user"]).to_owned(),
            word(&one["type"]).to_owned(),
            word(&one["action"]).to_owned(),
            one["gained"].to_string(),
            one["lost"].to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    let mut lines = lines(&["USER", "TYPE", "ACTION", "GAINED", "LOST"], &rows).into_iter();
    let mut text = lines.next().unwrap_or_default();
    for (line, one) in lines.zip(changes) {
        text.push_str(&line);
        for (sign, number, ids) in [("+", "gained", "gainedIds"), ("-", "lost", "lostIds")] {
            text.push_str(&listed(sign, &one[number], &one[ids]));
        }
        for (sign, member) in [("+", "elementsGained"), ("-", "elementsLost")] {
            let paths = words(&one[member]);
            if !paths.is_empty() {
                text.push_str(&format!("  {sign} elements {paths}\n"));
            }
        }
    }
    text
}

/// Some ids of so many.
fn listed(sign: &str, number: &Value, ids: &Value) -> String {
    let listed = items(ids).count() as u64;
    let more = number.as_u64().unwrap_or_default().saturating_sub(listed);
    match (listed, more) {
        (0, _) => String::new(),
        (_, 0) => format!("  {sign} {}\n", words(ids)),
        (_, more) => format!("  {sign} {} and {more} more\n", words(ids)),
    }
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

/// Operations that rules open or shut; nothing if they name none.
pub(super) fn operations(rows: &[Value]) -> String {
    let row = |one: &Value| {
        let allowed = match one["allowed"] == true {
            true => "open",
            false => "shut",
        };
        let texts = ["role", "on", "operation"].map(|member| word(&one[member]).to_owned());
        [&texts[..], &[allowed.to_owned()]].concat()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("\n{}", table(&["ROLE", "ON", "OPERATION", ""], &rows)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_aligned() {
        let changes = [
            json!({"user": "u", "type": "Patient", "action": "read", "gained": 12, "lost": 1,
                "gainedIds": ["a", "b"], "lostIds": ["c"]}),
            json!({"user": "u", "type": "Patient", "action": "update", "gained": 0, "lost": 0,
                "elementsLost": ["Patient.name"]}),
        ];
        let text = "USER  TYPE     ACTION  GAINED  LOST\n\
                    u     Patient  read    12      1\n  + a, b and 10 more\n  - c\n\
                    u     Patient  update  0       0\n  - elements Patient.name\n";
        assert_eq!(super::changes(&changes), text);
        let rows = [json!({"role": "r", "type": "Group", "records": ["all", "none"]})];
        let text = "ROLE  TYPE   read  search\nr     Group  all   -\n";
        assert_eq!(matrix(&["read", "search"], &rows), text);
        let rows = [json!({"role": "r", "on": "Group", "operation": "$export", "allowed": false})];
        let text = "\nROLE  ON     OPERATION\nr     Group  $export    shut\n";
        assert_eq!(operations(&rows), text);
        assert_eq!(operations(&[]), "");
    }

    #[test]
    fn what_differs_stands_below_its_row() {
        let question = json!({"as": "doctor", "action": "read", "resource": "Patient/a"});
        let answer = json!({"allowed": false, "rule": "no rule allows it"});
        let results = [
            json!({"question": question, "answer": answer, "met": true, "differs": []}),
            json!({"question": question, "answer": answer, "met": false,
                "differs": [{"member": "allowed", "expected": true, "got": false}]}),
        ];
        let text = "         WHO     ACTION  WHAT       ANSWER\n\
                    ok       doctor  read    Patient/a  refused: no rule allows it\n\
                    NOT MET  doctor  read    Patient/a  refused: no rule allows it\n         \
                    allowed: expected true, got false\n1 met, 1 not met\n";
        assert_eq!(super::results(&results, 1), text);
    }

    #[test]
    fn an_explanation_names_the_rule_that_decides_and_why() {
        let part = |says: &str, matches: bool| json!({"part": "condition", "says": says, "matches": matches});
        let answer = json!({"allowed": false, "rule": "p/no", "rules": [
            {"rule": "p/yes", "effect": "allow", "matches": false,
                "parts": [part("?a=b", true), part("?c=d", false)]},
            {"rule": "p/no", "effect": "deny", "matches": true},
        ]});
        let text = "refused by p/no\nRULE   EFFECT  THE RECORD\np/yes  allow   does not match\n  \
             condition ?a=b matches\n  condition ?c=d does not match\n\
             p/no   deny    matches\n";
        assert_eq!(explained(&answer), text);
    }
}
