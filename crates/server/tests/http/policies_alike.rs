//! Two projects that differ only in what a policy hides answer its user alike,
//! whatever is asked: what is hidden neither shows nor can be inferred.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::bulk::{kick_off, lines, wait};
use crate::host::{Project, project};
use crate::wire::{Answer, Request};

/// Stands in all that is hidden.
const SECRET: &str = "unmistakable";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const XML_PATCH: &str = "application/xml-patch+xml";
const FHIR: &str = "application/fhir+json";

/// A project and the token of its user.
struct World {
    project: Project,
    /// As the user.
    user: Project,
}

/// Both, and what was told of either so far.
struct Worlds {
    worlds: [World; 2],
    told: RefCell<Vec<String>>,
}

/// What is hidden of patients: their names and telephones. Observations labelled
/// restricted are hidden whole.
fn rules() -> Value {
    json!([
        {"id": "all", "effect": "allow", "subjects": ["role:researcher"], "actions": ["*"],
            "kinds": ["*"], "hidden": ["Patient.name", "Patient.telecom", "Patient.link",
            "Patient.contact"]},
        {"id": "restricted", "effect": "deny", "subjects": ["role:researcher"],
            "actions": ["*"], "kinds": ["*"], "labels": ["R"]},
    ])
}

fn observation(id: &str, of: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
        "subject": {"reference": format!("Patient/{of}")}})
}

/// Records whose hidden parts are one thing or another.
fn records(one: bool) -> Vec<Value> {
    let pick = |a: Value, b: Value| if one { a } else { b };
    let mut patient = json!({"resourceType": "Patient", "id": "a", "gender": "female",
        "birthDate": "1970-01-01", "managingOrganization": {"reference": "Organization/o"},
        "text": {"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{SECRET} {one}</div>")},
        "name": pick(json!([{"family": format!("{SECRET}-z")}]), json!([{"family": format!("{SECRET}-a")}, {"given": ["A"]}])),
        "contact": [{"name": {"family": SECRET}}]});
    if one {
        patient["telecom"] = json!([{"system": "phone", "value": SECRET}]);
        patient["link"] = json!([{"other": {"reference": "Patient/c"}, "type": "seealso"}]);
    }
    let mut hidden = observation("hidden", if one { "a" } else { "b" });
    hidden["code"]["text"] = SECRET.into();
    hidden["status"] = pick("final".into(), "cancelled".into());
    hidden["meta"] = json!({"security": [{"code": "R",
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"}]});
    let binary = |id: &str, context: &str| {
        json!({"resourceType": "Binary", "id": id, "contentType": "text/plain",
            "securityContext": {"reference": context},
            "data": if one { "YQ==" } else { "Yg==" }})
    };
    let mut open = binary("open", "Patient/a");
    open["data"] = "YQ==".into();
    vec![
        json!({"resourceType": "Organization", "id": "o", "name": "O"}),
        patient,
        json!({"resourceType": "Patient", "id": "b", "gender": "male",
            "name": [{"family": if one { "M" } else { "ZZ" }}]}),
        json!({"resourceType": "Patient", "id": "c", "active": true}),
        observation("oa", "a"),
        observation("ob", "b"),
        hidden,
        binary("shut", "Observation/hidden"),
        open,
        json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true,
            "member": [{"entity": {"reference": "Patient/a"}},
                {"entity": {"reference": "Patient/b"}}]}),
    ]
}

impl Worlds {
    fn new(slugs: [&str; 2]) -> Self {
        let world = |slug: &str, one: bool| {
            let project = project(slug);
            for record in records(one) {
                project.put(&record).expect(201);
            }
            project
                .admin("PUT", "/admin/policies/test", &json!({"rules": rules()}))
                .expect(201);
            project.user("researcher", &json!({"roles": ["researcher"]}));
            let user = project.with(&project.sign_in_user("researcher"));
            World { project, user }
        };
        let [one, other] = slugs;
        assert_eq!(one.len(), other.len(), "lengths tell nothing");
        Self {
            worlds: [world(one, true), world(other, false)],
            told: RefCell::default(),
        }
    }

    /// Asks both the same: the status that both give.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, ty: &str, body: &str) -> u16 {
        self.answer(method, path, ty, body).status
    }

    #[track_caller]
    fn answer(&self, method: &str, path: &str, ty: &str, body: &str) -> Answer {
        let asked = |world: &World| {
            let request = world.user.request(method, path).header("Content-Type", ty);
            world.user.send(request.body(body))
        };
        self.alike(&format!("{method} {path} {body}"), asked)
    }

    /// The answer of the first, if the second gives the same.
    #[track_caller]
    fn alike(&self, what: &str, asked: impl Fn(&World) -> Answer) -> Answer {
        let answers = self.worlds.each_ref().map(asked);
        let [one, other] = [0, 1].map(|at| {
            let slug = &self.worlds[at].project.slug;
            let told = ["etag", "location", "content-type", "content-location"];
            let headers = told.map(|name| answers[at].header(name).unwrap_or_default());
            plain(
                &format!("{} {headers:?} {}", answers[at].status, answers[at].body),
                slug,
            )
        });
        assert_eq!(one, other, "{what}");
        assert!(!one.contains(SECRET), "{what}: {one}");
        self.told.borrow_mut().push(one);
        let [one, _] = answers;
        one
    }

    #[track_caller]
    fn get(&self, path: &str, expect: u16) {
        let answer = self.answer("GET", path, FHIR, "");
        assert_eq!(answer.status, expect, "{path}: {}", answer.body);
    }
}

/// A text without what chance and time give: generated ids, instants, cursors.
fn plain(text: &str, slug: &str) -> String {
    let text = text.replace(slug, "SLUG");
    let (mut plain, mut rest) = (String::new(), &*text);
    while let Some(next) = rest.chars().next() {
        let shape = |len: usize| {
            let part = rest.get(..len)?;
            let shape = part.chars().map(|c| match c {
                '0'..='9' | 'a'..='f' => 'x',
                c => c,
            });
            Some(shape.collect::<String>())
        };
        let len = if shape(36).as_deref() == Some("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
            36
        } else if shape(24).as_deref() == Some("xxxx-xx-xxTxx:xx:xx.xxxZ") {
            24
        } else if rest.starts_with("_cursor=") {
            rest.find(['"', '&', '\\']).unwrap_or(rest.len())
        } else {
            plain.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        plain.push_str("SOME");
        rest = &rest[len..];
    }
    plain
}

#[test]
fn searches_tell_nothing_of_what_is_hidden() {
    let worlds = Worlds::new(["alike-search-1", "alike-search-2"]);
    for path in [
        "Patient",
        "Patient?_summary=true",
        "Patient?_summary=count",
        "Patient?_total=accurate&_count=1",
        "Patient?_total=estimate&_count=1",
        "Patient?_elements=name,gender",
        "Patient?_sort=-birthdate",
        "Patient?_sort=_lastUpdated",
        "Patient?gender=female,male&_count=1",
        "Patient?_filter=gender%20eq%20female",
        "Patient?organization.name=O",
        "Patient?organization=Organization/o&_include=Patient:organization",
        "Patient?_id=a&_revinclude=Observation:subject",
        "Patient?_has:Observation:subject:status=final",
        "Patient?_has:Observation:subject:status=cancelled",
        "Observation",
        "Observation?code:text=unmistak",
        "Observation?_summary=count",
        "Observation?subject:Patient.gender=female",
        "Observation?_id=oa,hidden&_include=Observation:subject",
        "Observation?_id=hidden",
        "Organization?_id=o&_revinclude:iterate=Patient:organization",
        "Patient/a/Observation",
        "Patient/a/*",
        "?_type=Patient,Observation&_count=2",
        "Binary",
        "Group?member=Patient/a",
    ] {
        worlds.get(path, 200);
    }
    for path in [
        "Patient?name=m",
        "Patient?family:missing=true",
        "Patient?phone=1",
        "Patient?telecom=phone|1",
        "Patient?_sort=family",
        "Patient?_sort=gender,-name",
        "Patient?phonetic=x",
        "Patient?link=Patient/c",
        "Patient?_include=Patient:link",
        "Patient?_include=*",
        "Patient?_id=a,b&_revinclude=*",
        "Patient?_revinclude=Patient:link",
        "Patient?_text=unmistak",
        "Patient?_content=unmistak",
        "Patient?_filter=name%20co%20m",
        "Patient?_filter=not(gender%20eq%20male)%20and%20family%20eq%20m",
        "Observation?subject:Patient.name=m",
        "Observation?patient.telecom=1",
        "Observation?_filter=subject[Patient].name%20co%20m",
        "Organization?_has:Patient:organization:family=m",
        "Group?member:Patient.family=m",
    ] {
        worlds.get(path, 403);
    }
    assert_eq!(
        worlds.ask(
            "POST",
            "Patient/_search",
            "application/x-www-form-urlencoded",
            "family=m"
        ),
        403
    );
}

#[test]
fn reads_histories_and_operations_tell_nothing_of_what_is_hidden() {
    let worlds = Worlds::new(["alike-reads-1", "alike-reads-2"]);
    for path in [
        "Patient/a",
        "Patient/a?_elements=name",
        "Patient/a?_summary=text",
        "Patient/a?_format=xml",
        "Patient/a/_history",
        "Patient/a/_history/1",
        "Patient/_history",
        "_history",
        "Binary/open",
        "Patient/a/$everything",
        "Patient/$everything?_count=2",
        "Patient/a/$meta",
        "Patient/$meta",
        "Observation/$meta",
        "$meta",
    ] {
        worlds.get(path, 200);
    }
    for path in [
        "Observation/hidden",
        "Observation/hidden/_history",
        "Observation/hidden/_history/1",
        "Observation/hidden/$meta",
        "Binary/shut",
        "Binary/shut/_history/1",
    ] {
        worlds.get(path, 404);
    }
    for export in [
        "Patient/$export",
        "Group/g/$export",
        "$export",
        "Patient/$export?_type=Patient&_elements=Patient.name,gender",
        "Patient/$export?_typeFilter=Patient%3Fgender%3Dfemale",
        "Patient/$export?_typeFilter=Patient%3Ffamily%3Dm",
    ] {
        worlds.alike(export, |world| {
            let mut answer = export_of(&world.user, export);
            answer.headers.clear();
            answer
        });
    }
    let told = worlds.told.borrow();
    let last = &told[told.len() - 6..];
    assert!(
        last[0].contains("SUBSETTED") && last[0].contains("\"female\""),
        "{}",
        last[0]
    );
    assert!(last[5].starts_with("403"), "{}", last[5]);
}

/// An export, as one answer of all its lines.
fn export_of(user: &Project, path: &str) -> Answer {
    let request = Request::new("GET", &format!("{}/{path}", user.base()))
        .header("Prefer", "respond-async")
        .header("Accept", FHIR)
        .header("Authorization", format!("Bearer {}", user.token));
    let begun = user.send(request);
    if begun.status != 202 {
        return begun;
    }
    let job = kick_off(user, path);
    let done = wait(user, &job);
    if done.status != 200 {
        return done;
    }
    let manifest = done.json();
    let mut all: Vec<String> = Vec::new();
    for list in ["output", "error"] {
        all.extend(lines(user, &manifest, list).iter().map(Value::to_string));
    }
    all.sort();
    Answer {
        body: all.join("\n"),
        ..done
    }
}

#[test]
fn patches_in_all_formats_tell_nothing_of_what_is_hidden() {
    let worlds = Worlds::new(["alike-patch-1", "alike-patch-2"]);
    let operation = |ty: &str, path: &str, rest: Value| {
        let mut part = vec![
            json!({"name": "type", "valueCode": ty}),
            json!({"name": "path", "valueString": path}),
        ];
        part.extend(rest.as_array().unwrap().iter().cloned());
        json!({"resourceType": "Parameters",
            "parameter": [{"name": "operation", "part": part}]})
        .to_string()
    };
    let patch = |ty: &str, body: &str| worlds.ask("PATCH", "Patient/a", ty, body);
    // What is there cannot be found out,
    for (ty, body) in [
        (JSON_PATCH, json!([{"op": "test", "path": "/telecom", "value": []}]).to_string()),
        (JSON_PATCH, json!([{"op": "test", "path": "/name/0/family", "value": "M"}]).to_string()),
        (JSON_PATCH, json!([{"op": "remove", "path": "/telecom"}]).to_string()),
        (JSON_PATCH, json!([{"op": "copy", "from": "/name", "path": "/x"}]).to_string()),
        (JSON_PATCH, json!([{"op": "move", "from": "/name/0/family", "path": "/gender"}]).to_string()),
        (FHIR, operation("replace", "Patient.name[1].given", json!([{"name": "value", "valueString": "x"}]))),
        (XML_PATCH, r#"<diff xmlns:f="http://hl7.org/fhir"><remove sel="f:Patient/f:telecom"/></diff>"#.to_owned()),
        (XML_PATCH, r#"<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:name[2]/f:given/@value">x</replace></diff>"#.to_owned()),
    ] {
        let status = patch(ty, &body);
        assert!((400..500).contains(&status), "{status} {body}");
    }
    // nor set,
    for (ty, body) in [
        (JSON_PATCH, json!([{"op": "add", "path": "/telecom", "value": [{"system": "phone", "value": "1"}]}]).to_string()),
        (MERGE_PATCH, json!({"name": [{"family": "x"}]}).to_string()),
        (FHIR, operation("add", "Patient", json!([{"name": "name", "valueString": "telecom"},
            {"name": "value", "valueContactPoint": {"system": "phone", "value": "1"}}]))),
        (XML_PATCH, r#"<diff xmlns:f="http://hl7.org/fhir"><add sel="f:Patient/f:gender" pos="before"><f:telecom><f:system value="phone"/><f:value value="1"/></f:telecom></add></diff>"#.to_owned()),
    ] {
        assert_eq!(patch(ty, &body), 403, "{body}");
    }
    // and it stays when something else is changed.
    let stored = |world: &World| world.project.get("Patient/a").expect(200).json();
    let before = worlds.worlds.each_ref().map(stored);
    for (ty, body) in [
        (JSON_PATCH, json!([{"op": "replace", "path": "/gender", "value": "other"}]).to_string()),
        (MERGE_PATCH, json!({"gender": "unknown", "telecom": null}).to_string()),
        (FHIR, operation("delete", "Patient.telecom[0]", json!([]))),
        (FHIR, operation("replace", "Patient.gender", json!([{"name": "value", "valueCode": "male"}]))),
        (XML_PATCH, r#"<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:gender/@value">female</replace></diff>"#.to_owned()),
    ] {
        assert_eq!(patch(ty, &body), 200, "{body}");
    }
    let after = worlds.worlds.each_ref().map(stored);
    for (before, after) in before.iter().zip(&after) {
        for member in ["name", "telecom", "contact", "link", "text"] {
            assert_eq!(before[member], after[member], "{member}");
        }
        assert_eq!(after["meta"]["versionId"], "5");
    }
    let body = json!([{"op": "test", "path": "/status", "value": "final"}]).to_string();
    assert_eq!(
        worlds.ask("PATCH", "Observation/hidden", JSON_PATCH, &body),
        404
    );
    assert_eq!(
        worlds.ask("PATCH", "Observation?status=cancelled", JSON_PATCH, &body),
        404
    );
    assert_eq!(
        worlds.ask("PATCH", "Patient?family=m", JSON_PATCH, "[]"),
        403
    );
}

#[test]
fn writes_under_conditions_tell_nothing_of_what_is_hidden() {
    let worlds = Worlds::new(["alike-writes-1", "alike-writes-2"]);
    let when = |method: &str, path: &str, header: (&str, &str), body: &Value| {
        let asked = |world: &World| {
            let request = world.user.request(method, path).header(header.0, header.1);
            world.user.send(request.body(body.to_string()))
        };
        worlds
            .alike(&format!("{method} {path} {header:?}"), asked)
            .status
    };
    let mut new = observation("new", "a");
    new.as_object_mut().unwrap().remove("id");
    let condition = |text: &'static str| ("If-None-Exist", text);
    assert_eq!(
        when("POST", "Observation", condition("code:text=unmistak"), &new),
        201
    );
    assert_eq!(when("POST", "Observation", condition("_id=oa"), &new), 200);
    assert_eq!(
        when(
            "POST",
            "Patient",
            condition("family=m"),
            &json!({"resourceType": "Patient"})
        ),
        403
    );
    let put = |path: &str, body: &Value| worlds.ask("PUT", path, FHIR, &body.to_string());
    assert_eq!(put("Observation?status=cancelled", &new), 201);
    assert_eq!(put("Observation?_id=ob", &observation("ob", "b")), 200);
    assert_eq!(
        put("Patient?family=m", &json!({"resourceType": "Patient"})),
        403
    );
    let delete = |path: &str| worlds.ask("DELETE", path, FHIR, "");
    assert_eq!(delete("Observation/hidden"), 204);
    assert_eq!(delete("Observation?code:text=unmistak"), 204);
    assert_eq!(delete("Patient?phone=1"), 403);
    assert_eq!(delete("Binary/shut"), 204);
    for world in &worlds.worlds {
        world.project.get("Observation/hidden").expect(200);
        world.project.get("Binary/shut").expect(200);
    }
    // A transaction finds what its user does, and refers to it.
    let entry = |method: &str, url: &str, resource: Value| json!({"resource": resource, "request": {"method": method, "url": url}});
    let mut referring = new.clone();
    referring["subject"] = json!({"reference": "Patient?gender=male"});
    let mut hiding = new.clone();
    hiding["subject"] = json!({"reference": "Patient?family=m"});
    let mut missing = new.clone();
    missing["hasMember"] =
        json!([{"reference": "Observation?status=cancelled&code:text=unmistak"}]);
    for (status, entries) in [
        (200, vec![entry("POST", "Observation", referring.clone())]),
        (403, vec![entry("POST", "Observation", hiding)]),
        (412, vec![entry("POST", "Observation", missing)]),
        (
            404,
            vec![
                entry("POST", "Observation", referring),
                entry("PUT", "Observation/hidden", observation("hidden", "a")),
            ],
        ),
    ] {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        assert_eq!(
            worlds.ask("POST", "", FHIR, &bundle.to_string()),
            status,
            "{bundle}"
        );
    }
    // Operations that write.
    let meta = json!({"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}]})
    .to_string();
    assert_eq!(worlds.ask("POST", "Patient/a/$meta-add", FHIR, &meta), 200);
    assert_eq!(
        worlds.ask("POST", "Observation/hidden/$meta-add", FHIR, &meta),
        404
    );
    let patient = |name: &str, id: &str| {
        json!({"name": name,
        "valueReference": {"reference": format!("Patient/{id}")}})
    };
    let merge = json!({"resourceType": "Parameters", "parameter": [
        patient("source-patient", "a"), patient("target-patient", "b")]})
    .to_string();
    assert_eq!(worlds.ask("POST", "Patient/$merge", FHIR, &merge), 403);
}

#[test]
fn an_id_that_is_taken_by_what_is_hidden_tells_who_could_create_it_only() {
    let worlds = Worlds::new(["alike-taken-1", "alike-taken-2"]);
    let user = &worlds.worlds[0].user;
    let put = |id: &str, header: Option<(&str, &str)>, of: &str, labelled: bool| {
        let mut resource = observation(id, of);
        if labelled {
            resource["meta"] = json!({"security": [{"code": "R",
                "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"}]});
        }
        let mut request = user.request("PUT", &format!("Observation/{id}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = user.send(request.body(resource.to_string()));
        (answer.status, answer.body.replace(id, "ID"))
    };
    // Whoever could not create it is told the same as under a free id.
    let version = Some(("If-Match", "W/\"1\""));
    assert_eq!(
        put("hidden", version, "a", false),
        put("free", version, "a", false)
    );
    assert_eq!(put("hidden", None, "a", true), put("free", None, "a", true));
    assert_eq!(put("free", None, "a", true).0, 403);
    assert_eq!(put("hidden", None, "a", false).0, 404);
    assert_eq!(
        put("hidden", Some(("If-None-Match", "*")), "a", false).0,
        404
    );
    let by_condition = |id: &str| {
        let body = observation(id, "a").to_string();
        let path = "Observation?identifier=urn:x|none";
        user.send(user.request("PUT", path).body(body)).status
    };
    assert_eq!(by_condition("hidden"), 404);
    // What is seen is in the way, and is told.
    assert_eq!(by_condition("oa"), 409);
    let stored = worlds.worlds[0].project.get("Observation/hidden");
    assert_eq!(stored.expect(200).json()["meta"]["versionId"], "1");
}
