//! Requests that take their time: <https://hl7.org/fhir/R4/async.html>,
//! <https://hl7.org/fhir/uv/bulkdata/STU2/export.html>.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use salus_service::Subject;
use salus_service::fhir::operations::Invocation;
use salus_service::jobs::{Answered, Contents, Followed, Packed, Perform};
use tower::ServiceExt;

use super::preferences::Preferences;
use super::reply::{http_date, http_date_ms};
use crate::Resumed;
use crate::call::Call;
use crate::coding::NDJSON;
use crate::failure::Failure;
use crate::media;

const PROGRESS: HeaderName = HeaderName::from_static("x-progress");
/// How long a client should wait before it asks again, in seconds.
const RETRY: HeaderValue = HeaderValue::from_static("1");
const NOT_ASYNC: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "this takes its time; send Prefer: respond-async, and ask at the Content-Location of the answer",
);
const NOT_NDJSON: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send one resource a line as application/fhir+ndjson, or a list of files as application/fhir+json, \
     application/fhir+xml or application/json",
);
const CODED: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send an upload without Content-Encoding",
);
const NO_SUCH_PARAMETER: Failure =
    Failure::Http(StatusCode::BAD_REQUEST, "$import takes type only");
const TYPE_OF_LIST: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "in a list of files each has a type of its own; type is for lines in the body",
);
/// The headers that say what a request wants.
const HEADERS: [&str; 8] = [
    "content-type",
    "prefer",
    "if-match",
    "if-none-match",
    "if-none-exist",
    "if-modified-since",
    "idempotency-key",
    "accept-language",
];
/// Bytes of a file that are read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// `GET [base]/$export`, `[base]/Patient/$export`, `[base]/Group/[id]/$export`
pub(crate) async fn export(call: &mut Call) -> Result<Response, Failure> {
    begin_export(call, Bytes::new()).await
}

/// The same by `POST`
pub(crate) async fn export_post(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_body().await?;
    if !body.is_empty() {
        media::check_sent(&call.headers)?;
    }
    begin_export(call, body).await
}

async fn begin_export(call: &mut Call, body: Bytes) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    if !wanted.asynchronous {
        return Err(NOT_ASYNC);
    }
    let invocation = Invocation {
        name: "export",
        ty: call.param("type"),
        id: call.param("id"),
        posted: !body.is_empty(),
        query: call.query_pairs()?,
        body,
    };
    let options = (wanted.handling, url(call));
    let id = call.service().export(&call.cx, invocation, options).await?;
    accepted(call, &id)
}

/// The whole URL that was asked.
fn url(call: &Call) -> String {
    let below = match call.param("project") {
        "" => "/fhir".to_owned(),
        slug => format!("/p/{slug}/fhir"),
    };
    let root = call.cx.base.strip_suffix(&*below).unwrap_or_default();
    let path = call.uri.path_and_query();
    format!("{root}{}", path.map_or("", |path| path.as_str()))
}

/// The answer to a request that has become a job.
pub(crate) fn accepted(call: &Call, id: &str) -> Result<Response, Failure> {
    let mut response = status(StatusCode::ACCEPTED);
    let place = format!("{}/$job/{id}", call.cx.base);
    if let Ok(place) = HeaderValue::try_from(place) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LOCATION, place);
        headers.insert(header::RETRY_AFTER, RETRY);
    }
    Ok(response)
}

/// `POST [base]/$import?type=`, with a resource on each line of the body; or
/// `POST [base]/$import`, with a list of files
pub(crate) async fn import(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    if !wanted.asynchronous {
        return Err(NOT_ASYNC);
    }
    let mut ty = None;
    for (name, value) in call.query_pairs()? {
        match name.as_str() {
            "type" => ty = Some(value),
            "_format" | "_pretty" => {}
            _ => return Err(NO_SUCH_PARAMETER),
        }
    }
    if media::check_sent(&call.headers).is_ok() {
        return match ty {
            None => import_files(call).await,
            Some(_) => Err(TYPE_OF_LIST),
        };
    }
    let sent = call.header(header::CONTENT_TYPE).unwrap_or_default();
    let sent = sent.split(';').next().unwrap_or_default().trim();
    if !matches!(sent, "application/fhir+ndjson" | "application/ndjson") {
        return Err(NOT_NDJSON);
    }
    if call.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(CODED);
    }
    let url = url(call);
    let mut upload = call.service().begin_upload(&call.cx).await?;
    while let Some(piece) = call.next_piece().await? {
        upload.write(piece).await?;
    }
    let id = call
        .service()
        .import(&call.cx, upload, (ty.as_deref(), url))
        .await?;
    accepted(call, &id)
}

async fn import_files(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_body().await?;
    let began = call.service().import_files(&call.cx, body, url(call));
    let id = began.await?;
    accepted(call, &id)
}

/// Any other request that its client does not want to wait for.
pub(crate) async fn defer(call: &mut Call, method: &Method) -> Result<Response, Failure> {
    let body = call.take_text().await?;
    let headers = HEADERS.iter().filter_map(|name| {
        let value = call.header(*name)?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    let accept = ("accept".to_owned(), "application/fhir+json".to_owned());
    let request = Packed {
        method: method.as_str().to_owned(),
        target: target(&call.uri),
        headers: headers.chain([accept]).collect(),
        body_bytes: 0,
    };
    let url = url(call);
    let deferred = call.service().defer(&call.cx, request, (body, url));
    let id = deferred.await?;
    accepted(call, &id)
}

/// Path and query, but for the format: the answer is kept as JSON.
fn target(uri: &Uri) -> String {
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !matches!(name, "_format" | "_pretty")
    };
    let pairs = uri.query().unwrap_or_default().split('&').filter(is_kept);
    let query = pairs.collect::<Vec<&str>>().join("&");
    let question = if query.is_empty() { "" } else { "?" };
    format!("{}{question}{query}", uri.path())
}

/// Carries out requests that were deferred, through the router that all come through.
pub(crate) struct Deferred(pub(crate) Router);

impl Perform for Deferred {
    fn perform(
        &self,
        subject: Arc<Subject>,
        base: &str,
        request: Packed,
        body: Bytes,
    ) -> BoxFuture<'static, Answered> {
        let router = self.0.clone();
        let resumed = Resumed {
            subject,
            base: base.into(),
        };
        Box::pin(async move {
            let mut builder = http::Request::builder()
                .method(request.method.as_str())
                .uri(request.target);
            for (name, value) in &request.headers {
                builder = builder.header(name, value);
            }
            match builder.extension(resumed).body(Body::from(body)) {
                Ok(request) => match router.oneshot(request).await {
                    Ok(response) => answered(response).await,
                    Err(never) => match never {},
                },
                Err(_) => answered(status(StatusCode::BAD_REQUEST)).await,
            }
        })
    }
}

async fn answered(response: Response) -> Answered {
    let (parts, body) = response.into_parts();
    let header = |name| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let changed = header(header::LAST_MODIFIED).and_then(|text| http_date_ms(&text));
    let instant = |ms| jiff::Timestamp::from_millisecond(ms).ok();
    let (code, etag) = (parts.status, header(header::ETAG));
    let location = header(header::LOCATION);
    let body = body.collect().await.map(|body| body.to_bytes());
    Answered {
        status: code.to_string(),
        etag,
        last_modified: changed.and_then(instant).map(|time| format!("{time:.3}")),
        location,
        body: body.unwrap_or_default(),
    }
}

/// `GET [base]/$job/[id]`
pub(crate) async fn job(call: &mut Call) -> Result<Response, Failure> {
    let followed = call.service().follow_job(&call.cx, call.param("id"));
    match followed.await? {
        Followed::Open(progress) => {
            let mut response = status(StatusCode::ACCEPTED);
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, RETRY);
            if let Ok(progress) = HeaderValue::try_from(progress) {
                headers.insert(PROGRESS, progress);
            }
            Ok(response)
        }
        Followed::Manifest(manifest, expires_ms) => {
            let ty = HeaderValue::from_static("application/json");
            Ok(whole(StatusCode::OK, ty, manifest, expires_ms))
        }
        Followed::Answer(bundle, expires_ms) => {
            let wanted = Preferences::of(call)?;
            let body = wanted.media.render(bundle, wanted.pretty);
            let body = body.map_err(Failure::Unwritable)?;
            Ok(whole(
                StatusCode::OK,
                wanted.media.header(),
                body,
                expires_ms,
            ))
        }
        Followed::Failed(status, outcome, expires_ms) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let media = call.wanted.media.unwrap_or_default();
            let body = media.render(outcome, call.wanted.pretty);
            let body = body.map_err(Failure::Unwritable)?;
            Ok(whole(status, media.header(), body, expires_ms))
        }
    }
}

/// `DELETE [base]/$job/[id]`
pub(crate) async fn cancel_job(call: &mut Call) -> Result<Response, Failure> {
    let cancelled = call.service().cancel_job(&call.cx, call.param("id"));
    cancelled.await?;
    Ok(status(StatusCode::ACCEPTED))
}

/// `GET [base]/$job/[id]/[file]`
pub(crate) async fn job_file(call: &mut Call) -> Result<Response, Failure> {
    let (id, name) = (call.param("id"), call.param("file"));
    let contents = call.service().job_file(&call.cx, id, name).await?;
    let (bytes, expires_ms) = (contents.reader.bytes(), contents.expires_ms);
    let mut response = whole(StatusCode::OK, NDJSON, Bytes::new(), expires_ms);
    *response.body_mut() = streamed(contents);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    Ok(response)
}

fn streamed(contents: Contents) -> Body {
    let pieces = stream::unfold((contents.reader, 0), |(reader, at)| async move {
        if at >= reader.bytes() {
            return None;
        }
        // An error breaks the connection off: the client sees that there was more.
        let piece = reader.read(at, PIECE_BYTES).await;
        let read = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let end = reader.bytes();
        let next = if piece.is_ok() { at + read } else { end };
        Some((piece, (reader, next)))
    });
    Body::from_stream(pieces)
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn whole(status: StatusCode, ty: HeaderValue, body: Bytes, expires_ms: i64) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, ty);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    if let Ok(expires) = HeaderValue::try_from(http_date(expires_ms)) {
        headers.insert(header::EXPIRES, expires);
    }
    response
}
