//! HTTP for archives in S3: connections that are kept, over TLS from the machine's authorities or
//! given ones. Redirects are not followed, and no proxy is asked.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use http_body_util::BodyExt;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use salus_archive::s3::http::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpRequestBody, HttpResponse, HttpResponseBody, HttpService, async_trait,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::connect;

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Until an answer begins: what is sent may be some MiB over a slow line.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Makes clients for buckets.
#[derive(Clone)]
pub(super) struct Connector(Client<Dial, HttpRequestBody>);

impl Connector {
    /// Trusts the authorities in a file, or the machine's.
    pub(super) fn new(roots: Option<&Path>, plain_only: bool) -> Result<Self, connect::Error> {
        let tls = (!plain_only)
            .then(|| connect::trusting(roots))
            .transpose()?;
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE_MAX);
        builder.pool_timer(hyper_util::rt::TokioTimer::new());
        Ok(Self(builder.build(Dial(tls))))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> salus_archive::s3::http::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = timeout(ANSWER_MAX, self.0.request(request)).await;
        let answer = answer.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?;
        let answer = answer.map_err(|error| {
            let kind = match error.is_connect() {
                true => HttpErrorKind::Connect,
                false => HttpErrorKind::Request,
            };
            HttpError::new(kind, error)
        })?;
        let (head, body) = answer.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

/// Opens connections.
#[derive(Clone)]
struct Dial(Option<Arc<ClientConfig>>);

impl Service<Uri> for Dial {
    type Response = Line;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, std::io::Result<Line>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.0.clone();
        Box::pin(async move {
            let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
            let dialled = timeout(CONNECT_MAX, dial(uri, tls)).await;
            dialled.map_err(|_| late())?
        })
    }
}

async fn dial(uri: Uri, tls: Option<Arc<ClientConfig>>) -> std::io::Result<Line> {
    let secure = uri.scheme_str() == Some("https");
    let no_host = || std::io::Error::other("the URL has no host");
    let host = uri.host().ok_or_else(no_host)?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    if !secure {
        return Ok(Line(TokioIo::new(Box::new(stream))));
    }
    let tls = tls.ok_or_else(|| std::io::Error::other("TLS is not set up"))?;
    let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
    let stream = TlsConnector::from(tls).connect(name, stream).await?;
    Ok(Line(TokioIo::new(Box::new(stream))))
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// A connection, with TLS or without.
struct Line(TokioIo<Box<dyn Both>>);

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
