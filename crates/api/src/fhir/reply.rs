//! A use case's reply as HTTP: status, `ETag`, `Last-Modified`, `Location`, body.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::context::Context;
use salus_service::fhir::reply::{Reply, Status, done};
use salus_service::fhir::{WriteCondition, WriteOptions, etag_version};

use super::content;
use super::preferences::{Preferences, Return};
use crate::call::Call;
use crate::failure::Failure;

/// The answer for a reply.
pub(crate) fn response(
    cx: &Context,
    wanted: &Preferences,
    reply: Reply,
) -> Result<Response, Failure> {
    let status = match reply.status {
        Status::Ok => StatusCode::OK,
        Status::Created => StatusCode::CREATED,
        Status::NoContent => StatusCode::NO_CONTENT,
        Status::NotModified => StatusCode::NOT_MODIFIED,
    };
    let location = reply.location();
    let returns = wanted.returns.unwrap_or(Return::Representation);
    let deleted = status == StatusCode::NO_CONTENT;
    // http.html#delete: 200 with a payload, 204 without.
    let told = deleted && returns == Return::OperationOutcome;
    let status = if told { StatusCode::OK } else { status };
    // RFC 7240, 3. A deletion has nothing else to represent.
    let applies = told || (reply.written && !deleted);
    let shows = !reply.written && !deleted;
    let body = match (reply.written || told, returns) {
        (true, Return::Minimal) => None,
        (true, Return::OperationOutcome) => Some(done().into()),
        (true, Return::Representation) | (false, _) => reply.body,
    };
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(version) = reply.version {
        insert(headers, header::ETAG, format!("W/\"{version}\""));
    }
    if let Some(time_ms) = reply.updated_ms {
        insert(headers, header::LAST_MODIFIED, http_date(time_ms));
    }
    if shows {
        // Kept by the client only, and never shown again without asking: an If-None-Match is cheap.
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        );
    }
    if let Some(returns) = wanted.returns.filter(|_| applies) {
        let applied = HeaderValue::from_static(returns.text());
        headers.insert("preference-applied", applied);
    }
    if let Some(location) = location {
        insert(headers, header::LOCATION, format!("{}/{location}", cx.base));
    }
    if let Some(body) = body {
        headers.insert(header::CONTENT_TYPE, wanted.media.header());
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        let body = wanted.media.render(body, wanted.pretty);
        let body = body.map_err(Failure::Unwritable)?;
        let data = reply.content;
        let streamed = data.and_then(|data| content::with_data(&body, wanted.media.is_xml(), data));
        *response.body_mut() = match streamed {
            None => body.into(),
            Some((length, stream)) => {
                let headers = response.headers_mut();
                insert(headers, header::CONTENT_LENGTH, length.to_string());
                stream
            }
        };
    }
    Ok(response)
}

pub(super) fn insert(headers: &mut http::HeaderMap, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// What a client asks of an update or a delete.
pub(crate) fn write_options(call: &Call) -> Result<WriteOptions, Failure> {
    Ok(WriteOptions {
        condition: write_condition(call)?,
        idempotency_key: idempotency_key(call)?,
    })
}

/// `If-Match` and `If-None-Match` of a write
/// (<https://hl7.org/fhir/R4/http.html#concurrency>).
fn write_condition(call: &Call) -> Result<WriteCondition, Failure> {
    if let Some(text) = call.header(header::IF_MATCH) {
        let version = etag_version(text).ok_or(Failure::Http(
            StatusCode::BAD_REQUEST,
            "If-Match must name one version, as W/\"3\"",
        ))?;
        return Ok(WriteCondition::VersionIs(version));
    }
    match call.header(header::IF_NONE_MATCH).map(str::trim) {
        None => Ok(WriteCondition::None),
        Some("*") => Ok(WriteCondition::Absent),
        Some(_) => Err(Failure::Http(
            StatusCode::BAD_REQUEST,
            "If-None-Match on a write must be *",
        )),
    }
}

/// The name of a request. One that cannot be read must not be taken for none:
/// the client relies on it.
pub(crate) fn idempotency_key(call: &Call) -> Result<Option<String>, Failure> {
    let Some(value) = call.headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => Err(Failure::Http(
            StatusCode::BAD_REQUEST,
            "Idempotency-Key must be a text in ASCII, and not empty",
        )),
    }
}

/// A time as HTTP writes it (RFC 9110, 5.6.7).
pub(crate) fn http_date(time_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(time_ms).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .unwrap_or_default()
}

/// The reverse, to the whole second.
pub(crate) fn http_date_ms(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text)
        .ok()
        .map(|time| time.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_and_dates_round_trip() {
        assert_eq!(etag_version("W/\"12\""), Some(12));
        assert_eq!(etag_version("\"12\""), Some(12));
        assert_eq!(etag_version("12"), None);
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(
            http_date_ms(&http_date(1_700_000_000_000)),
            Some(1_700_000_000_000)
        );
    }
}
