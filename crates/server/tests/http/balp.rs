//! The rules of IHE BALP (<https://profiles.ihe.net/ITI/BALP/>) for the events that the
//! tests cause, on top of those of AuditEvent itself.

use salus_fhir::json::{Document, Limits};
use serde_json::Value;

/// Interaction, action, who gives (DICOM 110153) and whether a record has to be named.
const INTERACTIONS: [(&str, &str, &str, bool); 13] = [
    ("read", "R", "server", true),
    ("vread", "R", "server", true),
    ("history-instance", "R", "server", false),
    ("history-type", "R", "server", false),
    ("history-system", "R", "server", false),
    ("search-type", "E", "client", false),
    ("create", "C", "client", true),
    ("update", "U", "client", true),
    ("patch", "U", "client", true),
    ("delete", "D", "client", false),
    ("transaction", "E", "client", false),
    ("batch", "E", "client", false),
    ("operation", "E", "client", false),
];

/// Types of events that are no interaction, with their subtypes.
const OTHERS: [(&str, &[&str]); 5] = [
    (
        "110100",
        &[
            "admin-read",
            "admin-write",
            "110120",
            "110121",
            "restore",
            "drill",
        ],
    ),
    ("110106", &["disclose", "extract"]),
    (
        "110110",
        &[
            "consent-given",
            "consent-withdrawn",
            "hold",
            "unhold",
            "destroy",
            "shred",
            "archive",
            "reactivate",
            "disclosures-suspended",
        ],
    ),
    (
        "110113",
        &[
            "110127",
            "110129",
            "110131",
            "key-made",
            "key-rotated",
            "key-destroyed",
            "key-exported",
            "verify",
        ],
    ),
    ("110114", &["110122", "110123"]),
];

/// Every rule for one event.
#[track_caller]
pub(crate) fn check(event: &Value) {
    let document = Document::parse(event.to_string().into_bytes(), &Limits::default()).unwrap();
    if let Err(issues) = salus_fhir::validate::resource(document.root()) {
        panic!("{issues:?}: {event}");
    }
    let code = event["subtype"][0]["code"].as_str().unwrap();
    let ty = event["type"]["code"].as_str().unwrap();
    if ty == "rest" {
        check_interaction(event, code);
    } else {
        let known = OTHERS.iter().find(|(known, _)| *known == ty);
        let known = known.is_some_and(|(_, subtypes)| subtypes.contains(&code));
        assert!(known, "{ty} {code}: {event}");
    }
    check_agents(event);
    check_entities(event);
}

#[track_caller]
fn check_interaction(event: &Value, code: &str) {
    let known = INTERACTIONS.iter().find(|(known, ..)| *known == code);
    let (_, action, source, named) = known.unwrap_or_else(|| panic!("{code}: {event}"));
    assert_eq!(event["action"], *action, "{event}");
    let gives = agents(event, "110153").map(|agent| match has(agent, "110150") {
        true => "client",
        false => "server",
    });
    assert_eq!(gives.collect::<Vec<_>>(), [*source], "{event}");
    // The audit itself and what the server defines are no records.
    let own = ["AuditEvent", "OperationDefinition"].map(Value::from);
    let of_own = own.contains(&event["entity"][0]["name"]);
    if *named && event["outcome"] == "0" && !of_own {
        assert!(entities(event, ("2", "4")).next().is_some(), "{event}");
    }
}

/// Client, server, and a user if a person asked; one of them asked.
#[track_caller]
fn check_agents(event: &Value) {
    let all = event["agent"].as_array().unwrap();
    let asked = all.iter().filter(|agent| agent["requestor"] == true);
    assert_eq!(asked.count(), 1, "{event}");
    assert_eq!(agents(event, "110150").count(), 1, "{event}");
    for agent in all {
        let display = agent["who"]["display"].as_str();
        assert!(display.is_some_and(|name| !name.is_empty()), "{event}");
    }
    let server = all.iter().find(|agent| agent["network"]["type"] == "5");
    assert!(
        server.is_some_and(|one| one["who"]["display"] == "Salus"),
        "{event}"
    );
    let who = all[0]["who"]["identifier"]["value"].as_str().unwrap();
    if who.starts_with("User/") || who.starts_with("Administrator/") {
        assert!(
            has(&all[0], "IRCP") && has(&all[0], "UserOauthAgent"),
            "{event}"
        );
        assert!(all[0]["network"].is_null(), "{event}");
    }
    assert!(event["source"]["observer"]["display"] == "Salus", "{event}");
}

/// The request, records with their patients, the query.
#[track_caller]
fn check_entities(event: &Value) {
    let all = event["entity"].as_array().unwrap();
    assert_eq!(all[0]["type"]["code"], "XrequestId", "{event}");
    assert!(all[0]["what"]["identifier"]["value"].is_string(), "{event}");
    for entity in &all[1..] {
        let reference = entity["what"]["reference"].as_str();
        let patient =
            reference.is_some_and(|one| one.starts_with("Patient/") && !one.contains("/_history/"));
        let codes = (
            entity["type"]["code"].as_str(),
            entity["role"]["code"].as_str(),
        );
        match (reference, patient) {
            (Some(_), true) => assert_eq!(codes, (Some("1"), Some("1")), "{event}"),
            (Some(_), false) => assert_eq!(codes, (Some("2"), Some("4")), "{event}"),
            (None, _) if entity["query"].is_string() => {
                assert_eq!(codes, (Some("2"), Some("24")), "{event}");
            }
            (None, _) if entity["description"].is_string() => {
                assert_eq!(codes.0, Some("4"), "{event}");
            }
            (None, _) => {
                let own = entity["what"]["identifier"]["value"].as_str();
                assert!(own.is_some_and(|own| own.contains('/')), "{event}");
            }
        }
    }
    // A patient's own record is there as a record and as the patient.
    for entity in entities(event, ("2", "4")) {
        let reference = entity["what"]["reference"].as_str().unwrap();
        if let Some((patient, _)) = reference.split_once("/_history/")
            && patient.starts_with("Patient/")
        {
            let mut patients = entities(event, ("1", "1"));
            assert!(
                patients.any(|one| one["what"]["reference"] == patient),
                "{event}"
            );
        }
    }
}

fn has(agent: &Value, code: &str) -> bool {
    let codings = agent["type"]["coding"].as_array();
    codings
        .into_iter()
        .flatten()
        .any(|coding| coding["code"] == code)
}

fn agents<'e>(event: &'e Value, code: &'e str) -> impl Iterator<Item = &'e Value> {
    let all = event["agent"].as_array().into_iter().flatten();
    all.filter(move |agent| has(agent, code))
}

fn entities<'e>(
    event: &'e Value,
    (ty, role): (&'static str, &'static str),
) -> impl Iterator<Item = &'e Value> {
    let all = event["entity"].as_array().into_iter().flatten();
    all.filter(move |one| one["type"]["code"] == ty && one["role"]["code"] == role)
}
