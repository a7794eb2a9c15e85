//! What the operator may ask of a running server about its archives: on the folder's own socket
//! only, where nobody else is.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use salus_service::Service;
use salus_service::audit::system::ArchiveWork;
use serde_json::{Value, json};

use super::{Archives, Error, report};
use crate::control;

/// Whom requests are answered by, and where it is kept that they came.
#[derive(Clone)]
struct Asked {
    archives: Arc<Archives>,
    service: Arc<Service>,
}

/// The routes, to be served beside all others.
pub(crate) fn router(archives: Arc<Archives>, service: Arc<Service>) -> Router {
    Router::new()
        .route("/operator/backup", get(status))
        .route("/operator/backup/progress", get(progress))
        .route("/operator/backup/verify", post(verify))
        .route("/operator/backup/prune", post(prune))
        .route("/operator/backup/merge", post(merge))
        .route("/operator/backup/base", post(base))
        .route("/operator/follow/difference", get(difference))
        .with_state(Asked { archives, service })
}

async fn status(State(asked): State<Asked>) -> Response {
    answer(asked.archives.status().await)
}

async fn progress(State(asked): State<Asked>) -> Response {
    let (done, all) = asked.archives.progress().get();
    answer(Ok(json!({"done": done, "all": all})))
}

async fn verify(State(asked): State<Asked>) -> Response {
    let done = asked.archives.verify().await;
    asked.noted(ArchiveWork::Verify, done).await
}

async fn prune(State(asked): State<Asked>, RawQuery(query): RawQuery) -> Response {
    let dry_run = query.as_deref() == Some("dry-run");
    let done = asked.archives.prune(dry_run).await;
    asked.noted(ArchiveWork::Prune { dry_run }, done).await
}

async fn merge(State(asked): State<Asked>) -> Response {
    let done = asked.archives.merge().await;
    asked.noted(ArchiveWork::Merge, done).await
}

async fn base(State(asked): State<Asked>) -> Response {
    let done = asked.archives.base().await;
    asked.noted(ArchiveWork::Base, done).await
}

impl Asked {
    /// Puts into the audit that it was done, or not, and answers when that is there.
    async fn noted(&self, work: ArchiveWork, done: Result<Value, Error>) -> Response {
        let well = done
            .as_ref()
            .is_ok_and(|answer| report::judge(answer).is_ok());
        if let Err(error) = self.service.note_archive(work, well).await {
            tracing::warn!(
                cause = error.cause(),
                "the audit has not what was done with archives"
            );
            let body = json!({"error": "it was done, but the audit could not be written"});
            return control::answer(StatusCode::SERVICE_UNAVAILABLE, &body);
        }
        answer(done)
    }
}

async fn difference(State(asked): State<Asked>) -> Response {
    answer(asked.archives.difference().await)
}

fn answer(done: Result<Value, Error>) -> Response {
    let (status, body) = match done {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"error": error.to_string()}),
        ),
    };
    control::answer(status, &body)
}
