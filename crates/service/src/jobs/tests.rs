//! Jobs that are held up, cancelled and taken up again.

use serde_json::{Value, json};

use super::stage::Stage;

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
    let id = stage.export(&format!("?_type=Patient&_since={since}"));
    let id = id.await.unwrap();
    let next = stage.manifest(&id).await;
    let names: Vec<String> = stage.exported(&id, &next).await.into_keys().collect();
    assert_eq!(names, ["Patient/p2"]);
    // Nobody holds it up any more.
    assert_eq!(next["transactionTime"], "1970-01-01T00:17:40.999Z");
}
