//! What the operator may ask of a running server about the audit archive: on the folder's own
//! socket only, where nobody else is.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use salus_service::audit::archive::AuditSegment;
use salus_service::audit::day::Day;
use salus_service::error::Error;
use salus_service::{Service, instant};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::control;

/// The longest segment.
const SEGMENT_BYTES_MAX: usize = 1 << 30;
/// Pieces of an export that wait to be sent.
const WAITING: usize = 4;

/// The routes, to be served beside all others.
pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/operator/audit-archive", get(list))
        .route("/operator/audit-archive/run", post(run))
        .route("/operator/audit-archive/verify", post(verify))
        .route(
            "/operator/audit-archive/verify-segment",
            post(verify_segment),
        )
        .route("/operator/audit-archive/export", get(export))
        .route("/operator/audit-archive/patient", get(patient))
        .with_state(service)
}

async fn list(State(service): State<Arc<Service>>) -> Response {
    let place = service.audit_shelf().map(|shelf| shelf.label().to_owned());
    answer(service.list_audit_segments().await.map(|segments| {
        let segments: Vec<Value> = segments.iter().map(view).collect();
        json!({"archive": place, "segments": segments})
    }))
}

async fn run(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Response {
    let dry_run = query.as_deref() == Some("dry-run");
    // Whoever asked may go away: it is done whole or taken up at the next run.
    let work = tokio::spawn(async move { service.run_audit_archive(dry_run).await });
    let Ok(done) = work.await else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "the run was cut off");
    };
    answer(done.map(|run| {
        let made: Vec<Value> = run.made.iter().map(view).collect();
        json!({"dryRun": dry_run, "segments": made, "removed": run.removed, "held": run.held,
            "kept": run.kept, "more": run.more, "faults": run.faults})
    }))
}

async fn verify(State(service): State<Arc<Service>>) -> Response {
    answer(service.verify_audit_archive().await.map(|done| json!(done)))
}

async fn verify_segment(State(service): State<Arc<Service>>, body: Body) -> Response {
    let Ok(bytes) = axum::body::to_bytes(body, SEGMENT_BYTES_MAX).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "no segment is so long");
    };
    let verified = service.verify_audit_segment(&bytes).await;
    answer(verified.map(|done| json!(done)))
}

async fn export(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Response {
    let (mut projects, mut from, mut to) = (Vec::new(), Some(0), Some(None));
    for (name, value) in pairs(query.as_deref()) {
        match &*name {
            "project" => projects.push(value),
            "from" => from = value.parse().ok(),
            "to" => to = value.parse().ok().map(Some),
            _ => {
                return refused(
                    StatusCode::BAD_REQUEST,
                    "an export takes from, to and project",
                );
            }
        }
    }
    let (Some(from), Some(to)) = (from, to) else {
        return refused(
            StatusCode::BAD_REQUEST,
            "from and to are numbers of entries",
        );
    };
    let (send, mut pieces) = mpsc::channel::<Result<Bytes, Error>>(WAITING);
    tokio::spawn(async move {
        let cx = service.operator_context(Service::SYSTEM);
        let mut export = match service.export_archived(&cx, &projects, (from, to)).await {
            Ok(export) => export,
            Err(error) => return drop(send.send(Err(error)).await),
        };
        while let Some(piece) = export.next().await.transpose() {
            let broke_off = piece.is_err();
            if send.send(piece).await.is_err() || broke_off {
                return;
            }
        }
    });
    match pieces.recv().await {
        Some(Ok(first)) => Body::from_stream(streamed(first, pieces)).into_response(),
        Some(Err(error)) => failed(&error),
        None => refused(StatusCode::INTERNAL_SERVER_ERROR, "the export was cut off"),
    }
}

type Piece = Result<Bytes, std::io::Error>;

fn streamed(
    first: Bytes,
    pieces: mpsc::Receiver<Result<Bytes, Error>>,
) -> impl futures_util::Stream<Item = Piece> {
    stream::unfold((Some(first), pieces), async |(first, mut pieces)| {
        let piece = match first {
            Some(first) => Ok(first),
            None => pieces.recv().await?.map_err(|error| {
                let cause = error.cause();
                tracing::error!(cause, "the audit archive could not be read to its end");
                std::io::Error::other("broken off")
            }),
        };
        Some((piece, (None, pieces)))
    })
}

async fn patient(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Response {
    let (mut scope, mut id, mut from, mut to) = (None, String::new(), None, None);
    for (name, value) in pairs(query.as_deref()) {
        match &*name {
            "project" => scope = service.project_scope(&value),
            "patient" => id = value,
            "from" => from = Day::parse(&value).map(Day::begins_ms),
            "to" => to = Day::parse(&value).map(|day| day.days_later(1).begins_ms()),
            _ => return refused(StatusCode::BAD_REQUEST, "unknown parameter"),
        }
    }
    let Some(scope) = scope else {
        return refused(StatusCode::NOT_FOUND, "there is no such project");
    };
    let cx = service.operator_context(scope);
    let found = service.archived_events(&cx, &id, (from, to)).await;
    match found {
        Ok(events) => (StatusCode::OK, format!("[{}]", events.join(","))).into_response(),
        Err(error) => failed(&error),
    }
}

/// Names and values, which are slugs, ids, days and numbers: nothing in them is escaped.
fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let parts = query.unwrap_or_default().split('&');
    let pairs = parts.filter_map(|part| part.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn view(segment: &AuditSegment) -> Value {
    json!({
        "name": segment.name(),
        "from": segment.places.0,
        "to": segment.places.1,
        "earliest": instant(segment.times_ms.0),
        "latest": instant(segment.times_ms.1),
        "archived": instant(segment.made_ms),
        "bytes": segment.bytes,
        "sha256": segment.sha256,
        "inStore": segment.left,
        "held": segment.held,
    })
}

fn answer(done: Result<Value, Error>) -> Response {
    match done {
        Ok(value) => control::answer(StatusCode::OK, &value),
        Err(error) => failed(&error),
    }
}

/// The operator is told the cause, too.
fn failed(error: &Error) -> Response {
    let (status, _) = error.kind().status();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let issue = error.issues().first();
    let details = issue.map_or_else(String::new, |issue| issue.details.to_string());
    let text = match error.cause() {
        Some(cause) => format!("{details}: {cause}"),
        None => details,
    };
    refused(status, &text)
}

fn refused(status: StatusCode, why: &str) -> Response {
    control::answer(status, &json!({"error": why}))
}
