//! A failed request on its way out: status, headers and a body the protocol defines.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use salus_fhir::issue::{Issue, IssueType, operation_outcome};
use salus_service::error::{Error, Kind};

use crate::factors;
use crate::format::Media;

/// A request that got no answer but this.
pub(crate) enum Failure {
    /// A use case refused or failed.
    Service(Error),
    /// The request was refused by the protocol, with this status.
    Http(StatusCode, &'static str),
    /// The body is no resource, for this reason.
    Unreadable(Issue),
    /// There is an answer, but not in the format that was asked for.
    Unwritable(Issue),
    /// The same, and a use case has told the audit already.
    Told(Box<Self>),
    /// The same, with a header.
    With(Box<Self>, (HeaderName, HeaderValue)),
    /// OAuth's errors have a form of their own: status, code, description
    /// (RFC 6749, 5.2).
    OAuth(StatusCode, &'static str, &'static str),
}
salus_phi::guard!(Failure);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl Failure {
    /// The answer; an OperationOutcome in the format that was asked for.
    pub(crate) fn into_response(self, media: Media) -> Response {
        match self {
            Self::Service(error) => {
                let status = status(error.kind());
                let mut response = outcome(status, error.issues(), media);
                decorate(&mut response, &error);
                if let Some((name, value)) = error.age_max_s().and_then(factors::challenge) {
                    response.headers_mut().insert(name, value);
                }
                response
            }
            Self::Http(status, message) => outcome(
                status,
                &[Issue::error(
                    IssueType::Invalid,
                    String::new(),
                    message.to_owned(),
                )],
                media,
            ),
            Self::Told(failure) => failure.into_response(media),
            Self::With(failure, (name, value)) => {
                let mut response = failure.into_response(media);
                response.headers_mut().insert(name, value);
                response
            }
            Self::Unreadable(issue) => outcome(StatusCode::BAD_REQUEST, &[issue], media),
            Self::Unwritable(issue) => outcome(StatusCode::NOT_ACCEPTABLE, &[issue], media),
            Self::OAuth(status, code, description) => {
                let body = serde_json::json!({
                    "error": code,
                    "error_description": description,
                });
                let mut response = Response::new(body.to_string().into());
                *response.status_mut() = status;
                let headers = response.headers_mut();
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                );
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                if status == StatusCode::UNAUTHORIZED {
                    let way = HeaderValue::from_static(match code {
                        "invalid_token" => "Bearer realm=\"salus\", error=\"invalid_token\"",
                        _ => "Basic realm=\"salus\"",
                    });
                    headers.insert(header::WWW_AUTHENTICATE, way);
                }
                response
            }
        }
    }

    /// The cause for the log, without content of resources.
    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Service(error) => error.cause(),
            Self::Told(failure) | Self::With(failure, _) => failure.cause(),
            Self::Http(..) | Self::Unreadable(_) | Self::Unwritable(_) | Self::OAuth(..) => None,
        }
    }
}

/// The status of a kind of failure.
fn status(kind: Kind) -> StatusCode {
    StatusCode::from_u16(kind.status().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn decorate(response: &mut Response, error: &Error) {
    let (headers, kind) = (response.headers_mut(), error.kind());
    if kind == Kind::Unauthenticated {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"salus\""),
        );
    }
    if matches!(kind, Kind::Unavailable | Kind::Throttled) {
        let seconds = error.retry_after_s().unwrap_or(1);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// An answer that holds an OperationOutcome.
fn outcome(status: StatusCode, issues: &[Issue], media: Media) -> Response {
    let json = Bytes::from(operation_outcome(issues));
    let (media, body) = match media.render(json.clone(), false) {
        Ok(body) => (media, body),
        Err(_) => (Media::FhirJson, json),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media.header());
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}
