//! Sessions of people: whom they speak for, and everything that ends them.

use salus_auth::record::{Profile, Status};
use salus_auth::{Action, Secret, Target, Who};

use super::stage::Stage;
use crate::sessions::Credential;
use crate::{Identity, error};

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
