//! Is it alive, can it work, what does it count.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::call::Call;
use crate::failure::Failure;

/// `GET /`: where to go from here.
pub(crate) async fn home(_call: &mut Call) -> Result<Response, Failure> {
    Ok(json(
        StatusCode::OK,
        &serde_json::json!({
            "name": "Salus",
            "version": env!("CARGO_PKG_VERSION"),
            "fhir": "/fhir",
            "metadata": "/fhir/metadata",
            "health": "/health/ready",
        }),
    ))
}

/// `GET /health/live`: the process answers.
pub(crate) async fn live(_call: &mut Call) -> Result<Response, Failure> {
    Ok(json(StatusCode::OK, &serde_json::json!({"status": "live"})))
}

/// `GET /health/ready`: the store takes writes. That an archive is behind, or that it is long ago
/// that one was restored for trial, is a warning: the store goes on without it.
pub(crate) async fn ready(call: &mut Call) -> Result<Response, Failure> {
    let ready = call.service().ready().await;
    let (status, word) = match ready {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let mut answer = serde_json::json!({"status": word});
    let late = call.service().is_archive_late().await.then_some("archive");
    let due = call.service().is_drill_due().then_some("drill");
    let warnings: Vec<&str> = late.into_iter().chain(due).collect();
    if !warnings.is_empty() {
        answer["warnings"] = warnings.into();
    }
    Ok(json(status, &answer))
}

/// `GET /metrics`, for the server's administrators.
pub(crate) async fn metrics(call: &mut Call) -> Result<Response, Failure> {
    let numbers = call.service().read_metrics(&call.cx).await?;
    let mut response = Response::new(call.app.metrics.text(&numbers).into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    Ok(response)
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let mut response = Response::new(value.to_string().into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
