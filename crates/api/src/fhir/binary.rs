//! Binary, whose content comes and goes as it is: <https://hl7.org/fhir/R4/binary.html#rest>.
//!
//! A body is content unless it is a Binary resource in a format of FHIR. An
//! answer is content unless `_format` or `Accept` ask for such a format by name:
//! `application/fhir+json` or `application/fhir+xml`, or a generic type of JSON or
//! XML that the content is not of. Who accepts neither gets the content.

use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use salus_fhir::json::{Document, Limits, Node};
use salus_service::fhir::binary::{BINARY, Interrupted, Raw, Sent, Source};
use salus_service::fhir::reply::{Reply, Status};
use salus_service::fhir::{CreateOptions, WriteOptions};

use super::content;
use super::preferences::Preferences;
use crate::call::{BODY_IDLE, BODY_TIME, Call, TOO_SLOW, json_of};
use crate::coding::Coding;
use crate::failure::Failure;
use crate::format::{self, Media};
use crate::media;

const TOO_LARGE: Failure = Failure::Http(
    StatusCode::PAYLOAD_TOO_LARGE,
    "the content is larger than this server accepts (setting `limits.binary_bytes_max`)",
);
const NO_TYPE: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "say the type of the content in Content-Type",
);
const NO_CONTEXT: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "X-Security-Context must be a reference, as Patient/1",
);
/// What a body of any length has to bring in a second, after a while.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;

/// What was sent to a type of resources.
pub(super) enum SentBody {
    /// A resource.
    Resource(Bytes),
    /// The content of a Binary.
    Content(Upload),
}

/// Content on its way in.
pub(super) struct Upload {
    content_type: String,
    context: Option<String>,
    source: Pieces,
}

/// A body, piece by piece, within its limits.
struct Pieces {
    first: Option<Bytes>,
    rest: Body,
    seen: u64,
    bytes_max: u64,
    started: Instant,
    failure: Option<Failure>,
}

/// Takes what was sent to this type.
pub(super) async fn take(call: &mut Call) -> Result<SentBody, Failure> {
    if call.param("type") != BINARY {
        media::check_sent(&call.headers)?;
        return Ok(SentBody::Resource(call.take_body().await?));
    }
    let content_type = call.header(header::CONTENT_TYPE).ok_or(NO_TYPE)?.to_owned();
    let sent = format::sent(&call.headers);
    let coded = Coding::sent(&call.headers)?.is_some();
    let mut first = None;
    if sent.is_some() || coded {
        let bytes_max = call.app.settings.body_bytes_max;
        let body = call.take_text().await?;
        if let Some(sent) = sent
            && let Some(resource) = resource(bytes_max, sent, &body).await?
        {
            media::check_sent(&call.headers)?;
            return Ok(SentBody::Resource(resource));
        }
        first = Some(body);
    }
    let context = call.headers.get("x-security-context").map(|value| {
        let text = value.to_str().map(str::trim).unwrap_or_default();
        (!text.is_empty())
            .then(|| text.to_owned())
            .ok_or(NO_CONTEXT)
    });
    let bytes_max = call.app.settings.binary_bytes_max;
    let announced = call
        .header(header::CONTENT_LENGTH)
        .and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(TOO_LARGE);
    }
    Ok(SentBody::Content(Upload {
        content_type,
        context: context.transpose()?,
        source: Pieces {
            first,
            rest: std::mem::take(&mut call.body),
            seen: 0,
            bytes_max,
            started: Instant::now(),
            failure: None,
        },
    }))
}

/// The body as a resource in JSON, if it is a Binary. What claims to be FHIR and
/// cannot be read is refused; what claims less is content.
async fn resource(bytes_max: usize, sent: Media, body: &Bytes) -> Result<Option<Bytes>, Failure> {
    let claims = matches!(sent, Media::FhirJson | Media::FhirXml);
    let json = match sent.is_xml() {
        false => body.clone(),
        true => match json_of(body.clone(), bytes_max).await {
            Ok(json) => json,
            Err(failure) if claims => return Err(failure),
            Err(_) => return Ok(None),
        },
    };
    let limits = Limits {
        bytes_max: usize::MAX,
        ..Limits::default()
    };
    let Ok(document) = Document::parse(json.clone().into(), &limits) else {
        // It is told what is wrong with it where resources are read.
        return Ok(claims.then_some(json));
    };
    let named = document
        .root()
        .get("resourceType")
        .and_then(Node::plain_str);
    let is_resource = match named {
        Some(named) => named == BINARY,
        None => claims,
    };
    Ok(is_resource.then_some(json))
}

/// `POST [base]/Binary` of content
pub(super) async fn create(
    call: &mut Call,
    wanted: &Preferences,
    mut upload: Upload,
    options: &CreateOptions,
) -> Result<Response, Failure> {
    let service = call.hold_no_parameters();
    let (sent, source) = upload.parts();
    let created = service.create_binary(&call.cx, sent, source, options).await;
    super::finish(call, wanted, upload.outcome(created)?)
}

/// `PUT [base]/Binary/[id]` of content
pub(super) async fn update(
    call: &mut Call,
    wanted: &Preferences,
    mut upload: Upload,
    options: &WriteOptions,
) -> Result<Response, Failure> {
    let service = call.hold_no_parameters();
    let (sent, source) = upload.parts();
    let id = call.param("id");
    let updated = service
        .update_binary(&call.cx, id, sent, source, options)
        .await;
    let mut reply = upload.outcome(updated)?;
    if reply.status == Status::Ok {
        reply.place = None;
    }
    super::finish(call, wanted, reply)
}

impl Upload {
    fn parts(&mut self) -> (Sent<'_>, &mut dyn Source) {
        let sent = Sent {
            content_type: &self.content_type,
            context: self.context.as_deref(),
        };
        (sent, &mut self.source)
    }

    /// What became of it: if the body failed, that is the reason.
    fn outcome(self, result: Result<Reply, salus_service::error::Error>) -> Result<Reply, Failure> {
        match (result, self.source.failure) {
            (Ok(reply), _) => Ok(reply),
            // The audit has it from the use case.
            (Err(error), None) => Err(error.into()),
            (Err(_), Some(failure)) => Err(Failure::Told(failure.into())),
        }
    }
}

impl Source for Pieces {
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Interrupted>> + Send + '_>> {
        Box::pin(async {
            match self.piece().await {
                Ok(piece) => Ok(piece),
                Err(failure) => {
                    self.failure = Some(failure);
                    Err(Interrupted)
                }
            }
        })
    }
}

impl Pieces {
    async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        loop {
            let frame = tokio::time::timeout(BODY_IDLE, self.rest.frame());
            let Some(frame) = frame.await.map_err(|_| TOO_SLOW)? else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| {
                Failure::Http(StatusCode::BAD_REQUEST, "the body ended before its end")
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.seen += data.len() as u64;
            if self.seen > self.bytes_max {
                return Err(TOO_LARGE);
            }
            let allowed = Duration::from_secs(self.seen / BYTES_PER_SECOND_MIN);
            if self.started.elapsed() > BODY_TIME + allowed {
                return Err(TOO_SLOW);
            }
            return Ok(Some(data));
        }
    }
}

/// The answer to a read or a vread of a Binary.
pub(super) fn answer(call: &Call, reply: Reply) -> Result<Response, Failure> {
    let pairs = call.query_pairs()?;
    let asked = |name: &str| pairs.iter().any(|(other, _)| other == name);
    if asked("_format") || asked("_summary") || asked("_elements") {
        return super::finish(call, &Preferences::of(call)?, reply);
    }
    if reply.body.is_none() {
        return super::finish(call, &Preferences::in_any_format(call), reply);
    }
    let raw = Raw::of(&reply)?;
    match format_of(&call.headers, &raw.content_type) {
        None => content::raw(call, &reply, raw),
        Some(media) => {
            let wanted = Preferences {
                media,
                ..Preferences::in_any_format(call)
            };
            super::finish(call, &wanted, reply)
        }
    }
}

/// The format of FHIR that `Accept` asks for; `None` is the content as it is.
fn format_of(headers: &HeaderMap, content_type: &str) -> Option<Media> {
    let native = content_type.split(';').next().unwrap_or_default().trim();
    // The best of each; of the content, the most specific range counts.
    let (mut fhir, mut generic, mut content) = (None, None, None);
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for range in ranges {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        let (name, quality) = (name.trim(), format::quality(parameters));
        if let Some(specific) = covers(name, native) {
            content = content.max(Some((specific, quality)));
        }
        let Some(media) = Media::of(range).filter(|_| quality > 0) else {
            continue;
        };
        let best = match media {
            Media::FhirJson | Media::FhirXml => &mut fhir,
            Media::Json | Media::TextJson | Media::Xml | Media::TextXml => &mut generic,
        };
        if best.is_none_or(|(other, _)| other < quality) {
            *best = Some((quality, media));
        }
    }
    let content = content.map(|(_, quality)| quality);
    match (fhir, content, generic) {
        (Some((quality, media)), content, _) if content.is_none_or(|of| of <= quality) => {
            Some(media)
        }
        (_, Some(1..), _) => None,
        (_, _, Some((_, media))) | (Some((_, media)), _, None) => Some(media),
        (None, _, None) => None,
    }
}

/// How specifically a range covers a media type, if it does.
fn covers(range: &str, native: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(native) {
        return Some(2);
    }
    if range == "*/*" {
        return Some(0);
    }
    let (ty, _) = native.split_once('/')?;
    let of_type = range.strip_suffix("/*")?;
    of_type.eq_ignore_ascii_case(ty).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn asks(accept: &str, content_type: &str, expected: Option<Media>) {
        let value = HeaderValue::try_from(accept).unwrap();
        let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
        let found = format_of(&headers, content_type);
        assert_eq!(found, expected, "{accept} of {content_type}");
    }

    #[test]
    fn formats_of_fhir_are_asked_for_by_name() {
        let (json, xml) = (Some(Media::FhirJson), Some(Media::FhirXml));
        assert_eq!(format_of(&HeaderMap::new(), "image/png"), None);
        asks("*/*", "image/png", None);
        asks("image/png", "image/png", None);
        asks("image/*", "image/png;a=b", None);
        asks("image/jpeg", "image/png", None);
        asks("application/fhir+json", "image/png", json);
        asks("application/fhir+xml;q=0.5", "image/png", xml);
        asks("application/fhir+json;q=0", "image/png", None);
        asks("application/fhir+json, */*;q=0.8", "image/png", json);
        asks("application/fhir+json;q=0.5, image/png", "image/png", None);
        asks("application/fhir+json, image/png", "image/png", json);
        asks(
            "application/fhir+json, image/png;q=0, */*",
            "image/png",
            json,
        );
        asks("application/json", "image/png", Some(Media::Json));
        asks("application/json", "application/json", None);
        asks("text/xml, image/*", "image/png", None);
        asks("application/fhir+json", "application/fhir+json", json);
        asks(
            "text/html, application/xml;q=0.9, */*;q=0.8",
            "text/html",
            None,
        );
        asks("", "image/png", None);
        asks("nonsense;;q=, ,", "", None);
    }
}
