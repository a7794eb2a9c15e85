//! What people are told of their account by mail: sign-ins from elsewhere, and changes to what they
//! prove themselves with.

use serde_json::{Value, json};

use crate::accounts_by_mail::{PASSWORD, People};
use crate::wire::Request;

/// Addresses of three networks.
const HOME: &str = "203.0.113.7";
const WORK: &str = "198.51.100.9";
const AWAY: &str = "192.0.2.3";

fn people() -> People {
    People::with("closed", &["--trusted-proxies", "127.0.0.0/8"])
}

/// Signs `ada` in from an address.
#[track_caller]
fn sign_in(people: &People, from: &str) -> String {
    let body = json!({"email": "ada@example.org", "password": PASSWORD});
    let request = Request::new("POST", "/p/clinic/auth/sign-in")
        .header("X-Forwarded-For", from)
        .body(body.to_string());
    let answer = people.project.send(request).expect(200).json();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Nothing has been sent: the next mail is one that is asked for now.
#[track_caller]
fn check_nothing_else(people: &People) {
    people.ask("/auth/recover", "ada").expect(200);
    let mail = people.mail_to("ada");
    assert!(mail.parts[0].contains("/auth/password?link="), "{mail:?}");
}

#[test]
fn a_sign_in_from_another_place_is_told() {
    let people = people();
    people.user("ada");
    sign_in(&people, HOME);
    // Another address of the same network is the same place.
    sign_in(&people, "203.0.113.99");
    check_nothing_else(&people);
    let words = json!({"subject": "Was it you?", "text": "{{name}} came to {{project}}"});
    let path = "/admin/mails/new-sign-in";
    people.admin("PUT", path, words).expect(200);
    let token = sign_in(&people, WORK);
    let mail = people.mail_to("ada");
    assert!(mail.headers.contains("Subject: Was it you?"), "{mail:?}");
    assert_eq!(mail.parts[0].trim(), "ada came to clinic");
    people.admin("DELETE", path, Value::Null).expect(200);
    for from in [WORK, HOME] {
        sign_in(&people, from);
    }
    check_nothing_else(&people);
    sign_in(&people, AWAY);
    let mail = people.mail_to("ada");
    assert!(mail.parts[0].contains("signed in as ada@example.org"));
    for text in [&*token, AWAY, "http"] {
        assert!(!mail.parts[0].contains(text), "{}", mail.parts[0]);
    }
    // Wrong passwords from elsewhere are no sign-ins.
    people.sign_in("ada", "wrong").expect(401);
    // A project may want none of it.
    let setting = json!({"sign_up": "closed", "notices": false});
    let set = people.admin("PUT", "/admin/identity", setting).expect(200);
    assert_eq!(set.json()["notices"], false);
    sign_in(&people, "2001:db8::7");
    check_nothing_else(&people);
}

#[test]
fn changes_of_what_people_prove_themselves_with_are_told() {
    let people = people();
    let id = people.user("ada");
    let token = sign_in(&people, HOME);
    let own = |method: &str, path: &str, body: Value| people.own(&token, method, path, body);
    let enrol = || {
        let app = own("POST", "/auth/me/factors", json!({"kind": "totp"}));
        let app = app.expect(201).json();
        let secret = app["secret"].as_str().unwrap();
        let code = json!({"totp": crate::mfa::code(secret, 0)});
        let path = format!("/auth/me/factors/{}", app["id"].as_str().unwrap());
        let made = own("POST", &format!("{path}/confirm"), code).expect(200);
        let told = people.mail_to("ada").parts[0].clone();
        assert!(told.contains("was set up"), "{told}");
        for code in made.json()["recovery_codes"].as_array().unwrap() {
            assert!(!told.contains(code.as_str().unwrap()), "{told}");
        }
        assert!(!told.contains(secret), "{told}");
        path
    };
    let path = enrol();
    own("POST", "/auth/me/recovery-codes", json!({})).expect(200);
    let told = people.mail_to("ada").parts[0].clone();
    assert!(told.contains("were replaced"), "{told}");
    own("DELETE", &path, json!({})).expect(200);
    let told = people.mail_to("ada").parts[0].clone();
    assert!(told.contains("was removed"), "{told}");
    // Whoever else does it.
    enrol();
    let reset = format!("/admin/users/{id}/factors");
    people.admin("DELETE", &reset, Value::Null).expect(200);
    let told = people.mail_to("ada").parts[0].clone();
    assert!(told.contains("was removed"), "{told}");
    let user = format!("/admin/users/{id}");
    let moved = json!({"email": "lovelace@example.org"});
    people.admin("PATCH", &user, moved).expect(200);
    let told = people.mail_to("ada").parts[0].clone();
    assert!(
        told.contains("no longer belongs to ada@example.org"),
        "{told}"
    );
}
