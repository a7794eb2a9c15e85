//! One request, taken apart: who, where, which parameters, the body when asked for.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::RawPathParams;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use salus_fhir::issue::Issue;
use salus_fhir::{json, xml};
use salus_service::Service;
use salus_service::context::Context;

use crate::App;
use crate::coding::{Coding, TOO_LARGE};
use crate::failure::Failure;
use crate::format::{self, Wanted};

/// How long a client may let us wait for the next part of its body.
pub(crate) const BODY_IDLE: Duration = Duration::from_secs(10);

/// How long a client may take for its whole body.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(300);

/// The largest form or small object.
const FORM_BYTES_MAX: usize = 64 << 10;
/// XML larger than this is read where it holds up nobody.
const READ_HERE_MAX: usize = 256 << 10;
/// What is set aside for a body before it has come.
const RESERVED_MAX: usize = 1 << 20;

/// A request that a handler answers.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) cx: Context,
    /// The named segments of the path, decoded.
    pub(crate) params: RawPathParams,
    pub(crate) uri: Uri,
    /// The format of the answer.
    pub(crate) wanted: Wanted,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Why a body that was taken could not be read.
    pub(crate) unreadable: Option<Failure>,
}

impl Call {
    /// The use cases.
    pub(crate) fn service(&self) -> &Service {
        &self.app.service
    }

    /// The same, for work that goes on when the client goes away.
    pub(crate) fn service_for_long(&self) -> Arc<Service> {
        Arc::clone(&self.app.service)
    }

    /// A named segment of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    /// A header as text; a header that is not text is as good as none.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether a list is to have only what waits for somebody: unless it says `state=all`.
    pub(crate) fn only_open(&self) -> Result<bool, Failure> {
        match self.query_pairs()?.as_slice() {
            [] => Ok(true),
            [(name, state)] if name == "state" && state == "open" => Ok(true),
            [(name, state)] if name == "state" && state == "all" => Ok(false),
            _ => {
                let form = "the only parameter is state, which is open or all";
                Err(Failure::Http(StatusCode::BAD_REQUEST, form))
            }
        }
    }

    /// The parameters behind the `?`, decoded, in order.
    pub(crate) fn query_pairs(&self) -> Result<Vec<(String, String)>, Failure> {
        pairs(self.uri.query().unwrap_or_default())
    }

    /// The whole body, if the client sends it within the limits. A resource
    /// that was sent as XML has become JSON.
    pub(crate) async fn take_body(&mut self) -> Result<Bytes, Failure> {
        let body = self.take_text().await?;
        match format::sent(&self.headers) {
            Some(sent) if sent.is_xml() => {
                let read = json_of(body, self.app.settings.body_bytes_max).await;
                read.or_else(|failure| self.set_aside(failure))
            }
            Some(_) | None => Ok(body),
        }
    }

    /// That a body cannot be read is told when policy has decided, as of JSON:
    /// the use case gets a text that is no JSON, and what it says of that
    /// becomes this.
    fn set_aside(&mut self, failure: Failure) -> Result<Bytes, Failure> {
        if !matches!(failure, Failure::Unreadable(_)) {
            return Err(failure);
        }
        self.unreadable = Some(failure);
        Ok(Bytes::from_static(b"<"))
    }

    /// The whole body as it was sent, but for its coding.
    pub(crate) async fn take_text(&mut self) -> Result<Bytes, Failure> {
        let bytes_max = self.app.settings.body_bytes_max;
        self.hold_no_parameters();
        let read = tokio::time::timeout(BODY_TIME, self.read_body(bytes_max)).await;
        self.cx.parameters = self.app.service.parameters(self.cx.scope);
        read.map_err(|_| TOO_SLOW)?
    }

    /// Whoever sends slowly must not hold up a change of the parameters.
    pub(crate) fn hold_no_parameters(&mut self) -> Arc<Service> {
        self.cx.parameters = self.app.service.parameters_of_r4();
        Arc::clone(&self.app.service)
    }

    /// The next piece of a body of any length; `None` behind its end.
    pub(crate) async fn next_piece(&mut self) -> Result<Option<Bytes>, Failure> {
        // Whoever sends for long must not hold up a change of the parameters.
        self.cx.parameters = self.app.service.parameters_of_r4();
        loop {
            let frame = tokio::time::timeout(BODY_IDLE, self.body.frame());
            let Some(frame) = frame.await.map_err(|_| TOO_SLOW)? else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| ENDED)?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// The whole body of a form or a small object, which anyone may send.
    pub(crate) async fn take_form(&mut self) -> Result<Bytes, Failure> {
        let read = tokio::time::timeout(BODY_IDLE, self.read_body(FORM_BYTES_MAX));
        read.await.map_err(|_| TOO_SLOW)?
    }

    /// The body without the coding it came in; neither form may be longer.
    async fn read_body(&mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        match Coding::sent(&self.headers)? {
            None => self.read_sent(bytes_max).await,
            Some(coding) => {
                let sent = self.read_sent(bytes_max).await?;
                coding.decode(sent, bytes_max).await
            }
        }
    }

    async fn read_sent(&mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        let announced = self
            .header(header::CONTENT_LENGTH)
            .and_then(|text| text.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(TOO_LARGE);
        }
        let mut body = std::mem::take(&mut self.body);
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(BODY_IDLE, body.frame())
                .await
                .map_err(|_| TOO_SLOW)?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| ENDED)?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if all.len() + first.len() + data.len() > bytes_max {
                return Err(TOO_LARGE);
            }
            if first.is_empty() && all.is_empty() {
                first = data;
                continue;
            }
            if all.is_empty() {
                // What is announced may never come.
                let expected = announced.unwrap_or(0).min(RESERVED_MAX);
                all.reserve(expected.max(first.len() + data.len()));
                all.extend_from_slice(&first);
                first = Bytes::new();
            }
            all.extend_from_slice(&data);
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }
}

/// The JSON form of a body in XML.
pub(crate) async fn json_of(body: Bytes, bytes_max: usize) -> Result<Bytes, Failure> {
    if body.is_empty() {
        return Ok(body);
    }
    let limits = json::Limits {
        bytes_max,
        ..json::Limits::default()
    };
    let read = if body.len() > READ_HERE_MAX {
        let read = tokio::task::spawn_blocking(move || xml::read(&body, &limits));
        read.await.map_err(|_| crate::PANICKED)?
    } else {
        xml::read(&body, &limits)
    };
    read.map(Bytes::from).map_err(|error| {
        let issue = error.issue();
        let details = format!("the body cannot be read as FHIR XML: {}", issue.details);
        Failure::Unreadable(Issue {
            details: details.into(),
            ..issue
        })
    })
}

const ENDED: Failure = Failure::Http(StatusCode::BAD_REQUEST, "the body ended before its end");
pub(crate) const TOO_SLOW: Failure =
    Failure::Http(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
/// The pairs of a query or a form, decoded, in order; an encoding that is not UTF-8 is refused.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let owned = |(key, value): (Cow<'_, str>, Cow<'_, str>)| (key.into_owned(), value.into_owned());
    decoded(text).map(|pair| pair.map(owned)).collect()
}

/// The same, one by one, without copies of what is not encoded.
pub(crate) fn decoded(
    text: &str,
) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), Failure>> {
    form_urlencoded::parse(text.as_bytes()).map(|(key, value)| {
        if key.contains('\u{fffd}') || value.contains('\u{fffd}') {
            return Err(Failure::Http(
                StatusCode::BAD_REQUEST,
                "the parameters are not UTF-8",
            ));
        }
        Ok((key, value))
    })
}
