//! Sessions of people: whom they speak for, and everything that ends them.

use salus_auth::record::{Profile, Status};
use salus_auth::{Action, Secret, Target, Who};

use super::UserChange;
use super::stage::Stage;
use crate::context::Context;
use crate::sessions::Credential;
use crate::{Identity, LockOut, error};

#[track_caller]
fn check_refused<T>(got: Result<T, error::Error>) {
    let kind = got.err().map(|error| error.kind());
    assert_eq!(kind, Some(error::Kind::Unauthenticated));
}

/// A stage where the user `ada` is signed in.
async fn signed_in() -> (Stage, Secret) {
    let stage = Stage::new().await;
    stage.user("ada", |_| {}).await;
    let token = stage.session("ada").await;
    (stage, token)
}

#[tokio::test]
async fn a_user_is_who_their_record_and_groups_say() {
    let (stage, token) = signed_in().await;
    stage.group("hospital", &[], &["staff"]).await;
    stage.group("ward", &["hospital"], &["nurse"]).await;
    stage
        .user("ada", |ada| {
            ada.groups = vec!["ward".into(), "gone".into()];
            ada.role_names = vec!["own".into()];
            ada.profiles = vec![Profile::parse("Practitioner/9").unwrap()];
        })
        .await;
    let subject = stage.who(&token).await.unwrap();
    assert_eq!((subject.who(), subject.label()), (Who::User, "User/ada"));
    assert_eq!(subject.user_id(), Some("ada"));
    assert_eq!(subject.groups().join(" "), "hospital ward");
    assert_eq!(subject.role_names().join(" "), "nurse own staff");
    assert_eq!(subject.profiles()[0].text(), "Practitioner/9");
    let read = Target::Type("Patient");
    let denied = salus_auth::authorize(&subject, stage.scope(), Action::Read, read);
    assert!(denied.is_err(), "no policy speaks of them");
}

#[tokio::test]
async fn a_membership_counts_as_it_is_at_the_next_request() {
    let (stage, token) = signed_in().await;
    stage.group("hospital", &[], &[]).await;
    stage.group("ward", &["hospital"], &[]).await;
    let ward = |ada: &mut salus_auth::record::User| ada.groups = vec!["ward".into()];
    stage.user("ada", ward).await;
    let groups = async || stage.who(&token).await.unwrap().groups().join(" ");
    assert_eq!(groups().await, "hospital ward");
    // The group leaves the one that it stood in.
    stage.group("ward", &[], &[]).await;
    assert_eq!(groups().await, "ward");
    stage.user("ada", |ada| ada.groups.clear()).await;
    assert_eq!(groups().await, "");
}

#[tokio::test]
async fn who_is_suspended_is_out_at_the_next_request() {
    let (stage, token) = signed_in().await;
    stage.who(&token).await.unwrap();
    stage
        .user("ada", |ada| ada.status = Status::Suspended)
        .await;
    check_refused(stage.who(&token).await);
}

#[tokio::test]
async fn a_session_that_is_signed_out_of_is_over_and_others_are_not() {
    let (stage, token) = signed_in().await;
    let other = stage.session("ada").await;
    let mut cx = stage.nobody();
    cx.subject = stage.who(&token).await.unwrap();
    let credential = Credential::Token(token.expose());
    stage.service.sign_out(&cx, credential).await.unwrap();
    check_refused(stage.who(&token).await);
    stage.who(&other).await.unwrap();
}

async fn set_idle(stage: &Stage, minutes: u32) {
    let identity = Identity {
        idle_minutes: Some(minutes),
        session_minutes: 600,
        ..Identity::default()
    };
    let cx = stage.cx();
    stage.service.write_identity(&cx, identity).await.unwrap();
}

#[tokio::test]
async fn a_session_that_waits_too_long_is_over() {
    let (stage, _) = signed_in().await;
    set_idle(&stage, 20).await;
    let token = stage.session("ada").await;
    for _ in 0..5 {
        stage.advance_minutes(19);
        stage.who(&token).await.unwrap();
    }
    stage.advance_minutes(20);
    check_refused(stage.who(&token).await);
    // Asking did not wake it up.
    check_refused(stage.who(&token).await);
}

#[tokio::test]
async fn the_use_of_a_session_is_known_behind_a_restart() {
    let (mut stage, _) = signed_in().await;
    set_idle(&stage, 20).await;
    let token = stage.session("ada").await;
    stage.advance_minutes(15);
    stage.who(&token).await.unwrap();
    stage.restart().await;
    stage.advance_minutes(15);
    stage.who(&token).await.unwrap();
    stage.restart().await;
    stage.advance_minutes(20);
    check_refused(stage.who(&token).await);
}

#[tokio::test]
async fn a_session_ends_however_much_it_is_used() {
    let (stage, token) = signed_in().await;
    stage.advance_minutes(59);
    stage.who(&token).await.unwrap();
    stage.advance_minutes(1);
    check_refused(stage.who(&token).await);
}

const PASSWORD: &str = "a quiet green bicycle";

/// How somebody at an address fares who signs in to the project.
async fn sign_in(stage: &Stage, from: &str, name: &str, password: &str) -> Option<error::Kind> {
    let cx = Context {
        remote: Some(from.parse().unwrap()),
        ..stage.nobody()
    };
    let email = format!("{name}@example.org");
    let password = Secret::new(password.to_owned());
    let done = stage.service.sign_in(&cx, &email, password).await;
    done.err().map(|error| error.kind())
}

/// A stage where wrong passwords shut an account for some minutes.
async fn guarded() -> Stage {
    let stage = Stage::new().await;
    let lock_out = LockOut {
        failures: 3,
        minutes: 5,
    };
    let identity = Identity {
        lock_out,
        ..Identity::default()
    };
    let cx = stage.cx();
    stage.service.write_identity(&cx, identity).await.unwrap();
    let secret = Secret::new(PASSWORD.to_owned());
    let hash = salus_auth::credentials::hash_password(&secret, &[1; 16]).unwrap();
    stage.user("ada", |ada| ada.password = Some(hash)).await;
    stage
}

#[tokio::test]
async fn wrong_passwords_shut_an_account_whether_or_not_it_is_there() {
    let stage = guarded().await;
    let refused = Some(error::Kind::Unauthenticated);
    let held = Some(error::Kind::Throttled);
    for name in ["ada", "nobody"] {
        for _ in 0..3 {
            assert_eq!(sign_in(&stage, "192.0.2.1", name, "wrong").await, refused);
        }
        // From anywhere, and the right one too.
        assert_eq!(sign_in(&stage, "192.0.2.1", name, "wrong").await, held);
        assert_eq!(sign_in(&stage, "192.0.2.2", name, PASSWORD).await, held);
    }
    stage.advance_minutes(5);
    assert_eq!(sign_in(&stage, "192.0.2.1", "ada", PASSWORD).await, None);
}

#[tokio::test]
async fn how_long_an_account_is_shut_does_not_tell_whether_it_is_there() {
    let stage = guarded().await;
    let password = || Secret::new("wrong".to_owned());
    let wait_s = async |name: &str| {
        let (cx, email) = (stage.nobody(), format!("{name}@example.org"));
        let done = stage.service.sign_in(&cx, &email, password()).await;
        done.unwrap_err().retry_after_s()
    };
    for name in ["ada", "nobody"] {
        for _ in 0..3 {
            assert_eq!(wait_s(name).await, None);
        }
    }
    stage.advance_ms(60_500);
    for name in ["ada", "nobody"] {
        assert_eq!(wait_s(name).await, Some(240), "{name}");
    }
}

#[tokio::test]
async fn strangers_do_not_shut_an_account_where_its_owner_is_known() {
    let stage = guarded().await;
    let home = "2001:db8:0:1::7";
    assert_eq!(sign_in(&stage, home, "ada", PASSWORD).await, None);
    for _ in 0..4 {
        sign_in(&stage, "192.0.2.1", "ada", "wrong").await;
    }
    let held = Some(error::Kind::Throttled);
    assert_eq!(sign_in(&stage, "192.0.2.2", "ada", PASSWORD).await, held);
    assert_eq!(sign_in(&stage, home, "ada", PASSWORD).await, None);
    // Nor does that open it to strangers, and there, too, guessing is held up.
    assert_eq!(sign_in(&stage, "192.0.2.2", "ada", PASSWORD).await, held);
    for _ in 0..3 {
        sign_in(&stage, "2001:db8:0:1::8", "ada", "wrong").await;
    }
    assert_eq!(sign_in(&stage, home, "ada", PASSWORD).await, held);
}

#[tokio::test]
async fn an_address_is_slowed_down_whomever_it_tries() {
    let stage = guarded().await;
    let refused = Some(error::Kind::Unauthenticated);
    // Too long for anyone to hash.
    let long = "x".repeat(2000);
    for i in 0..300 {
        let name = format!("u{i}");
        assert_eq!(sign_in(&stage, "192.0.2.1", &name, &long).await, refused);
    }
    let held = Some(error::Kind::Throttled);
    assert_eq!(sign_in(&stage, "192.0.2.1", "ada", PASSWORD).await, held);
    assert_eq!(sign_in(&stage, "192.0.2.2", "ada", PASSWORD).await, None);
}

#[tokio::test]
async fn an_administrator_opens_an_account_again() {
    let stage = guarded().await;
    for _ in 0..4 {
        sign_in(&stage, "192.0.2.1", "ada", "wrong").await;
    }
    let change = UserChange {
        status: Some(Status::Active),
        ..UserChange::default()
    };
    let cx = stage.cx();
    stage.service.change_user(&cx, "ada", change).await.unwrap();
    assert_eq!(sign_in(&stage, "192.0.2.1", "ada", PASSWORD).await, None);
}

#[tokio::test]
async fn an_old_password_is_guessed_no_more_often_than_any() {
    let stage = guarded().await;
    let token = stage.session("ada").await;
    let mut cx = stage.nobody();
    cx.subject = stage.who(&token).await.unwrap();
    let mut kinds = Vec::new();
    for old in ["1", "2", "3", PASSWORD] {
        let (old, new) = (old.to_owned(), "a red bicycle of mine".to_owned());
        let (old, new) = (Secret::new(old), Secret::new(new));
        let credential = Credential::Token(token.expose());
        let done = stage
            .service
            .change_password(&cx, credential, Some(old), new);
        kinds.push(done.await.err().map(|error| error.kind()));
    }
    let wrong = Some(error::Kind::Unprocessable);
    assert_eq!(kinds, [wrong, wrong, wrong, Some(error::Kind::Throttled)]);
}
