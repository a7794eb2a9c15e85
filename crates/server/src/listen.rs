//! Listeners: accept, bound, time out, and finish what is under way at the end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use salus_api::Peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long a client may take for the head of a request, or for TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way get to finish at the end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the system has no descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A timer that runs always. Each request sets one for [`HEAD_TIMEOUT`]; were
/// that the next to end, setting it would wake the thread that waits for the network.
const PULSE: Duration = Duration::from_secs(1);

/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Requests under way at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 100;
/// Connections open at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 4096;

/// Answers connections from the network until `stop` says true.
pub(crate) async fn network(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let open = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut pulse = tokio::time::interval(PULSE);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = pulse.tick() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((stream, address, place)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Answers are small and complete: never wait to fill a packet.
        let _ = stream.set_nodelay(true);
        let (router, watcher, tls) = (router.clone(), open.watcher(), tls.clone());
        tokio::spawn(async move {
            let _place = place;
            let peer = Peer::Network(address);
            match tls {
                None => connection(stream, peer, router, watcher).await,
                Some(tls) => {
                    let handshake = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = handshake {
                        connection(stream, peer, router, watcher).await;
                    }
                }
            }
        });
    }
    // New clients are refused at once, instead of waiting in the system's queue.
    drop(listener);
    finish(open).await;
}

/// The next connection, when there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    let (stream, address) = listener.accept().await.ok()?;
    Some((stream, address, place))
}

/// Answers the operator's connections to the data folder's own socket.
pub(crate) async fn operator(
    listener: UnixListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (router, watcher) = (router.clone(), open.watcher());
        tokio::spawn(async move { connection(stream, Peer::Operator, router, watcher).await });
    }
    // New clients are refused at once, instead of waiting in the system's queue.
    drop(listener);
    finish(open).await;
}

async fn finish(open: GracefulShutdown) {
    if tokio::time::timeout(FINISH_TIMEOUT, open.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time");
    }
}

async fn connection<S>(
    stream: S,
    peer: Peer,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let service = router.map_request(move |mut request: http::Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
        request
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX);
    let connection =
        server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(watcher.watch(connection.into_owned()));
    // Who says nothing, or only the half of HTTP/2's greeting, is under no limit of hyper's.
    let early = tokio::time::timeout(HEAD_TIMEOUT, &mut connection).await;
    if early.is_err() && asked.load(Ordering::Relaxed) {
        // A peer that goes away is its own affair.
        let _ = connection.await;
    }
}
