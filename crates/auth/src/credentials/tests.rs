//! Passwords and secrets: the right one opens, and nothing else.

use super::*;
use crate::Scopes;
use crate::record::Email;

fn email() -> Email {
    Email::parse("someone@example.org").unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[track_caller]
fn check_refused(got: Result<(), Error>, expect: Refusal) {
    match got {
        Err(Error::Refused(why)) => assert_eq!(why, expect),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_password_opens_its_account_only() {
    let password = secret("a quiet green bicycle");
    let hash = hash_password(&password, &[1; 16]).unwrap();
    assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_ne!(hash, hash_password(&password, &[2; 16]).unwrap());
    let user = User::administrator("u", email(), hash, &[], 0);
    check_password(Some(&user), &password).unwrap();
    let long = "x".repeat(BYTES_MAX + 1);
    for wrong in ["", "a quiet green bicycle ", "A quiet green bicycle", &long] {
        let got = check_password(Some(&user), &secret(wrong));
        check_refused(got, Refusal::Mismatch);
    }
    check_refused(check_password(None, &password), Refusal::Unknown);
}

/// An unknown account must cost what a known one costs.
#[test]
fn nobodys_hash_takes_the_same_work() {
    let hash = hash_password(&secret("x"), &[1; 16]).unwrap();
    let parts = |text: &str| text.split('$').map(str::to_owned).collect::<Vec<_>>();
    let (real, nobody) = (parts(&hash.0), parts(NOBODY));
    assert_eq!(real[..4], nobody[..4], "algorithm, version, parameters");
    let sizes = |parts: &[String]| (parts[4].len(), parts[5].len());
    assert_eq!(sizes(&nobody[..]).1, sizes(&real[..]).1);
    // Computed, not refused for its form.
    let refused = argon2().unwrap().verify_password(b"x", NOBODY);
    assert_eq!(refused, Err(argon2::password_hash::Error::PasswordInvalid));
}

#[test]
fn a_secret_opens_its_client_only() {
    let (right, hash) = client_secret(&[1; 32]);
    let (other, _) = client_secret(&[2; 32]);
    let client = Client::register("c", "c", hash, Scopes::default(), 0).unwrap();
    check_client(Some(&client), &right).unwrap();
    check_refused(check_client(Some(&client), &other), Refusal::Mismatch);
    check_refused(check_client(Some(&client), &secret("")), Refusal::Mismatch);
    check_refused(check_client(None, &right), Refusal::Unknown);
    check_refused(check_client(None, &secret(NO_CLIENT)), Refusal::Unknown);
}
