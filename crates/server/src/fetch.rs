//! Fetches files of other servers for imports, over the connections of `connect.rs`.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use salus_service::jobs::{Fetch, Fetched, Fetching, Location, Origin, Unfetched};
use tokio::time::timeout;

use crate::connect::{self, Connection, Connector, Unreached};

/// How long a server may take to begin its answer, and for each piece of it.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const PIECE_MAX: Duration = Duration::from_secs(60);
/// Compressed bytes that are inflated at a time: no more than four MiB come of them.
const INFLATED: usize = 4 << 10;
/// How a gzip file begins (RFC 1952); no line of JSON does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The network, as imports may use it.
pub(crate) struct Web(Connector);

impl Web {
    /// For these origins, trusting the authorities in a file or the machine's.
    pub(crate) fn new(origins: &[Origin], roots: Option<&Path>) -> Result<Self, connect::Error> {
        Connector::new(origins, roots).map(Self)
    }

    async fn ask(&self, location: &Location) -> Fetching<Answer> {
        let request = Request::get(&location.target)
            .header(
                header::ACCEPT,
                "application/fhir+ndjson, application/ndjson;q=0.9, */*;q=0.1",
            )
            .header(header::ACCEPT_ENCODING, "gzip")
            .body(Full::<Bytes>::default())
            .map_err(|_| Unfetched::for_good("its URL cannot be asked for"))?;
        let sent = self.0.send(&location.origin, request, ANSWER_MAX).await;
        let (response, connection) = sent.map_err(unfetched)?;
        Answer::of(response, connection)
    }
}

fn unfetched(why: Unreached) -> Unfetched {
    match why {
        Unreached::Untrusted => Unfetched::for_good(why.reason()),
        Unreached::Down | Unreached::Silent | Unreached::Broken => Unfetched::for_now(why.reason()),
    }
}

impl Fetch for Web {
    fn fetch<'a>(&'a self, location: &'a Location) -> BoxFuture<'a, Fetching<Box<dyn Fetched>>> {
        Box::pin(async move {
            let answer = self.ask(location).await?;
            Ok(Box::new(answer) as Box<dyn Fetched>)
        })
    }
}

/// How a file is coded.
enum Coding {
    /// Its first bytes will tell.
    Unknown,
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

/// A file that is coming.
struct Answer {
    body: Incoming,
    version: Option<String>,
    coding: Coding,
    /// What has come and was not yet given on.
    pending: Bytes,
    _connection: Connection,
}

impl Answer {
    fn of(response: Response<Incoming>, connection: Connection) -> Fetching<Self> {
        check_status(response.status())?;
        let (head, body) = response.into_parts();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let coding = match text(header::CONTENT_ENCODING).map(str::trim) {
            None | Some("" | "identity") => Coding::Unknown,
            Some("gzip" | "x-gzip") => Coding::gzip(),
            Some(_) => return Err(Unfetched::for_good("its coding is not gzip")),
        };
        let version = text(header::ETAG).or_else(|| text(header::LAST_MODIFIED));
        Ok(Self {
            version: version.map(str::to_owned),
            body,
            coding,
            pending: Bytes::new(),
            _connection: connection,
        })
    }

    /// The next bytes as they come; none behind the last.
    async fn frame(&mut self) -> Fetching<Bytes> {
        loop {
            let frame = timeout(PIECE_MAX, self.body.frame()).await;
            let slow = |_| Unfetched::for_now("its server has stopped sending");
            let Some(frame) = frame.map_err(slow)? else {
                return Ok(Bytes::new());
            };
            let broken = |_| Unfetched::for_now("the connection broke off before its end");
            match frame.map_err(broken)?.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(bytes),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Looks at the first bytes.
    async fn recognize(&mut self) -> Fetching<()> {
        while self.pending.len() < GZIP.len() {
            let more = self.frame().await?;
            if more.is_empty() {
                break;
            }
            self.pending = [&*self.pending, &*more].concat().into();
        }
        self.coding = match self.pending.starts_with(&GZIP) {
            true => Coding::gzip(),
            false => Coding::Plain,
        };
        Ok(())
    }

    async fn next_bytes(&mut self) -> Fetching<Bytes> {
        if matches!(self.coding, Coding::Unknown) {
            self.recognize().await?;
        }
        loop {
            let last = self.pending.is_empty();
            if last {
                self.pending = self.frame().await?;
            }
            let last = last && self.pending.is_empty();
            let inflated = match &mut self.coding {
                Coding::Unknown | Coding::Plain => return Ok(std::mem::take(&mut self.pending)),
                Coding::Gzip(decoder) => {
                    let part = self.pending.split_to(INFLATED.min(self.pending.len()));
                    inflate(decoder, &part)?
                }
            };
            if last || !inflated.is_empty() {
                return Ok(inflated.into());
            }
        }
    }
}

impl Coding {
    fn gzip() -> Self {
        Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
    }
}

/// What comes of some bytes; behind the last, none.
fn inflate(decoder: &mut MultiGzDecoder<Vec<u8>>, part: &[u8]) -> Fetching<Vec<u8>> {
    let done = match part.is_empty() {
        true => decoder.try_finish(),
        false => decoder.write_all(part).and_then(|()| decoder.flush()),
    };
    done.map_err(|error| match error.kind() == ErrorKind::UnexpectedEof {
        true => Unfetched::for_now("the connection broke off before its end"),
        false => Unfetched::for_good("it cannot be inflated as gzip"),
    })?;
    Ok(std::mem::take(decoder.get_mut()))
}

impl Fetched for Answer {
    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    fn next(&mut self) -> BoxFuture<'_, Fetching<Bytes>> {
        Box::pin(self.next_bytes())
    }
}

fn check_status(status: StatusCode) -> Fetching<()> {
    let answered = format!("its server answered {}", status.as_u16());
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(Unfetched::for_now(answered))
        }
        status if status.is_server_error() => Err(Unfetched::for_now(answered)),
        status if status.is_redirection() => Err(Unfetched::for_good(format!(
            "{answered}; redirects are not followed"
        ))),
        _ => Err(Unfetched::for_good(answered)),
    }
}
