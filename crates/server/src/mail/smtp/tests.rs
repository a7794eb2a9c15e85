//! What is sent to a server over TLS, and what is not sent without.

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;

/// How a server behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As it should.
    Good,
    /// It offers no TLS.
    Bare,
    /// It says more than it should before TLS begins.
    Hasty,
    /// It does not know the name and password.
    Strict,
    /// It never ends a line.
    Endless,
}

/// A server for one connection that keeps what it was told; TLS begins at once, or when asked for.
async fn server(security: Security, manner: Manner) -> (Smtp, JoinHandle<Vec<String>>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, made.cert.pem()).unwrap();
    let tls = crate::connect::trusting(Some(&roots)).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let work = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if security == Security::StartTls {
            let mut told = Vec::new();
            if !before_tls(&mut stream, manner, &mut told).await {
                return told;
            }
        }
        match acceptor.accept(stream).await {
            Ok(stream) => within_tls(stream, manner, security == Security::Tls).await,
            Err(_) => Vec::new(),
        }
    });
    let smtp = Smtp {
        host: "localhost".to_owned(),
        port,
        security,
        tls: Some(tls),
        login: Some(Login::new("user", "secret".to_owned())),
        from: Email::parse("salus@example.org").unwrap(),
    };
    (smtp, work)
}

/// Up to `STARTTLS`; whether it came.
async fn before_tls(stream: &mut TcpStream, manner: Manner, told: &mut Vec<String>) -> bool {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    if manner == Manner::Endless {
        let _ = write.write_all(&[b'2'; 5000]).await;
        return false;
    }
    write.write_all(b"220 ready\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        told.push(line.clone());
        let answer: &[u8] = match (&*line, manner) {
            ("STARTTLS", Manner::Hasty) => b"220 go\r\n250 all is well\r\n",
            ("STARTTLS", _) => b"220 go\r\n",
            (_, Manner::Bare) => b"250 nothing\r\n",
            _ => b"250-STARTTLS\r\n250 SIZE\r\n",
        };
        write.write_all(answer).await.unwrap();
        if line == "STARTTLS" {
            return true;
        }
    }
    false
}

async fn within_tls(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    manner: Manner,
    greets: bool,
) -> Vec<String> {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    let (mut told, mut in_text) = (Vec::new(), false);
    if greets {
        write.write_all(b"220 ready\r\n").await.unwrap();
    }
    while let Ok(Some(line)) = lines.next_line().await {
        told.push(line.clone());
        in_text &= line != ".";
        if in_text {
            continue;
        }
        let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
            "AUTH" if manner == Manner::Strict => b"535 no\r\n",
            "AUTH" => b"235 yes\r\n",
            "DATA" => b"354 go on\r\n",
            _ => b"250 fine\r\n",
        };
        in_text = line == "DATA";
        if write.write_all(answer).await.is_err() {
            break;
        }
    }
    told
}

fn mail(to: &str) -> Outgoing {
    Outgoing {
        id: "7".into(),
        from: None,
        to: Email::parse(to).unwrap(),
        subject: "Hello".to_owned(),
        text: "Hello".to_owned(),
        html: None,
        made_ms: 0,
    }
}

#[tokio::test]
async fn a_mail_goes_over_tls_with_name_and_password() {
    for security in [Security::Tls, Security::StartTls] {
        let (smtp, server) = server(security, Manner::Good).await;
        smtp.send(&mail("ada@example.org")).await.unwrap();
        let told = server.await.unwrap();
        let expect = [
            "EHLO [127.0.0.1]",
            // RFC 4616, 2: NUL user NUL password.
            "AUTH PLAIN AHVzZXIAc2VjcmV0",
            "MAIL FROM:<salus@example.org>",
            "RCPT TO:<ada@example.org>",
            "DATA",
        ];
        assert_eq!(told[..5], expect);
        assert_eq!(told[told.len() - 2..], [".", "QUIT"]);
    }
}

#[track_caller]
fn check(got: Result<(), Unsent>, expect: Unsent) {
    assert_eq!(got, Err(expect));
}

#[tokio::test]
async fn nothing_is_sent_without_tls_that_can_be_trusted() {
    for manner in [Manner::Bare, Manner::Hasty] {
        let (smtp, server) = server(Security::StartTls, manner).await;
        check(smtp.send(&mail("ada@example.org")).await, UNSAFE);
        drop(smtp);
        let told = server.await.unwrap();
        assert!(
            !told.iter().any(|line| line.starts_with("AUTH")),
            "{told:?}"
        );
    }
    // Another authority than the one that is trusted.
    let (smtp, _server) = server(Security::Tls, Manner::Good).await;
    let (other, _other_server) = self::server(Security::Tls, Manner::Good).await;
    let smtp = Smtp {
        tls: other.tls,
        ..smtp
    };
    check(smtp.send(&mail("ada@example.org")).await, UNSAFE);
}

#[tokio::test]
async fn a_server_that_misbehaves_is_left_for_later() {
    let (smtp, _server) = server(Security::StartTls, Manner::Endless).await;
    check(smtp.send(&mail("ada@example.org")).await, BROKEN);
    let (smtp, _server) = server(Security::Tls, Manner::Strict).await;
    check(smtp.send(&mail("ada@example.org")).await, LOGIN);
    let (smtp, server) = server(Security::Tls, Manner::Good).await;
    server.abort();
    let _ = server.await;
    check(smtp.send(&mail("ada@example.org")).await, UNREACHABLE);
}

#[tokio::test]
async fn names_of_other_scripts_need_a_server_that_reads_them() {
    let (smtp, _server) = server(Security::Tls, Manner::Good).await;
    check(smtp.send(&mail("j\u{f6}rg@example.org")).await, NEVER);
}
