//! Who has to bring a second factor, and what is open without one.

use salus_auth::record::{Factors, Group, Identity, Saved, Session};
use salus_auth::{Action, Secret, Target, Token, credentials};

use super::{Proof, SignInStep};
use crate::accounts::stage::Stage;
use crate::cold::{NewMove, NewRetrieval};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::retention::NewDisposal;
use crate::sessions::Credential;
use crate::shredding::NewShred;

const PASSWORD: &str = "a-good-long-password";

/// A user of this id with a password.
async fn stage(id: &str) -> Stage {
    let stage = Stage::new().await;
    let password = Secret::new(PASSWORD.to_owned());
    let hash = credentials::hash_password(&password, &[0; 16]).unwrap();
    stage.user(id, |user| user.password = Some(hash)).await;
    stage
}

async fn sign_in(stage: &Stage, id: &str) -> Result<SignInStep, Error> {
    let email = format!("{id}@example.org");
    let password = Secret::new(PASSWORD.to_owned());
    stage
        .service
        .sign_in(&stage.nobody(), &email, password)
        .await
}

#[track_caller]
fn done(step: SignInStep) -> Secret {
    let SignInStep::Done(done) = step else {
        panic!("{step:?}");
    };
    done.token
}

#[track_caller]
fn enrol(step: SignInStep) -> Secret {
    let SignInStep::Enrol(done) = step else {
        panic!("{step:?}");
    };
    done.token
}

#[track_caller]
fn ticket(step: SignInStep) -> Secret {
    let SignInStep::Factor(step) = step else {
        panic!("{step:?}");
    };
    step.ticket
}

/// What whoever has a token does.
async fn cx(stage: &Stage, token: &Secret) -> Context {
    let subject = stage.who(token).await.unwrap();
    Context {
        subject,
        ..stage.cx()
    }
}

/// Sets up an app in the session of a token: its recovery codes and its secret.
async fn set_up(stage: &Stage, token: &Secret) -> (Vec<Secret>, Totp) {
    let mine = cx(stage, token).await;
    let begun = stage.service.enrol_totp(&mine, "App").await.unwrap();
    let totp = Totp(base32(begun.secret.expose()));
    let credential = Credential::Token(token.expose());
    let code = totp.code(stage, 0);
    let done = stage
        .service
        .confirm_totp(&mine, credential, &begun.id, &code);
    (done.await.unwrap().codes, totp)
}

/// The app of a user.
struct Totp(Vec<u8>);

impl Totp {
    fn code(&self, stage: &Stage, steps: i64) -> Secret {
        let step = stage.service.now_ms() / 30_000 + steps;
        let mac = salus_crypto::hmac_sha1(&self.0, &step.to_be_bytes());
        let at = usize::from(mac[19] & 15);
        let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        Secret::new(format!("{:06}", number % 1_000_000))
    }
}

fn base32(text: &str) -> Vec<u8> {
    let mut bits = String::new();
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        };
        bits.push_str(&format!("{value:05b}"));
    }
    let bytes = bits.as_bytes().chunks_exact(8);
    bytes
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

async fn finish(stage: &Stage, ticket: &Secret, proof: Proof) -> Result<Secret, Kind> {
    let cx = stage.nobody();
    let done = stage.service.finish_sign_in(&cx, ticket.expose(), &proof);
    done.await
        .map(|done| done.token)
        .map_err(|error| error.kind())
}

#[tokio::test]
async fn who_has_a_second_factor_signs_in_with_it() {
    let stage = stage("a").await;
    let token = done(sign_in(&stage, "a").await.unwrap());
    let other = done(sign_in(&stage, "a").await.unwrap());
    let (codes, app) = set_up(&stage, &token).await;
    assert_eq!(codes.len(), 10);
    // The first factor ends all other sessions, which have none.
    assert!(stage.who(&other).await.is_err());
    assert!(stage.who(&token).await.is_ok());
    let begun = ticket(sign_in(&stage, "a").await.unwrap());
    // A ticket is no token.
    assert!(stage.who(&begun).await.is_err());
    // The code that confirmed the app was used by that.
    let used = Proof::Totp(app.code(&stage, 0));
    assert_eq!(
        finish(&stage, &begun, used).await.err(),
        Some(Kind::Unauthenticated)
    );
    let next = Proof::Totp(app.code(&stage, 1));
    let token = finish(&stage, &begun, next.clone()).await.unwrap();
    let id = Token::parse(token.expose()).unwrap();
    let session = stage.saved::<Session>(id.session_id()).await.unwrap();
    assert_eq!(session.value.methods, ["pwd", "otp", "mfa"]);
    // The ticket is used up.
    assert_eq!(
        finish(&stage, &begun, next).await.err(),
        Some(Kind::Unauthenticated)
    );
    let again = ticket(sign_in(&stage, "a").await.unwrap());
    let recovery = Proof::Recovery(codes[4].clone());
    finish(&stage, &again, recovery.clone()).await.unwrap();
    let again = ticket(sign_in(&stage, "a").await.unwrap());
    let refused = finish(&stage, &again, recovery).await.err();
    assert_eq!(refused, Some(Kind::Unauthenticated));
    stage.advance_minutes(6);
    let late = finish(&stage, &again, Proof::Totp(app.code(&stage, 0)))
        .await
        .err();
    assert_eq!(late, Some(Kind::Unauthenticated));
}

#[tokio::test]
async fn codes_cannot_be_guessed() {
    let stage = stage("a").await;
    let token = done(sign_in(&stage, "a").await.unwrap());
    let (_, app) = set_up(&stage, &token).await;
    let wrong = || Proof::Totp(Secret::new("00000x".to_owned()));
    for _ in 0..2 {
        let begun = ticket(sign_in(&stage, "a").await.unwrap());
        for _ in 0..5 {
            let refused = finish(&stage, &begun, wrong()).await.err();
            assert_eq!(refused, Some(Kind::Unauthenticated));
        }
        // After five the password is asked for again, also with the right code.
        let right = Proof::Totp(app.code(&stage, 1));
        let refused = finish(&stage, &begun, right).await.err();
        assert_eq!(refused, Some(Kind::Unauthenticated));
    }
    // After ten the account is shut for a while.
    let begun = ticket(sign_in(&stage, "a").await.unwrap());
    let right = Proof::Totp(app.code(&stage, 1));
    assert_eq!(
        finish(&stage, &begun, right).await.err(),
        Some(Kind::Throttled)
    );
    stage.advance_minutes(16);
    let begun = ticket(sign_in(&stage, "a").await.unwrap());
    let right = Proof::Totp(app.code(&stage, 0));
    finish(&stage, &begun, right).await.unwrap();
}

/// Whether somebody who signs in by a password alone has to set up a second factor.
async fn check_needs(stage: &Stage, expect: bool) {
    let step = sign_in(stage, "a").await.unwrap();
    assert_eq!(matches!(step, SignInStep::Enrol(_)), expect, "{step:?}");
    let (SignInStep::Enrol(done) | SignInStep::Done(done)) = step else {
        panic!("{step:?}");
    };
    let subject = stage.who(&done.token).await.unwrap();
    assert_eq!(subject.lacks_factor(), expect);
}

#[tokio::test]
async fn projects_and_groups_ask_for_it_and_administrators_always_have_to() {
    let stage = stage("a").await;
    check_needs(&stage, false).await;
    let strict = Group::new("strict", Vec::new(), Vec::new(), true, 0).unwrap();
    stage.put("strict", strict).await;
    stage
        .user("a", |user| user.groups = vec!["strict".into()])
        .await;
    check_needs(&stage, true).await;
    stage.user("a", |user| user.groups.clear()).await;
    let identity = Identity {
        mfa_required: true,
        ..Identity::default()
    };
    let operator = stage.cx();
    let written = stage.service.write_identity(&operator, identity).await;
    written.unwrap();
    check_needs(&stage, true).await;
    let written = stage.service.write_identity(&operator, Identity::default());
    written.await.unwrap();
    check_needs(&stage, false).await;
    let scope = stage.scope();
    stage.user("a", |user| user.administers(scope)).await;
    check_needs(&stage, true).await;
}

#[tokio::test]
async fn without_a_factor_that_has_to_be_there_one_can_set_it_up_and_nothing_else() {
    let stage = stage("a").await;
    let scope = stage.scope();
    stage.user("a", |user| user.administers(scope)).await;
    let token = enrol(sign_in(&stage, "a").await.unwrap());
    let mine = cx(&stage, &token).await;
    for action in Action::ALL {
        for target in [Target::System, Target::Type("Patient")] {
            let decided = salus_auth::authorize(&mine.subject, scope, action, target);
            let open = matches!(
                action,
                Action::Capabilities
                    | Action::SignIn
                    | Action::SignOut
                    | Action::ReadAccount
                    | Action::WriteAccount
            );
            assert_eq!(decided.is_ok(), open, "{action:?}");
        }
    }
    set_up(&stage, &token).await;
    let mine = cx(&stage, &token).await;
    assert!(!mine.subject.lacks_factor());
    // The last one stays.
    let factors = stage.service.list_factors(&mine).await.unwrap();
    assert!(factors.required);
    let removed = stage
        .service
        .remove_factor(&mine, &factors.factors[0].id)
        .await;
    assert_eq!(removed.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn what_cannot_be_undone_takes_a_fresh_proof() {
    let stage = stage("a").await;
    let token = done(sign_in(&stage, "a").await.unwrap());
    let credential = Credential::Token(token.expose());
    let step_up = async |password: Option<&str>, proof| {
        let password = password.map(|text| Secret::new(text.to_owned()));
        let mine = cx(&stage, &token).await;
        let done = stage.service.step_up(&mine, credential, password, proof);
        done.await.map_err(|error| error.kind())
    };
    let fresh = async || {
        let mine = cx(&stage, &token).await;
        stage.service.needs_step_up(&mine).is_ok()
    };
    assert!(fresh().await);
    stage.advance_minutes(11);
    assert!(!fresh().await);
    let mine = cx(&stage, &token).await;
    let refused = stage.service.enrol_totp(&mine, "").await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.age_max_s()),
        (Kind::StepUp, Some(600))
    );
    let wrong = step_up(Some("a-wrong-long-password"), None).await;
    assert_eq!(wrong, Err(Kind::Unprocessable));
    assert!(!fresh().await);
    step_up(Some(PASSWORD), None).await.unwrap();
    assert!(fresh().await);
    let (codes, _) = set_up(&stage, &token).await;
    stage.advance_minutes(11);
    // A password is not enough any more.
    assert_eq!(step_up(Some(PASSWORD), None).await, Err(Kind::Invalid));
    let code = Proof::Recovery(codes[0].clone());
    step_up(None, Some(code)).await.unwrap();
    assert!(fresh().await);
    // Programs and the operator are not asked.
    stage.service.needs_step_up(&stage.cx()).unwrap();
}

/// ASVS 5.0, 7.5.2.
#[tokio::test]
async fn ending_ones_own_sessions_takes_a_fresh_proof() {
    let stage = stage("a").await;
    let token = done(sign_in(&stage, "a").await.unwrap());
    let other = done(sign_in(&stage, "a").await.unwrap());
    let credential = Credential::Token(token.expose());
    stage.advance_minutes(11);
    let mine = cx(&stage, &token).await;
    let service = &stage.service;
    let listed = service.list_own_sessions(&mine, credential).await.unwrap();
    let ids = listed.iter().filter(|one| !one.current).map(|one| &*one.id);
    let ids: Vec<&str> = ids.collect();
    assert_eq!(ids.len(), 1);
    let refused = service.end_own_session(&mine, ids[0]).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::StepUp);
    let refused = service.end_other_sessions(&mine, credential).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::StepUp);
    stage.who(&other).await.unwrap();
    let password = Secret::new(PASSWORD.to_owned());
    let proved = service.step_up(&mine, credential, Some(password), None);
    proved.await.unwrap();
    let mine = cx(&stage, &token).await;
    service.end_own_session(&mine, ids[0]).await.unwrap();
    assert!(stage.who(&other).await.is_err());
    let others = service.end_other_sessions(&mine, credential).await;
    assert_eq!(others.unwrap(), 0);
    stage.who(&token).await.unwrap();
}

#[tokio::test]
async fn an_administrator_takes_away_what_was_lost() {
    let stage = stage("a").await;
    let token = done(sign_in(&stage, "a").await.unwrap());
    set_up(&stage, &token).await;
    stage.service.reset_factors(&stage.cx(), "a").await.unwrap();
    assert!(stage.who(&token).await.is_err());
    let factors: Saved<Factors> = stage.saved("a").await.unwrap();
    assert!(!factors.value.any() && factors.value.codes_left() == 0);
    done(sign_in(&stage, "a").await.unwrap());
    let mine = cx(&stage, &done(sign_in(&stage, "a").await.unwrap())).await;
    let own = stage.service.reset_factors(&mine, "a").await;
    assert_eq!(own.unwrap_err().kind(), Kind::Forbidden);
}

#[tokio::test]
async fn signing_everybody_out_takes_a_fresh_proof() {
    let stage = stage("a").await;
    let scope = stage.scope();
    stage.user("a", |user| user.administers(scope)).await;
    let token = enrol(sign_in(&stage, "a").await.unwrap());
    set_up(&stage, &token).await;
    stage.user("b", |_| ()).await;
    let other = stage.session("b").await;
    stage.advance_minutes(11);
    let credential = Credential::Token(token.expose());
    let mine = cx(&stage, &token).await;
    let refused = stage.service.end_all_sessions(&mine, credential).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::StepUp);
    stage.who(&other).await.unwrap();
    let operator = (stage.cx(), Credential::Operator);
    let ended = stage.service.end_all_sessions(&operator.0, operator.1);
    assert_eq!(ended.await.unwrap(), 2);
    assert!(stage.who(&other).await.is_err() && stage.who(&token).await.is_err());
}

#[tokio::test]
async fn ending_records_takes_a_fresh_proof() {
    let stage = stage("a").await;
    let scope = stage.scope();
    stage.user("a", |user| user.administers(scope)).await;
    let token = enrol(sign_in(&stage, "a").await.unwrap());
    let (codes, _) = set_up(&stage, &token).await;
    stage.advance_minutes(11);
    let reason = || "the patient asked for it".to_owned();
    let refused = async || {
        let mine = cx(&stage, &token).await;
        let shred = NewShred {
            patient: "p".to_owned(),
            reason: reason(),
            dry_run: false,
        };
        let dispose = NewDisposal {
            reason: reason(),
            dry_run: false,
        };
        let cold = NewMove {
            reason: reason(),
            dry_run: false,
        };
        let back = NewRetrieval {
            ty: "Patient".to_owned(),
            id: "p".to_owned(),
            reason: reason(),
        };
        let service = &stage.service;
        [
            service.shred(&mine, shred).await.err(),
            service.dispose(&mine, dispose).await.err(),
            service.move_cold(&mine, cold).await.err(),
            service.retrieve_cold(&mine, back).await.err(),
            service.cold_history(&mine, "Patient", "p").await.err(),
            service.lift_hold(&mine, "h", &reason()).await.err(),
            service.write_retention(&mine, Vec::new()).await.err(),
        ]
        .map(|error| error.map(|error| error.kind()))
    };
    assert_eq!(refused().await, [Some(Kind::StepUp); 7]);
    let mine = cx(&stage, &token).await;
    let credential = Credential::Token(token.expose());
    let code = Some(Proof::Recovery(codes[0].clone()));
    let proved = stage.service.step_up(&mine, credential, None, code);
    proved.await.unwrap();
    assert!(!refused().await.contains(&Some(Kind::StepUp)));
}
