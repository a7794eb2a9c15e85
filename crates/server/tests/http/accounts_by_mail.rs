//! Coming in by mail: sign-up, invitations, recovery, addresses confirmed, and what none of it tells.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::{Project, Server};
use crate::postbox::{Mail, Postbox};
use crate::wire::{Answer, Request};

pub(crate) const PASSWORD: &str = "a quiet green bicycle";
const OTHER: &str = "seven loud violet kettles";

/// A project of a server that sends mail.
pub(crate) struct People {
    pub(crate) project: Project,
    postbox: Postbox,
    /// The server's data.
    _folder: TempDir,
}

impl People {
    /// With this setting of who may sign up.
    fn new(sign_up: &str) -> Self {
        Self::with(sign_up, &[])
    }

    /// The same of a server with more arguments.
    pub(crate) fn with(sign_up: &str, more: &[&str]) -> Self {
        let postbox = Postbox::new();
        let folder = tempfile::tempdir().unwrap();
        let place = postbox.place();
        let arguments = [
            "--demo=0",
            "--mail",
            &place,
            "--mail-from",
            "salus@example.org",
        ];
        let arguments = [&arguments[..], more].concat();
        let server = Server::start_on(&folder.path().join("data"), &arguments);
        let project = Project::create(&Arc::new(server), "clinic");
        let people = Self {
            project,
            postbox,
            _folder: folder,
        };
        let setting = json!({"sign_up": sign_up, "session_minutes": 60});
        people.admin("PUT", "/admin/identity", setting).expect(200);
        people
    }

    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        let path = format!("/p/clinic{path}");
        self.project.server.admin(method, &path, &body)
    }

    /// Sends JSON as nobody.
    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Answer {
        let request = Request::new("POST", &format!("/p/clinic{path}")).body(body.to_string());
        self.project.send(request)
    }

    /// Sends a form as nobody.
    #[track_caller]
    fn form(&self, path: &str, form: &str) -> Answer {
        let request = Request::new("POST", &format!("/p/clinic{path}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        self.project.send(request)
    }

    #[track_caller]
    pub(crate) fn own(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::new(method, &format!("/p/clinic{path}"))
            .header("Authorization", format!("Bearer {token}"))
            .body(body.to_string());
        self.project.send(request)
    }

    /// Makes a user with a password: their id.
    #[track_caller]
    pub(crate) fn user(&self, name: &str) -> String {
        let email = format!("{name}@example.org");
        let new = json!({"email": email, "name": name, "password": PASSWORD});
        let made = self.admin("POST", "/admin/users", new).expect(201).json();
        made["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Answer {
        let email = format!("{name}@example.org");
        self.post(
            "/auth/sign-in",
            json!({"email": email, "password": password}),
        )
    }

    #[track_caller]
    fn token(&self, name: &str, password: &str) -> String {
        let answer = self.sign_in(name, password).expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn ask(&self, path: &str, name: &str) -> Answer {
        self.post(path, json!({"email": format!("{name}@example.org")}))
    }

    /// The next mail, which goes to this person.
    #[track_caller]
    pub(crate) fn mail_to(&self, name: &str) -> Mail {
        let mail = self.postbox.next();
        assert_eq!(mail.to, format!("{name}@example.org"), "{mail:?}");
        mail
    }
}

/// An answer but for what is another in every one.
fn shown(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let same = |(name, _): &&(String, String)| name != "x-request-id" && name != "date";
    let headers = answer.headers.iter().filter(same).cloned().collect();
    (answer.status, headers, answer.body.clone())
}

#[test]
fn people_make_accounts_by_a_link_in_mail() {
    let people = People::new("open");
    let group = json!({"name": "everyone"});
    let group = people
        .admin("POST", "/admin/groups", group)
        .expect(201)
        .json();
    let setting = json!({"sign_up": "open", "sign_up_groups": [group["id"]]});
    people.admin("PUT", "/admin/identity", setting).expect(200);
    let page = people
        .project
        .send(Request::new("GET", "/p/clinic/auth/sign-up"));
    assert!(
        page.expect(200)
            .body
            .contains("<form method=\"post\" action=\"/p/clinic/auth/sign-up\"")
    );
    let told = people
        .form("/auth/sign-up", "email=ada%40example.org")
        .expect(200);
    assert!(told.body.contains("look into your mail"), "{}", told.body);
    let mail = people.mail_to("ada");
    assert_eq!(mail.from, "salus@example.org");
    assert!(
        mail.headers.contains("Auto-Submitted: auto-generated"),
        "{}",
        mail.headers
    );
    assert!(mail.parts[0].contains("an account at clinic for ada@example.org"));
    assert!(mail.link().starts_with("/p/clinic/auth/join?link="));
    // There is no account yet, and whoever opens the link makes none.
    for _ in 0..2 {
        let page = people
            .project
            .send(Request::new("GET", &mail.link()))
            .expect(200);
        assert!(page.body.contains("name=\"password\""), "{}", page.body);
    }
    people.sign_in("ada", PASSWORD).expect(401);
    let link = mail.secret();
    // A password that may not be chosen does not use the link up.
    let page = people.form("/auth/join", &format!("link={link}&password=short"));
    assert!(page.expect(400).body.contains("role=\"alert\""));
    let form = format!(
        "link={link}&name=Ada&password={}",
        PASSWORD.replace(' ', "+")
    );
    let page = people.form("/auth/join", &form).expect(200);
    assert!(page.body.contains("ready"), "{}", page.body);
    let again = json!({"link": link, "password": OTHER});
    people.post("/auth/join", again).expect(403);
    let token = people.token("ada", PASSWORD);
    let account = people
        .own(&token, "GET", "/auth/me", json!({}))
        .expect(200)
        .json();
    assert_eq!(
        (&account["name"], &account["verified"]),
        (&json!("Ada"), &json!(true))
    );
    assert_eq!(account["groups"], json!([group["id"]]));
}

#[test]
fn no_answer_tells_whether_there_is_an_account() {
    let people = People::new("open");
    people.user("ada");
    for path in ["/auth/recover", "/auth/sign-up"] {
        let (known, unknown) = (people.ask(path, "ada"), people.ask(path, "nobody"));
        assert_eq!(shown(&known), shown(&unknown), "{path}");
        known.expect(200);
    }
    let page = |name: &str| {
        let form = format!("email={name}%40example.org");
        people.form("/auth/sign-up", &form).expect(200)
    };
    assert_eq!(shown(&page("ada")), shown(&page("nobody")));
    // Known: a link to a new password, and a hint. Unknown: a link to an account.
    let mut mails: Vec<(String, &str)> = Vec::new();
    for _ in 0..5 {
        let mail = people.postbox.next();
        let what = match mail.parts[0].as_str() {
            text if text.contains("/auth/password?link=") => "password",
            text if text.contains("/auth/join?link=") => "join",
            text if text.contains("There is one already") => "exists",
            text => panic!("{text}"),
        };
        mails.push((mail.to.replace("@example.org", ""), what));
    }
    mails.sort();
    let whats = |name| {
        let of = mails.iter().filter(move |(to, _)| to == name);
        of.map(|(_, what)| *what).collect::<Vec<_>>()
    };
    assert_eq!(whats("ada"), ["exists", "exists", "password"]);
    assert_eq!(whats("nobody"), ["join", "join"]);
}

#[test]
fn mail_is_asked_for_so_often_whether_or_not_there_is_an_account() {
    let people = People::new("closed");
    people.user("ada");
    for name in ["ada", "nobody"] {
        for _ in 0..3 {
            people.ask("/auth/recover", name).expect(200);
        }
    }
    let (known, unknown) = (
        people.ask("/auth/recover", "ada"),
        people.ask("/auth/recover", "nobody"),
    );
    assert_eq!(shown(&known), shown(&unknown));
    known.expect(429);
    people.ask("/auth/recover", "eve").expect(200);
    people
        .post("/auth/recover", json!({"email": "no address"}))
        .expect(400);
}

#[test]
fn where_nobody_signs_up_nobody_does() {
    for setting in ["closed", "invite"] {
        let people = People::new(setting);
        people.user("ada");
        let (known, unknown) = (
            people.ask("/auth/sign-up", "ada"),
            people.ask("/auth/sign-up", "eve"),
        );
        assert_eq!(shown(&known), shown(&unknown), "{setting}");
        known.expect(403);
    }
    // A link that was sent before it was closed makes no account either.
    let people = People::new("open");
    people.ask("/auth/sign-up", "eve").expect(200);
    let link = people.mail_to("eve").secret();
    people
        .admin("PUT", "/admin/identity", json!({"sign_up": "closed"}))
        .expect(200);
    people
        .post("/auth/join", json!({"link": link, "password": PASSWORD}))
        .expect(403);
}

#[test]
fn a_forgotten_password_is_chosen_anew() {
    let people = People::new("closed");
    let id = people.user("ada");
    let token = people.token("ada", PASSWORD);
    let links = [(), ()].map(|()| {
        people.ask("/auth/recover", "ada").expect(200);
        people.mail_to("ada")
    });
    assert!(links[0].link().starts_with("/p/clinic/auth/password?link="));
    assert_ne!(links[0].secret(), links[1].secret());
    // Guesses in between shut the account; who reads its mail opens it.
    for _ in 0..11 {
        people.sign_in("ada", "wrong");
    }
    let shut = people.sign_in("ada", "wrong").expect(429);
    let seconds: u32 = shut.header("retry-after").unwrap().parse().unwrap();
    assert!((800..=900).contains(&seconds), "{seconds}");
    // No link for one thing is good for another, or for another project.
    let body = json!({"link": links[0].secret(), "password": OTHER});
    people.post("/auth/join", body.clone()).expect(403);
    let elsewhere = Request::new("POST", "/auth/password").body(body.to_string());
    people.project.send(elsewhere).expect(403);
    people.post("/auth/password", body.clone()).expect(200);
    people.own(&token, "GET", "/auth/me", json!({})).expect(401);
    people.token("ada", OTHER);
    let notice = people.mail_to("ada");
    assert!(
        notice.parts[0].contains("was changed"),
        "{}",
        notice.parts[0]
    );
    assert!(!notice.parts[0].contains("http"), "{}", notice.parts[0]);
    // Neither it nor the other one, which was asked for before, is good any more.
    people.post("/auth/password", body).expect(403);
    let second = json!({"link": links[1].secret(), "password": PASSWORD});
    people.post("/auth/password", second).expect(403);
    // The audit knows who, and shows no secret.
    let path = "/p/clinic/fhir/AuditEvent?_count=200";
    let audit = people
        .project
        .server
        .admin("GET", path, &Value::Null)
        .expect(200)
        .body;
    let user = format!("User/{id}");
    let rules = [
        "mail-was-asked-for",
        "mail-sent",
        "link-in-mail:-password-recovered",
    ];
    for text in rules.into_iter().chain([&*user]) {
        assert!(audit.contains(text), "{text}");
    }
    for text in [
        "ada@example.org",
        &links[0].secret(),
        &links[1].secret(),
        OTHER,
    ] {
        assert!(!audit.contains(text), "{text}");
        assert!(!people.project.server.log().contains(text), "{text}");
    }
}

/// ASVS 5.0, 6.4.3.
#[test]
fn a_password_chosen_by_mail_does_not_go_round_the_second_factor() {
    let people = People::new("closed");
    people.user("ada");
    let token = people.token("ada", PASSWORD);
    let app = json!({"kind": "totp"});
    let app = people.own(&token, "POST", "/auth/me/factors", app);
    let app = app.expect(201).json();
    let secret = app["secret"].as_str().unwrap();
    let path = format!("/auth/me/factors/{}/confirm", app["id"].as_str().unwrap());
    let confirm = json!({"totp": crate::mfa::code(secret, 0)});
    people.own(&token, "POST", &path, confirm).expect(200);
    people.mail_to("ada");
    people.ask("/auth/recover", "ada").expect(200);
    let link = people.mail_to("ada").secret();
    let body = json!({"link": link, "password": OTHER});
    people.post("/auth/password", body).expect(200);
    // The new password alone opens nothing, and the factor is the one that there was.
    let begun = people.sign_in("ada", OTHER).expect(200).json();
    assert_eq!(begun["step"], "factor", "{begun}");
    assert!(begun["access_token"].is_null(), "{begun}");
    let proof = json!({"sign_in": begun["sign_in"], "totp": crate::mfa::code(secret, 1)});
    let done = people.post("/auth/sign-in/factor", proof);
    let token = done.expect(200).json()["access_token"].clone();
    let token = token.as_str().unwrap();
    let left = people.own(token, "GET", "/auth/me/factors", json!({}));
    assert_eq!(left.expect(200).json()["factors"][0]["id"], app["id"]);
}

#[test]
fn a_suspended_user_recovers_nothing() {
    let people = People::new("closed");
    let id = people.user("ada");
    people.user("eve");
    people.ask("/auth/recover", "ada").expect(200);
    let link = people.mail_to("ada").secret();
    let path = format!("/admin/users/{id}");
    people
        .admin("PATCH", &path, json!({"status": "suspended"}))
        .expect(200);
    people
        .post("/auth/password", json!({"link": link, "password": OTHER}))
        .expect(403);
    people.ask("/auth/recover", "ada").expect(200);
    people.ask("/auth/recover", "eve").expect(200);
    people.mail_to("eve");
}

#[test]
fn administrators_invite_and_take_back() {
    let people = People::new("invite");
    let group = people
        .admin("POST", "/admin/groups", json!({"name": "ward"}))
        .expect(201)
        .json();
    let new = json!({"email": "ada@example.org", "name": "Ada <3", "groups": [group["id"]], "roles": ["nurse"]});
    let made = people
        .admin("POST", "/admin/invitations", new)
        .expect(201)
        .json();
    let first = people.mail_to("ada");
    assert!(
        first.parts[0].contains("Hello Ada <3,"),
        "{}",
        first.parts[0]
    );
    let again = json!({"email": "ADA@example.org", "groups": [group["id"]], "roles": ["nurse"]});
    let second = people
        .admin("POST", "/admin/invitations", again)
        .expect(201)
        .json();
    let list = people
        .admin("GET", "/admin/invitations", Value::Null)
        .expect(200);
    assert_eq!(list.json(), json!({"invitations": [second]}));
    assert!(!list.body.contains(&people.mail_to("ada").secret()));
    let join = |link: String| json!({"link": link, "password": PASSWORD});
    people.post("/auth/join", join(first.secret())).expect(403);
    let path = |id: &Value| format!("/admin/invitations/{}", id.as_str().unwrap());
    people
        .admin("DELETE", &path(&made["id"]), Value::Null)
        .expect(404);
    people
        .admin("DELETE", &path(&second["id"]), Value::Null)
        .expect(200);
    let third = json!({"email": "ada@example.org", "groups": [group["id"]], "roles": ["nurse"]});
    people
        .admin("POST", "/admin/invitations", third.clone())
        .expect(201);
    let link = people.mail_to("ada").secret();
    people.post("/auth/join", join(link)).expect(200);
    let token = people.token("ada", PASSWORD);
    let account = people
        .own(&token, "GET", "/auth/me", json!({}))
        .expect(200)
        .json();
    assert_eq!(
        (&account["groups"], &account["roles"]),
        (&json!([group["id"]]), &json!(["nurse"]))
    );
    people
        .admin("POST", "/admin/invitations", third)
        .expect(409);
    for (body, status) in [
        (json!({"email": "x"}), 400),
        (json!({"email": "b@example.org", "groups": ["none"]}), 400),
        (
            json!({"email": "b@example.org", "administers": ["clinic"]}),
            400,
        ),
    ] {
        people
            .admin("POST", "/admin/invitations", body)
            .expect(status);
    }
}

#[test]
fn a_user_who_was_made_without_a_password_is_invited_to_choose_it() {
    let people = People::new("closed");
    let new = json!({"email": "ada@example.org", "roles": ["nurse"]});
    let made = people.admin("POST", "/admin/users", new).expect(201).json();
    let email = json!({"email": "ada@example.org"});
    people
        .admin("POST", "/admin/invitations", email)
        .expect(201);
    let link = people.mail_to("ada").secret();
    people
        .post("/auth/join", json!({"link": link, "password": PASSWORD}))
        .expect(200);
    let token = people.token("ada", PASSWORD);
    let account = people
        .own(&token, "GET", "/auth/me", json!({}))
        .expect(200)
        .json();
    assert_eq!(
        (&account["id"], &account["roles"]),
        (&made["id"], &json!(["nurse"]))
    );
}

#[test]
fn another_address_counts_when_it_is_confirmed() {
    let people = People::new("closed");
    people.user("ada");
    people.user("eve");
    let token = people.token("ada", PASSWORD);
    let change = |email: &str, password: &str| json!({"email": email, "password": password});
    let to = |body| people.own(&token, "PATCH", "/auth/me", body);
    to(json!({"email": "new@example.org"})).expect(400);
    to(change("new@example.org", "wrong")).expect(422);
    let told = to(change("new@example.org", PASSWORD)).expect(200).json();
    assert_eq!(told["email"], "ada@example.org");
    let mail = people.mail_to("new");
    // The address of another tells nothing, and comes to nothing.
    let taken = to(change("eve@example.org", PASSWORD)).expect(200).json();
    assert_eq!(taken, told);
    let link = people.mail_to("eve").secret();
    people
        .post("/auth/verify", json!({"link": link}))
        .expect(403);
    people.token("ada", PASSWORD);
    let page = people
        .project
        .send(Request::new("GET", &mail.link()))
        .expect(200);
    assert!(
        page.body.contains("<button>This is my address</button>"),
        "{}",
        page.body
    );
    people
        .form("/auth/verify", &format!("link={}", mail.secret()))
        .expect(200);
    let notice = people.mail_to("ada");
    assert!(
        notice.parts[0].contains("no longer belongs to"),
        "{}",
        notice.parts[0]
    );
    people.own(&token, "GET", "/auth/me", json!({})).expect(401);
    people.sign_in("ada", PASSWORD).expect(401);
    let token = people.token("new", PASSWORD);
    let account = people
        .own(&token, "GET", "/auth/me", json!({}))
        .expect(200)
        .json();
    assert_eq!(account["verified"], true);
    // The first address is confirmed in the same way.
    let eve = people.token("eve", PASSWORD);
    people
        .own(&eve, "POST", "/auth/me/verify", json!({}))
        .expect(200);
    let link = people.mail_to("eve").secret();
    people
        .post("/auth/verify", json!({"link": link}))
        .expect(200);
    let account = people
        .own(&eve, "GET", "/auth/me", json!({}))
        .expect(200)
        .json();
    assert_eq!(account["verified"], true);
}

#[test]
fn people_change_their_name_and_remove_themselves() {
    let people = People::new("closed");
    let id = people.user("ada");
    let token = people.token("ada", PASSWORD);
    let named = people.own(&token, "PATCH", "/auth/me", json!({"name": "Ada"}));
    assert_eq!(named.expect(200).json()["name"], "Ada");
    people
        .own(&token, "PATCH", "/auth/me", json!({"roles": ["x"]}))
        .expect(400);
    people
        .own(
            &token,
            "POST",
            "/auth/me/delete",
            json!({"password": "wrong"}),
        )
        .expect(422);
    people
        .own(
            &token,
            "POST",
            "/auth/me/delete",
            json!({"password": PASSWORD}),
        )
        .expect(200);
    people.own(&token, "GET", "/auth/me", json!({})).expect(401);
    people
        .admin("GET", &format!("/admin/users/{id}"), Value::Null)
        .expect(404);
    people.sign_in("ada", PASSWORD).expect(401);
}

#[test]
fn a_project_chooses_its_words() {
    let people = People::new("closed");
    let new = json!({"email": "ada@example.org", "name": "A & <B>", "password": PASSWORD});
    people.admin("POST", "/admin/users", new).expect(201);
    let path = "/admin/mails/recover";
    let before = people.admin("GET", path, Value::Null).expect(200).json();
    assert_eq!(before["own"], false);
    let words = json!({
        "subject": "{{project}}: Passwort f\u{fc}r {{name}}",
        "text": "{{name}}: {{link}}",
        "html": "<a title=\"{{name}}\" href=\"{{link}}\">{{hours}}</a>",
    });
    people.admin("PUT", path, words.clone()).expect(200);
    people.ask("/auth/recover", "ada").expect(200);
    let mail = people.mail_to("ada");
    assert!(
        mail.headers.contains("Subject: =?utf-8?B?"),
        "{}",
        mail.headers
    );
    assert!(
        mail.parts[0].starts_with("A & <B>: http://"),
        "{}",
        mail.parts[0]
    );
    assert!(
        mail.parts[1].contains("title=\"A &amp; &lt;B&gt;\""),
        "{}",
        mail.parts[1]
    );
    for (key, value, part) in [
        ("text", json!("{{link}} {{password}}"), "text"),
        ("text", json!("none"), "{{link}}"),
        ("html", json!("none"), "html"),
        ("subject", json!("a\nb"), "subject"),
    ] {
        let mut bad = words.clone();
        bad[key] = value;
        let refused = people.admin("PUT", path, bad).expect(400);
        assert!(refused.body.contains(part), "{}", refused.body);
    }
    people.admin("PUT", "/admin/mails/none", words).expect(404);
    let after = people.admin("DELETE", path, Value::Null).expect(200).json();
    assert_eq!(after, before);
    people.admin("DELETE", path, Value::Null).expect(200);
    let all = people
        .admin("GET", "/admin/mails", Value::Null)
        .expect(200)
        .json();
    assert_eq!(all["mails"].as_array().unwrap().len(), 15);
}

#[test]
fn a_broken_glass_is_told_at_once_and_tells_of_nobody() {
    let people = People::new("closed");
    let care = |address: &str| {
        let care = json!({"break_glass_mail": [address]});
        people.admin("PUT", "/admin/care", care)
    };
    care("nobody").expect(400);
    care("privacy@example.org").expect(200);
    let rule = json!({"id": "a", "effect": "allow", "subjects": ["everyone"], "actions": ["read"],
        "kinds": ["Observation"], "relationship": "break-glass"});
    let rules = json!({"rules": [rule]});
    people
        .admin("PUT", "/admin/policies/glass", rules)
        .expect(201);
    let patient = json!({"resourceType": "Patient", "id": "cato"});
    people.project.put(&patient).expect(201);
    people.user("ada");
    let token = people.token("ada", PASSWORD);
    let reason = json!({"code": "ETREAT", "text": "unconscious in the lobby"});
    let body = json!({"patient": "cato", "reason": reason});
    people
        .own(&token, "POST", "/auth/break-glass", body)
        .expect(201);
    let mail = people.mail_to("privacy");
    for word in ["ada", "cato", "lobby"] {
        assert!(!mail.parts[0].contains(word), "{}", mail.parts[0]);
    }
}

#[test]
fn what_cannot_be_delivered_holds_up_nothing_else() {
    let people = People::new("closed");
    people.user("ada");
    people.user("eve");
    people.postbox.answer("550 no such mailbox");
    people.ask("/auth/recover", "ada").expect(200);
    people.ask("/auth/recover", "eve").expect(200);
    people.mail_to("eve");
    // What is refused for now is sent later, with the same link and name.
    people.postbox.answer("451 greylisted");
    people.ask("/auth/recover", "ada").expect(200);
    people.mail_to("ada");
}

/// What the server says that is started so.
fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::host::salus(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    let output = command
        .arg(folder.path().join("data"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn mail_that_would_be_shown_or_sent_in_the_open_is_refused_at_the_start() {
    assert!(refused(&["--mail", "terminal"]).contains("--demo only"));
    assert!(refused(&["--mail", "smtp://m.example"]).contains("--mail-from"));
    assert!(
        refused(&[
            "--mail",
            "smtp-plain://m.example",
            "--mail-from",
            "a@b.example"
        ])
        .contains("none of them")
    );
    let from = [
        "--mail",
        "smtp-plain://127.0.0.1",
        "--mail-from",
        "a@b.example",
    ];
    assert!(refused(&[&from[..], &["--mail-user", "x"]].concat()).contains("go together"));
}

#[test]
fn a_server_without_mail_says_so_to_everyone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_on(&folder.path().join("data"), &[]);
    let body = json!({"email": "ada@example.org"}).to_string();
    let asked = server.send(Request::new("POST", "/auth/recover").body(body));
    assert!(asked.expect(422).body.contains("--mail"));
}
