//! What is kept of providers and for how long, and what users without a password can do.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use salus_auth::Secret;
use salus_auth::jwk::{Jwk, Jwks};
use salus_auth::record::{Foreign, Provider, ProviderAccount};
use salus_crypto::signing::{Algorithm, SigningKey};
use serde_json::json;

use super::{Ask, Asking, Question, Settings, Unanswered};
use crate::accounts::stage::Stage;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::jobs::Origin;
use crate::sessions::Credential;

const ISSUER: &str = "https://id.example.org";
const KEYS: &str = "https://keys.example.org";
const NEW: &str = "another good long password";

/// A provider as it says of itself, and what it was asked.
#[derive(Default)]
struct Says {
    asked: Mutex<Vec<String>>,
    silent: Mutex<bool>,
}

impl Says {
    fn answer(&self, question: Question<'_>) -> Asking<Bytes> {
        let target = question.location.target.clone();
        self.asked.lock().push(target.clone());
        if *self.silent.lock() {
            return Err(Unanswered::new("its server answered 500"));
        }
        let told = match &*target {
            "/keys" => {
                let pkcs8 = SigningKey::generate(Algorithm::Es256).unwrap();
                let key = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap();
                let jwk = Jwk {
                    id: None,
                    algorithm: None,
                    key: key.public(),
                };
                serde_json::to_value(Jwks::new(vec![jwk])).unwrap()
            }
            _ => json!({
                "issuer": ISSUER, "authorization_endpoint": ISSUER, "token_endpoint": ISSUER,
                "jwks_uri": format!("{KEYS}/keys"),
            }),
        };
        Ok(told.to_string().into())
    }

    fn count(&self) -> usize {
        self.asked.lock().len()
    }
}

impl Ask for Says {
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Asking<Bytes>> {
        Box::pin(async move { self.answer(question) })
    }
}

async fn stage(origins: &[&str]) -> (Stage, Arc<Says>) {
    let (mut stage, says) = (Stage::new().await, Arc::new(Says::default()));
    let ask: Arc<dyn Ask> = Arc::<Says>::clone(&says);
    stage.service.settings.federation = Settings {
        origins: origins
            .iter()
            .map(|text| Origin::parse(text).unwrap())
            .collect(),
        ask: Some(ask),
    };
    (stage, says)
}

#[tokio::test]
async fn what_a_provider_says_is_believed_for_an_hour() {
    let (stage, says) = stage(&[ISSUER, KEYS]).await;
    let service = &stage.service;
    let metadata = service.described(ISSUER).await.unwrap();
    service.described(ISSUER).await.unwrap();
    let keys = service.keys_of(ISSUER, &metadata, false).await.unwrap();
    assert_eq!(says.count(), 2);
    // Keys that were asked for just now are the newest there are.
    for (minutes, anew, same) in [(0, true, true), (1, false, true), (0, true, false)] {
        stage.advance_minutes(minutes);
        let found = service.keys_of(ISSUER, &metadata, anew).await.unwrap();
        assert_eq!(found == keys, same, "{minutes} {anew}");
    }
    assert_eq!(says.count(), 3);
    stage.advance_minutes(59);
    service.described(ISSUER).await.unwrap();
    assert_eq!(says.count(), 4);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_left_alone_for_a_while() {
    let (stage, says) = stage(&[ISSUER, KEYS]).await;
    *says.silent.lock() = true;
    for _ in 0..3 {
        let error = stage.service.described(ISSUER).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert_eq!(error.cause().as_deref(), Some("its server answered 500"));
    }
    assert_eq!(says.count(), 1);
    *says.silent.lock() = false;
    stage.advance_ms(5000);
    stage.service.described(ISSUER).await.unwrap();
}

#[tokio::test]
async fn only_listed_origins_are_asked_whatever_a_provider_names() {
    let (stage, says) = stage(&[ISSUER]).await;
    let error = stage.service.described(ISSUER).await.unwrap_err();
    let cause = error.cause().unwrap();
    assert!(cause.contains("https://keys.example.org, which"), "{cause}");
    assert!(cause.contains("--provider-origins"), "{cause}");
    stage
        .service
        .described("https://other.example.org")
        .await
        .unwrap_err();
    assert_eq!(says.count(), 1);
}

/// What whoever has a token does.
async fn own(stage: &Stage, token: &Secret) -> Context {
    let subject = stage.who(token).await.unwrap();
    Context {
        subject,
        ..stage.cx()
    }
}

fn kind<T>(done: Result<T, Error>) -> Option<Kind> {
    done.err().map(|error| error.kind())
}

#[tokio::test]
async fn who_has_no_password_proves_it_otherwise_and_stays_in() {
    let (stage, _) = stage(&[ISSUER]).await;
    stage.user("ada", |_| ()).await;
    let mut provider = Provider::new("Hospital", ISSUER, "salus", 0);
    provider.take_secret(Some(&Secret::new("s".to_owned())), None);
    stage.put("hospital", provider).await;
    let foreign = Foreign {
        provider: "hospital".into(),
        issuer: ISSUER.to_owned(),
        subject: "1".to_owned(),
        proved_ms: None,
        two: false,
        groups: Vec::new(),
    };
    let account = ProviderAccount::connect(&foreign, "ada", 0, 0);
    stage.put(&account.id, account.value).await;
    let token = stage.session("ada").await;
    let credential = Credential::Token(token.expose());
    let service = &stage.service;
    let mine = own(&stage, &token).await;
    let removed = service.remove_own_link(&mine, &account.id).await;
    assert_eq!(kind(removed), Some(Kind::Conflict), "it is the only way in");
    // Too long ago: they sign in anew first.
    stage.advance_minutes(11);
    let mine = own(&stage, &token).await;
    let new = Secret::new(NEW.to_owned());
    let changed = service.change_password(&mine, credential, None, new);
    assert_eq!(kind(changed.await), Some(Kind::StepUp));
    let deleted = service.delete_account(&mine, None).await;
    assert_eq!(kind(deleted), Some(Kind::StepUp));
    let token = stage.session("ada").await;
    let credential = Credential::Token(token.expose());
    let mine = own(&stage, &token).await;
    let new = Secret::new(NEW.to_owned());
    let changed = service.change_password(&mine, credential, None, new);
    changed.await.unwrap();
    // From now on it is asked for, and the other way may go.
    let mine = own(&stage, &token).await;
    let again = Secret::new(format!("{NEW} again"));
    let changed = service.change_password(&mine, credential, None, again);
    assert_eq!(kind(changed.await), Some(Kind::Invalid));
    service.remove_own_link(&mine, &account.id).await.unwrap();
    let gone = service.remove_own_link(&mine, &account.id).await;
    assert_eq!(kind(gone), Some(Kind::NotFound));
}
