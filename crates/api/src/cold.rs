//! Cold storage, in JSON, for administrators.

use axum::response::Response;
use http::StatusCode;
use salus_service::cold::{NewMove, NewRetrieval};
use salus_service::{Cold, ColdMove, Saved, instant};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct MoveBody {
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetrieveBody {
    #[serde(rename = "type")]
    ty: String,
    id: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyBody {
    #[serde(default)]
    before: Option<u64>,
}

/// `GET /admin/cold`: the place, how many records of each type are there, what was moved.
pub(crate) async fn status(call: &mut Call) -> Result<Response, Failure> {
    let status = call.service().cold_status(&call.cx).await?;
    let moves: Vec<Value> = status.moves.iter().map(view_move).collect();
    let view = json!({"place": status.place, "locked": status.locked, "records": status.counts,
        "moves": moves});
    Ok(answer(StatusCode::OK, &view))
}

/// `GET /admin/cold/records`: which records are there; `before` goes on behind a page.
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let before = match call.query_pairs()?.as_slice() {
        [] => None,
        [(name, text)] if name == "before" => match text.parse() {
            Ok(before) => Some(before),
            Err(_) => return Err(Failure::Http(StatusCode::BAD_REQUEST, BEFORE)),
        },
        _ => return Err(Failure::Http(StatusCode::BAD_REQUEST, BEFORE)),
    };
    let list = call.service().list_cold(&call.cx, before).await?;
    let records: Vec<Value> = list.records.iter().map(view).collect();
    let view = json!({"records": records, "next": list.next});
    Ok(answer(StatusCode::OK, &view))
}

const BEFORE: &str = "the only parameter is before, the next of the page before";

/// `GET /admin/cold/records/{type}/{id}`: one of them.
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let (ty, id) = (call.param("type"), call.param("id"));
    let cold = call.service().read_cold(&call.cx, ty, id).await?;
    Ok(answer(StatusCode::OK, &view(&cold)))
}

/// `GET /admin/cold/records/{type}/{id}/history`: the versions that are there.
pub(crate) async fn history(call: &mut Call) -> Result<Response, Failure> {
    let (ty, id) = (call.param("type"), call.param("id"));
    let history = call.service().cold_history(&call.cx, ty, id).await?;
    Ok(answer(StatusCode::OK, &history))
}

/// `POST /admin/cold/move` with `{"reason", "dryRun"?}`
pub(crate) async fn move_due(call: &mut Call) -> Result<Response, Failure> {
    let MoveBody { reason, dry_run } = body(call).await?;
    let new = NewMove { reason, dry_run };
    // A client that goes away ends no step.
    let (service, cx) = (call.service_for_long(), call.cx.clone());
    let work = tokio::spawn(async move { service.move_cold(&cx, new).await });
    let moved = work.await.map_err(|_| {
        let broken = "the move ended early; the next one goes on";
        Failure::Http(StatusCode::INTERNAL_SERVER_ERROR, broken)
    })??;
    let mut view = view_move(&moved.moved);
    view["complete"] = json!(moved.complete);
    view["dryRun"] = json!(dry_run);
    Ok(answer(StatusCode::OK, &view))
}

/// `POST /admin/cold/retrieve` with `{"type", "id", "reason"}`
pub(crate) async fn retrieve(call: &mut Call) -> Result<Response, Failure> {
    let RetrieveBody { ty, id, reason } = body(call).await?;
    let new = NewRetrieval { ty, id, reason };
    let (service, cx) = (call.service_for_long(), call.cx.clone());
    let work = tokio::spawn(async move { service.retrieve_cold(&cx, new).await });
    let back = work.await.map_err(|_| {
        let broken = "it ended early; try again";
        Failure::Http(StatusCode::INTERNAL_SERVER_ERROR, broken)
    })??;
    Ok(answer(StatusCode::OK, &view(&back.value)))
}

/// `POST /admin/cold/verify` with `{"before"?}`: reads records back, and says which are not as they were.
pub(crate) async fn verify(call: &mut Call) -> Result<Response, Failure> {
    let VerifyBody { before } = body(call).await?;
    let verified = call.service().verify_cold(&call.cx, before).await?;
    let faults = verified.faults.iter();
    let faults = faults
        .map(|fault| json!({"record": fault.record, "object": fault.object, "fault": fault.fault}));
    let view = json!({"records": verified.records, "objects": verified.objects,
        "faults": faults.collect::<Vec<_>>(), "next": verified.next});
    Ok(answer(StatusCode::OK, &view))
}

fn view_move(saved: &Saved<ColdMove>) -> Value {
    let moved = &saved.value;
    json!({
        "id": saved.id,
        "at": instant(moved.at_ms),
        "by": moved.by,
        "reason": moved.reason,
        "moved": moved.counts,
        "held": moved.held,
        "left": moved.left,
        "pending": moved.bundle.is_some() || !moved.pending.is_empty(),
    })
}

/// Without what its content is sealed with, and without its codes.
fn view(cold: &Cold) -> Value {
    let objects = cold.objects.iter();
    let objects = objects
        .map(|object| json!({"name": object.name, "bytes": object.bytes, "sha256": object.sha256}));
    let versions = cold.versions.iter().map(|version| {
        json!({"version": version.version, "time": instant(version.time_ms),
            "deleted": version.deleted, "bytes": version.bytes, "sha256": version.sha256,
            "binary": version.blob.as_ref().map(|blob| blob.bytes)})
    });
    let mut view = json!({
        "type": cold.ty,
        "id": cold.id,
        "state": cold.state,
        "class": cold.class,
        "moved": instant(cold.moved_ms),
        "by": cold.by,
        "reason": cold.reason,
        "objects": objects.collect::<Vec<_>>(),
        "versions": versions.collect::<Vec<_>>(),
    });
    if let Some(back) = &cold.back {
        view["back"] = json!({"at": instant(back.at_ms), "by": back.by, "reason": back.reason});
    }
    view
}
