//! Operations keep to what their caller may see.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use salus_auth::Subject;
use salus_store::memory::Memory;
use salus_store::{Filter, Kind, Scope};
use serde_json::{Value, json};

use super::super::host::{Host, context};
use super::world::Writing;
use super::{NOW_MS, write};
use crate::context::Context;
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::ReadConditions;
use crate::fhir::operations::Invocation;

const SCOPE: Scope = Scope(100);

/// Two patients, and two observations of the first, all tagged with their ids.
async fn host() -> Host {
    let host = Host::over(Arc::new(Memory::new())).await;
    for (ty, id) in [
        ("Patient", "a"),
        ("Patient", "b"),
        ("Observation", "o"),
        ("Observation", "p"),
    ] {
        let mut resource = json!({"resourceType": ty, "id": id, "meta": {"tag": [{"code": id}]}});
        if ty == "Observation" {
            resource["status"] = json!("final");
            resource["code"] = json!({"text": "x"});
            resource["subject"] = json!({"reference": "Patient/a"});
        }
        let writing = Writing {
            ty,
            id: id.to_owned(),
            time_ms: NOW_MS,
            resource: Some(resource),
        };
        write(&host, SCOPE, &writing).await;
    }
    host
}

/// One who sees of a type these only.
fn seeing(ty: &str, ids: &[&str]) -> Context {
    let ids = ids.iter().map(|id| (*id).into()).collect();
    let visible = BTreeMap::from([(Kind::named(ty), Filter::Ids(ids))]);
    context(Subject::operator().seeing_only(visible), SCOPE, NOW_MS)
}

async fn operate(host: &Host, cx: &Context, path: &str, body: Value) -> Result<Value, Error> {
    let (ty, name) = path.split_once("/$").unwrap();
    let call = Invocation {
        name,
        ty,
        id: "",
        posted: true,
        query: Vec::new(),
        body: match body.is_null() {
            true => Bytes::new(),
            false => body.to_string().into(),
        },
    };
    let reply = host.service.operate(cx, call).await?;
    Ok(serde_json::from_slice(&reply.body.unwrap()).unwrap())
}

fn merge() -> Value {
    let patient = |name: &str, id: &str| json!({"name": name, "valueReference": {"reference": format!("Patient/{id}")}});
    json!({"resourceType": "Parameters", "parameter": [
        patient("source-patient", "a"), patient("target-patient", "b")]})
}

/// Whose an observation is.
async fn subject(host: &Host, id: &str) -> Value {
    let cx = context(Subject::operator(), SCOPE, NOW_MS);
    let conditions = ReadConditions::default();
    let read = host.service.read(&cx, "Observation", id, &conditions);
    let body = read.await.unwrap().body.unwrap();
    let observation: Value = serde_json::from_slice(&body).unwrap();
    observation["subject"]["reference"].clone()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(test);
}

#[test]
fn a_merge_leaves_what_is_hidden() {
    run(async {
        let host = host().await;
        for ids in [["a"], ["b"]] {
            let refused = operate(&host, &seeing("Patient", &ids), "Patient/$merge", merge()).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
        }
        let cx = seeing("Observation", &["o"]);
        let merged = operate(&host, &cx, "Patient/$merge", merge())
            .await
            .unwrap();
        let text = merged["parameter"][0].to_string();
        assert!(text.contains("; 1 resources"), "{text}");
        assert_eq!(subject(&host, "o").await, "Patient/b");
        assert_eq!(subject(&host, "p").await, "Patient/a");
        // Nor is it taken back by who does not see it.
        let undo = json!({"resourceType": "Parameters", "parameter": [
            {"name": "provenance", "valueReference": merged["parameter"][2]["valueReference"]}]});
        let cx = seeing("Observation", &["p"]);
        let refused = operate(&host, &cx, "Patient/$merge-undo", undo.clone()).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
        let cx = seeing("Observation", &["o"]);
        operate(&host, &cx, "Patient/$merge-undo", undo)
            .await
            .unwrap();
        assert_eq!(subject(&host, "o").await, "Patient/a");
    });
}

#[test]
fn metas_are_of_what_is_visible() {
    run(async {
        let host = host().await;
        let cx = seeing("Observation", &["o"]);
        for (path, codes) in [
            ("Observation/$meta", &["o"][..]),
            ("Patient/$meta", &["a", "b"]),
        ] {
            let meta = operate(&host, &cx, path, Value::Null).await.unwrap();
            let tags = codes.iter().map(|code| json!({"code": code}));
            let tags: Vec<Value> = tags.collect();
            assert_eq!(
                meta["parameter"][0]["valueMeta"],
                json!({"tag": tags}),
                "{path}"
            );
        }
    });
}

#[test]
fn who_may_delete_some_only_purges_these_only() {
    run(async {
        let host = host().await;
        let whole = context(Subject::operator(), SCOPE, NOW_MS);
        for id in ["o", "p"] {
            let next = json!({"resourceType": "Observation", "id": id, "status": "amended",
                "code": {"text": "x"}});
            host.put(&whole, &next).await.unwrap();
        }
        for (cx, expect) in [
            (seeing("Observation", &[]), 0),
            (seeing("Observation", &["o"]), 1),
            (whole, 1),
        ] {
            let path = "Observation/$purge-history";
            let done = operate(&host, &cx, path, Value::Null).await.unwrap();
            assert_eq!(done["parameter"][0]["valueInteger"], expect);
        }
    });
}
