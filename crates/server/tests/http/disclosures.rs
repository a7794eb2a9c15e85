//! The accounting of disclosures: 45 CFR 164.528.

use serde_json::{Value, json};

use crate::host::{Project, project, salus};

const COUNTY: &str = "County Health Department";

fn furnished(slug: &str) -> Project {
    let project = project(slug);
    for id in ["p", "q"] {
        project
            .put(&json!({"resourceType": "Patient", "id": id}))
            .expect(201);
    }
    project
}

/// A client of somebody outside: its token.
#[track_caller]
fn outside(project: &Project, id: &str, more: &Value) -> String {
    let mut new = json!({"id": id, "name": id, "scopes": "system/*.rs",
        "recipient": {"name": COUNTY, "address": "1 Main St"}});
    for (member, value) in more.as_object().into_iter().flatten() {
        new[member] = value.clone();
    }
    let made = project
        .admin("POST", "/admin/clients", &new)
        .expect(201)
        .json();
    assert_eq!(made["recipient"]["name"], COUNTY);
    project.sign_in(id, made["client_secret"].as_str().unwrap())
}

#[track_caller]
fn accounting(project: &Project, patient: &str) -> Value {
    let path = format!("/admin/disclosures/{patient}");
    project.admin("GET", &path, &Value::Null).expect(200).json()
}

#[track_caller]
fn record(project: &Project, disclosure: &Value, status: u16) {
    let body = json!({"patient": "p", "disclosure": disclosure});
    project
        .admin("POST", "/admin/disclosures", &body)
        .expect(status);
}

fn on_paper() -> Value {
    json!({"date": "2026-01-05", "recipient": {"name": "Sheriff", "address": "2 Main St"},
        "description": "discharge summary", "purpose": "court order", "means": "paper"})
}

#[test]
fn what_clients_outside_are_shown_is_accounted_for() {
    let project = furnished("disclosures-shown");
    let county = project.with(&outside(
        &project,
        "county",
        &json!({"purposes": ["PUBHLTH"], "default_purpose": "PUBHLTH"}),
    ));
    for _ in 0..3 {
        county.get("Patient/p").expect(200);
    }
    county.get("Patient?_summary=count").expect(200);
    county.get("Patient?_id=nobody").expect(200);
    county.get("Patient/p/_history/9").expect(404);
    project.get("Patient/p").expect(200);
    let told = accounting(&project, "p");
    let lines = told["disclosures"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{told}");
    assert_eq!(lines[0]["times"], 3);
    assert_eq!(
        lines[0]["recipient"],
        json!({"name": COUNTY, "address": "1 Main St"})
    );
    assert_eq!(
        (&lines[0]["description"], &lines[0]["purpose"]),
        (&json!("Patient"), &json!("PUBHLTH"))
    );
    assert_eq!(accounting(&project, "q")["disclosures"], json!([]));
    // The entry says it, too.
    let events = project
        .get("AuditEvent?patient=p&subtype=read&agent-name=County")
        .expect(200);
    assert_eq!(events.found().len(), 3);
}

#[test]
fn exceptions_are_left_out_with_their_reason() {
    let project = furnished("disclosures-excepted");
    for (id, purpose) in [("care", "TREAT"), ("pay", "HPAYMT"), ("ops", "HOPERAT")] {
        let purposes = json!({"purposes": [purpose], "default_purpose": purpose});
        let token = outside(&project, id, &purposes);
        project.with(&token).get("Patient/p").expect(200);
    }
    let basis = json!({"recipient": {"name": COUNTY, "basis": "limited-data-set"}});
    let token = outside(&project, "study", &basis);
    project.with(&token).get("Patient/p").expect(200);
    let mut authorized = on_paper();
    authorized["exception"] = json!("authorization");
    record(&project, &authorized, 201);
    let told = accounting(&project, "p");
    assert_eq!(told["disclosures"], json!([]));
    let expect = json!({"authorization": 1, "limited-data-set": 1, "operations": 1, "payment": 1, "treatment": 1});
    assert_eq!(told["excepted"], expect);
}

#[test]
fn what_was_disclosed_elsewhere_is_recorded() {
    let project = furnished("disclosures-recorded");
    record(&project, &on_paper(), 201);
    let mut often = on_paper();
    often["times"] = json!(4);
    often["last"] = json!("2026-03-05");
    often["purpose"] = json!("report");
    record(&project, &often, 201);
    let mut old = on_paper();
    old["date"] = json!("2001-01-01");
    record(&project, &old, 201);
    let told = accounting(&project, "p");
    let lines = told["disclosures"].as_array().unwrap();
    assert_eq!(lines.len(), 2, "{told}");
    assert_eq!(
        (&lines[1]["times"], &lines[1]["last"]),
        (&json!(4), &json!("2026-03-05"))
    );
    let few = project.admin(
        "GET",
        "/admin/disclosures/p?from=2026-02-01&to=2026-02-28",
        &Value::Null,
    );
    assert_eq!(
        few.expect(200).json()["disclosures"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for (member, value) in [
        ("date", json!("2999-01-01")),
        ("recipient", json!({"name": ""})),
        ("description", json!("")),
        ("times", json!(3)),
        ("exception", json!("because")),
    ] {
        let mut wrong = on_paper();
        wrong[member] = value;
        record(&project, &wrong, 400);
    }
    let nobody = json!({"patient": "nobody", "disclosure": on_paper()});
    project
        .admin("POST", "/admin/disclosures", &nobody)
        .expect(404);
    project
        .admin("GET", "/admin/disclosures/p?from=never", &Value::Null)
        .expect(400);
    let events = project
        .get("AuditEvent?patient=p&subtype=disclose&outcome=0")
        .expect(200);
    assert_eq!(events.found().len(), 3);
}

#[test]
fn research_stands_in_every_accounting_of_its_time() {
    let project = furnished("disclosures-research");
    let protocol = |from: &str, to: &str| {
        json!({"protocol": {"name": "Sleep", "description": "sleep of adults", "records": "observations",
            "from": from, "to": to, "sponsor": {"name": "University", "address": "3 Main St"}, "phone": "555"}})
    };
    let post = |body: &Value| project.admin("POST", "/admin/disclosures", body);
    post(&protocol("2026-01-01", "2026-02-01")).expect(201);
    post(&protocol("2001-01-01", "2002-01-01")).expect(201);
    post(&protocol("2026-02-01", "2026-01-01")).expect(400);
    for patient in ["p", "q"] {
        let told = accounting(&project, patient);
        assert_eq!(told["protocols"].as_array().unwrap().len(), 1, "{told}");
    }
}

#[test]
fn an_agency_is_left_out_for_a_time() {
    let project = furnished("disclosures-suspended");
    record(&project, &on_paper(), 201);
    let path = "/admin/disclosures/p/suspensions";
    let suspend = |until: &str, written: bool, status: u16| {
        let body = json!({"agency": "sheriff", "until": until, "written": written,
            "statement": "Deputy Doe: it would impede an investigation"});
        project.admin("POST", path, &body).expect(status);
    };
    suspend("2999-01-01", false, 400);
    suspend("2999-01-01", true, 201);
    let told = accounting(&project, "p");
    assert_eq!(
        (
            &told["disclosures"],
            told["withheld"].as_array().unwrap().len()
        ),
        (&json!([]), 1)
    );
    // The patient does not find it in the audit either.
    let rules = json!({"rules": [{"id": "own", "effect": "allow", "subjects": ["role:patient"],
        "actions": ["read", "search"], "kinds": ["AuditEvent"], "condition": "Patient/%user.patient/*"}, {"id": "record", "effect": "allow",
        "subjects": ["role:patient"], "actions": ["read"], "kinds": ["Patient"], "condition": "Patient/%user.patient/*"}]});
    project
        .admin("PUT", "/admin/policies/own", &rules)
        .expect(201);
    project.user(
        "pat",
        &json!({"roles": ["patient"], "profiles": ["Patient/p"]}),
    );
    let patient = project.sign_in_user("pat");
    let seen = || {
        let found = project.ask(&patient, "GET", "/fhir/AuditEvent?_count=50", &Value::Null);
        found.expect(200).body
    };
    assert!(!seen().contains("Sheriff") && !seen().contains("sheriff"));
    suspend("2026-01-01", true, 201);
    let told = accounting(&project, "p");
    assert_eq!(told["disclosures"].as_array().unwrap().len(), 1);
    assert_eq!(told.get("withheld"), None);
    assert!(seen().contains("Sheriff"));
    let events = project
        .get("AuditEvent?patient=p&subtype=disclosures-suspended&outcome=0")
        .expect(200);
    assert_eq!(events.found().len(), 2);
}

#[test]
fn staff_account_for_disclosures_by_a_rule() {
    let project = furnished("disclosures-staff");
    project.user("clerk", &json!({"roles": ["records"]}));
    let clerk = project.sign_in_user("clerk");
    let ask = |method: &str, path: &str, body: &Value| project.ask(&clerk, method, path, body);
    let body = json!({"patient": "p", "disclosure": on_paper()});
    ask("POST", "/admin/disclosures", &body).expect(403);
    let rule = |id: &str, action: &str| {
        json!({"id": id, "effect": "allow", "subjects": ["role:records"], "actions": [action],
            "kinds": ["Patient"]})
    };
    let rules = json!({"rules": [rule("records", "$disclosures"), rule("read", "read")]});
    project
        .admin("PUT", "/admin/policies/records", &rules)
        .expect(201);
    ask("POST", "/admin/disclosures", &body).expect(201);
    let told = ask("GET", "/admin/disclosures/p", &Value::Null)
        .expect(200)
        .json();
    assert_eq!(told["disclosures"].as_array().unwrap().len(), 1);
}

#[test]
fn the_command_line_prints_both() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = crate::host::Server::start_on(&data, &["--demo=0"]);
    let project = Project::create(&std::sync::Arc::new(server), "chart");
    project
        .put(&json!({"resourceType": "Patient", "id": "p"}))
        .expect(201);
    project.get("Patient/p").expect(200);
    record(&project, &on_paper(), 201);
    let run = |arguments: &[&str]| {
        let mut command = salus(&["audit"]);
        let command = command.args(arguments).arg("--data").arg(&data);
        command.args(["--project", "chart"]).output().unwrap()
    };
    let text = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let table = text(&["patient", "p"]);
    let head = table.lines().next().unwrap();
    assert!(
        head.starts_with("WHEN") && head.ends_with("OUTCOME"),
        "{table}"
    );
    assert!(
        table.contains("all (Client/all)") || table.contains("Client/all"),
        "{table}"
    );
    assert!(
        table.contains("read Patient") && table.ends_with("3 entries\n"),
        "{table}"
    );
    let lines = text(&["patient", "p", "--json"]);
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        events
            .iter()
            .all(|event| event["resourceType"] == "AuditEvent")
    );
    assert!(text(&["patient", "p", "--to", "2020-01-01"]).ends_with("0 entries\n"));
    let accounting = text(&["disclosures", "p"]);
    assert!(
        accounting.contains("Sheriff, 2 Main St  discharge summary  court order"),
        "{accounting}"
    );
    let told: Value = serde_json::from_str(&text(&["disclosures", "p", "--json"])).unwrap();
    assert_eq!(told["patient"], "p");
    assert!(!run(&["disclosures", "nobody"]).status.success());
    // Without a server, too; then the start and the stop of both are in the log of the system.
    let system = project.server.admin(
        "GET",
        "/p/system/fhir/AuditEvent?subtype=110120",
        &Value::Null,
    );
    assert_eq!(system.expect(200).found().len(), 1);
    drop(project);
    assert!(text(&["patient", "p"]).contains("read Patient"));
}
