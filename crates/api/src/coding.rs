//! Content codings: answers compressed as the client likes, and bodies that come compressed.
//! RFC 9110, 8.4 and 12.5.3; gzip is RFC 1952, br RFC 7932, zstd RFC 8878.
//!
//! Whoever does not ask for a coding gets the bytes as they are, at no cost.

mod stream;

use std::cell::RefCell;
use std::io::{Read, Write};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;

use crate::failure::Failure;

/// A coding that we read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

/// In the order of what they cost us for what they save.
const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

/// As files of exports are.
pub(crate) const NDJSON: HeaderValue = HeaderValue::from_static("application/fhir+ndjson");

/// Smaller bodies fit into one packet anyway.
const BYTES_MIN: u64 = 1024;
/// Larger ones are never held twice; they go as they are.
const BYTES_MAX: u64 = 64 << 20;
/// What takes longer than about a millisecond must not hold up a thread that answers others.
const ASIDE_BYTES: usize = 64 << 10;

// Low levels: a few percent larger than the middle ones, several times as fast.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: u32 = 1;
const BROTLI_LEVEL: u32 = 2;
const BROTLI_WINDOW_BITS: u32 = 19;
/// The window that every decoder must have (RFC 8878, 3.1.1.1.2), and so the most we take.
const ZSTD_WINDOW_BITS_MAX: u32 = 23;
const BUFFER_BYTES: usize = 16 << 10;

const UNKNOWN: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send bodies as they are, or with Content-Encoding gzip, br or zstd",
);
const UNREADABLE: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "the body is not what its Content-Encoding says",
);
pub(crate) const TOO_LARGE: Failure = Failure::Http(
    StatusCode::PAYLOAD_TOO_LARGE,
    "the body is larger than this server accepts (setting `limits.body_bytes_max`)",
);

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let name = match name {
            "x-gzip" => "gzip",
            name => name,
        };
        CODINGS
            .into_iter()
            .find(|coding| name.eq_ignore_ascii_case(coding.name()))
    }

    /// The coding that a client likes most, of those we have; among equals the cheapest.
    pub(crate) fn wanted(headers: &HeaderMap) -> Option<Self> {
        let mut weights: [Option<u16>; 3] = [None; 3];
        let (mut others, mut plain) = (0, 1);
        let values = headers.get_all(header::ACCEPT_ENCODING).iter();
        for item in values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
        {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let (name, weight) = (name.trim(), weight(parameters));
            match Self::named(name) {
                Some(coding) => weights[coding as usize] = Some(weight),
                None if name == "*" => others = weight,
                None if name.eq_ignore_ascii_case("identity") => plain = weight,
                None => {}
            }
        }
        CODINGS
            .into_iter()
            .map(|coding| (coding, weights[coding as usize].unwrap_or(others)))
            .filter(|(_, weight)| *weight > 0 && *weight >= plain)
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
            .map(|(coding, _)| coding)
    }

    /// The coding of a request's body; none is the body as it is.
    pub(crate) fn sent(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => match value.to_str().map_err(|_| UNKNOWN)?.trim() {
                name if name.eq_ignore_ascii_case("identity") => Ok(None),
                name => Self::named(name).map(Some).ok_or(UNKNOWN),
            },
            (Some(_), Some(_)) => Err(UNKNOWN),
        }
    }

    /// The text behind a request's body, if it is no longer than this.
    pub(crate) async fn decode(self, body: Bytes, bytes_max: usize) -> Result<Bytes, Failure> {
        let decoded = tokio::task::spawn_blocking(move || self.read(&body, bytes_max));
        decoded.await.unwrap_or(Err(UNREADABLE))
    }

    fn read(self, body: &[u8], bytes_max: usize) -> Result<Bytes, Failure> {
        let mut all = Vec::new();
        let most = bytes_max as u64 + 1;
        match self {
            Self::Gzip => flate2::read::MultiGzDecoder::new(body)
                .take(most)
                .read_to_end(&mut all),
            Self::Brotli => brotli::Decompressor::new(body, BUFFER_BYTES)
                .take(most)
                .read_to_end(&mut all),
            Self::Zstd => zstd::stream::read::Decoder::with_buffer(body).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_BITS_MAX)?;
                decoder.take(most).read_to_end(&mut all)
            }),
        }
        .map_err(|_| UNREADABLE)?;
        match all.len() > bytes_max {
            true => Err(TOO_LARGE),
            false => Ok(all.into()),
        }
    }

    fn write(self, text: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd_at_once(text),
            Self::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::with_capacity(text.len() / 4), level);
                encoder.write_all(text)?;
                encoder.finish()
            }
            Self::Brotli => {
                let out = Vec::with_capacity(text.len() / 4);
                let mut encoder = brotli::CompressorWriter::new(
                    out,
                    BUFFER_BYTES,
                    BROTLI_LEVEL,
                    BROTLI_WINDOW_BITS,
                );
                encoder.write_all(text)?;
                Ok(encoder.into_inner())
            }
        }
    }
}

/// With a context for each thread: making one costs more than compressing a small body.
fn zstd_at_once(text: &[u8]) -> std::io::Result<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|slot| match slot {
        Some(compressor) => compressor.compress(text),
        None => slot
            .insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?)
            .compress(text),
    })
}

/// A quality value in thousandths (RFC 9110, 12.4.2); one that cannot be read is none.
fn weight(parameters: &str) -> u16 {
    let mut pairs = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='));
    let Some((_, value)) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("q")) else {
        return 1000;
    };
    let value: f32 = value.trim().parse().unwrap_or(0.0);
    (value.clamp(0.0, 1.0) * 1000.0) as u16
}

/// The answer in a coding, where that is worth it. Caches hear that it depends on the request.
pub(crate) async fn encode(wanted: Option<Coding>, mut response: Response) -> Response {
    let streamed = is_streamed(&response);
    let varies =
        response.status() == StatusCode::NOT_MODIFIED || streamed || is_worth_it(&response);
    if !varies {
        return response;
    }
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    match wanted {
        Some(coding) if streamed => piecewise(coding, response),
        Some(coding) if response.status() != StatusCode::NOT_MODIFIED => {
            encoded(coding, response).await
        }
        Some(_) | None => response,
    }
}

fn piecewise(coding: Coding, response: Response) -> Response {
    // Without memory for an encoder it goes as it is.
    let Ok(encoder) = stream::Encoder::new(coding) else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    is_now(coding, &mut parts.headers);
    Response::from_parts(parts, encoder.over(body))
}

fn is_now(coding: Coding, headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
    let name = HeaderValue::from_static(coding.name());
    headers.insert(header::CONTENT_ENCODING, name);
    weaken(headers);
}

/// Other bytes under the same name are the same only in a weak sense (RFC 9110, 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let tag = headers.get(header::ETAG).map(HeaderValue::as_bytes);
    let Some(strong) = tag.filter(|tag| tag.starts_with(b"\"")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", strong].concat()) {
        headers.insert(header::ETAG, weak);
    }
}

async fn encoded(coding: Coding, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let text = match body.collect().await {
        Ok(body) => body.to_bytes(),
        // Let the connection break as it would have.
        Err(error) => {
            let broken = futures_util::stream::once(async { Err::<Bytes, _>(error) });
            return Response::from_parts(parts, Body::from_stream(broken));
        }
    };
    let written = if text.len() > ASIDE_BYTES {
        let text = text.clone();
        let aside = tokio::task::spawn_blocking(move || coding.write(&text));
        aside.await.ok().and_then(Result::ok)
    } else {
        coding.write(&text).ok()
    };
    let Some(body) = written.filter(|written| written.len() < text.len()) else {
        return Response::from_parts(parts, text.into());
    };
    is_now(coding, &mut parts.headers);
    Response::from_parts(parts, body.into())
}

/// Files of resources, one a line, which can be of any length.
fn is_streamed(response: &Response) -> bool {
    let lines = response.headers().get(header::CONTENT_TYPE);
    lines.is_some_and(|ty| ty == NDJSON)
}

/// Whole bodies of text, in no coding yet, that are neither tiny nor huge. What must not be
/// stored holds a secret: its length must not depend on what stands beside it.
fn is_worth_it(response: &Response) -> bool {
    let size = axum::body::HttpBody::size_hint(response.body()).exact();
    if !size.is_some_and(|size| (BYTES_MIN..=BYTES_MAX).contains(&size)) {
        return false;
    }
    let headers = response.headers();
    let ty = headers
        .get(header::CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let is_text =
        ty.starts_with(b"text/") || has(ty, b"json") || has(ty, b"xml") || has(ty, b"metrics");
    is_text
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && headers
            .get(header::CACHE_CONTROL)
            .is_none_or(|value| value != "no-store")
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wants(accepted: &str, coding: Option<Coding>) {
        let value = HeaderValue::try_from(accepted).unwrap();
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
        assert_eq!(Coding::wanted(&headers), coding, "{accepted}");
    }

    #[test]
    fn the_client_chooses_and_then_the_cost() {
        assert_eq!(Coding::wanted(&HeaderMap::new()), None);
        wants("gzip, deflate, br, zstd", Some(Coding::Zstd));
        wants("gzip, deflate, br", Some(Coding::Brotli));
        wants("GZIP", Some(Coding::Gzip));
        wants("zstd;q=0.2, gzip;q=0.9, br;q=0.5", Some(Coding::Gzip));
        wants("zstd;q=0, *", Some(Coding::Brotli));
        wants("*;q=0.5", Some(Coding::Zstd));
        wants("identity, gzip;q=0.5", None);
        wants("gzip;q=0", None);
        wants("gzip;q=x", None);
        wants("identity", None);
        wants("", None);
        wants("deflate, ;;=, q=1", None);
    }

    #[test]
    fn what_is_written_is_read_again_within_the_limit() {
        let text = "{\"resourceType\":\"Patient\"}".repeat(1000);
        for coding in CODINGS {
            let written = coding.write(text.as_bytes()).unwrap();
            assert!(
                written.len() < text.len() / 20,
                "{coding:?} {}",
                written.len()
            );
            assert_eq!(coding.read(&written, text.len()).unwrap(), text);
            let short = coding.read(&written, text.len() - 1).unwrap_err();
            assert!(matches!(
                short,
                Failure::Http(StatusCode::PAYLOAD_TOO_LARGE, _)
            ));
            for bad in [&written[..written.len() / 2], b"{}", b""] {
                let unreadable = coding.read(bad, 1 << 20);
                assert!(unreadable.is_err() || bad.is_empty(), "{coding:?} {bad:?}");
            }
        }
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let zeros = vec![b' '; 32 << 20];
        for coding in CODINGS {
            let written = coding.write(&zeros).unwrap();
            let refused = coding.read(&written, 4096).unwrap_err();
            assert!(matches!(
                refused,
                Failure::Http(StatusCode::PAYLOAD_TOO_LARGE, _)
            ));
        }
    }
}
