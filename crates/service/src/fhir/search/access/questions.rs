//! Searches made at random, as clients write them.

use super::world::{DAYS, PLACES, TYPES, WORDS};
use crate::choice::Choice;

/// What the values of a parameter look like.
#[derive(Clone, Copy)]
enum Form {
    Code,
    Boolean,
    Identifier,
    Words,
    Date,
    Quantity,
    /// A composite of a code and a quantity.
    Pair,
    Canonical,
    Uri,
    Near,
    Reference(&'static [&'static str]),
}

use Form::{
    Boolean, Canonical, Code, Date, Identifier, Near, Pair, Quantity, Reference, Uri, Words,
};

const PATIENT: Form = Reference(&["Patient"]);
const ORGANIZATION: Form = Reference(&["Organization"]);
const LOCATION: Form = Reference(&["Location"]);
const ENCOUNTER: Form = Reference(&["Encounter"]);

const PARAMETERS: &[(&str, &str, Form)] = &[
    ("Organization", "name", Words),
    ("Organization", "type", Code),
    ("Organization", "active", Boolean),
    ("Organization", "identifier", Identifier),
    ("Organization", "partof", ORGANIZATION),
    ("Patient", "family", Words),
    ("Patient", "name", Words),
    ("Patient", "active", Boolean),
    ("Patient", "identifier", Identifier),
    ("Patient", "birthdate", Date),
    ("Patient", "organization", ORGANIZATION),
    ("Patient", "general-practitioner", ORGANIZATION),
    ("Encounter", "type", Code),
    ("Encounter", "identifier", Identifier),
    ("Encounter", "date", Date),
    ("Encounter", "patient", PATIENT),
    ("Encounter", "subject", PATIENT),
    ("Encounter", "service-provider", ORGANIZATION),
    ("Encounter", "part-of", ENCOUNTER),
    ("Encounter", "location", LOCATION),
    ("Observation", "code", Code),
    ("Observation", "identifier", Identifier),
    ("Observation", "date", Date),
    ("Observation", "value-quantity", Quantity),
    ("Observation", "component-code-value-quantity", Pair),
    ("Observation", "code-value-quantity", Pair),
    ("Observation", "combo-code", Code),
    ("Observation", "patient", PATIENT),
    ("Observation", "subject", PATIENT),
    ("Observation", "encounter", ENCOUNTER),
    (
        "Observation",
        "performer",
        Reference(&["Organization", "Patient"]),
    ),
    ("Observation", "has-member", Reference(&["Observation"])),
    ("List", "title", Words),
    ("List", "code", Code),
    ("List", "subject", PATIENT),
    (
        "List",
        "item",
        Reference(&["Patient", "Observation", "Encounter", "Binary"]),
    ),
    ("Provenance", "target", Reference(&TYPES)),
    (
        "Provenance",
        "agent",
        Reference(&["Organization", "Patient"]),
    ),
    ("Provenance", "patient", PATIENT),
    ("Questionnaire", "url", Uri),
    ("Questionnaire", "version", Code),
    ("Questionnaire", "title", Words),
    ("QuestionnaireResponse", "questionnaire", Canonical),
    ("QuestionnaireResponse", "subject", PATIENT),
    ("QuestionnaireResponse", "encounter", ENCOUNTER),
    ("QuestionnaireResponse", "authored", Date),
    ("ValueSet", "url", Uri),
    ("ValueSet", "version", Code),
    ("CodeSystem", "url", Uri),
    ("CodeSystem", "code", Code),
    ("Location", "near", Near),
    ("Location", "near", Near),
    ("Location", "near", Near),
    ("Location", "name", Words),
    ("Location", "type", Code),
    ("Location", "identifier", Identifier),
    ("Location", "organization", ORGANIZATION),
    ("Location", "partof", LOCATION),
    ("OperationDefinition", "name", Words),
    ("OperationDefinition", "code", Code),
];

/// The types that have records below others.
const HIERARCHIES: [&str; 3] = ["Organization", "Encounter", "Location"];

/// A condition on resources of a type, at most so many links long.
pub(super) fn clause(choice: &mut Choice, ty: &str, depth: u64) -> (String, String) {
    loop {
        match choice.below(if depth == 0 { 10 } else { 20 }) {
            0 => return common(choice),
            1..10 => {
                let own: Vec<_> = PARAMETERS.iter().filter(|(of, ..)| *of == ty).collect();
                if own.is_empty() {
                    continue;
                }
                let (_, name, form) = choice.of(&own);
                let (modifier, value) = operand(choice, *form);
                return (format!("{name}{modifier}"), value);
            }
            10..15 => {
                let links: Vec<_> = links().filter(|(of, ..)| *of == ty).collect();
                if links.is_empty() {
                    continue;
                }
                let (_, name, targets) = choice.of(&links);
                let target = choice.of(targets);
                let (rest, value) = clause(choice, target, depth - 1);
                return (format!("{name}:{target}.{rest}"), value);
            }
            _ => {
                let links: Vec<_> = links().filter(|(.., to)| to.contains(&ty)).collect();
                if links.is_empty() {
                    continue;
                }
                let (from, name, _) = choice.of(&links);
                let (rest, value) = clause(choice, from, depth - 1);
                return (format!("_has:{from}:{name}:{rest}"), value);
            }
        }
    }
}

fn links() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    PARAMETERS.iter().filter_map(|(of, name, form)| match form {
        Reference(targets) => Some((*of, *name, *targets)),
        Canonical => Some((*of, *name, &["Questionnaire"][..])),
        Code | Boolean | Identifier | Words | Date | Quantity | Pair | Uri | Near => None,
    })
}

/// What all types have.
pub(super) fn common(choice: &mut Choice) -> (String, String) {
    let (name, value) = match choice.below(6) {
        0 | 1 => {
            let ids = (0..=choice.below(3)).map(|_| choice.below(6).to_string());
            ("_id", ids.collect::<Vec<_>>().join(","))
        }
        2 => ("_tag", format!("urn:s|c{}", choice.below(4))),
        3 => ("_tag:not", format!("c{}", choice.below(4))),
        4 => ("_tag:missing", boolean(choice)),
        _ => (
            "_lastUpdated",
            format!("{}2013-02-1{}", prefix(choice), choice.below(10)),
        ),
    };
    (name.to_owned(), value)
}

fn prefix(choice: &mut Choice) -> &'static str {
    choice.of(&["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
}

fn boolean(choice: &mut Choice) -> String {
    choice.of(&["true", "false"]).to_owned()
}

/// A modifier, and a value.
fn operand(choice: &mut Choice, form: Form) -> (String, String) {
    if choice.below(8) == 0 && !matches!(form, Pair | Near) {
        return (":missing".to_owned(), boolean(choice));
    }
    let (modifier, value) = match form {
        Code => {
            let code = format!("c{}", choice.below(4));
            match choice.below(10) {
                0 => (":not", code),
                7 | 8 => terms(choice),

                1 => (":text", choice.of(&WORDS).to_owned()),
                2 => ("", "urn:s|".to_owned()),
                3 => ("", format!("{code},c{}", choice.below(4))),
                4 => (":not", format!("urn:s|{code}")),
                _ => ("", code),
            }
        }
        Boolean => (choice.of(&["", ":not"]), boolean(choice)),
        Identifier => (
            choice.of(&["", "", ":not"]),
            format!("urn:i|{}", choice.below(5)),
        ),
        Words => (
            choice.of(&["", ":exact", ":contains"]),
            choice.of(&WORDS).to_owned(),
        ),
        Date => ("", format!("{}{}", prefix(choice), choice.of(&DAYS))),
        Quantity => ("", quantity(choice)),
        Pair => ("", format!("c{}${}", choice.below(4), quantity(choice))),
        Canonical => (
            "",
            format!("urn:q:{}{}", choice.below(3), choice.of(&["", "|1", "|2"])),
        ),
        Uri => (
            choice.of(&["", ":below", ":above"]),
            format!("urn:q:{}", choice.below(3)),
        ),
        Near => ("", near(choice)),
        Reference(targets) => {
            let (target, id) = (choice.of(targets), choice.below(6));
            match choice.below(8) {
                0 => return (format!(":{target}"), id.to_string()),
                6 if HIERARCHIES.contains(&target) => (":below", format!("{target}/{id}")),
                7 if HIERARCHIES.contains(&target) => (":above", format!("{target}/{id}")),
                1 => (":identifier", format!("urn:i|{}", choice.below(4))),
                2 => ("", id.to_string()),
                3 => ("", format!("{target}/{id},{target}/{}", choice.below(6))),
                _ => ("", format!("{target}/{id}")),
            }
        }
    };
    (modifier.to_owned(), value)
}

/// What asks for value sets and code systems.
fn terms(choice: &mut Choice) -> (&'static str, String) {
    let code = format!("{}|c{}", choice.of(&["urn:s", "urn:t"]), choice.below(4));
    let set = match choice.below(3) {
        0 => format!("ValueSet/{}", choice.below(6)),
        1 => format!("urn:vs:{}|{}", choice.below(4), choice.of(&["1", "2"])),
        _ => format!("urn:vs:{}", choice.below(4)),
    };
    match choice.below(4) {
        0 => (":below", code),
        1 => (":above", code),
        2 => (":not-in", set),
        _ => (":in", set),
    }
}

fn near(choice: &mut Choice) -> String {
    let (latitude, longitude) = choice.of(&PLACES);
    let distance = choice.of(&["", "|0", "|3|km", "|10000|m", "|50", "|20000|km"]);
    format!("{latitude}|{longitude}{distance}")
}

fn quantity(choice: &mut Choice) -> String {
    let number = format!("{}{}", prefix(choice), choice.below(5));
    match choice.below(3) {
        0 => format!("{number}|http://unitsofmeasure.org|mg"),
        1 => format!("{number}||g"),
        _ => number,
    }
}

/// A whole search, as the part of a URL behind the endpoint.
pub(super) fn search(choice: &mut Choice) -> String {
    let ty = choice.of(&TYPES);
    let mut pairs: Vec<(String, String)> = Vec::new();
    let path = match choice.below(10) {
        8 => {
            let ty = choice.of(&["Patient", "Location"]);
            contained(choice, ty, &mut pairs);
            ty.to_owned()
        }
        9 => {
            let ty = choice.of(&["Patient", "Observation", "Location"]);
            of_one_type(choice, ty, &mut pairs);
            pairs.push(special(choice, ty));
            ty.to_owned()
        }
        0 => {
            several(choice, &mut pairs);
            String::new()
        }
        1 => {
            let (name, id) = (choice.of(&["Patient", "Encounter"]), choice.below(6));
            let member = choice.of(&["*", "Observation", "Encounter", "List"]);
            if member == "*" {
                several(choice, &mut pairs);
            } else {
                of_one_type(choice, member, &mut pairs);
            }
            format!("{name}/{id}/{member}")
        }
        _ => {
            of_one_type(choice, ty, &mut pairs);
            ty.to_owned()
        }
    };
    controls(choice, &mut pairs);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(&pairs);
    format!("{path}?{}", query.finish())
}

fn several(choice: &mut Choice, pairs: &mut Vec<(String, String)>) {
    if choice.below(2) == 0 {
        pairs.push(common(choice));
    }
    if choice.below(2) == 0 {
        let types: Vec<&str> = (0..=choice.below(3)).map(|_| choice.of(&TYPES)).collect();
        pairs.push(("_type".to_owned(), types.join(",")));
    }
    match choice.below(6) {
        0 => in_others(choice, pairs),
        1 => pairs.push(("_query".to_owned(), format!("q{}", choice.below(5)))),
        _ => {}
    }
    if choice.below(2) == 0 {
        let order = choice.of(&["_id", "-_id", "_lastUpdated", "-_lastUpdated,_id"]);
        pairs.push(("_sort".to_owned(), order.to_owned()));
    }
}

fn of_one_type(choice: &mut Choice, ty: &str, pairs: &mut Vec<(String, String)>) {
    for _ in 0..choice.of(&[0, 1, 1, 1, 2]) {
        let depth = choice.below(4);
        pairs.push(clause(choice, ty, depth));
    }
    if choice.below(5) == 0 {
        pairs.push(special(choice, ty));
        if choice.below(3) == 0 {
            // A parameter of named queries, and an error elsewhere.
            pairs.push(("ids".to_owned(), "0,2,3".to_owned()));
        }
    }
    if choice.below(3) == 0 {
        let keys: Vec<String> = (0..=choice.below(2)).map(|_| key(choice, ty)).collect();
        pairs.push(("_sort".to_owned(), keys.join(",")));
    }
    while choice.below(3) == 0 {
        pairs.push(include(choice, ty));
    }
}

/// A search of a type that is contained in others.
fn contained(choice: &mut Choice, ty: &str, pairs: &mut Vec<(String, String)>) {
    in_others(choice, pairs);
    of_one_type(choice, ty, pairs);
}

fn in_others(choice: &mut Choice, pairs: &mut Vec<(String, String)>) {
    let mut add = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
    add("_contained", choice.of(&["true", "both"]));
    match choice.below(3) {
        0 => add("_containedType", "container"),
        1 => add("_containedType", "contained"),
        _ => {}
    }
}

/// What has a grammar of its own.
fn special(choice: &mut Choice, ty: &str) -> (String, String) {
    let (name, value) = match choice.below(8) {
        5 => ("_filter", filter(choice, ty, 3)),
        6 | 7 => ("_query", format!("q{}", choice.below(5))),
        0 => ("_list", choice.below(6).to_string()),
        1 => ("_text", choice.of(&WORDS).to_owned()),
        2 => ("_content", choice.of(&WORDS).to_owned()),
        3 => ("_filter", filter(choice, ty, 2)),
        _ => (
            "_contained",
            choice.of(&["true", "both", "false"]).to_owned(),
        ),
    };
    (name.to_owned(), value)
}

/// An expression of <https://hl7.org/fhir/R4/search_filter.html>.
fn filter(choice: &mut Choice, ty: &str, depth: u64) -> String {
    if depth > 0 && choice.below(2) == 0 {
        let (one, other) = (filter(choice, ty, depth - 1), filter(choice, ty, depth - 1));
        return match choice.below(3) {
            0 => format!("({one}) and ({other})"),
            1 => format!("({one}) or ({other})"),
            _ => format!("not({one})"),
        };
    }
    let own: Vec<_> = PARAMETERS.iter().filter(|(of, ..)| *of == ty).collect();
    if own.is_empty() {
        return format!("_id eq {}", choice.below(6));
    }
    let (_, name, form) = choice.of(&own);
    if choice.below(8) == 0 && !matches!(form, Pair | Near) {
        return format!("{name} pr {}", boolean(choice));
    }
    match form {
        Near => format!("{name} eq {}", near(choice)),
        Words => format!(
            "{name} {} \"{}\"",
            choice.of(&["eq", "co", "sw"]),
            choice.of(&WORDS)
        ),
        Boolean => format!("{name} eq {}", boolean(choice)),
        Date => format!(
            "{name} {} {}",
            choice.of(&["eq", "gt", "le"]),
            choice.of(&DAYS)
        ),
        Quantity => format!(
            "{name} {} {}",
            choice.of(&["eq", "gt", "le"]),
            choice.below(5)
        ),
        Reference(targets) if depth > 0 => {
            let target = choice.of(targets);
            let then = filter(choice, target, 0);
            match choice.below(2) {
                0 => format!("{name}[{target}].{then}"),
                _ => format!("{name}[{}].{then}", filter(choice, target, depth - 1)),
            }
        }
        Reference(targets) => format!("{name} re {}/{}", choice.of(targets), choice.below(6)),
        Identifier => format!("{name} eq {}", choice.below(4)),
        Code => match choice.below(3) {
            0 => format!(
                "{name} {} urn:s|c{}",
                choice.of(&["ss", "sb"]),
                choice.below(4)
            ),
            1 => format!(
                "{name} {} urn:vs:{}",
                choice.of(&["in", "ni"]),
                choice.below(4)
            ),
            _ => format!("{name} {} c{}", choice.of(&["eq", "ne"]), choice.below(4)),
        },
        Pair => format!("{name} eq c{}$ge{}", choice.below(4), choice.below(5)),
        Canonical => format!("{name} eq urn:q:{}", choice.below(3)),
        Uri => format!(
            "{name} {} urn:q:{}",
            choice.of(&["eq", "ss", "sb"]),
            choice.below(3)
        ),
    }
}

fn key(choice: &mut Choice, ty: &str) -> String {
    let own = PARAMETERS.iter().filter(|(of, ..)| *of == ty);
    let own = own.filter(|(_, _, form)| !matches!(form, Pair | Near));
    let mut names: Vec<&str> = own.map(|(_, name, _)| *name).collect();
    names.extend(["_id", "_lastUpdated"]);
    format!("{}{}", choice.of(&["", "-"]), choice.of(&names))
}

fn include(choice: &mut Choice, ty: &str) -> (String, String) {
    let all: Vec<_> = links().collect();
    let from: Vec<_> = links().filter(|(of, ..)| *of == ty).collect();
    let into: Vec<_> = links().filter(|(.., to)| to.contains(&ty)).collect();
    let (name, (of, parameter, targets)) = match choice.below(8) {
        0 => return ("_include".to_owned(), "*".to_owned()),
        1 => return ("_include:iterate".to_owned(), "*".to_owned()),
        2 => ("_include:iterate", choice.of(&all)),
        3 => ("_revinclude:iterate", choice.of(&all)),
        4 | 5 if !from.is_empty() => ("_include", choice.of(&from)),
        _ if !into.is_empty() => ("_revinclude", choice.of(&into)),
        _ => ("_include:iterate", choice.of(&all)),
    };
    let target = match choice.below(4) {
        0 => format!(":{}", choice.of(targets)),
        _ => String::new(),
    };
    (name.to_owned(), format!("{of}:{parameter}{target}"))
}

fn controls(choice: &mut Choice, pairs: &mut Vec<(String, String)>) {
    let mut add = |name: &str, value: String| pairs.push((name.to_owned(), value));
    if choice.below(2) == 0 {
        add("_count", choice.below(6).to_string());
    }
    match choice.below(6) {
        0 => add("_total", "accurate".to_owned()),
        1 => add("_total", "estimate".to_owned()),
        2 => add("_total", "none".to_owned()),
        _ => {}
    }
    match choice.below(12) {
        0 => add("_summary", "count".to_owned()),
        1 => add("_summary", choice.of(&["true", "data", "text"]).to_owned()),
        _ => {}
    }
}
