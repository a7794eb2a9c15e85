//! The audit log as others hold us to it: its newest checkpoint, its key, its export.

use axum::body::Body;
use axum::response::Response;
use futures_util::stream;
use http::{HeaderValue, header};
use salus_service::audit::log::Export;

use crate::call::Call;
use crate::failure::Failure;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// `GET /audit/checkpoint`: a signed note, as C2SP tlog-checkpoint has it.
pub(crate) async fn checkpoint(call: &mut Call) -> Result<Response, Failure> {
    let signed = call.service().checkpoint()?;
    let mut response = text(signed.note.to_string());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `GET /audit/key`: what checkpoints are checked with.
pub(crate) async fn key(call: &mut Call) -> Result<Response, Failure> {
    let mut key = call.service().log_key()?;
    key.push('\n');
    Ok(text(key))
}

/// `GET /audit/export?project=SLUG&after=N`: the log, a line a leaf.
pub(crate) async fn export(call: &mut Call) -> Result<Response, Failure> {
    let (mut projects, mut after) = (Vec::new(), 0);
    for (name, value) in call.query_pairs()? {
        match &*name {
            "project" => projects.push(value),
            "after" => after = value.parse().map_err(|_| AFTER)?,
            _ => return Err(UNKNOWN),
        }
    }
    let service = call.hold_no_parameters();
    let export = service.export_log(&call.cx, &projects, after).await?;
    let mut response = Response::new(streamed(export));
    response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
    Ok(response)
}

const AFTER: Failure = Failure::Http(
    http::StatusCode::BAD_REQUEST,
    "after is a number of entries",
);
const UNKNOWN: Failure = Failure::Http(
    http::StatusCode::BAD_REQUEST,
    "an export takes project and after",
);

fn streamed(export: Export) -> Body {
    Body::from_stream(stream::unfold(Some(export), async |export| {
        let mut export = export?;
        match export.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), Some(export))),
            Err(error) => {
                // The answer has begun: all that is left is to break it off.
                let cause = error.cause();
                tracing::error!(cause, "the audit log could not be read to its end");
                Some((Err(std::io::Error::other("broken off")), None))
            }
        }
    }))
}

fn text(text: String) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}
