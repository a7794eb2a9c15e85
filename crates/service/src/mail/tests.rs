//! Letters: kept until they are taken over, tried again, given up, and never sent to nobody.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use salus_auth::record::{Agreed, Authorization, Letter, SystemRecord};
use salus_auth::{Scopes, Secret};
use salus_store::{At, Batch};

use super::{Outgoing, Post, Unsent};
use crate::accounts::stage::Stage;

/// A post that answers as it is told, and keeps what it took.
#[derive(Default)]
struct Book {
    answers: Mutex<VecDeque<Unsent>>,
    tried: Mutex<Vec<Outgoing>>,
}

impl Post for Book {
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Unsent>> {
        self.tried.lock().push(mail.clone());
        let answer = self.answers.lock().pop_front();
        Box::pin(async move { answer.map_or(Ok(()), Err) })
    }
}

impl Book {
    fn answering(answers: &[Unsent]) -> Self {
        Self {
            answers: Mutex::new(answers.iter().copied().collect()),
            tried: Mutex::default(),
        }
    }

    fn tried(&self) -> usize {
        self.tried.lock().len()
    }
}

/// A stage where `ada` has asked for a new password.
async fn asked() -> Stage {
    let stage = Stage::new().await;
    stage.user("ada", |_| {}).await;
    ask(&stage, "ada").await;
    stage
}

async fn ask(stage: &Stage, name: &str) {
    let email = format!("{name}@example.org");
    let cx = stage.nobody();
    stage.service.ask_for_password(&cx, &email).await.unwrap();
}

async fn waiting(stage: &Stage) -> u64 {
    let store = &stage.service.store;
    let snapshot = store.snapshot(stage.scope(), At::Now).await.unwrap();
    snapshot.count(&Letter::waiting(0)).await.unwrap()
}

#[tokio::test]
async fn a_letter_is_sent_once_and_gone() {
    let (stage, book) = (asked().await, Book::default());
    for _ in 0..2 {
        assert!(stage.service.send_due(&book).await);
    }
    assert_eq!((book.tried(), waiting(&stage).await), (1, 0));
    let mail = book.tried.lock().remove(0);
    assert_eq!(mail.to.expose(), "ada@example.org");
    let link = "https://salus.example/auth/password?link=";
    assert!(mail.text.contains(link), "{}", mail.text);
    // Nothing of it is left in its history.
    let store = &stage.service.store;
    let snapshot = store.snapshot(stage.scope(), At::Now).await.unwrap();
    let old = snapshot.superseded(Letter::KIND, None, salus_store::Seq(0), 10);
    assert!(old.await.unwrap().versions.is_empty());
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_later_and_is_the_same() {
    let stage = asked().await;
    let book = Book::answering(&[Unsent::ForNow("later"); 2]);
    assert!(stage.service.send_due(&book).await);
    assert!(stage.service.send_due(&book).await);
    assert_eq!(book.tried(), 1, "it is not due");
    stage.advance_ms(5_000);
    stage.service.send_due(&book).await;
    stage.advance_ms(5_000);
    stage.service.send_due(&book).await;
    assert_eq!(book.tried(), 2, "the pause grows");
    stage.advance_ms(5_000);
    stage.service.send_due(&book).await;
    assert_eq!((book.tried(), waiting(&stage).await), (3, 0));
    let tried = book.tried.lock();
    assert_eq!(
        (&tried[0].id, &tried[0].text),
        (&tried[2].id, &tried[2].text)
    );
}

#[tokio::test]
async fn letters_outlast_a_server_that_cannot_be_reached_and_a_restart() {
    let mut stage = asked().await;
    ask(&stage, "nobody").await;
    let book = Book::answering(&[Unsent::Unreachable("down")]);
    assert!(!stage.service.send_due(&book).await);
    assert_eq!((book.tried(), waiting(&stage).await), (1, 2));
    stage.restart().await;
    stage.advance_ms(5_000);
    assert!(stage.service.send_due(&book).await);
    // The other one was for nobody.
    assert_eq!((book.tried(), waiting(&stage).await), (2, 0));
}

#[tokio::test]
async fn a_letter_is_given_up_after_a_day() {
    let stage = asked().await;
    let book = Book::answering(&[Unsent::ForNow("later"); 100]);
    // A try may be an hour off when the day is over.
    for _ in 0..26 * 4 {
        stage.service.send_due(&book).await;
        stage.advance_minutes(15);
    }
    assert!(book.tried() > 10, "{}", book.tried());
    assert_eq!(waiting(&stage).await, 0);
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() {
    let stage = asked().await;
    let book = Book::answering(&[Unsent::ForGood("no")]);
    assert!(stage.service.send_due(&book).await);
    assert_eq!((book.tried(), waiting(&stage).await), (1, 0));
}

#[tokio::test]
async fn a_password_chosen_by_mail_ends_what_clients_were_let_do() {
    let (stage, book) = (asked().await, Book::default());
    let agreed = Agreed {
        client: "app".into(),
        home: stage.scope().0,
        user: "ada".into(),
        scopes: Scopes::parse("openid offline_access").unwrap(),
        ..agreed_to_nothing()
    };
    let now_ms = stage.service.now_ms();
    let (_, saved) = Authorization::make(agreed, (&[1; 32], &[2; 32]), true, now_ms);
    let batch = Batch::of(stage.scope(), now_ms, vec![saved.put().unwrap()]);
    stage.service.store.commit(batch).await.unwrap();
    stage.service.send_due(&book).await;
    let text = book.tried.lock()[0].text.clone();
    let (_, link) = text.split_once("?link=").unwrap();
    let link = link.split_whitespace().next().unwrap();
    let (cx, password) = (
        stage.nobody(),
        Secret::new("a quiet green bicycle".to_owned()),
    );
    let chosen = stage.service.choose_password(&cx, link, password);
    chosen.await.unwrap();
    assert_eq!(stage.saved::<Authorization>(&saved.id).await, None);
    // And its owner is told.
    stage.service.send_due(&book).await;
    assert!(book.tried.lock()[1].subject.contains("was changed"));
}

fn agreed_to_nothing() -> Agreed {
    serde_json::from_value(serde_json::json!({
        "client": "", "home": 0, "user": "", "scopes": "", "signed_in_ms": 0, "methods": [],
    }))
    .unwrap()
}
