//! Accounts at providers and accounts here: connected by who proves both, made where a project
//! lets them be, put into groups, and let in as far as the proof goes.

use serde_json::{Value, json};

use crate::federation::{Stage, link};
use crate::mfa::code;
use crate::oauth_users::{Browser, PASSWORD, authorize, hidden};
use crate::postbox::Postbox;
use crate::wire::{Answer, Request};

const ADA: (&str, &str) = ("ada@example.org", PASSWORD);

fn title(page: &Answer) -> &str {
    let (_, rest) = page.body.split_once("<title>").unwrap();
    rest.split_once("</title>").unwrap().0
}

#[test]
fn an_address_alone_opens_nothing_and_both_proofs_connect() {
    let postbox = Postbox::new();
    let mail = format!("--mail={}", postbox.place());
    let arguments = [&*mail, "--mail-from=salus@example.org"];
    let stage = Stage::with(1, json!({"create": "verified-mail"}), &arguments);
    stage
        .admin("PUT", "/admin/identity", json!({"sign_up": "open"}))
        .expect(200);
    let ada = stage.user(ADA.0);
    stage.user("bob@example.org");
    let says = json!({"sub": "a", "email": ADA.0, "email_verified": true});
    stage.provider().says(says);
    let mut browser = Browser::default();
    let page = stage.come(&mut browser).expect(200);
    assert_eq!(title(&page), "Connect your account");
    let wrong = (ADA.0, "a-wrong-long-password");
    let page = stage.connect(&mut browser, &page, wrong).expect(403);
    assert!(page.body.contains("role=\"alert\""), "{}", page.body);
    // An administrator of the server is no user of this project.
    let first = ("first@example.org", PASSWORD);
    let page = stage.connect(&mut browser, &page, first).expect(403);
    // A form of another browser is nothing, and neither is its ticket.
    let mut thief = Browser::default();
    stage.connect(&mut thief, &page, ADA).expect(403);
    let own = stage.come(&mut thief).expect(200);
    let ticket = hidden(&page.body, "ticket");
    let more = [
        ("ticket", &*ticket),
        ("email", ADA.0),
        ("password", PASSWORD),
    ];
    thief
        .submit(&stage.place, &own, "/auth/authorize/connect", &more)
        .expect(403);
    assert_eq!(thief.cookie("salus"), None);

    let done = stage.connect(&mut browser, &page, ADA);
    assert_eq!(stage.who(&mut browser, done), "ada");
    let told = postbox.next();
    assert_eq!(told.to, ADA.0);
    assert!(told.parts[0].contains("was connected"), "{}", told.parts[0]);
    // What was used is used up, and what is connected stays with whom it is.
    stage.connect(&mut browser, &page, ADA).expect(403);
    let bob = ("bob@example.org", PASSWORD);
    stage.connect(&mut thief, &own, bob).expect(403);
    let mut other = Browser::default();
    let done = stage.come(&mut other);
    assert_eq!(stage.who(&mut other, done), "ada");

    let path = format!("/admin/users/{ada}/providers");
    let links = stage.admin("GET", &path, Value::Null).expect(200).json();
    let link = &links["providers"][0];
    assert_eq!(
        (&link["provider"], &link["subject"]),
        (&json!("hospital"), &json!("a"))
    );
    let token = stage.token(ADA.0);
    assert_eq!(
        stage
            .own(&token, "GET", "/auth/me/providers", json!({}))
            .expect(200)
            .json(),
        links
    );
    // Whoever administers takes it away, and what was signed in with it ends.
    stage
        .admin("DELETE", &format!("{path}/none"), Value::Null)
        .expect(404);
    let one = format!("{path}/{}", link["id"].as_str().unwrap());
    stage.admin("DELETE", &one, Value::Null).expect(200);
    assert!(postbox.next().parts[0].contains("no longer lets you"));
    stage
        .own(&token, "GET", "/auth/me/providers", json!({}))
        .expect(401);
    assert_eq!(
        title(&stage.come(&mut Browser::default())),
        "Connect your account"
    );
}

/// Begins something from a session and goes to the provider: where it leads back to.
#[track_caller]
fn go(stage: &Stage, browser: &mut Browser, begun: Answer) -> String {
    let url = begun.expect(200).json()["url"].as_str().unwrap().to_owned();
    let (_, path) = url.split_once("/auth/").unwrap();
    let page = browser
        .get(&stage.place, &format!("/auth/{path}"))
        .expect(200);
    assert!(page.body.contains("ada@example.org"), "{}", page.body);
    let page = browser
        .submit(&stage.place, &page, "/auth/providers/begin", &[])
        .expect(200);
    let url = link(&page);
    assert!(url.contains("&max_age=0&prompt=login"), "{url}");
    stage.provider().visit(&url)
}

#[test]
fn an_account_is_connected_from_a_session_and_the_last_way_in_stays() {
    let stage = Stage::new(1, json!({}));
    stage.user(ADA.0);
    let token = stage.token(ADA.0);
    let ask = |method: &str, path: &str, body: Value| stage.own(&token, method, path, body);
    let which = json!({"provider": "hospital"});
    ask("POST", "/auth/me/providers", json!({"provider": "none"})).expect(404);
    let begun = || ask("POST", "/auth/me/providers", which.clone());
    let mut browser = Browser::default();
    let first = begun().expect(200);
    let back = go(&stage, &mut browser, first.clone());
    let done = browser.get_from_elsewhere(&stage.place, &back).expect(200);
    assert!(done.body.contains("is connected"), "{}", done.body);
    // The way there is good once.
    let url = first.json()["url"].as_str().unwrap().to_owned();
    let (_, path) = url.split_once("/auth/").unwrap();
    browser
        .get(&stage.place, &format!("/auth/{path}"))
        .expect(403);
    let mut other = Browser::default();
    let done = stage.come(&mut other);
    assert_eq!(stage.who(&mut other, done), "ada");

    // Where somebody else is signed in, nobody goes on for another.
    stage.user("bob@example.org");
    let mut bobs = Browser::default();
    let page = bobs.get(&stage.place, &authorize(&[])).expect(200);
    let bob = [("email", "bob@example.org"), ("password", PASSWORD)];
    bobs.submit(&stage.place, &page, "/auth/authorize/sign-in", &bob)
        .expect(303);
    let url = begun().expect(200).json()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, path) = url.split_once("/auth/").unwrap();
    bobs.get(&stage.place, &format!("/auth/{path}")).expect(403);

    // Bob cannot have Ada's account there.
    let bobs_token = stage.token("bob@example.org");
    let begun = stage.own(&bobs_token, "POST", "/auth/me/providers", which);
    let url = begun.expect(200).json()["url"].as_str().unwrap().to_owned();
    let (_, path) = url.split_once("/auth/").unwrap();
    let page = bobs.get(&stage.place, &format!("/auth/{path}")).expect(200);
    let page = bobs
        .submit(&stage.place, &page, "/auth/providers/begin", &[])
        .expect(200);
    let back = stage.provider().visit(&link(&page));
    bobs.get_from_elsewhere(&stage.place, &back).expect(403);

    let links = ask("GET", "/auth/me/providers", json!({}))
        .expect(200)
        .json();
    let id = links["providers"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/auth/me/providers/{id}");
    stage
        .own(&bobs_token, "DELETE", &path, json!({}))
        .expect(404);
    ask("DELETE", &path, json!({})).expect(200);
    ask("DELETE", &path, json!({})).expect(404);
    assert_eq!(
        title(&stage.come(&mut Browser::default())),
        "Connect your account"
    );
}

#[test]
fn accounts_are_made_as_provider_and_project_say() {
    let stage = Stage::new(
        1,
        json!({"create": "verified-mail", "domains": ["example.org"]}),
    );
    let sign_up = |text: &str| {
        let setting = json!({"sign_up": text});
        stage.admin("PUT", "/admin/identity", setting).expect(200);
    };
    let known = |email: &str| {
        let path = format!("/admin/users?email={email}");
        let found = stage.admin("GET", &path, Value::Null).expect(200).json();
        found["users"].as_array().unwrap().len()
    };
    let comes = |email: &str, verified: Value| {
        let says = json!({"sub": email, "email": email, "email_verified": verified});
        stage.provider().says(says);
        stage.come(&mut Browser::default()).status
    };
    // 303 is in; 200 is the page on which somebody connects.
    for (project, email, verified, status) in [
        ("closed", "a@example.org", json!(true), 200),
        ("invite", "a@example.org", json!(true), 200),
        ("open", "a@example.org", json!(false), 200),
        ("open", "a@example.org", json!(null), 200),
        ("open", "a@example.com", json!(true), 200),
        ("open", "not an address", json!(true), 200),
        ("open", "a@example.org", json!(true), 303),
    ] {
        sign_up(project);
        assert_eq!(
            comes(email, verified.clone()),
            status,
            "{project} {email} {verified}"
        );
    }
    assert_eq!((known("a@example.org"), known("a@example.com")), (1, 0));
    let setting = stage.setting(0, json!({"create": "never"}));
    stage
        .admin("PUT", "/admin/providers/hospital", setting)
        .expect(200);
    assert_eq!(comes("b@example.org", json!(true)), 200);
    // Who was made so still comes in, and where the account is gone does not.
    assert_eq!(comes("a@example.org", json!(false)), 303);
    let path = "/admin/users?email=a@example.org";
    let found = stage.admin("GET", path, Value::Null).expect(200).json();
    let id = found["users"][0]["id"].as_str().unwrap().to_owned();
    stage
        .admin("DELETE", &format!("/admin/users/{id}"), Value::Null)
        .expect(200);
    assert_eq!(comes("a@example.org", json!(true)), 200);
    let setting = stage.setting(0, json!({"create": "verified-mail"}));
    stage
        .admin("PUT", "/admin/providers/hospital", setting)
        .expect(200);
    assert_eq!(comes("a@example.org", json!(true)), 303);
}

#[test]
fn who_was_invited_comes_in_by_a_provider() {
    let postbox = Postbox::new();
    let mail = format!("--mail={}", postbox.place());
    let arguments = [&*mail, "--mail-from=salus@example.org"];
    let stage = Stage::with(1, json!({"create": "invited"}), &arguments);
    let new = json!({"email": ADA.0, "name": "Ada", "roles": ["nurse"]});
    stage.admin("POST", "/admin/invitations", new).expect(201);
    let secret = postbox.next().secret();
    stage
        .provider()
        .says(json!({"sub": "b", "email": "b@example.org", "email_verified": true}));
    stage.come(&mut Browser::default()).expect(200);
    stage
        .provider()
        .says(json!({"sub": "a", "email": ADA.0, "email_verified": true, "name": "X"}));
    let mut browser = Browser::default();
    let done = stage.come(&mut browser);
    assert_eq!(stage.who(&mut browser, done), "ada");
    let path = format!("/admin/users?email={}", ADA.0);
    let found = stage.admin("GET", &path, Value::Null).expect(200).json();
    assert_eq!(found["users"][0]["roles"], json!(["nurse"]));
    assert_eq!(found["users"][0]["name"], "Ada");
    // The invitation is used.
    let body = json!({"link": secret, "password": PASSWORD}).to_string();
    stage
        .place
        .project
        .send(Request::new("POST", "/auth/join").body(body))
        .expect(403);
    // Without a password nobody signs in by one, until it is chosen by mail.
    let body = json!({"email": ADA.0, "password": PASSWORD}).to_string();
    let sign_in = || {
        stage
            .place
            .project
            .send(Request::new("POST", "/auth/sign-in").body(body.clone()))
    };
    sign_in().expect(401);
    let ask = json!({"email": ADA.0}).to_string();
    stage
        .place
        .project
        .send(Request::new("POST", "/auth/recover").body(ask))
        .expect(200);
    let secret = postbox.next().secret();
    let choose = json!({"link": secret, "password": PASSWORD}).to_string();
    stage
        .place
        .project
        .send(Request::new("POST", "/auth/password").body(choose))
        .expect(200);
    sign_in().expect(200);
}

#[test]
fn groups_come_and_go_with_what_a_provider_says() {
    let stage = Stage::new(1, json!({}));
    let group = |name: &str| {
        let made = stage.admin(
            "POST",
            "/admin/groups",
            json!({"name": name, "roles": [name]}),
        );
        made.expect(201).json()["id"].as_str().unwrap().to_owned()
    };
    let (nurses, doctors, own) = (group("nurse"), group("doctor"), group("own"));
    let values = json!({"N": nurses, "D": doctors});
    let changes = json!({"groups": {"claim": "units", "values": values}});
    let setting = stage.setting(0, changes);
    stage
        .admin("PUT", "/admin/providers/hospital", setting)
        .expect(200);
    let ada = stage.user(ADA.0);
    let path = format!("/admin/users/{ada}");
    stage
        .admin("PATCH", &path, json!({"groups": [own]}))
        .expect(200);
    for role in ["nurse", "doctor"] {
        let rule = json!({"id": role, "effect": "allow", "subjects": [format!("role:{role}")],
            "actions": ["search"], "kinds": [if role == "nurse" { "Patient" } else { "Observation" }]});
        let policy = json!({"rules": [rule]});
        stage
            .admin("PUT", &format!("/admin/policies/{role}"), policy)
            .expect(201);
    }
    let token = stage.token(ADA.0);
    let may = |ty: &str| {
        stage
            .own(&token, "GET", &format!("/fhir/{ty}"), json!({}))
            .status
            == 200
    };
    assert!(!may("Patient") && !may("Observation"));

    stage
        .provider()
        .says(json!({"sub": "a", "units": ["N", "other"]}));
    let mut browser = Browser::default();
    let page = stage.come(&mut browser).expect(200);
    stage.connect(&mut browser, &page, ADA).expect(303);
    // It counts at the next request of a session that was there before.
    assert!(may("Patient") && !may("Observation"));
    stage.provider().says(json!({"sub": "a", "units": "D"}));
    stage.come(&mut Browser::default()).expect(303);
    assert!(!may("Patient") && may("Observation"));
    let groups = |expect: &[&String]| {
        let user = stage.admin("GET", &path, Value::Null).expect(200).json();
        let mut expect = expect.to_vec();
        expect.sort();
        assert_eq!(user["groups"], json!(expect));
    };
    groups(&[&doctors, &own]);
    // Nothing claimed is no group; what the mapping does not have stays.
    stage.provider().says(json!({"sub": "a"}));
    stage.come(&mut Browser::default()).expect(303);
    assert!(!may("Patient") && !may("Observation"));
    groups(&[&own]);
    // A group that was removed gives nothing.
    stage
        .admin("DELETE", &format!("/admin/groups/{nurses}"), Value::Null)
        .expect(200);
    stage
        .provider()
        .says(json!({"sub": "a", "units": ["N", "D"]}));
    stage.come(&mut Browser::default()).expect(303);
    groups(&[&doctors, &own]);
}

/// Nobody of the project does without a second factor from now on.
fn require_second_factors(stage: &Stage) {
    let identity = json!({"sign_up": "closed", "mfa_required": true});
    stage.admin("PUT", "/admin/identity", identity).expect(200);
}

#[test]
fn a_second_factor_is_asked_for_unless_the_provider_says_that_it_took_two() {
    let stage = Stage::new(
        1,
        json!({"second_factor": {"amr": ["mfa"], "acr": ["high"]}}),
    );
    stage.user(ADA.0);
    require_second_factors(&stage);
    let mut browser = Browser::default();
    let url = stage.leave(&mut browser, "hospital", &[]);
    assert!(url.contains("&acr_values=high"), "{url}");
    let back = stage.provider().visit(&url);
    let page = browser.get_from_elsewhere(&stage.place, &back).expect(200);
    // Who has to have a second factor sets it up before anything is connected.
    let page = stage.connect(&mut browser, &page, ADA).expect(200);
    assert_eq!(title(&page), "Set up a second factor");
    assert_eq!(
        title(&stage.come(&mut Browser::default())),
        "Connect your account"
    );
    let (_, rest) = page.body.split_once("<code>").unwrap();
    let secret = rest.split_once("</code>").unwrap().0.to_owned();
    let first = code(&secret, 0);
    let more = [("kind", "enrol"), ("code", &*first)];
    let done = browser.submit(&stage.place, &page, "/auth/authorize/factor", &more);
    assert_eq!(title(&done.expect(200)), "Recovery codes");

    let come = |says: Value| {
        stage.provider().says(says);
        let mut browser = Browser::default();
        let answer = stage.come(&mut browser);
        (answer, browser)
    };
    for says in [
        json!({"sub": "1"}),
        json!({"sub": "1", "amr": ["pwd"]}),
        json!({"sub": "1", "amr": "mfa"}),
        json!({"sub": "1", "acr": "mfa"}),
    ] {
        let (page, mut browser) = come(says.clone());
        assert_eq!(title(&page.expect(200)), "Second factor", "{says}");
        assert_eq!(browser.cookie("salus"), None);
        let page = browser.get(&stage.place, &authorize(&[])).expect(200);
        assert_eq!(title(&page), "Sign in");
    }
    for says in [
        json!({"sub": "1", "amr": ["pwd", "mfa"]}),
        json!({"sub": "1", "acr": "high"}),
    ] {
        let (answer, mut browser) = come(says);
        assert_eq!(stage.who(&mut browser, answer), "ada");
    }
    // With the code of the app it goes on, too.
    let (page, mut browser) = come(json!({"sub": "1"}));
    let next = code(&secret, 1);
    let more = [("kind", "totp"), ("code", &*next)];
    let done = browser.submit(&stage.place, &page, "/auth/authorize/factor", &more);
    assert_eq!(stage.who(&mut browser, done), "ada");
}

#[test]
fn signing_in_anew_at_a_provider_proves_who_is_at_a_session() {
    let stage = Stage::new(1, json!({"second_factor": {"amr": ["mfa"]}}));
    stage.user(ADA.0);
    let mut browser = Browser::default();
    let page = stage.come(&mut browser).expect(200);
    stage.connect(&mut browser, &page, ADA).expect(303);
    let rule = json!({"id": "a", "effect": "allow", "subjects": ["everyone"], "actions": ["search"],
        "kinds": ["Patient"]});
    stage
        .admin("PUT", "/admin/policies/all", json!({"rules": [rule]}))
        .expect(201);
    let token = stage.token(ADA.0);
    let search = || stage.own(&token, "GET", "/fhir/Patient", json!({})).status;
    assert_eq!(search(), 200);
    require_second_factors(&stage);
    assert_eq!(search(), 403);
    let prove = |says: Value, status: u16| {
        stage.provider().says(says);
        let mut browser = Browser::default();
        let which = json!({"provider": "hospital"});
        let begun = stage.own(&token, "POST", "/auth/step-up/provider", which);
        let back = go(&stage, &mut browser, begun);
        browser
            .get_from_elsewhere(&stage.place, &back)
            .expect(status);
        // It signs nobody in there.
        assert_eq!(browser.cookie("salus"), None);
    };
    prove(json!({"sub": "2", "amr": ["mfa"]}), 403);
    prove(
        json!({"sub": "1", "amr": ["mfa"], "auth_time": "now-120"}),
        403,
    );
    assert_eq!(search(), 403);
    prove(json!({"sub": "1", "amr": ["mfa"]}), 200);
    assert_eq!(search(), 200);
}
