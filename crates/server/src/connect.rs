//! Connections to other servers, over HTTP/1.1, with TLS from the machine's authorities or
//! given ones.
//!
//! One connection a request, to the host that an allowed origin names, and to no other:
//! redirects are not followed, and no proxy is asked. Nothing here says more of a URL than what
//! was the matter.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use salus_service::jobs::Origin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a server may take to be connected.
const CONNECT_MAX: Duration = Duration::from_secs(10);

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
    #[error(
        "this machine has no list of authorities; give --import-roots, --provider-roots or \
         --mail-roots"
    )]
    NoRoots,
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why the body of an answer is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The connection broke off before its end.
    Broken,
    /// It is longer than it may be.
    TooLong,
}

/// The whole body of a short answer.
pub(crate) async fn whole(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Cut> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Cut::Broken)?.into_data() {
            if all.len() + data.len() > bytes_max {
                return Err(Cut::TooLong);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(all.freeze())
}

/// Why a server gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// Nobody is there.
    Down,
    /// Somebody else may be.
    Untrusted,
    /// It did not begin to answer in time.
    Silent,
    /// It has ended the connection.
    Broken,
}

impl Unreached {
    /// The reason, about "it".
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Down => "its server cannot be reached",
            Self::Untrusted => {
                "its server cannot be trusted: TLS was not agreed, or no authority that is known \
                 here has signed its certificate"
            }
            Self::Silent => "its server does not answer",
            Self::Broken => "its server has ended the connection",
        }
    }
}

/// Connects with servers at some origins.
pub(crate) struct Connector {
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// For these origins, trusting the authorities in a file or the machine's.
    pub(crate) fn new(origins: &[Origin], roots: Option<&Path>) -> Result<Self, Error> {
        let secure = origins.iter().any(Origin::is_secure);
        let tls = secure.then(|| trusting(roots)).transpose()?;
        Ok(Self { tls })
    }

    /// Sends a request to an origin, for an answer that begins in time. The connection ends with
    /// the guard that comes with it.
    pub(crate) async fn send(
        &self,
        origin: &Origin,
        mut request: Request<Full<Bytes>>,
        answer_max: Duration,
    ) -> Result<(Response<Incoming>, Connection), Unreached> {
        let headers = request.headers_mut();
        let host = HeaderValue::try_from(origin.authority()).map_err(|_| Unreached::Down)?;
        headers.insert(header::HOST, host);
        let agent = HeaderValue::from_static(concat!("salus/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, agent);
        let connect = TcpStream::connect((origin.host(), origin.port()));
        let stream = timeout(CONNECT_MAX, connect).await;
        let stream = stream.ok().and_then(Result::ok).ok_or(Unreached::Down)?;
        if !origin.is_secure() {
            return exchange(stream, request, answer_max).await;
        }
        let name = ServerName::try_from(origin.host().to_owned());
        let name = name.map_err(|_| Unreached::Untrusted)?;
        let tls = self.tls.as_ref().ok_or(Unreached::Untrusted)?;
        let connect = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        match timeout(CONNECT_MAX, connect).await {
            Ok(Ok(stream)) => exchange(stream, request, answer_max).await,
            Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => Err(Unreached::Untrusted),
            Ok(Err(_)) | Err(_) => Err(Unreached::Down),
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

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    answer_max: Duration,
) -> Result<(Response<Incoming>, Connection), Unreached> {
    let broken = |_| Unreached::Broken;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = Connection(tokio::spawn(async move {
        // Whoever reads the answer learns that it broke.
        let _ = connection.await;
    }));
    let response = timeout(answer_max, sender.send_request(request)).await;
    let response = response.map_err(|_| Unreached::Silent)?.map_err(broken)?;
    Ok((response, connection))
}

/// A connection that ends with whoever reads from it.
pub(crate) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
