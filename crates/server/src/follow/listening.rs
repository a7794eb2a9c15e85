//! What a standby answers: the operator on the folder's own socket, health and metrics on an
//! address of the machine if it is told to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::progress::Progress;
use super::{Failure, Promote};
use crate::control::{self, answer};
use crate::listen;

/// Listeners at work.
pub(super) struct Listening {
    /// Where health is answered.
    pub(super) address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Asked {
    progress: Arc<Progress>,
    ask: mpsc::Sender<Promote>,
}

impl Listening {
    pub(super) async fn start(
        data: &Path,
        address: Option<SocketAddr>,
        progress: &Arc<Progress>,
        ask: mpsc::Sender<Promote>,
    ) -> Result<Self, Failure> {
        let (stop, stopped) = watch::channel(false);
        let asked = Asked {
            progress: Arc::clone(progress),
            ask,
        };
        let operator = Router::new()
            .route("/operator/follow", get(status))
            .route("/operator/follow/promote", post(promote))
            .with_state(asked);
        let work = listen::operator(control::bind(data)?, operator, stopped.clone());
        let mut tasks = vec![tokio::spawn(work)];
        let mut bound = None;
        if let Some(address) = address {
            let listener = TcpListener::bind(address).await?;
            bound = Some(listener.local_addr()?);
            let health = Router::new()
                .route("/health/live", get(live))
                .route("/health/ready", get(ready))
                .route("/metrics", get(metrics))
                .with_state(Arc::clone(progress));
            tasks.push(tokio::spawn(listen::network(
                listener, None, health, stopped,
            )));
        }
        Ok(Self {
            address: bound,
            stop,
            tasks,
        })
    }

    /// Lets answers under way go out.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A listener that failed has nothing left to finish.
            let _ = task.await;
        }
    }
}

async fn status(State(asked): State<Asked>) -> Response {
    answer(StatusCode::OK, &asked.progress.json())
}

async fn promote(State(asked): State<Asked>, RawQuery(query): RawQuery) -> Response {
    let seconds = query
        .as_deref()
        .and_then(|query| query.strip_prefix("wait="));
    let seconds: u64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    let (tell, told) = oneshot::channel();
    let promote = Promote {
        wait: Duration::from_secs(seconds),
        answer: tell,
    };
    let refused = |reason: &str| answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": reason}));
    if asked.ask.try_send(promote).is_err() {
        return refused("it is being promoted already");
    }
    match told.await {
        Ok(Ok(done)) => answer(StatusCode::OK, &done),
        Ok(Err(reason)) => refused(&reason),
        Err(_) => refused("it ended before it was promoted"),
    }
}

async fn live() -> Response {
    answer(StatusCode::OK, &json!({"status": "live"}))
}

async fn ready(State(progress): State<Arc<Progress>>) -> Response {
    let (ready, shown) = progress.ready();
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer(status, &shown)
}

async fn metrics(State(progress): State<Arc<Progress>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], progress.metrics()).into_response()
}
