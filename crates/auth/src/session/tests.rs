//! A session from its beginning to its end, and everything that ends it.

use salus_store::{Put, Record, Seq};

use super::*;
use crate::credentials;
use crate::record::Email;

const HOME: Scope = Scope(3);
const NOW: i64 = 1_000_000;

fn stored(put: Put) -> Record {
    Record {
        kind: put.kind,
        id: put.id,
        version: put.version,
        time_ms: NOW,
        seq: Seq(1),
        seal: put.seal,
        content: put.content,
    }
}

fn client(scopes: &str) -> Saved<Client> {
    let (_, secret) = credentials::client_secret(&[1; 32]);
    Client::register("demo", "Demo", secret, Scopes::parse(scopes).unwrap(), 0).unwrap()
}

fn user() -> Saved<User> {
    let email = Email::parse("ada@example.org").unwrap();
    let hash = serde_json::from_str("\"x\"").unwrap();
    User::administrator("u1", email, hash, &[HOME], 0)
}

fn open_client(client: &Saved<Client>, asked: &str) -> Result<Opened, Error> {
    let asked = Scopes::parse(asked).unwrap();
    open_for_client(HOME, client, &asked, &[9; 32], NOW, LIFETIME_DEFAULT_MS)
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(got: Result<T, Error>, expect: Refusal) {
    match got {
        Err(Error::Refused(why)) => assert_eq!(why, expect),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_clients_token_leads_back_to_it() {
    let client = client("system/*.cruds");
    let opened = open_client(&client, "system/Patient.rs").unwrap();
    let token = Token::parse(opened.token.expose()).unwrap();
    assert_eq!(token.scope(), HOME);
    assert_eq!(token.session_id(), &*opened.session.id);
    let session = &opened.session.value;
    assert_eq!(owner_key(session), (Client::KIND, "demo"));
    let record = stored(client.put().unwrap());
    let subject = resume(HOME, session, Some(&record), &Membership::default(), NOW).unwrap();
    assert_eq!(subject.label(), "Client/demo");
    assert_eq!(subject.home(), HOME);
    assert_eq!(subject.scopes().unwrap().text(), "system/Patient.rs");
}

#[test]
fn a_users_token_leads_back_to_them() {
    let user = user();
    let opened = open_for_user(
        HOME,
        &user,
        &Membership::default(),
        &[9; 32],
        NOW,
        LIFETIME_DEFAULT_MS,
    )
    .unwrap();
    let record = stored(user.put().unwrap());
    let subject = resume(
        HOME,
        &opened.session.value,
        Some(&record),
        &Membership::default(),
        NOW,
    )
    .unwrap();
    assert_eq!(subject.label(), "Administrator/u1");
    assert_eq!(opened.subject.label(), "Administrator/u1");
    assert!(subject.reaches(HOME));
}

#[test]
fn a_client_gets_no_more_than_it_may() {
    let own = client("system/Patient.rs system/Group.c");
    let given = |asked| open_client(&own, asked).map(|o| o.session.value.scopes.text());
    assert_eq!(given("").unwrap(), "system/Patient.rs system/Group.c");
    assert_eq!(given("system/*.r").unwrap(), "system/Patient.r");
    assert!(matches!(
        given("system/Patient.d"),
        Err(Error::Scope { position: 1, .. })
    ));
    assert!(open_client(&client(""), "").is_err());
}

#[test]
fn what_a_client_loses_its_tokens_lose() {
    let mut client = client("system/*.cruds");
    let opened = open_client(&client, "system/*.rs").unwrap();
    client.value.scopes = Scopes::parse("system/Patient.cr").unwrap();
    let record = stored(client.put().unwrap());
    let subject = resume(
        HOME,
        &opened.session.value,
        Some(&record),
        &Membership::default(),
        NOW,
    )
    .unwrap();
    assert_eq!(subject.scopes().unwrap().text(), "system/Patient.r");
}

#[test]
fn sessions_end() {
    let mut client = client("system/*.rs");
    let session = open_client(&client, "").unwrap().session.value;
    let record = stored(client.put().unwrap());
    let end = NOW + LIFETIME_DEFAULT_MS;
    resume(
        HOME,
        &session,
        Some(&record),
        &Membership::default(),
        end - 1,
    )
    .unwrap();
    check_refused(
        resume(HOME, &session, Some(&record), &Membership::default(), end),
        Refusal::Expired,
    );
    check_refused(
        resume(HOME, &session, None, &Membership::default(), NOW),
        Refusal::Unknown,
    );
    let deleted = stored(client.delete());
    check_refused(
        resume(HOME, &session, Some(&deleted), &Membership::default(), NOW),
        Refusal::Unknown,
    );
    client.value.status = Status::Suspended;
    let suspended = stored(client.put().unwrap());
    check_refused(
        resume(
            HOME,
            &session,
            Some(&suspended),
            &Membership::default(),
            NOW,
        ),
        Refusal::Suspended,
    );
    check_refused(open_client(&client, ""), Refusal::Suspended);
    let mut user = user();
    user.value.status = Status::Suspended;
    check_refused(
        open_for_user(HOME, &user, &Membership::default(), &[9; 32], NOW, 1),
        Refusal::Suspended,
    );
}

#[test]
fn a_users_session_is_not_a_clients() {
    let user = user();
    let session = open_for_user(HOME, &user, &Membership::default(), &[9; 32], NOW, 10).unwrap();
    let record = stored(client("system/*.rs").put().unwrap());
    let got = resume(
        HOME,
        &session.session.value,
        Some(&record),
        &Membership::default(),
        NOW,
    );
    assert!(matches!(got, Err(Error::Record("salus:User"))));
}
