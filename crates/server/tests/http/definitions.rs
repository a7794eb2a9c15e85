//! Our OperationDefinitions beside those of R4, which come with the published
//! examples: what has another name, type, cardinality or level is listed here
//! with its reason.

use std::collections::BTreeSet;

use salus_api::route::ROUTES;
use salus_service::fhir::operations::OPERATIONS;
use serde_json::{Value, json};

use crate::examples::published;
use crate::host::project;

/// Where ours differ from those of R4, and why.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "Composition-document: more: out return 1..1 Bundle",
        "R4 says only in words that the document is returned",
    ),
    (
        "MessageHeader-process-message: less: out return 0..1 Bundle",
        "nothing handles messages yet, so no message is answered",
    ),
];

#[test]
fn operations_are_those_of_the_standard() {
    let standard = published(|name| name.starts_with("OperationDefinition-"));
    let Some(standard) = standard else {
        return;
    };
    let project = project("definitions");
    let (mut compared, mut differ) = (0, BTreeSet::new());
    let ours = OPERATIONS
        .iter()
        .map(|operation| (operation.id(), operation.definition));
    let versions = "CapabilityStatement-versions";
    let url = format!("http://hl7.org/fhir/OperationDefinition/{versions}");
    for (id, url) in ours.chain([(versions.to_owned(), &*url)]) {
        let answer = project
            .get(&format!("OperationDefinition/{id}"))
            .expect(200);
        let definition = answer.json();
        // It is a valid definition itself.
        let outcome = project.post("OperationDefinition/$validate", &definition);
        let outcome = outcome.expect(200).json();
        assert_eq!(
            outcome["issue"][0]["severity"], "information",
            "{id}: {outcome}"
        );
        let Some(name) = url.strip_prefix("http://hl7.org/fhir/OperationDefinition/") else {
            continue;
        };
        assert_eq!(definition["base"], url);
        let file = format!("OperationDefinition-{name}");
        let (_, text) = standard
            .iter()
            .find(|(known, _)| *known == file)
            .unwrap_or_else(|| panic!("R4 has no {name}"));
        let (ours, theirs) = (
            facts(&definition),
            facts(&serde_json::from_slice(text).unwrap()),
        );
        differ.extend(
            theirs
                .difference(&ours)
                .map(|fact| format!("{name}: less: {fact}")),
        );
        differ.extend(
            ours.difference(&theirs)
                .map(|fact| format!("{name}: more: {fact}")),
        );
        compared += 1;
    }
    assert!(compared >= 12, "{compared}");
    let listed: BTreeSet<String> = DEVIATIONS
        .iter()
        .map(|(what, _)| (*what).to_owned())
        .collect();
    let unlisted: Vec<_> = differ.difference(&listed).collect();
    let settled: Vec<_> = listed.difference(&differ).collect();
    assert!(
        unlisted.is_empty() && settled.is_empty(),
        "{unlisted:#?} {settled:#?}"
    );
}

/// What a definition says of how the operation is called, a line each.
fn facts(definition: &Value) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for (level, place) in [
        ("system", "on the system"),
        ("type", "on a type"),
        ("instance", "on an instance"),
    ] {
        if definition[level] == true {
            facts.insert(place.to_owned());
        }
    }
    facts.insert(format!(
        "${} of {}",
        definition["code"], definition["resource"]
    ));
    for parameter in definition["parameter"].as_array().into_iter().flatten() {
        let text = |name: &str| parameter[name].as_str().unwrap_or("-");
        let (min, max) = (&parameter["min"], text("max"));
        let (usage, name, ty) = (text("use"), text("name"), text("type"));
        facts.insert(format!("{usage} {name} {min}..{max} {ty}"));
    }
    facts
}

#[test]
fn the_capability_statement_names_every_operation() {
    let statement = project("definitions-named")
        .get("metadata")
        .expect(200)
        .json();
    let rest = &statement["rest"][0];
    let resources = rest["resource"].as_array().unwrap().iter();
    let lists = resources
        .chain([rest])
        .filter_map(|place| place["operation"].as_array());
    let named: BTreeSet<&str> = lists
        .flatten()
        .map(|operation| operation["name"].as_str().unwrap())
        .collect();
    let routes = ROUTES
        .iter()
        .filter_map(|route| route.path.rsplit_once("/$"));
    // What lies below an operation is a part of it.
    let routes: BTreeSet<&str> = routes
        .map(|(_, name)| name)
        .filter(|name| !name.contains('/'))
        .collect();
    assert_eq!(named, routes);
}

#[test]
fn a_composition_is_named_by_the_url_or_by_a_parameter() {
    let project = project("definitions-document");
    let composition = json!({
        "resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"},
        "date": "2026", "title": "x", "author": [{"display": "x"}],
    });
    project.put(&composition).expect(201);
    let first = |path: &str, status: u16| {
        let answer = project.get(path).expect(status).json();
        answer["entry"][0]["resource"]["id"].clone()
    };
    let url = format!(
        "http://{}{}/Composition/c",
        project.server.address(),
        project.base()
    );
    for id in ["c", "Composition/c", &url] {
        assert_eq!(first(&format!("Composition/$document?id={id}"), 200), "c");
        assert_eq!(first(&format!("Composition/c/$document?id={id}"), 200), "c");
    }
    for query in [
        "",
        "?id=http://example.org/fhir/Composition/c",
        "?id=c&graph=urn:g",
        "?id=a_b",
    ] {
        first(&format!("Composition/$document{query}"), 400);
    }
    first("Composition/c/$document?id=d", 400);
    first("Composition/$document?id=d", 404);
    first("Patient/$document?id=c", 404);
    let parameters =
        json!({"resourceType": "Parameters", "parameter": [{"name": "id", "valueUri": "c"}]});
    let answer = project
        .post("Composition/$document", &parameters)
        .expect(200);
    assert_eq!(answer.json()["type"], "document");
}
