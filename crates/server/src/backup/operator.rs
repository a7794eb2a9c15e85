//! What the operator may ask of a running server about its archives: on the folder's own socket
//! only, where nobody else is.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{Archives, Error};

/// The routes, to be served beside all others.
pub(crate) fn router(archives: Arc<Archives>) -> Router {
    Router::new()
        .route("/operator/backup", get(status))
        .route("/operator/backup/progress", get(progress))
        .route("/operator/backup/verify", post(verify))
        .route("/operator/backup/prune", post(prune))
        .route("/operator/backup/merge", post(merge))
        .route("/operator/follow/difference", get(difference))
        .with_state(archives)
}

async fn status(State(archives): State<Arc<Archives>>) -> Response {
    answer(archives.status().await)
}

async fn progress(State(archives): State<Arc<Archives>>) -> Response {
    let (done, all) = archives.progress().get();
    answer(Ok(json!({"done": done, "all": all})))
}

async fn verify(State(archives): State<Arc<Archives>>) -> Response {
    answer(archives.verify().await)
}

async fn prune(State(archives): State<Arc<Archives>>, RawQuery(query): RawQuery) -> Response {
    answer(archives.prune(query.as_deref() == Some("dry-run")).await)
}

async fn merge(State(archives): State<Arc<Archives>>) -> Response {
    answer(archives.merge().await)
}

async fn difference(State(archives): State<Arc<Archives>>) -> Response {
    answer(archives.difference().await)
}

fn answer(done: Result<Value, Error>) -> Response {
    let (status, body) = match done {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"error": error.to_string()}),
        ),
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body.to_string()).into_response()
}
