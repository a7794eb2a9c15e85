//! When their time is over, nothing is left of records that are of use for a while.

use salus_auth::Scopes;
use salus_auth::record::{
    Agreed, Assertion, Authorization, Code, Device, Email, InitialToken, Launch, LaunchContext,
    Link, ProviderPurpose, ProviderRequest, Purpose, Pushed, Saved, SetupLink, SignIn,
    SystemRecord, all,
};
use salus_store::Content;

use super::*;
use crate::accounts::stage::Stage;

const MINUTE_MS: i64 = 60_000;

/// Keeps a record, and another version of it.
async fn keep<T: SystemRecord + Clone>(stage: &Stage, saved: Saved<T>) {
    stage.put(&saved.id, saved.value.clone()).await;
    stage.put(&saved.id, saved.value).await;
}

/// One of each, for no longer than a week.
async fn furnish(stage: &Stage) {
    let (now_ms, bytes) = (stage.service.now_ms(), [1; 32]);
    let agreed = Agreed {
        client: "app".into(),
        home: 1,
        user: "ada".into(),
        scopes: Scopes::default(),
        patient: None,
        context: LaunchContext::default(),
        nonce: None,
        signed_in_ms: now_ms,
        proved_ms: 0,
        methods: Vec::new(),
        purpose: None,
    };
    keep(stage, Assertion::challenge("x", now_ms + MINUTE_MS)).await;
    let (_, saved) = Authorization::make(agreed.clone(), (&bytes, &bytes), false, now_ms);
    keep(stage, saved).await;
    let (_, saved) = Code::make(&bytes, agreed, ("https://app.example.org", "x"), now_ms);
    keep(stage, saved).await;
    let purpose = ProviderPurpose::Connect { user: "ada".into() };
    let (_, saved) = ProviderRequest::ask("hospital", purpose, &bytes, now_ms);
    keep(stage, saved).await;
    let (_, saved) = Device::make((&bytes, &bytes), "app", (Scopes::default(), None), now_ms);
    keep(stage, saved).await;
    let token = InitialToken::make(&bytes, "Vendor", (1, 1), now_ms);
    keep(stage, token.unwrap().1).await;
    let whose = ("app".into(), None);
    let launch = Launch::make(&bytes, whose, None, LaunchContext::default(), now_ms);
    keep(stage, launch.unwrap().1).await;
    let email = Email::parse("ada@example.org").unwrap();
    let link = Link::new(Purpose::Invitation, email, now_ms);
    keep(stage, Saved::new("link", link)).await;
    let (_, saved) = Pushed::make(&bytes, "app", "x".to_owned(), now_ms);
    keep(stage, saved).await;
    keep(stage, SetupLink::make(&bytes, now_ms).1).await;
    let begun = SignIn::begin(stage.scope(), "ada", &["pwd"], false, &bytes, now_ms);
    keep(stage, begun.1).await;
    stage.user("ada", |_| {}).await;
    stage.session("ada").await;
}

/// How many records of a kind there are, and how many of their versions can be read.
async fn count(stage: &Stage, kind: &Passing) -> (usize, usize) {
    let snapshot = stage.service.store.snapshot(stage.scope(), At::Now).await;
    let snapshot = snapshot.unwrap();
    // Whenever they end.
    let found = snapshot.find(&kind.ended(i64::MAX - 1, 100)).await.unwrap();
    let changes = stage.service.store.changes(Seq(0), 1000).await.unwrap();
    let versions = changes.iter().filter(|change| {
        let readable = !change.purged && change.record.content != Content::Deleted;
        readable && change.record.kind == kind.kind && change.scope == stage.scope()
    });
    (found.hits.len(), versions.count())
}

#[tokio::test]
async fn what_is_over_leaves_nothing() {
    let stage = Stage::new().await;
    furnish(&stage).await;
    for kind in PASSING {
        let (records, versions) = count(&stage, kind).await;
        assert!(records == 1 && versions >= 1, "{}: {versions}", kind.name);
    }
    // Nothing is over yet.
    assert_eq!(stage.service.sweep_ended().await, 0);
    for kind in PASSING {
        assert_eq!(count(&stage, kind).await, (1, 1), "{}", kind.name);
    }
    // An hour longer than seven days, which an invitation holds.
    stage.advance_minutes(7 * 24 * 60 + 61);
    assert_eq!(stage.service.sweep_ended().await, PASSING.len());
    for kind in PASSING {
        assert_eq!(count(&stage, kind).await, (0, 0), "{}", kind.name);
    }
    assert_eq!(stage.service.sweep_ended().await, 0);
}

#[tokio::test]
async fn what_is_not_over_stays() {
    let stage = Stage::new().await;
    furnish(&stage).await;
    let token = stage.session("ada").await;
    // Sign-ins, codes, devices and ways to providers end within minutes, and stay an hour longer.
    stage.advance_minutes(59);
    assert_eq!(stage.service.sweep_ended().await, 0);
    stage.who(&token).await.unwrap();
    stage.advance_minutes(12);
    let left = async |name: &str| {
        let kind = PASSING.iter().find(|kind| kind.name == name).unwrap();
        count(&stage, kind).await.0
    };
    assert_eq!(stage.service.sweep_ended().await, 7);
    assert_eq!(left(SignIn::NAME).await, 0);
    assert_eq!(left("salus:Session").await, 2);
    assert_eq!(left(Link::NAME).await, 1);
    assert_eq!(left(Authorization::NAME).await, 1);
}

#[tokio::test]
async fn a_round_takes_so_many_and_the_next_the_rest() {
    let stage = Stage::new().await;
    let now_ms = stage.service.now_ms();
    let many = STEP + 7;
    for n in 0..many {
        let used = Assertion::challenge(&n.to_string(), now_ms);
        stage.put(&used.id, used.value).await;
    }
    stage.advance_minutes(61);
    assert_eq!(stage.service.sweep_ended().await, many);
    let snapshot = stage.service.store.snapshot(stage.scope(), At::Now).await;
    let left = snapshot.unwrap().find(&all::<Assertion>(1, None)).await;
    assert!(left.unwrap().hits.is_empty());
}
