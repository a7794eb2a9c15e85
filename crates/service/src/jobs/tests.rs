//! Jobs that are held up, cancelled and taken up again.

use std::sync::Arc;

use salus_auth::record::SystemRecord;
use salus_store::{At, Content, Error, Seq, Store};
use serde_json::{Value, json};

use super::Stop;
use super::record::Job;
use super::stage::Stage;
use crate::error::Kind;

fn patient(id: usize) -> Value {
    json!({"resourceType": "Patient", "id": format!("p{id}")})
}

#[tokio::test]
async fn what_is_committed_after_an_export_is_later_than_it() {
    let mut stage = Stage::new(100).await;
    stage.run();
    stage.write(&stage.cx(), &[patient(1)]).await;
    stage.advance(1000);
    // A request that takes its time before it is committed.
    let slow = stage.cx();
    stage.advance(60_000);
    let id = stage.export("?_type=Patient").await.unwrap();
    let manifest = stage.manifest(&id).await;
    assert!(
        stage
            .exported(&id, &manifest)
            .await
            .contains_key("Patient/p1")
    );
    stage.write(&slow, &[patient(2)]).await;
    drop(slow);
    let since = manifest["transactionTime"].as_str().unwrap();
    let path = format!("?_type=Patient&_since={since}");
    let id = stage.export(&path).await.unwrap();
    let next = stage.manifest(&id).await;
    let names: Vec<String> = stage.exported(&id, &next).await.into_keys().collect();
    assert_eq!(names, ["Patient/p2"]);
    // Nobody holds it up any more.
    assert_eq!(next["transactionTime"], "1970-01-01T00:17:40.999Z");
}

#[tokio::test]
async fn a_job_leaves_no_old_versions_and_then_none_at_all() {
    let mut stage = Stage::new(1).await;
    let patients: Vec<Value> = (0..5).map(patient).collect();
    stage.write(&stage.cx(), &patients).await;
    stage.run();
    let id = stage.export("?_type=Patient").await.unwrap();
    let manifest = stage.manifest(&id).await;
    assert_eq!(stage.exported(&id, &manifest).await.len(), 5);
    let snapshot = || async {
        let snapshot = stage.store.snapshot(stage.scope(), At::Now).await;
        snapshot.unwrap()
    };
    let before = snapshot().await.get(Job::KIND, &id).await.unwrap();
    let newest = before.unwrap().version;
    // One for each file, and some more.
    assert!(newest > 5, "{newest}");
    stage.service.sweep_jobs().await;
    let after = snapshot().await;
    let old = after.superseded(Job::KIND, None, Seq(0), 100);
    assert_eq!(old.await.unwrap().versions, []);
    let old = after.version(Job::KIND, &id, newest - 1).await;
    assert!(matches!(old, Err(Error::Purged)), "{old:?}");
    // It is there as it was.
    assert_eq!(stage.manifest(&id).await, manifest);

    stage.advance(24 * 60 * 60 * 1000);
    stage.service.sweep_jobs().await;
    assert_eq!(stage.blobs().await, 0);
    let snapshot = snapshot().await;
    let left = snapshot.get(Job::KIND, &id).await.unwrap().unwrap();
    assert_eq!(left.content, Content::Deleted);
    let last = snapshot.version(Job::KIND, &id, newest).await;
    assert!(matches!(last, Err(Error::Purged)), "{last:?}");
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_it_runs_leaves_nothing() {
    let mut stage = Stage::new(1).await;
    let patients: Vec<Value> = (0..5).map(patient).collect();
    stage.write(&stage.cx(), &patients).await;
    stage.run();
    stage.hold(2);
    let id = stage.export("?_type=Patient").await.unwrap();
    stage.held(2).await;
    assert_eq!(stage.blobs().await, 2);
    let active = stage.service.jobs.active(&(stage.scope(), id.clone()));
    let (service, cx, of) = (Arc::clone(&stage.service), stage.cx(), id.clone());
    let cancelled = tokio::spawn(async move { service.cancel_job(&cx, &of).await });
    let mut stop = active.unwrap().stop.subscribe();
    stop.wait_for(|stop| *stop == Stop::Cancel).await.unwrap();
    stage.let_go();
    cancelled.await.unwrap().unwrap();
    assert_eq!(stage.blobs().await, 0);
    let gone = stage.service.follow_job(&stage.cx(), &id).await;
    assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
    let again = stage.service.cancel_job(&stage.cx(), &id).await;
    assert_eq!(again.unwrap_err().kind(), Kind::NotFound);
    // Its place is free, and the next one is done.
    let id = stage.export("?_type=Patient").await.unwrap();
    let manifest = stage.manifest(&id).await;
    assert_eq!(stage.exported(&id, &manifest).await.len(), 5);
}

#[tokio::test]
async fn an_owner_of_many_jobs_waits() {
    let stage = Stage::new(1).await;
    let mut last = None;
    for _ in 0..super::OPEN_MAX {
        last = Some(stage.export("?_type=Patient").await.unwrap());
    }
    let refused = stage.export("?_type=Patient").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Throttled);
    let (cx, last) = (stage.cx(), last.unwrap());
    stage.service.cancel_job(&cx, &last).await.unwrap();
    stage.export("?_type=Patient").await.unwrap();
}

#[tokio::test]
async fn an_export_goes_on_where_it_was_stopped() {
    let mut stage = Stage::new(2).await;
    let patients: Vec<Value> = (0..9).map(patient).collect();
    stage.write(&stage.cx(), &patients).await;
    stage.run();
    let id = stage.export("").await.unwrap();
    let manifest = stage.manifest(&id).await;
    let whole = stage.exported(&id, &manifest).await;
    assert_eq!(whole.len(), 9);

    stage.hold(2);
    let id = stage.export("").await.unwrap();
    stage.held(2).await;
    let scope = stage.scope();
    let before = stage.service.job(scope, &id).await.unwrap().unwrap();
    assert_eq!(before.value.files.len(), 2);
    stage.restart().await;
    // What is changed and deleted meanwhile was as it was.
    let mut changed = patient(0);
    changed["active"] = json!(true);
    stage.write(&stage.cx(), &[changed, patient(100)]).await;
    let manifest = stage.manifest(&id).await;
    assert_eq!(stage.exported(&id, &manifest).await, whole);
    let after = stage.service.job(scope, &id).await.unwrap().unwrap();
    assert_eq!(after.value.attempts, before.value.attempts + 1);
    let kept = |job: &Job| {
        let names = job.files.iter().take(2);
        names
            .map(|file| (file.name(), file.attempt))
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(&after.value), kept(&before.value));
}
