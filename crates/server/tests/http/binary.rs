//! Binary: content as it is, in parts, and for whom
//! (<https://hl7.org/fhir/R4/binary.html>).

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

const FHIR: &str = "application/fhir+json";

/// Text none of whose parts is like the next.
fn content(length: usize) -> String {
    let line = |n: usize| format!("{n:09}\n");
    (0..length.div_ceil(10)).map(line).collect::<String>()[..length].to_owned()
}

impl Project {
    fn upload(&self, method: &str, path: &str, ty: &str, content: &str) -> Request {
        let request = self.request(method, path).header("Content-Type", ty);
        request.body(content)
    }

    #[track_caller]
    fn stored(&self, ty: &str, content: &str) -> String {
        let request = self.upload("POST", "Binary", ty, content);
        format!("Binary/{}", self.send(request).expect(201).id())
    }

    #[track_caller]
    fn as_resource(&self, path: &str) -> Value {
        let request = self.request("GET", path).header("Accept", FHIR);
        self.send(request).expect(200).json()
    }

    #[track_caller]
    fn part(&self, path: &str, range: &str) -> Answer {
        self.send(self.request("GET", path).header("Range", range))
    }
}

/// Sizes on both sides of what stays in the record and of frames.
const SIZES: [usize; 6] = [0, 1, 65_537, 262_144, 262_145, 1_000_001];

#[test]
fn content_of_every_size_comes_back_as_it_was() {
    let project = project("binary-sizes");
    for size in SIZES {
        let content = content(size);
        let path = project.stored("text/plain", &content);
        let read = project.get(&path).expect(200);
        assert!(read.body == content, "{size} bytes");
        assert_eq!(read.header("content-type"), Some("text/plain"));
        assert_eq!(read.header("content-length"), Some(&*size.to_string()));
        assert_eq!(read.header("etag"), Some("\"1\""));
        assert!(read.header("last-modified").is_some());
        let version = project.get(&format!("{path}/_history/1")).expect(200);
        assert!(version.body == content, "{size} bytes by version");

        let resource = project.as_resource(&path);
        let data = resource["data"].as_str().unwrap_or_default();
        assert!(data == Base64::encode_string(content.as_bytes()), "{size}");
        assert_eq!(resource["contentType"], "text/plain");
        let xml = project
            .request("GET", &path)
            .header("Accept", "application/fhir+xml");
        let xml = project.send(xml).expect(200).body;
        assert!(
            xml.contains(&format!("<data value=\"{data}\"/>")) || size == 0,
            "{size} as XML"
        );
        assert!(xml.ends_with("</Binary>"), "{size} as XML");
    }
}

#[test]
fn what_was_sent_as_a_resource_is_the_same() {
    let project = project("binary-resource");
    for size in [10, 65_537, 300_000] {
        let content = content(size);
        let data = Base64::encode_string(content.as_bytes());
        let binary = json!({"resourceType": "Binary", "contentType": "text/plain", "data": data});
        let created = project.post("Binary", &binary).expect(201);
        assert!(
            created.json()["data"] == data.as_str(),
            "the answer shows it whole"
        );
        let path = format!("Binary/{}", created.id());
        assert!(project.get(&path).expect(200).body == content);
        assert!(project.as_resource(&path)["data"] == data.as_str());
        let pretty = format!("{path}?_format=json&_pretty=true");
        assert!(project.get(&pretty).expect(200).json()["data"] == data.as_str());
        let part = project.as_resource(&format!("{path}?_elements=contentType"));
        assert_eq!(part["data"], Value::Null);
        let bundle = project
            .get(&format!("Binary?_id={}", created.id()))
            .expect(200);
        let found = &bundle.json()["entry"][0]["resource"];
        assert_eq!(found["data"].is_string(), size <= 262_144, "{size}");
    }
    let bad = json!({"resourceType": "Binary", "contentType": "a/b", "data": "AA=A"});
    project.post("Binary", &bad).expect(422);
}

#[test]
fn a_body_is_content_unless_it_is_a_binary() {
    let project = project("binary-or-not");
    let patient = r#"{"resourceType": "Patient"}"#;
    for (ty, body) in [
        (FHIR, patient),
        ("application/json", "{}"),
        ("application/json", "not JSON"),
        ("text/xml", "<Patient xmlns=\"http://hl7.org/fhir\"/>"),
        ("text/xml", "<a>"),
        ("application/octet-stream", patient),
        ("text/html; charset=utf-8", "<p>"),
    ] {
        let path = project.stored(ty, body);
        let read = project.get(&path).expect(200);
        assert_eq!((&*read.body, read.header("content-type")), (body, Some(ty)));
    }
    let xml = r#"<Binary xmlns="http://hl7.org/fhir"><contentType value="a/b"/></Binary>"#;
    let binary = project.stored("application/fhir+xml", xml);
    assert_eq!(project.as_resource(&binary)["contentType"], "a/b");
    for (ty, body) in [(FHIR, "{"), (FHIR, ""), ("application/fhir+xml", "<a")] {
        project
            .send(project.upload("POST", "Binary", ty, body))
            .expect(400);
    }
    let untyped = project.request("POST", "Binary").without("Content-Type");
    project.send(untyped.body("x")).expect(415);
}

#[test]
fn versions_keep_their_content() {
    let project = project("binary-versions");
    let (one, two) = (content(300_000), content(100));
    let put = |content: &str, condition: &str| {
        let request = project.upload("PUT", "Binary/a", "text/plain", content);
        project.send(request.header("If-Match", condition))
    };
    project
        .send(project.upload("PUT", "Binary/a", "text/plain", &one))
        .expect(201);
    put(&two, "W/\"7\"").expect(412);
    assert!(project.get("Binary/a").expect(200).body == one);
    put(&two, "W/\"1\"").expect(200);
    assert_eq!(project.get("Binary/a").expect(200).body, two);
    assert!(project.get("Binary/a/_history/1").expect(200).body == one);
    put(&one, "W/\"2\"").expect(200);
    // Who changes what a search shows has not seen the content.
    let entry = project.get("Binary?_id=a").expect(200).json();
    let mut found = entry["entry"][0]["resource"].clone();
    found["language"] = json!("en");
    project.put(&found).expect(200);
    let patch = r#"[{"op": "replace", "path": "/contentType", "value": "text/x-log"}]"#;
    let patch = project.upload("PATCH", "Binary/a", "application/json-patch+json", patch);
    project.send(patch).expect(200);
    let read = project.get("Binary/a").expect(200);
    assert_eq!(read.header("content-type"), Some("text/x-log"));
    assert!(read.body == one && read.header("etag") == Some("\"5\""));
    let empty = project.upload("PUT", "Binary/empty", "text/plain", &one);
    project.send(empty).expect(201);
    let empty = project.upload("PUT", "Binary/empty", "text/plain", "");
    project.send(empty).expect(200);
    assert!(project.get("Binary/empty").expect(200).body.is_empty());
    project.delete("Binary/a").expect(204);
    project.get("Binary/a").expect(410);
    assert!(project.get("Binary/a/_history/3").expect(200).body == one);
    let history = project.get("Binary/a/_history").expect(200).json();
    assert_eq!(history["entry"].as_array().unwrap().len(), 6);
}

#[test]
fn parts_are_given_as_asked() {
    let project = project("binary-parts");
    for size in [1000, 300_000] {
        let content = content(size);
        let path = project.stored("text/plain", &content);
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=5-99", 5, 100),
            ("bytes=990-", 990, size),
            ("bytes=-10", size - 10, size),
            ("bytes=0-999999999", 0, size),
        ] {
            let part = project.part(&path, range).expect(206);
            assert!(part.body == content[from..to], "{range} of {size}");
            let said = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(part.header("content-range"), Some(&*said));
        }
        let beyond = project.part(&path, &format!("bytes={size}-")).expect(416);
        let said = format!("bytes */{size}");
        assert_eq!(beyond.header("content-range"), Some(&*said));
        for whole in ["bytes=0-1,5-6", "lines=1-2", "bytes=b"] {
            assert!(
                project.part(&path, whole).expect(200).body == content,
                "{whole}"
            );
        }
        let ask = |known: &str| {
            let request = project.request("GET", &path).header("Range", "bytes=0-1");
            project.send(request.header("If-Range", known)).status
        };
        assert_eq!(
            (ask("\"1\""), ask("W/\"1\""), ask("\"2\"")),
            (206, 200, 200)
        );
        let head = project.send(project.request("HEAD", &path).header("Range", "bytes=0-1"));
        let head = head.expect(200);
        assert_eq!(head.header("content-length"), Some(&*size.to_string()));
        assert_eq!(
            (head.header("accept-ranges"), &*head.body),
            (Some("bytes"), "")
        );
        let known = project
            .request("GET", &path)
            .header("If-None-Match", "\"1\"");
        assert_eq!(project.send(known).expect(304).body, "");
    }
}

#[test]
fn the_client_chooses_between_resource_and_content() {
    let project = project("binary-accept");
    let path = project.stored("text/csv", "a,b");
    for (accept, ty) in [
        ("*/*", "text/csv"),
        ("text/csv", "text/csv"),
        ("image/png", "text/csv"),
        (FHIR, "application/fhir+json; charset=utf-8"),
        ("application/json", "application/json; charset=utf-8"),
        (
            "application/fhir+xml",
            "application/fhir+xml; charset=utf-8",
        ),
    ] {
        let read = project.send(project.request("GET", &path).header("Accept", accept));
        assert_eq!(
            read.expect(200).header("content-type"),
            Some(ty),
            "{accept}"
        );
    }
    let asked = project.request("GET", &format!("{path}?_format=json"));
    let asked = asked.header("Accept", "text/csv");
    assert_eq!(
        project.send(asked).expect(200).json()["contentType"],
        "text/csv"
    );
    project.get(&format!("{path}?_format=ttl")).expect(406);
}

#[test]
fn no_browser_runs_what_is_stored() {
    let project = project("binary-browser");
    let script = "<script>alert(document.domain)</script>";
    for (ty, disposition) in [
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/xhtml+xml", "attachment"),
        ("text/javascript", "attachment"),
        ("unheard/of", "attachment"),
        ("image/png", "inline"),
        ("application/pdf", "inline"),
    ] {
        let read = project.get(&project.stored(ty, script)).expect(200);
        let says = |name| read.header(name).unwrap_or_default().to_owned();
        assert_eq!(says("content-disposition"), disposition, "{ty}");
        assert_eq!(says("x-content-type-options"), "nosniff");
        assert_eq!(
            says("content-security-policy"),
            "sandbox; default-src 'none'"
        );
        assert_eq!(says("content-type"), ty);
    }
    let compressed = project.stored("text/plain", &content(10_000));
    let asked = project
        .request("GET", &compressed)
        .header("Accept-Encoding", "gzip");
    assert_eq!(
        project.send(asked).expect(200).header("content-encoding"),
        None
    );
}

#[test]
fn an_upload_is_carried_out_once() {
    let project = project("binary-once");
    let send = |content: &str| {
        let request = project.upload("POST", "Binary", "text/plain", content);
        project.send(request.header("Idempotency-Key", "one"))
    };
    let (long, other) = (content(300_000), content(300_001).split_off(1));
    let first = send(&long).expect(201);
    assert_eq!(send(&long).expect(201).id(), first.id());
    send(&other).expect(422);
    assert_eq!(project.count("Binary"), 1);
}

/// A Binary of somebody, and clients that may read Binaries and other types.
fn belonging(slug: &str, size: usize) -> (Project, String) {
    let project = project(slug);
    project
        .put(&json!({"resourceType": "Patient", "id": "p"}))
        .expect(201);
    let request = project.upload("PUT", "Binary/b", "text/plain", &content(size));
    let request = request.header("X-Security-Context", "Patient/p");
    let created = project.send(request).expect(201);
    assert_eq!(created.json()["securityContext"]["reference"], "Patient/p");
    project
        .put(&json!({
            "resourceType": "DocumentReference", "id": "d", "status": "current",
            "content": [{"attachment": {"url": "Binary/b"}}],
        }))
        .expect(201);
    (project, content(size))
}

#[test]
fn a_binary_is_seen_by_who_may_read_what_it_belongs_to() {
    for size in [100, 300_000] {
        let (project, content) = belonging(&format!("binary-context-{size}"), size);
        let token = project.client("may", "system/Binary.cruds system/Patient.r");
        let may = project.with(&token);
        let read = may.get("Binary/b").expect(200);
        assert!(read.body == content);
        assert_eq!(read.header("x-security-context"), Some("Patient/p"));
        let token = project.client("not", "system/Binary.cruds system/DocumentReference.rs");
        let not = project.with(&token);
        let unknown = not.get("Binary/unknown").expect(404).json();
        for path in [
            "Binary/b",
            "Binary/b/_history/1",
            "Binary/b/_history",
            "Binary/b?_format=json",
        ] {
            assert_eq!(not.get(path).expect(404).json(), unknown, "{path}");
            may.get(path).expect(200);
        }
        assert_eq!(not.get("Binary").expect(200).found(), [""; 0]);
        assert_eq!(may.get("Binary").expect(200).found(), ["Binary/b"]);
        assert_eq!((not.count("Binary"), may.count("Binary")), (0, 1));
        not.get("Binary/_history").expect(403);
        // As of an id that never was.
        not.delete("Binary/b").expect(204);
        not.send(not.upload("PUT", "Binary/b", "text/plain", "x"))
            .expect(404);
        let binary = json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain"});
        not.put(&binary).expect(404);
        let patch = r#"[{"op": "remove", "path": "/securityContext"}]"#;
        let patch = not.upload("PATCH", "Binary/b", "application/json-patch+json", patch);
        assert!(matches!(not.send(patch).status, 403 | 404));
        // It is as it was.
        assert!(may.get("Binary/b").expect(200).body == content);
        assert_eq!(project.as_resource("Binary/b")["meta"]["versionId"], "1");
    }
}

#[test]
fn nobody_gives_a_binary_to_what_they_may_not_read() {
    let (project, _) = belonging("binary-give", 10);
    let token = project.client("not", "system/Binary.cruds");
    let not = project.with(&token);
    let raw = not.upload("POST", "Binary", "text/plain", "x");
    for context in [
        "Patient/p",
        "Patient/none",
        "http://elsewhere.test/Patient/p",
        "nonsense",
    ] {
        not.send(raw.clone().header("X-Security-Context", context))
            .expect(403);
        let binary = json!({
            "resourceType": "Binary", "contentType": "a/b",
            "securityContext": {"reference": context},
        });
        if context != "nonsense" {
            not.post("Binary", &binary).expect(403);
        }
    }
    not.send(raw.clone().header("X-Security-Context", " "))
        .expect(400);
    let own = format!("Binary/{}", not.send(raw).expect(201).id());
    assert_eq!(not.get(&own).expect(200).body, "x");
    assert_eq!(not.get("Binary").expect(200).found(), [own]);
}

/// Whether a resource says that it is not whole.
fn is_part(resource: &Value) -> bool {
    let tags = resource["meta"]["tag"].as_array().into_iter().flatten();
    tags.filter(|tag| tag["code"] == "SUBSETTED").count() == 1
}

#[test]
fn what_is_shown_without_its_content_says_so() {
    let project = project("binary-part");
    for (id, length) in [("long", 300_000), ("short", 10)] {
        let is_long = length > 1000;
        let path = format!("Binary/{id}");
        let text = content(length);
        let made = project
            .send(project.upload("PUT", &path, "text/plain", &text))
            .expect(201);
        assert_eq!(is_part(&made.json()), is_long);
        assert_eq!(made.json().get("data").is_none(), is_long);
        let list = json!({"resourceType": "List", "id": format!("of-{id}"), "status": "current",
            "mode": "working", "subject": {"reference": "Patient/p"},
            "entry": [{"item": {"reference": path}}]});
        project.put(&list).expect(201);
        project.put(&json!({"resourceType": "Patient", "id": "p"}));
        let of_list = format!("List?_id=of-{id}&_include=List:item");
        let entries = [
            json!({"request": {"method": "GET", "url": path}}),
            json!({"request": {"method": "GET", "url": format!("{path}/_history/1")}}),
        ];
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let shown = [
            project.get(&format!("Binary?_id={id}")),
            project.get(&format!("{path}/_history")),
            project.get("Binary/_history"),
            project.get(&of_list),
            project.get("Patient/p/$everything"),
            project.post("", &batch),
        ];
        for answer in shown {
            let bundle = answer.expect(200).json();
            let entries = bundle["entry"].as_array().unwrap().iter();
            let of_it = |entry: &&Value| {
                entry["resource"]["resourceType"] == "Binary" && entry["resource"]["id"] == id
            };
            let found: Vec<&Value> = entries.filter(of_it).collect();
            assert!(!found.is_empty(), "{bundle}");
            for entry in found {
                assert_eq!(entry["resource"].get("data").is_none(), is_long);
                assert_eq!(is_part(&entry["resource"]), is_long, "{bundle}");
            }
        }
        // Whole where its content is, and after it was stored as it was shown.
        let whole = project.as_resource(&path);
        assert!(!is_part(&whole) && whole["data"].is_string());
        let shown = project.get(&format!("Binary?_id={id}")).json();
        project.put(&shown["entry"][0]["resource"]).expect(200);
        let again = project.as_resource(&path);
        assert!(!is_part(&again));
        assert_eq!(again["data"], whole["data"]);
        let part = project.request("GET", &format!("{path}?_elements=data"));
        assert!(is_part(&project.send(part).expect(200).json()));
    }
    // What becomes short is whole.
    let patch = json!([{"op": "add", "path": "/data", "value": "QUJD"}]);
    let request = project
        .request("PATCH", "Binary/long")
        .header("Content-Type", "application/json-patch+json");
    project.send(request.body(patch.to_string())).expect(200);
    let shown = project.get("Binary?_id=long").json()["entry"][0]["resource"].clone();
    assert_eq!(shown["data"], "QUJD");
    assert!(!is_part(&shown));
}
