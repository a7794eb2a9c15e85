//! Fetches files of other servers for imports, over HTTP/1.1, with TLS from
//! the machine's authorities or given ones.
//!
//! One connection a file, to the host that an allowed origin names, and to no
//! other: redirects are not followed, and no proxy is asked. Nothing here says
//! more of a URL than what was the matter.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use salus_service::jobs::{Fetch, Fetched, Fetching, Location, Origin, Unfetched};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a server may take to be connected, to begin its answer, and for each piece of it.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(60);
const PIECE_MAX: Duration = Duration::from_secs(60);
/// Compressed bytes that are inflated at a time: no more than four MiB come of them.
const INFLATED: usize = 4 << 10;
/// How a gzip file begins (RFC 1952); no line of JSON does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Where systems keep the certificates of authorities.
const ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// Authorities that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read the authorities in {0}: {1}")]
    Unreadable(PathBuf, rustls::pki_types::pem::Error),
    #[error("{0} holds no certificate of an authority")]
    Empty(PathBuf),
    #[error("this machine has no list of authorities; give --import-roots or --mail-roots")]
    NoRoots,
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// The network, as imports may use it.
pub(crate) struct Web {
    tls: Option<Arc<ClientConfig>>,
}

impl Web {
    /// For these origins, trusting the authorities in a file or the machine's.
    pub(crate) fn new(origins: &[Origin], roots: Option<&Path>) -> Result<Self, Error> {
        if !origins.iter().any(Origin::is_secure) {
            return Ok(Self { tls: None });
        }
        let tls = Some(trusting(roots)?);
        Ok(Self { tls })
    }

    async fn ask(&self, location: &Location) -> Fetching<Answer> {
        let origin = &location.origin;
        let connect = TcpStream::connect((origin.host(), origin.port()));
        let stream = timeout(CONNECT_MAX, connect).await;
        let stream = stream.ok().and_then(Result::ok);
        let stream = stream.ok_or_else(|| Unfetched::for_now("its server cannot be reached"))?;
        if !origin.is_secure() {
            return request(stream, location).await;
        }
        let refused = || {
            let reason = "its server cannot be trusted: TLS was not agreed, or no authority that \
                          is known here has signed its certificate";
            Unfetched::for_good(reason)
        };
        let name = ServerName::try_from(origin.host().to_owned()).map_err(|_| refused())?;
        let tls = self.tls.as_ref().ok_or_else(refused)?;
        let connect = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        match timeout(CONNECT_MAX, connect).await {
            Ok(Ok(stream)) => request(stream, location).await,
            Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => Err(refused()),
            Ok(Err(_)) | Err(_) => Err(Unfetched::for_now("its server cannot be reached")),
        }
    }
}

/// TLS to servers that the authorities in a file vouch for, or the machine's.
pub(crate) fn trusting(roots: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let usual = || ROOTS.map(Path::new).into_iter().find(|path| path.exists());
    let path = roots.or_else(usual).ok_or(Error::NoRoots)?;
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let added = store.add(certificate.map_err(unreadable)?);
        // A machine's list may have some that are too old to be read.
        added.or_else(|error| roots.map_or(Ok(()), |_| Err(error)))?;
    }
    if store.is_empty() {
        return Err(Error::Empty(path.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Fetch for Web {
    fn fetch<'a>(&'a self, location: &'a Location) -> BoxFuture<'a, Fetching<Box<dyn Fetched>>> {
        Box::pin(async move {
            let answer = self.ask(location).await?;
            Ok(Box::new(answer) as Box<dyn Fetched>)
        })
    }
}

async fn request(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    location: &Location,
) -> Fetching<Answer> {
    let broken = |_| Unfetched::for_now("its server has ended the connection");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = Connection(tokio::spawn(async move {
        // Whoever reads the answer learns that it broke.
        let _ = connection.await;
    }));
    let request = Request::get(&location.target)
        .header(header::HOST, location.origin.authority())
        .header(
            header::ACCEPT,
            "application/fhir+ndjson, application/ndjson;q=0.9, */*;q=0.1",
        )
        .header(header::ACCEPT_ENCODING, "gzip")
        .header(
            header::USER_AGENT,
            concat!("salus/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())
        .map_err(|_| Unfetched::for_good("its URL cannot be asked for"))?;
    let response = timeout(ANSWER_MAX, sender.send_request(request)).await;
    let slow = |_| Unfetched::for_now("its server does not answer");
    Answer::of(response.map_err(slow)?.map_err(broken)?, connection)
}

/// A connection that ends with whoever reads from it.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
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
