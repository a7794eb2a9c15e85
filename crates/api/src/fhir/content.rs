//! Content of a Binary on its way out, as it is or as the `data` of a resource:
//! in parts (RFC 9110, 14), piece by piece, and so that no browser runs it.

use axum::body::Body;
use axum::response::Response;
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use salus_service::error::Error;
use salus_service::fhir::binary::{Content, Raw, RawContent};
use salus_service::fhir::reply::Reply;

use super::reply::{http_date, insert};
use crate::call::Call;
use crate::failure::Failure;

/// So much is read at once.
const PIECE_BYTES: usize = 256 << 10;

const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");

/// What browsers show without running anything. All else is a file to keep:
/// pages, drawings and documents in XML can hold scripts.
const INERT: [&str; 5] = [
    "text/plain",
    "application/pdf",
    "application/dicom",
    "audio/",
    "video/",
];
const INERT_IMAGES: [&str; 7] = ["png", "jpeg", "gif", "webp", "bmp", "tiff", "avif"];

/// Which bytes were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of them, also if several parts were.
    Whole,
    /// From the first to the one behind the last.
    Some(u64, u64),
    /// None that are there.
    Beyond,
}

/// The content as it is.
pub(super) fn raw(call: &Call, reply: &Reply, raw: Raw) -> Result<Response, Failure> {
    let length = raw.content.bytes();
    let tag = reply.version.map(|version| format!("\"{version}\""));
    let (status, from, to) = match part(call, tag.as_deref(), length) {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Some(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::Beyond => return Ok(beyond(call, length)),
    };
    let pieces = Pieces::of(raw.content, from, to);
    let mut response = Response::new(pieces.into_body());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    say_what(headers, &raw.content_type);
    insert(headers, header::CONTENT_LENGTH, (to - from).to_string());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = to.saturating_sub(1);
        insert(
            headers,
            header::CONTENT_RANGE,
            format!("bytes {from}-{last}/{length}"),
        );
    }
    if let Some(tag) = tag {
        insert(headers, header::ETAG, tag);
    }
    if let Some(time_ms) = reply.updated_ms {
        insert(headers, header::LAST_MODIFIED, http_date(time_ms));
    }
    if let Some(context) = raw.context {
        insert(headers, SECURITY_CONTEXT, context);
    }
    Ok(response)
}

/// Type and protection. Whoever stored it may have meant it for a browser of
/// somebody else who is signed in here.
fn say_what(headers: &mut HeaderMap, content_type: &str) {
    let octets = HeaderValue::from_static("application/octet-stream");
    let known = content_type
        .contains('/')
        .then(|| HeaderValue::try_from(content_type).ok());
    headers.insert(header::CONTENT_TYPE, known.flatten().unwrap_or(octets));
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'",
        ),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "Accept"),
        (header::CONTENT_DISPOSITION, disposition(content_type)),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn disposition(content_type: &str) -> &'static str {
    let ty = content_type.split(';').next().unwrap_or_default();
    let ty = ty.trim().to_ascii_lowercase();
    let inert = match ty.strip_prefix("image/") {
        Some(image) => INERT_IMAGES.contains(&image),
        None => INERT.iter().any(|known| match known.strip_suffix('/') {
            Some(_) => ty.starts_with(known),
            None => ty == *known,
        }),
    };
    if inert { "inline" } else { "attachment" }
}

fn part(call: &Call, tag: Option<&str>, length: u64) -> Part {
    let Some(range) = call
        .header(header::RANGE)
        .filter(|_| call.method == Method::GET)
    else {
        return Part::Whole;
    };
    // A date is too coarse to tell versions apart, and a weak tag does not count.
    match call.headers.get(header::IF_RANGE) {
        Some(known) if tag.is_none_or(|tag| known != tag) => Part::Whole,
        Some(_) | None => asked(range, length),
    }
}

/// Reads a `Range`; one that cannot be read is none (RFC 9110, 14.2).
fn asked(range: &str, length: u64) -> Part {
    let set = range
        .split_once('=')
        .filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = set.and_then(|(_, set)| set.trim().split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Larger ones are beyond any content.
        true => Some(text.parse::<u64>().unwrap_or(u64::MAX)),
        false => None,
    };
    match (first, last) {
        ("", "") => Part::Whole,
        ("", last) => match number(last) {
            None => Part::Whole,
            Some(0) => Part::Beyond,
            Some(_) if length == 0 => Part::Beyond,
            Some(count) => Part::Some(length - count.min(length), length),
        },
        (first, last) => {
            let end = match last {
                "" => Some(u64::MAX),
                last => number(last),
            };
            match (number(first), end) {
                (Some(first), Some(end)) if first <= end => match first < length {
                    true => Part::Some(first, end.saturating_add(1).min(length)),
                    false => Part::Beyond,
                },
                _ => Part::Whole,
            }
        }
    }
}

fn beyond(call: &Call, length: u64) -> Response {
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let failure = Failure::Http(status, "the content has no bytes in this range");
    let mut response = failure.into_response(call.wanted.media.unwrap_or_default());
    let headers = response.headers_mut();
    insert(headers, header::CONTENT_RANGE, format!("bytes */{length}"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// A resource with content for its `data`, and how long that is; `None` if
/// there is no place for it.
pub(super) fn with_data(text: &[u8], is_xml: bool, content: Content) -> Option<(u64, Body)> {
    let (end, before, after) = match is_xml {
        true => (&b"</Binary>"[..], "<data value=\"", "\"/>"),
        false => (&b"}"[..], ",\"data\":\"", "\""),
    };
    let at = text.windows(end.len()).rposition(|part| part == end)?;
    let head = Bytes::from([&text[..at], before.as_bytes()].concat());
    let tail = Bytes::from([after.as_bytes(), &text[at..]].concat());
    let encoded = content.bytes().div_ceil(3).checked_mul(4)?;
    let length = (head.len() as u64 + tail.len() as u64).checked_add(encoded)?;
    let to = content.bytes();
    let pieces = Pieces {
        head: Some(head),
        rest: Some(Vec::with_capacity(2)),
        tail: Some(tail),
        ..Pieces::of(RawContent::Stream(content), 0, to)
    };
    Some((length, pieces.into_body()))
}

/// A body made of pieces.
struct Pieces {
    head: Option<Bytes>,
    content: RawContent,
    at: u64,
    to: u64,
    /// For Base64: what is left over, fewer bytes than make a group.
    rest: Option<Vec<u8>>,
    tail: Option<Bytes>,
}

impl Pieces {
    fn of(content: RawContent, at: u64, to: u64) -> Self {
        Self {
            head: None,
            content,
            at,
            to,
            rest: None,
            tail: None,
        }
    }

    fn into_body(self) -> Body {
        Body::from_stream(futures_util::stream::unfold(Some(self), async |pieces| {
            let mut pieces = pieces?;
            match pieces.next().await {
                Ok(piece) => piece.map(|piece| (Ok(piece), Some(pieces))),
                Err(error) => {
                    // The answer has begun: all that is left is to break it off.
                    let cause = error.cause();
                    tracing::error!(cause, "content could not be read to its end");
                    Some((Err(std::io::Error::other("broken off")), None))
                }
            }
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        while self.at < self.to {
            let left = self.to - self.at;
            let max = left.min(PIECE_BYTES as u64) as usize;
            let piece = self.content.read(self.at, max).await?;
            self.at += piece.len() as u64;
            if piece.is_empty() {
                // Content in memory that is shorter than it said: cannot be.
                self.at = self.to;
            }
            match &mut self.rest {
                None => return Ok(Some(piece)),
                Some(rest) => {
                    rest.extend_from_slice(&piece);
                    let whole = if self.at < self.to {
                        rest.len() / 3 * 3
                    } else {
                        rest.len()
                    };
                    let left = rest.split_off(whole);
                    let encoded = Base64::encode_string(rest);
                    *rest = left;
                    if !encoded.is_empty() {
                        return Ok(Some(encoded.into()));
                    }
                }
            }
        }
        Ok(self.tail.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn range(text: &str, length: u64, expected: Part) {
        assert_eq!(asked(text, length), expected, "{text} of {length}");
    }

    #[test]
    fn ranges_are_read() {
        range("bytes=0-0", 10, Part::Some(0, 1));
        range("bytes=2-5", 10, Part::Some(2, 6));
        range("Bytes = 2-5", 10, Part::Some(2, 6));
        range("bytes=2-", 10, Part::Some(2, 10));
        range("bytes=2-99", 10, Part::Some(2, 10));
        range("bytes=-3", 10, Part::Some(7, 10));
        range("bytes=-99", 10, Part::Some(0, 10));
        range("bytes=0-99999999999999999999999", 10, Part::Some(0, 10));
        range("bytes=10-", 10, Part::Beyond);
        range("bytes=99999999999999999999999-", 10, Part::Beyond);
        range("bytes=-0", 10, Part::Beyond);
        range("bytes=0-", 0, Part::Beyond);
        range("bytes=-1", 0, Part::Beyond);
        for other in [
            "bytes=5-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1-2,4-5",
            "lines=1-2",
            "1-2",
            "bytes=+1-2",
            "bytes=--2",
        ] {
            range(other, 10, Part::Whole);
        }
    }

    #[test]
    fn what_could_run_is_no_page() {
        for ty in [
            "image/png",
            "TEXT/PLAIN; charset=utf-8",
            "application/pdf",
            "audio/ogg",
        ] {
            assert_eq!(disposition(ty), "inline", "{ty}");
        }
        for ty in [
            "text/html",
            "image/svg+xml",
            "application/xml",
            "text/javascript",
            "",
            "audio",
            "application/xhtml+xml",
            "text/xml",
        ] {
            assert_eq!(disposition(ty), "attachment", "{ty}");
        }
    }
}
