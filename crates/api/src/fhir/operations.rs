//! Operations: <https://hl7.org/fhir/R4/operations.html>. One handler calls
//! them all; which one is the last part of the path.

use axum::response::Response;
use bytes::Bytes;
use salus_service::fhir::operations::Invocation;

use super::preferences::Preferences;
use crate::call::Call;
use crate::failure::Failure;
use crate::media;

/// `GET [base]/…/$name`
pub(crate) async fn operation(call: &mut Call) -> Result<Response, Failure> {
    operate(call, false).await
}

/// `POST [base]/…/$name`
pub(crate) async fn operation_post(call: &mut Call) -> Result<Response, Failure> {
    operate(call, true).await
}

async fn operate(call: &mut Call, posted: bool) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let query = call.query_pairs()?;
    let body = match posted {
        true => call.take_body().await?,
        false => Bytes::new(),
    };
    if !body.is_empty() {
        media::check_sent(&call.headers)?;
    }
    let last = call.uri.path().rsplit('/').next().unwrap_or_default();
    let name = last.strip_prefix('$').or_else(|| last.strip_prefix("%24"));
    let invocation = Invocation {
        name: name.unwrap_or_default(),
        ty: call.param("type"),
        id: call.param("id"),
        posted,
        query,
        body,
    };
    let reply = call.service().operate(&call.cx, invocation).await?;
    super::finish(call, &wanted, reply)
}
