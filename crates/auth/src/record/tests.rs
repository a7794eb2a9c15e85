//! Every kind of record, written and read back; and the released form, which must stay readable.

use salus_store::{Precondition, Scope, Seq};

use super::*;
use crate::credentials::{PasswordHash, SecretHash};
use crate::{Refusal, Role, Scopes};

fn email() -> Email {
    Email::parse("Ada@Example.org").unwrap()
}

fn password() -> PasswordHash {
    serde_json::from_str("\"$argon2id$x\"").unwrap()
}

fn secret() -> SecretHash {
    serde_json::from_str("\"hash\"").unwrap()
}

fn stored(put: Put) -> Record {
    Record {
        kind: put.kind,
        id: put.id,
        version: put.version,
        time_ms: 0,
        seq: Seq(1),
        seal: put.seal,
        content: put.content,
    }
}

/// What is put reads back, and is what version 1 of the form says.
#[track_caller]
fn check<T: SystemRecord + PartialEq + std::fmt::Debug>(saved: Saved<T>, form: &str) {
    let put = saved.put().unwrap();
    assert_eq!(put.version, saved.version + 1);
    assert!(put.rows.is_sorted_by_key(|row| row.param));
    let record = stored(put);
    let Content::Body(body) = &record.content else {
        panic!("no body");
    };
    assert_eq!(body.as_ref(), [b"\x01", form.as_bytes()].concat());
    let read = Saved::<T>::read(&record).unwrap().unwrap();
    assert_eq!(read.value, saved.value);
    assert_eq!((&read.id, read.version), (&saved.id, saved.version + 1));

    let deleted = stored(read.delete());
    assert_eq!(deleted.version, saved.version + 2);
    assert_eq!(Saved::<T>::read(&deleted).unwrap(), None);
    for (kind, bytes) in [
        (record.kind, &b""[..]),
        (record.kind, b"\x02{}"),
        (record.kind, b"\x01{"),
        (Kind::named("Patient"), body),
    ] {
        let damaged = Record {
            kind,
            content: Content::Body(bytes.to_vec().into()),
            ..record.clone()
        };
        assert!(Saved::<T>::read(&damaged).is_err());
    }
}

#[test]
fn users_are_kept() {
    check(
        User::administrator("u1", email(), password(), &[Scope(0), Scope(1)], 5),
        r#"{"email":"ada@example.org","password":"$argon2id$x","roles":[[0,"administrator"],[1,"administrator"]],"status":"active","created_ms":5}"#,
    );
}

#[test]
fn users_of_a_project_are_kept() {
    let user = User {
        name: "Ada".into(),
        verified_ms: Some(7),
        groups: vec!["g1".into()],
        role_names: vec!["nurse".into()],
        profiles: vec![Profile::parse("Practitioner/9").unwrap()],
        status: Status::Suspended,
        ..User::new(email(), 5)
    };
    check(
        Saved::new("u2", user),
        r#"{"email":"ada@example.org","roles":[],"status":"suspended","created_ms":5,"name":"Ada","verified_ms":7,"groups":["g1"],"role_names":["nurse"],"profiles":[{"type":"Practitioner","id":"9"}]}"#,
    );
}

#[test]
fn groups_and_the_setting_of_a_project_are_kept() {
    let group = Group::new(" Ward 7 ", vec!["b".into(), "a".into()], vec![], true, 5).unwrap();
    check(
        Saved::new("g1", group),
        r#"{"name":"Ward 7","parents":["a","b"],"mfa_required":true,"created_ms":5}"#,
    );
    check(
        Saved::new("identity", Identity::default()),
        r#"{"sign_up":"closed","session_minutes":60,"mfa_required":false,"password_length":12,"step_up_minutes":10,"lock_out":{"failures":10,"minutes":15}}"#,
    );
}

#[track_caller]
fn check_found<T: SystemRecord>(query: &Query, value: &T, expect: bool) {
    let Filter::Value(param, test) = &query.filter else {
        panic!("{query:?}");
    };
    let rows = value.rows();
    let mut rows = rows.iter().filter(|row| row.param == *param);
    assert_eq!(rows.any(|row| test.accepts(&row.value.borrow())), expect);
}

#[test]
fn members_are_found_by_group_and_by_profile() {
    let profile = Profile::parse("Patient/7").unwrap();
    let user = User {
        groups: vec!["g1".into(), "g2".into()],
        profiles: vec![profile.clone()],
        ..User::new(email(), 5)
    };
    check_found(&User::in_group("g2"), &user, true);
    check_found(&User::in_group("g3"), &user, false);
    check_found(&User::with_profile(&profile), &user, true);
    let other = Profile::parse("RelatedPerson/7").unwrap();
    check_found(&User::with_profile(&other), &user, false);
    let group = Group::new("Ward 7", vec!["g1".into()], vec![], false, 5).unwrap();
    check_found(&Group::inside("g1"), &group, true);
    check_found(&Group::with_name("ward 7 "), &group, true);
    for text in ["Patient", "Patient/", "Patient/a b", "Group/1", "patient/1"] {
        assert!(Profile::parse(text).is_err(), "{text}");
    }
}

#[test]
fn clients_are_kept() {
    let scopes = Scopes::parse("system/*.rs system/AuditEvent.rs").unwrap();
    check(
        Client::register("demo", "Demo", secret(), scopes, 5).unwrap(),
        r#"{"name":"Demo","secret":"hash","scopes":"system/*.rs system/AuditEvent.rs","status":"active","created_ms":5}"#,
    );
}

#[test]
fn sessions_are_kept() {
    let session = Session {
        owner: Owner::Client("demo".into()),
        scopes: Scopes::parse("system/*.rs").unwrap(),
        created_ms: 5,
        expires_ms: 6,
        used_ms: 0,
        through: None,
        methods: Vec::new(),
        key: None,
        proved_ms: 0,
        purpose: None,
    };
    check(
        Saved::new("hash", session),
        r#"{"owner":{"client":"demo"},"scopes":"system/*.rs","created_ms":5,"expires_ms":6}"#,
    );
}

#[test]
fn links_and_projects_are_kept() {
    let (_, link) = SetupLink::make(&[1; 32], 5);
    check(link, r#"{"expires_ms":86400005}"#);
    let (project, _) = Project::new("main", "Main", Scope::SYSTEM, 5).unwrap();
    assert_eq!(project.value.scope(), Scope(1));
    check(project, r#"{"name":"Main","scope":1,"created_ms":5}"#);
}

#[test]
fn kinds_are_what_stores_hold_them_under() {
    let kinds = [
        User::KIND,
        Client::KIND,
        Session::KIND,
        SetupLink::KIND,
        Project::KIND,
        Group::KIND,
        Identity::KIND,
    ];
    let numbers = kinds.map(|kind| format!("{:08x}", kind.0));
    assert_eq!(
        numbers,
        [
            "b9e89b74", "a99a43a8", "4fde4551", "f01ef808", "30e36594", "8944408e", "698dd259"
        ],
        "part of the stored format"
    );
}

#[test]
fn two_projects_made_at_once_differ() {
    let (one, unused) = Project::new("one", "One", Scope(7), 0).unwrap();
    let (two, _) = Project::new("two", "Two", Scope(7), 0).unwrap();
    assert_eq!(one.value.scope, 8);
    let Precondition::NoneMatch(query) = unused else {
        panic!("the scope may be given twice");
    };
    let Filter::Value(param, test) = query.filter else {
        panic!("{:?}", query.filter);
    };
    let rows = two.value.rows();
    let hit = rows
        .iter()
        .any(|row| row.param == param && test.accepts(&row.value.borrow()));
    assert!(hit, "the second is refused by the first's row");
}

#[test]
fn names_that_do_not_fit_are_refused() {
    for slug in ["", "A", "1a", "a b", "a/b", "-a", &"a".repeat(41), "é"] {
        assert!(Project::new(slug, "n", Scope(0), 0).is_err(), "{slug}");
    }
    assert!(Project::new("a", "n", Scope(u32::MAX), 0).is_err());
    for id in ["", "a b", "a/b", "é", &"a".repeat(65)] {
        let client = Client::register(id, "n", secret(), Scopes::default(), 0);
        assert!(client.is_err(), "{id}");
    }
    for name in ["", "  ", "a\nb", &"a".repeat(201)] {
        assert!(Project::new("a", name, Scope(0), 0).is_err(), "{name}");
    }
    for address in [
        "",
        "a",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b\n.c",
        &"a@b".repeat(90),
    ] {
        assert!(Email::parse(address).is_err(), "{address}");
    }
}

#[test]
fn addresses_are_found_however_they_are_written() {
    let query = User::with_email(&Email::parse(" ADA@example.ORG ").unwrap());
    let Filter::Value(param, test) = &query.filter else {
        panic!("{query:?}");
    };
    let user = User::administrator("u1", email(), password(), &[], 0);
    let rows = user.value.rows();
    assert!(
        rows.iter()
            .any(|row| row.param == *param && test.accepts(&row.value.borrow()))
    );
}

#[test]
fn a_link_works_until_it_ends() {
    let (secret, link) = SetupLink::make(&[1; 32], 0);
    assert_eq!(SetupLink::id(secret.expose()), link.id);
    assert!(!secret.expose().contains(&*link.id));
    let end = link.value.expires_ms;
    SetupLink::check(Some(link.clone()), end - 1).unwrap();
    for (found, now_ms, expect) in [
        (Some(link), end, Refusal::Expired),
        (None, 0, Refusal::Unknown),
    ] {
        let error = SetupLink::check(found, now_ms).unwrap_err();
        assert!(matches!(error, Error::Refused(why) if why == expect));
    }
}

#[test]
fn debug_shows_no_address_and_no_secret() {
    let user = User::administrator("u1", email(), password(), &[Scope(1)], 5);
    let client = Client::register("c", "n", secret(), Scopes::default(), 0).unwrap();
    let (link, _) = SetupLink::make(&[1; 32], 0);
    let shown = format!("{user:?} {client:?} {link:?}");
    for hidden in ["ada", "argon2", "hash\"", link.expose()] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert_eq!(user.value.roles, [(1, Role::Administrator)]);
}
