//! HTTP/2: in the clear by prior knowledge, and over TLS by ALPN (RFC 9113, 3).

use std::io::{Read, Write};
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::host::{project, shared};

type Sender = http2::SendRequest<Full<Bytes>>;

/// A connection that speaks HTTP/2 from its first byte.
pub(crate) async fn connect(address: SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Runs a scenario to its end.
pub(crate) fn run<T>(scenario: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(scenario)
}

#[test]
fn many_requests_share_a_connection_in_the_clear() {
    let project = project("http2-clear");
    let made = project.post("Patient", &serde_json::json!({"resourceType": "Patient"}));
    let url = format!(
        "http://{}{}/Patient/{}",
        project.server.address(),
        project.base(),
        made.expect(201).id()
    );
    run(async {
        let mut sender = connect(project.server.address()).await;
        let mut answers = Vec::new();
        // More than the server takes at once.
        for _ in 0..300 {
            let request = Request::get(&url)
                .header("Authorization", format!("Bearer {}", project.token))
                .body(Full::default());
            sender.ready().await.unwrap();
            answers.push(sender.send_request(request.unwrap()));
        }
        for answer in answers {
            let answer = answer.await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), answer.version()),
                (200, Version::HTTP_2)
            );
            assert!(answer.headers().contains_key("x-request-id"));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let resource: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(resource["resourceType"], "Patient");
        }
    });
}

#[test]
fn links_name_the_host_that_was_asked() {
    // Held until the end: whoever lets the shared server go last ends it.
    let server = shared();
    run(async {
        let mut sender = connect(server.address()).await;
        let request =
            Request::get("http://fhir.example.org:81/fhir/metadata").body(Full::default());
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let statement: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            statement["implementation"]["url"],
            "http://fhir.example.org:81/fhir"
        );
    });
}

#[test]
fn who_sends_no_request_is_let_go() {
    let server = shared();
    let waiting = [
        "",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /fhir",
    ]
    .map(|start| {
        let mut stream = server.connect();
        stream.write_all(start.as_bytes()).unwrap();
        (start, stream)
    });
    for (start, mut stream) in waiting {
        let mut rest = Vec::new();
        // The end of the connection, however it comes, is the point; a time-out would say WouldBlock.
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{start:?}"),
        }
    }
}
