//! Projects share nothing: <https://hl7.org/fhir/R4/http.html> once for each.

use serde_json::json;

use crate::host::{project, shared};

#[test]
fn the_one_who_makes_a_project_administers_it() {
    let server = shared();
    let new = json!({"slug": "projects-made", "name": "Made"});
    server.admin("POST", "/admin/projects", &new).expect(201);
    server
        .admin("GET", "/p/projects-made/admin/clients", &json!(null))
        .expect(200);
    server
        .admin("GET", "/p/projects-made/fhir/Patient", &json!(null))
        .expect(200);
    server.admin("POST", "/admin/projects", &new).expect(409);
    let system = json!({"slug": "system", "name": "n"});
    server.admin("POST", "/admin/projects", &system).expect(409);
    let list = server
        .admin("GET", "/admin/projects", &json!(null))
        .expect(200)
        .json();
    let slugs = list["projects"].as_array().unwrap().iter();
    assert_eq!(
        slugs
            .filter(|project| project["slug"] == "projects-made")
            .count(),
        1
    );
    for slug in ["", "Upper", "with space", "1st", "a/b"] {
        let new = json!({"slug": slug, "name": "n"});
        server.admin("POST", "/admin/projects", &new).expect(400);
    }
}

#[test]
fn projects_made_at_once_are_apart() {
    let server = shared();
    std::thread::scope(|threads| {
        for n in 0..4 {
            let server = &server;
            threads.spawn(move || {
                let new = json!({"slug": format!("projects-race-{n}"), "name": "n"});
                server.admin("POST", "/admin/projects", &new).expect(201);
            });
        }
    });
    for n in 0..4 {
        let path = format!("/p/projects-race-{n}/fhir/Basic/a");
        let basic = json!({"resourceType": "Basic", "id": "a", "code": {"text": n.to_string()}});
        server.admin("PUT", &path, &basic).expect(201);
    }
}

#[test]
fn the_same_ids_in_two_projects_never_mix() {
    let (here, there) = (project("projects-here"), project("projects-there"));
    for (project, family) in [(&here, "Here"), (&there, "There")] {
        project
            .put(&json!({"resourceType": "Patient", "id": "p", "name": [{"family": family}]}))
            .expect(201);
        project
            .put(&json!({
                "resourceType": "Observation", "id": "o", "status": "final",
                "code": {"coding": [{"system": "urn:s", "code": family}]},
                "subject": {"reference": "Patient/p"},
            }))
            .expect(201);
    }
    there
        .put(&json!({"resourceType": "Patient", "id": "only-there"}))
        .expect(201);
    for (project, own, other) in [(&here, "Here", "There"), (&there, "There", "Here")] {
        for path in [
            "Patient/p",
            "Patient/p/_history",
            "Patient/p/_history/1",
            "Patient/_history",
            "_history",
            "Patient?_id=p",
            "Patient",
            "Observation?subject=Patient/p&_include=Observation:subject",
            "Patient?_id=p&_revinclude=Observation:subject",
            "Observation?code=urn:s|Here,urn:s|There",
        ] {
            let answer = project.get(path).expect(200);
            assert!(answer.body.contains(own), "{path}: {}", answer.body);
            assert!(
                !answer.body.contains(&format!("\"{other}\"")),
                "{path}: {}",
                answer.body
            );
        }
    }
    here.get("Patient/only-there").expect(404);
    assert_eq!((here.count("Patient"), there.count("Patient")), (1, 2));
    let read = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/only-there"}},
        {"request": {"method": "GET", "url": "/p/projects-there/fhir/Patient/only-there"}},
        {"request": {"method": "DELETE", "url": "Patient/only-there"}},
    ]});
    let answer = here.post("", &read).expect(200).json();
    assert_eq!(answer["entry"][0]["response"]["status"], "404 Not Found");
    assert_ne!(answer["entry"][1]["response"]["status"], "200 OK");
    let link = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
        "resource": {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient?_id=only-there"}},
        "request": {"method": "POST", "url": "Basic"},
    }]});
    here.post("", &link).expect(412);
    here.delete("Patient/p").expect(204);
    there.get("Patient/p").expect(200);
    // A reference to the other project's address is no reference to one's own.
    let base = there.server.ready["base"].as_str().unwrap();
    here.put(&json!({"resourceType": "Patient", "id": "only-there"}))
        .expect(201);
    here.put(&json!({
        "resourceType": "Basic", "id": "far", "code": {"text": "x"},
        "subject": {"reference": format!("{base}/p/projects-there/fhir/Patient/only-there")},
    }))
    .expect(201);
    assert_eq!(
        here.get("Basic?subject=Patient/only-there")
            .expect(200)
            .found()
            .len(),
        0
    );
}

#[test]
fn a_client_has_no_part_in_another_project() {
    let (here, there) = (project("projects-mine"), project("projects-not-mine"));
    there
        .put(&json!({"resourceType": "Patient", "id": "p"}))
        .expect(201);
    let foreign = there.with(&here.token);
    foreign.get("Patient/p").expect(403);
    foreign.get("Patient").expect(403);
    foreign
        .put(&json!({"resourceType": "Patient", "id": "q"}))
        .expect(403);
    foreign.get("/fhir/Patient").expect(403);
    foreign.get("/p/no-such-project/fhir/Patient").expect(403);
    assert_eq!(there.count("Patient"), 1);
}
