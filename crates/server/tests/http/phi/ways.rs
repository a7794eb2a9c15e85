//! Marks by every way in that is more than one request, and by what goes out: files of imports that
//! are sent and fetched, mail, webhooks of alerts, providers, the operator's socket and commands,
//! bodies that never end, a disk that is full.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use super::left::{Room, printed};
use super::marks::Marks;
use crate::alerts::Hook;
use crate::bulk;
use crate::federation::Stage;
use crate::host::{PASSWORD, Project, Server, salus};
use crate::import_files::{Files, import, whole};
use crate::mount::Mount;
use crate::oauth_users::{Browser, authorize};
use crate::openid_provider::Twist;
use crate::postbox::Postbox;
use crate::wire::{Request, exchange};

#[test]
fn what_comes_in_by_files_and_goes_out_to_people_is_nowhere_else() {
    let (room, marks) = (Room::new(), Marks::default());
    let (hook, postbox) = (Hook::new(), Postbox::new());
    let files = files(&marks);
    let server = room.server(&[
        "--demo=0",
        "--log-format",
        "json",
        "--mail",
        &postbox.place(),
        "--mail-from",
        "salus@example.org",
        "--alert-origins",
        &hook.origin,
        "--import-origins",
        &files.origin(),
    ]);
    let server = Arc::new(server);
    let project = Project::create(&server, "marked");
    std::thread::scope(|scope| {
        scope.spawn(|| unfinished(&server, &project, &marks));
        letters(&project, &postbox, &marks);
        alert(&project, &hook, &postbox, &marks);
        jobs(&project, &files, &marks);
        binaries(&project, &marks);
        socket(&room, &marks);
        commands(&room, &marks);
    });
    let metrics = server.admin("GET", "/metrics", &Value::Null).expect(200);
    marks.look("metrics", metrics.body.as_bytes());
    drop(project);
    let server = Arc::into_inner(server).unwrap();
    assert!(server.stop().success());
    // What the operator gave to the import is theirs.
    std::fs::remove_dir_all(room.path("tmp/source")).unwrap();
    room.look(&marks);
    marks.check();
}

/// Users with marked names, what is sent to them, and a mail server that quotes whom it refuses.
fn letters(project: &Project, postbox: &Postbox, marks: &Marks) {
    let setting = json!({"sign_up": "open", "session_minutes": 60});
    let set = project.admin("PUT", "/admin/identity", &setting);
    set.expect(200);
    let email = || format!("{}@example.org", marks.of("mail address"));
    let user = email();
    let new = json!({"email": user, "name": marks.of("mail name"), "password": PASSWORD});
    project.admin("POST", "/admin/users", &new).expect(201);
    let post = |path: &str, body: Value| {
        let path = format!("/p/{}{path}", project.slug);
        project.send(Request::new("POST", &path).body(body.to_string()))
    };
    let wrong = json!({"email": user, "password": marks.of("password")});
    let refused = post("/auth/sign-in", wrong).expect(401);
    marks.look("answer 401", refused.body.as_bytes());
    let refusal = format!(
        "550 5.1.1 <{}>: {}",
        user,
        marks.of("what a mail server says")
    );
    postbox.answer(Box::leak(refusal.into_boxed_str()));
    post("/auth/recover", json!({"email": user}));
    post("/auth/sign-up", json!({"email": email()}));
    project
        .admin(
            "POST",
            "/admin/invitations",
            &json!({"email": email(), "name": marks.of("mail name")}),
        )
        .expect(201);
    for _ in 0..2 {
        let mail = postbox.next();
        for part in mail
            .parts
            .iter()
            .chain([&mail.headers, &mail.to, &mail.from])
        {
            marks.look("mail", part.as_bytes());
        }
    }
}

/// An alert about a user and a patient of one marked surname.
fn alert(project: &Project, hook: &Hook, postbox: &Postbox, marks: &Marks) {
    let secret = Base64::encode_string(&[7; 32]);
    let setting = json!({"mail": ["privacy@example.org"],
        "webhook": {"url": format!("{}/alerts", hook.origin), "secret": format!("whsec_{secret}")}});
    project
        .admin("PUT", "/admin/alerting", &setting)
        .expect(200);
    let name = json!([{"family": marks.of("member family"), "given": [marks.of("member given")]}]);
    for (ty, id) in [("Patient", "seen"), ("Practitioner", "seer")] {
        project
            .put(&json!({"resourceType": ty, "id": id, "name": name}))
            .expect(201);
    }
    let rule = json!({"id": "all", "effect": "allow", "subjects": ["everyone"], "actions": ["*"],
        "kinds": ["*"]});
    let policy = json!({"rules": [rule]});
    project
        .admin("PUT", "/admin/policies/all", &policy)
        .expect(201);
    let more = json!({"roles": ["clinician"], "profiles": ["Practitioner/seer"]});
    project.user("seer", &more);
    let token = project.sign_in_user("seer");
    project
        .ask(&token, "GET", "/fhir/Patient/seen", &Value::Null)
        .expect(200);
    let (headers, body) = hook.messages.recv_timeout(Duration::from_secs(60)).unwrap();
    marks.look("webhook", format!("{headers:?}{body}").as_bytes());
    let mail = loop {
        let mail = postbox.next();
        if mail.to == "privacy@example.org" {
            break mail;
        }
    };
    marks.look("alert by mail", format!("{mail:?}").as_bytes());
    let alerts = project
        .admin("GET", "/admin/alerts", &Value::Null)
        .expect(200);
    marks.look("alerts", alerts.body.as_bytes());
}

/// A place of the web with files, one of which is broken and one of which is not there.
fn files(marks: &Marks) -> Files {
    let patient = |what: &str| {
        let name = json!([{"family": marks.of(&format!("fetched {what}"))}]);
        json!({"resourceType": "Patient", "name": name}).to_string()
    };
    let good = format!("{}\n{}\n", patient("line"), patient("line"));
    let odd = format!(
        "{}\n{}\n{{\"resourceType\":\"{}\"}}\n",
        marks.of("fetched line that is no JSON"),
        patient("line cut").trim_end_matches('}'),
        marks.of("fetched type"),
    );
    let absent = marks.of("body of a 404");
    Files::serve(move |asked| match asked.path {
        path if path.starts_with("/good") => whole(asked.to, "", good.as_bytes()),
        path if path.starts_with("/odd") => whole(asked.to, "", odd.as_bytes()),
        _ => {
            let length = absent.len();
            write!(
                asked.to,
                "HTTP/1.1 404 {absent}\r\nContent-Length: {length}\r\n\r\n{absent}"
            )
        }
    })
}

/// Imports that are sent and fetched, an export, a request that is answered later.
fn jobs(project: &Project, files: &Files, marks: &Marks) {
    let paths = ["good", "odd", "none"].map(|name| {
        let (path, query) = (marks.of("path of a file"), marks.of("query of a file"));
        format!("/{name}/{path}?sig={query}")
    });
    let list = files.list(&[&paths[0], &paths[1], &paths[2]]);
    let lines = format!(
        "{}\n{}\n",
        json!({"resourceType": "Patient", "name": [{"text": marks.of("sent line")}]}),
        marks.of("sent line that is no JSON"),
    );
    let sent = Request::new("POST", &format!("{}/$import", project.base()))
        .header("Prefer", "respond-async")
        .header("Content-Type", "application/fhir+ndjson")
        .body(lines);
    let search = format!(
        "{}/Patient?name={}",
        project.base(),
        marks.of("deferred search")
    );
    let later = Request::new("GET", &search).header("Prefer", "respond-async");
    let begun = [
        import(project, &list),
        bulk::signed(project, sent),
        bulk::signed(project, later),
    ];
    for job in begun {
        let job = bulk::place(&job.expect(202));
        marks.look("answer header content-location", job.as_bytes());
        assert!(bulk::wait(project, &job).status < 500);
    }
    let filter = format!(
        "$export?_typeFilter=Patient%3Fname%3D{}",
        marks.of("filter of an export")
    );
    bulk::wait(project, &bulk::kick_off(project, &filter));
    bulk::export(project, "$export");
}

/// Content that becomes a file, whole and broken off, and what is coded.
fn binaries(project: &Project, marks: &Marks) {
    let long = marks.of("content").repeat(150_000);
    let binary = |kind: &str, body: Vec<u8>| {
        project.send(
            project
                .request("POST", "Binary")
                .header("Content-Type", kind)
                .body(body),
        )
    };
    let id = binary("text/plain", long.clone().into_bytes())
        .expect(201)
        .id();
    project.get(&format!("Binary/{id}")).expect(200);
    let odd = format!("text/plain; name={}", marks.of("media type"));
    binary(&odd, long.clone().into_bytes());
    // Its end never comes.
    let request = project
        .request("POST", "Binary")
        .header("Content-Type", "text/plain");
    let request = request
        .header("Host", "localhost")
        .header("Content-Length", "9000000");
    let mut stream = project.server.connect();
    stream.write_all(&request.body(long).bytes()).unwrap();
    drop(stream);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    let text = json!({"resourceType": "Patient", "name": [{"text": marks.of("coded text")}]});
    zipped.write_all(text.to_string().as_bytes()).unwrap();
    let mut zipped = zipped.finish().unwrap();
    let coded = project
        .request("POST", "Patient")
        .header("Content-Encoding", "gzip");
    project.send(coded.clone().body(zipped.clone())).expect(201);
    let end = zipped.len() - 6;
    zipped[end] ^= 1;
    let refused = project.send(coded.body(zipped));
    marks.look("answer 400", refused.expect(400).body.as_bytes());
}

/// Requests whose bodies and heads stop in the middle, and what is no HTTP.
fn unfinished(server: &Server, project: &Project, marks: &Marks) {
    let head = |request: Request| {
        let request = request
            .header("Host", "localhost")
            .header("Content-Length", "4000");
        request.body(marks.of("body that stops")).bytes()
    };
    let path = format!("/{}", marks.of("path of a head that stops"));
    let starts = [
        head(project.request("POST", "Patient")),
        head(Request::new("POST", "/p/marked/auth/token")),
        format!(
            "GET {path} HTTP/1.1\r\nX-{}: ",
            marks.of("header that stops")
        )
        .into_bytes(),
        format!("{} {path} HTTP/9\r\n\r\n", marks.of("method")).into_bytes(),
        format!("GET {path}\r\n{}\r\n\r\n", marks.of("no header")).into_bytes(),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{}", marks.of("no frame")).into_bytes(),
        format!(
            "POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: x\r\n\r\n{}\r\n",
            marks.of("no chunk")
        )
        .into_bytes(),
        format!(
            "GET {path} HTTP/1.1\r\nX-Long: {}\r\n\r\n",
            marks.of("long header").repeat(60_000)
        )
        .into_bytes(),
    ];
    let streams = starts.map(|start| -> TcpStream {
        let mut stream = server.connect();
        // One that is refused at once may be gone.
        let _ = stream.write_all(&start);
        stream
    });
    for mut stream in streams {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        marks.look("answer to what was not finished", &answer);
    }
}

/// The operator's own way in.
fn socket(room: &Room, marks: &Marks) {
    let path = room.path("data/control.sock");
    for (method, path_of, body) in [
        (
            "GET",
            format!(
                "/p/marked/fhir/Patient?name={}",
                marks.of("search by the socket")
            ),
            String::new(),
        ),
        (
            "POST",
            "/p/marked/fhir/Patient".to_owned(),
            marks.of("body by the socket"),
        ),
        (
            "POST",
            format!("/admin/{}", marks.of("path by the socket")),
            "{}".to_owned(),
        ),
        (
            &marks.of("method by the socket").to_uppercase(),
            "/".to_owned(),
            String::new(),
        ),
    ] {
        let request = Request::new(method, &path_of).header("Host", "localhost");
        let stream = UnixStream::connect(&path).unwrap();
        let answer = exchange(stream, &request.body(body).bytes()).unwrap();
        if answer.status >= 400 {
            marks.look(&format!("answer {}", answer.status), answer.body.as_bytes());
        }
    }
}

/// What an operator types at a shell that asks the running server.
fn commands(room: &Room, marks: &Marks) {
    let source = room.path("tmp/source");
    std::fs::create_dir(&source).unwrap();
    let patient =
        json!({"resourceType": "Patient", "name": [{"text": marks.of("line of an import")}]});
    let lines = format!(
        "{patient}\n{}\n{{\"resourceType\":\"Patient\",\"gender\":\"{}\"}}\n",
        marks.of("line of an import that is no JSON"),
        marks.of("gender of an import")
    );
    std::fs::write(source.join("lines.ndjson"), lines).unwrap();
    std::fs::write(
        source.join("bundle.json"),
        format!("{{{}", marks.of("file that is no JSON")),
    )
    .unwrap();
    let data = room.text("data");
    let place = ["--data", &data, "--project", "marked"];
    let source = source.to_str().unwrap();
    let id = marks.of("id of a command");
    for arguments in [
        &["import", source][..],
        &["import", source, "--json"],
        &["policy", "explain", "--user", &id, &format!("Patient/{id}")],
        &["policy", "explain", "--request", &id],
        &["audit", "patient", &id],
        &["audit", "disclosures", &id],
        &["retention", "report"],
        &["hold", "place", &id, "--patient", &id, "--reason", &id],
        &["shred", "patient", &id, "--reason", &id, "--dry-run"],
        &["reindex"],
    ] {
        printed(marks, salus(arguments).args(place));
    }
    // For auditors, by design: so the search finds what is there.
    let export = room.path("tmp/source/export");
    let mut command = salus(&["audit", "export", "--project", "marked", "--out"]);
    let exported = printed(marks, command.arg(&export).args(["--data", &data]));
    assert!(exported.status.success(), "{exported:?}");
    let export = std::fs::read(export).unwrap();
    assert!(
        marks.are_in(&export),
        "the audit has nothing of what was asked"
    );
    marks.look("audit export", &export);
    for arguments in [
        &["keys", "status"][..],
        &["backup", "status", "--archive", &room.text("archive")],
    ] {
        printed(marks, salus(arguments).args(["--data", &data]));
    }
}

/// Users who come from a provider, and pages on their way.
#[test]
fn what_providers_and_pages_are_told_is_in_no_log() {
    let marks = Marks::default();
    let create = json!({"create": "verified-mail"});
    let stage = Stage::with(1, create, &["--log", "debug"]);
    let claims = |sub: &str| {
        json!({"sub": sub, "name": marks.of("name at a provider"), "email_verified": true,
            "email": format!("{}@example.org", marks.of("address at a provider"))})
    };
    let mut browser = Browser::default();
    stage.provider().says(claims(&marks.of("subject")));
    look_at_page(&marks, &stage.come(&mut browser));
    for twist in [
        Twist::Error,
        Twist::OtherState,
        Twist::AlgNone,
        Twist::OtherKey,
        Twist::NoToken,
    ] {
        stage.provider().twist(Some(twist));
        stage.provider().says(claims(&marks.of("subject, refused")));
        look_at_page(&marks, &stage.come(&mut Browser::default()));
    }
    let (hint, state) = (marks.of("login_hint"), marks.of("state"));
    let asked = [("login_hint", &*hint), ("state", &*state)];
    let page = browser.get(&stage.place, &authorize(&asked)).expect(200);
    let wrong = [
        (
            "email",
            &*format!("{}@example.org", marks.of("typed address")),
        ),
        ("password", &*marks.of("typed password")),
    ];
    browser.submit(&stage.place, &page, "/auth/authorize/sign-in", &wrong);
    let server = &stage.place.project.server;
    marks.look("log", server.log().as_bytes());
    assert!(server.log().lines().count() > 20);
    let metrics = stage.admin("GET", "/metrics", Value::Null).expect(200);
    marks.look("metrics", metrics.body.as_bytes());
    marks.check();
}

fn look_at_page(marks: &Marks, answer: &crate::wire::Answer) {
    if answer.status >= 400 {
        marks.look(&format!("answer {}", answer.status), answer.body.as_bytes());
    }
}

/// The engine cannot write: it tells so, and not what it had to write.
#[test]
fn a_full_disk_is_told_without_what_was_to_be_written() {
    let Some(disk) = Mount::memory(160) else {
        return eprintln!("skipped: this user cannot mount a file system in memory");
    };
    let (room, marks) = (Room::new(), Marks::default());
    std::os::unix::fs::symlink(disk.path(), room.path("disk")).unwrap();
    let data = room.path("data");
    std::fs::create_dir(disk.path().join("data")).unwrap();
    std::os::unix::fs::symlink(disk.path().join("data"), &data).unwrap();
    let server = Server::start_on(&data, &["--demo=0", "--log", "debug"]);
    let write = |what: &str| {
        let name = json!([{"family": marks.of(what)}]);
        let text = (0..400).map(|_| marks.of(what)).collect::<String>();
        let body = json!({"resourceType": "Patient", "name": name, "text": {"status": "generated",
            "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>")}});
        server.admin("POST", "/fhir/Patient", &body)
    };
    assert_eq!(write("member family").status, 201);
    disk.fill();
    for _ in 0..20 {
        let answer = write("member family, with the disk full");
        assert_eq!(answer.status, 503, "{}", answer.body);
        marks.look("answer 503", answer.body.as_bytes());
    }
    marks.look("log", server.log().as_bytes());
    assert!(server.log().contains("request failed"), "{}", server.log());
    drop(server);
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    marks.look_at_files("file", disk.path());
    marks.check();
}
