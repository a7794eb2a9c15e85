//! Submission of mail: <https://www.rfc-editor.org/rfc/rfc6409>, in the words of RFC 5321, with TLS
//! (RFC 3207, RFC 8314) and `AUTH PLAIN` (RFC 4954).
//!
//! One connection a mail. Answers are bounded in length and time, and no reason given tells
//! what a server has said: that may have the address in it.

use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use salus_service::mail::{Outgoing, Post, Unsent};
use salus_service::{Email, Secret};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Security;
use super::message::Message;

/// How long a server may take to be connected, and for each answer (RFC 5321, 4.5.3.2, where
/// humans do not wait: half of it).
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(150);
/// The longest line of an answer that is read, and how many of them.
const LINE_MAX: u64 = 2000;
const LINES_MAX: usize = 100;

const UNREACHABLE: Unsent = Unsent::Unreachable("the mail server cannot be reached");
const BROKEN: Unsent = Unsent::Unreachable("the mail server ended the connection");
const UNSAFE: Unsent = Unsent::Unreachable("the mail server offers no TLS that can be trusted");
const LOGIN: Unsent = Unsent::Unreachable("the mail server does not take name and password");
const NOT_NOW: Unsent = Unsent::ForNow("the mail server does not take this mail just now");
const NEVER: Unsent = Unsent::ForGood("the mail server refuses this mail");

/// A server that takes mail.
pub(super) struct Smtp {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) login: Option<Login>,
    pub(super) from: Email,
}

/// A name and password, as `AUTH PLAIN` sends them (RFC 4616).
pub(super) struct Login(Secret);

impl Login {
    pub(super) fn new(user: &str, password: String) -> Self {
        let password = Secret::new(password);
        let plain = Secret::new(format!("\0{user}\0{}", password.expose()));
        let coded = Base64::encode_string(plain.expose().as_bytes());
        Self(Secret::new(coded))
    }
}

impl Post for Smtp {
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Unsent>> {
        Box::pin(self.deliver(mail))
    }
}

impl Smtp {
    async fn deliver(&self, mail: &Outgoing) -> Result<(), Unsent> {
        let connect = TcpStream::connect((&*self.host, self.port));
        let stream = timeout(CONNECT_MAX, connect).await;
        let stream = stream.ok().and_then(Result::ok).ok_or(UNREACHABLE)?;
        match self.security {
            Security::None => self.talk(Talk::new(stream), mail, true).await,
            Security::Tls => {
                let stream = self.secured(stream).await?;
                self.talk(Talk::new(stream), mail, true).await
            }
            Security::StartTls => {
                let mut talk = Talk::new(stream);
                talk.expect(220).await?;
                if !talk.hello().await?.has("STARTTLS") {
                    return Err(UNSAFE);
                }
                talk.say("STARTTLS").await?;
                talk.expect(220).await?;
                // What came before TLS and was not read yet is nobody's word.
                let stream = talk.into_quiet().ok_or(UNSAFE)?;
                let stream = self.secured(stream).await?;
                self.talk(Talk::new(stream), mail, false).await
            }
        }
    }

    async fn secured(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Unsent> {
        let name = ServerName::try_from(self.host.clone()).map_err(|_| UNSAFE)?;
        let tls = self.tls.as_ref().ok_or(UNSAFE)?;
        let connect = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        let connected = timeout(CONNECT_MAX, connect).await;
        connected.map_err(|_| UNREACHABLE)?.map_err(|_| UNSAFE)
    }

    /// From the greeting to the end. A mail is sent when its last dot was answered; how the
    /// server then says good-bye does not matter.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut talk: Talk<S>,
        mail: &Outgoing,
        greeted: bool,
    ) -> Result<(), Unsent> {
        if greeted {
            talk.expect(220).await?;
        }
        let offers = talk.hello().await?;
        if let Some(login) = &self.login {
            talk.say(&format!("AUTH PLAIN {}", login.0.expose()))
                .await?;
            talk.expect(235).await.map_err(|_| LOGIN)?;
        }
        let message = Message::of(mail, &self.from);
        let more = match message.is_international() {
            true if !offers.has("SMTPUTF8") => return Err(NEVER),
            true => " SMTPUTF8",
            false => "",
        };
        talk.say(&format!("MAIL FROM:<{}>{more}", message.from.expose()))
            .await?;
        talk.expect(250).await?;
        talk.say(&format!("RCPT TO:<{}>", mail.to.expose())).await?;
        talk.expect(250).await?;
        talk.say("DATA").await?;
        talk.expect(354).await?;
        talk.say(&format!("{}.", message.text())).await?;
        talk.expect(250).await?;
        let _ = talk.say("QUIT").await;
        Ok(())
    }
}

/// A connection, line by line.
struct Talk<S>(BufReader<S>);

/// What a server says that it can do.
struct Offers(Vec<String>);

impl Offers {
    fn has(&self, name: &str) -> bool {
        let mut words = self.0.iter().filter_map(|line| line.split(' ').next());
        words.any(|word| word.eq_ignore_ascii_case(name))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    async fn say(&mut self, text: &str) -> Result<(), Unsent> {
        let line = Secret::new(format!("{text}\r\n"));
        let work = async {
            self.0.write_all(line.expose().as_bytes()).await?;
            self.0.flush().await
        };
        let said = timeout(ANSWER_MAX, work).await;
        said.map_err(|_| BROKEN)?.map_err(|_| BROKEN)
    }

    async fn hello(&mut self) -> Result<Offers, Unsent> {
        // An address literal names nobody's machine (RFC 5321, 4.1.3).
        self.say("EHLO [127.0.0.1]").await?;
        self.expect(250).await.map(Offers)
    }

    /// Reads an answer, which should have this code: the texts of its lines.
    async fn expect(&mut self, code: u16) -> Result<Vec<String>, Unsent> {
        let (mut lines, mut got) = (Vec::new(), 0);
        loop {
            let line = timeout(ANSWER_MAX, self.line())
                .await
                .map_err(|_| BROKEN)??;
            let (number, rest) = line.split_at_checked(3).ok_or(BROKEN)?;
            got = match (number.parse::<u16>(), got) {
                (Ok(number), 0) => number,
                (Ok(number), before) if number == before => number,
                _ => return Err(BROKEN),
            };
            let last = !rest.starts_with('-');
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if last {
                break;
            }
            if lines.len() >= LINES_MAX {
                return Err(BROKEN);
            }
        }
        match got {
            got if got == code => Ok(lines),
            // The service ends: not about this mail (RFC 5321, 3.8).
            421 => Err(BROKEN),
            // A name and password are asked for, or are wrong: not about this mail (RFC 4954, 6).
            454 | 530 | 534 | 535 | 538 => Err(LOGIN),
            400..=499 => Err(NOT_NOW),
            500..=599 => Err(NEVER),
            _ => Err(BROKEN),
        }
    }

    async fn line(&mut self) -> Result<String, Unsent> {
        let mut line = Vec::new();
        let mut limited = (&mut self.0).take(LINE_MAX);
        let read = limited.read_until(b'\n', &mut line).await;
        read.map_err(|_| BROKEN)?;
        if line.pop() != Some(b'\n') {
            return Err(BROKEN);
        }
        let line = String::from_utf8_lossy(&line);
        Ok(line.trim_end_matches('\r').to_owned())
    }

    /// The connection, if nothing waits to be read.
    fn into_quiet(self) -> Option<S> {
        self.0.buffer().is_empty().then(|| self.0.into_inner())
    }
}

#[cfg(test)]
mod tests;
