//! Users of a project, their groups and sessions, as administrators and they themselves see them.

use serde_json::{Value, json};

use crate::host::{PASSWORD, Project, project};
use crate::wire::Answer;

/// A project as its administrator and its users see it.
struct People(Project);

impl People {
    fn new(slug: &str) -> Self {
        Self(project(slug))
    }

    /// Asks as the administrator.
    #[track_caller]
    fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        self.0.admin(method, path, &body)
    }

    /// Asks with a token.
    #[track_caller]
    fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        self.0.ask(token, method, path, &body)
    }

    /// Makes a user: their id.
    #[track_caller]
    fn user(&self, name: &str) -> String {
        self.0.user(name, &Value::Null)
    }

    #[track_caller]
    fn group(&self, group: Value) -> String {
        let made = self.admin("POST", "/admin/groups", group).expect(201);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn try_sign_in(&self, name: &str, password: &str) -> Answer {
        self.0.try_user(name, password)
    }

    #[track_caller]
    fn sign_in(&self, name: &str) -> String {
        self.0.sign_in_user(name)
    }
}

#[test]
fn a_user_sees_their_account_and_nothing_else() {
    let people = People::new("accounts-own");
    let id = people.user("ada");
    let token = people.sign_in("ada");
    let account = people
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(200);
    let account = account.json();
    assert_eq!(account["id"], json!(id));
    assert_eq!(account["email"], "ada@example.org");
    assert!(!account.to_string().contains("argon2"), "{account}");
    for (method, path) in [
        ("GET", "/fhir/Patient"),
        ("GET", "/fhir/AuditEvent"),
        ("GET", "/admin/users"),
        ("GET", &format!("/admin/users/{id}")),
        ("GET", &format!("/admin/users/{id}/sessions")),
        ("GET", "/admin/groups"),
        ("GET", "/admin/identity"),
    ] {
        people.ask(&token, method, path, Value::Null).expect(403);
    }
    let elsewhere = People::new("accounts-own-elsewhere");
    elsewhere
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(403);
}

#[test]
fn users_are_made_found_changed_and_removed() {
    let people = People::new("accounts-users");
    people
        .0
        .put(&json!({"resourceType": "Practitioner", "id": "ada"}))
        .expect(201);
    let id = people.user("ada");
    people.user("eve");
    let path = format!("/admin/users/{id}");
    let change = json!({"name": "Ada", "roles": ["nurse"], "profiles": ["Practitioner/ada"]});
    let changed = people.admin("PATCH", &path, change).expect(200).json();
    assert_eq!(changed["profiles"], json!(["Practitioner/ada"]));
    let read = people.admin("GET", &path, Value::Null).expect(200).json();
    assert_eq!(read, changed);
    let all = people.admin("GET", "/admin/users", Value::Null).expect(200);
    assert_eq!(all.json()["users"].as_array().unwrap().len(), 2);
    for query in ["email=ADA@example.org", "profile=Practitioner/ada"] {
        let found = people.admin("GET", &format!("/admin/users?{query}"), Value::Null);
        assert_eq!(
            found.expect(200).json(),
            json!({"users": [read]}),
            "{query}"
        );
    }
    let again = json!({"email": "Ada@Example.org"});
    people.admin("POST", "/admin/users", again).expect(409);
    people.admin("DELETE", &path, Value::Null).expect(200);
    people.admin("GET", &path, Value::Null).expect(404);
    people.try_sign_in("ada", PASSWORD).expect(401);
}

#[track_caller]
fn check_refused(people: &People, body: Value, status: u16) {
    people.admin("POST", "/admin/users", body).expect(status);
}

#[test]
fn a_user_that_makes_no_sense_is_refused() {
    let people = People::new("accounts-refused");
    let with = |key: &str, value: Value| {
        let mut body = json!({"email": "ada@example.org"});
        body[key] = value;
        body
    };
    check_refused(&people, json!({}), 400);
    check_refused(&people, with("email", json!("nobody")), 400);
    check_refused(&people, with("password", json!("short")), 400);
    check_refused(&people, with("groups", json!(["none"])), 400);
    check_refused(&people, with("profiles", json!(["Patient/none"])), 400);
    check_refused(&people, with("profiles", json!(["Group/1"])), 400);
    check_refused(&people, with("roles", json!(["a b"])), 400);
    check_refused(&people, with("administers", json!(["default"])), 400);
    check_refused(&people, with("administers", json!(["system"])), 400);
    check_refused(&people, with("unknown", json!(1)), 400);
    check_refused(
        &people,
        with("administers", json!(["accounts-refused"])),
        201,
    );
}

#[test]
fn suspending_ends_sessions_at_once() {
    let people = People::new("accounts-suspended");
    let id = people.user("ada");
    let token = people.sign_in("ada");
    let path = format!("/admin/users/{id}");
    let status = |status: &str| json!({"status": status});
    people
        .admin("PATCH", &path, status("suspended"))
        .expect(200);
    people
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(401);
    people.try_sign_in("ada", PASSWORD).expect(401);
    people.admin("PATCH", &path, status("active")).expect(200);
    // What ended stays so.
    people
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(401);
    people.sign_in("ada");
}

#[test]
fn a_role_that_is_taken_away_is_gone_at_the_next_request() {
    let people = People::new("accounts-demoted");
    let id = people.user("ada");
    let path = format!("/admin/users/{id}");
    let token = people.sign_in("ada");
    let administers = |slugs: Value| json!({"administers": slugs});
    people
        .admin("PATCH", &path, administers(json!(["accounts-demoted"])))
        .expect(200);
    people
        .ask(&token, "GET", "/admin/users", Value::Null)
        .expect(200);
    // Not by themselves: somebody has to be left who can take it back.
    for change in [administers(json!([])), json!({"status": "suspended"})] {
        people.ask(&token, "PATCH", &path, change).expect(409);
    }
    people.ask(&token, "DELETE", &path, Value::Null).expect(409);
    people
        .admin("PATCH", &path, administers(json!([])))
        .expect(200);
    people
        .ask(&token, "GET", "/admin/users", Value::Null)
        .expect(403);
}

#[test]
fn groups_stand_in_groups() {
    let people = People::new("accounts-groups");
    let hospital = people.group(json!({"name": "Hospital", "roles": ["staff"]}));
    let ward = people.group(json!({"name": "Ward", "parents": [hospital], "mfa_required": true}));
    let id = people.user("ada");
    let path = format!("/admin/users/{id}");
    let groups = json!({"groups": [ward]});
    people.admin("PATCH", &path, groups).expect(200);
    let ward_path = format!("/admin/groups/{ward}");
    let read = people.admin("GET", &ward_path, Value::Null).expect(200);
    let expect = json!({"id": ward, "name": "Ward", "parents": [hospital], "roles": [],
        "mfa_required": true, "members": 1});
    assert_eq!(read.json(), expect);
    let listed = people.admin("GET", &format!("/admin/users?group={ward}"), Value::Null);
    assert_eq!(listed.expect(200).json()["users"][0]["id"], json!(id));
    let same = json!({"name": "hospital"});
    people
        .admin("POST", "/admin/groups", same.clone())
        .expect(409);
    people.admin("PUT", &ward_path, same).expect(409);
    let lost = json!({"name": "Lost", "parents": ["none"]});
    people.admin("POST", "/admin/groups", lost).expect(400);
    // A circle is no harm.
    let round = json!({"name": "Hospital", "parents": [ward]});
    people
        .admin("PUT", &format!("/admin/groups/{hospital}"), round)
        .expect(200);
    let token = people.sign_in("ada");
    people
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(200);
    people.admin("DELETE", &ward_path, Value::Null).expect(200);
    people.admin("GET", &ward_path, Value::Null).expect(404);
    people
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(200);
}

#[test]
fn sessions_are_listed_and_end_one_by_one() {
    let people = People::new("accounts-sessions");
    let id = people.user("ada");
    let (first, second) = (people.sign_in("ada"), people.sign_in("ada"));
    let list = |token: &str| {
        let listed = people.ask(token, "GET", "/auth/me/sessions", Value::Null);
        listed.expect(200).json()["sessions"]
            .as_array()
            .unwrap()
            .clone()
    };
    let listed = list(&first);
    assert_eq!(listed.len(), 2);
    let other = listed.iter().find(|one| one["current"] == false).unwrap();
    let path = format!("/auth/me/sessions/{}", other["id"].as_str().unwrap());
    people.user("eve");
    let eve = people.sign_in("eve");
    people.ask(&eve, "DELETE", &path, Value::Null).expect(404);
    people.ask(&first, "DELETE", &path, Value::Null).expect(200);
    people.ask(&first, "DELETE", &path, Value::Null).expect(404);
    people
        .ask(&second, "GET", "/auth/me", Value::Null)
        .expect(401);
    assert_eq!(list(&first).len(), 1);

    let path = format!("/admin/users/{id}/sessions");
    let seen = people.admin("GET", &path, Value::Null).expect(200).json();
    let session = seen["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(seen["sessions"][0]["current"], false);
    people
        .admin("DELETE", &format!("{path}/{session}"), Value::Null)
        .expect(200);
    people
        .ask(&first, "GET", "/auth/me", Value::Null)
        .expect(401);
    let tokens = [people.sign_in("ada"), people.sign_in("ada")];
    let ended = people.admin("DELETE", &path, Value::Null).expect(200);
    assert_eq!(ended.json(), json!({"ended": 2}));
    for token in tokens {
        people
            .ask(&token, "GET", "/auth/me", Value::Null)
            .expect(401);
    }
    people.ask(&eve, "GET", "/auth/me", Value::Null).expect(200);

    let tokens = [(); 3].map(|()| people.sign_in("ada"));
    let path = "/auth/me/sessions";
    let ended = people.ask(&tokens[0], "DELETE", path, Value::Null);
    assert_eq!(ended.expect(200).json(), json!({"ended": 2}));
    assert_eq!(list(&tokens[0]).len(), 1);
    for token in &tokens[1..] {
        people.ask(token, "GET", path, Value::Null).expect(401);
    }
    people.ask(&eve, "GET", "/auth/me", Value::Null).expect(200);
}

#[test]
fn a_new_password_takes_the_old_one_and_ends_other_sessions() {
    let people = People::new("accounts-password");
    people.user("ada");
    let (token, other) = (people.sign_in("ada"), people.sign_in("ada"));
    let change = |old: &str, new: &str| {
        let body = json!({"old": old, "new": new});
        people.ask(&token, "POST", "/auth/me/password", body)
    };
    change("another", "a red bicycle of mine").expect(422);
    change(PASSWORD, "short").expect(400);
    change(PASSWORD, "a red bicycle of mine").expect(200);
    people
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(200);
    people
        .ask(&other, "GET", "/auth/me", Value::Null)
        .expect(401);
    people.try_sign_in("ada", PASSWORD).expect(401);
    people
        .try_sign_in("ada", "a red bicycle of mine")
        .expect(200);
}

#[test]
fn how_users_come_in_is_a_setting_of_the_project() {
    let people = People::new("accounts-identity");
    let read = || people.admin("GET", "/admin/identity", Value::Null);
    assert_eq!(read().expect(200).json()["sign_up"], "closed");
    let set = |setting: Value| people.admin("PUT", "/admin/identity", setting);
    set(json!({"sign_up": "anyone"})).expect(400);
    set(json!({"sign_up": "open", "idle_minutes": 0})).expect(400);
    set(json!({"sign_up": "open", "mail_from": "x"})).expect(400);
    let written = set(json!({"sign_up": "invite", "idle_minutes": 20})).expect(200);
    assert_eq!(read().expect(200).json(), written.json());
    assert_eq!(written.json()["idle_minutes"], 20);
}

#[test]
fn all_users_are_signed_out_at_once() {
    let people = People::new("accounts-everyone");
    let (eve, adam) = (people.user("eve"), people.user("adam"));
    let administers = json!({"administers": [people.0.slug]});
    let path = format!("/admin/users/{adam}");
    people.admin("PATCH", &path, administers).expect(200);
    let tokens = [people.sign_in("eve"), people.sign_in("eve")];
    let admin = people.sign_in("adam");
    let ask = |token: &str| people.ask(token, "GET", "/auth/me", Value::Null).status;
    assert!(tokens.iter().all(|token| ask(token) == 200));
    // Nobody but administrators does it.
    let end = |token: &str| people.ask(token, "DELETE", "/admin/sessions", Value::Null);
    end(&tokens[0]).expect(403);
    end(&people.0.token).expect(403);
    assert_eq!(end(&admin).expect(200).json(), json!({"ended": 2}));
    assert!(tokens.iter().all(|token| ask(token) == 401));
    // The one who asked goes on, and so do programs.
    assert_eq!(ask(&admin), 200);
    people.0.get("Patient").expect(200);
    assert_eq!(end(&admin).expect(200).json(), json!({"ended": 0}));
    let again = people.sign_in("eve");
    assert_eq!(
        people
            .admin("DELETE", "/admin/sessions", Value::Null)
            .expect(200)
            .json(),
        json!({"ended": 2})
    );
    assert_eq!((ask(&again), ask(&admin)), (401, 401));
    let sessions = format!("/admin/users/{eve}/sessions");
    let left = people
        .admin("GET", &sessions, Value::Null)
        .expect(200)
        .json();
    assert_eq!(left, json!({"sessions": []}));
}
