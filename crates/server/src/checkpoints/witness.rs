//! A witness: signs that it has seen a checkpoint, if the log only grew since the one before.
//! C2SP tlog-witness: <https://c2sp.org/tlog-witness>.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use salus_service::Service;
use salus_service::audit::log::Signed;
use salus_service::jobs::Origin;
use tokio::time::timeout;

use super::Publish;
use crate::connect::{self, Connector, Cut};

/// How long a witness may take to begin its answer, and for all of it.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The longest answer; a cosignature is some hundred bytes.
const BYTES_MAX: usize = 64 << 10;

/// A witness, and how far it has seen the log.
pub(crate) struct Witness {
    origin: Origin,
    target: String,
    connector: Connector,
    seen: u64,
    done: Option<u64>,
}

impl Witness {
    /// At an origin, below a prefix, trusting the authorities in a file or the machine's.
    pub(crate) fn new(
        origin: &Origin,
        prefix: &str,
        roots: Option<&Path>,
    ) -> Result<Self, connect::Error> {
        Ok(Self {
            connector: Connector::new(std::slice::from_ref(origin), roots)?,
            origin: origin.clone(),
            target: format!("{}/add-checkpoint", prefix.trim_end_matches('/')),
            seen: 0,
            done: None,
        })
    }

    async fn submit(&mut self, service: &Service, signed: &Signed) -> Result<(), String> {
        let size = signed.checkpoint.size;
        if self.done == Some(size) {
            return Ok(());
        }
        let mut answer = self.ask(service, signed).await?;
        if let Answer::HasSeen(seen) = answer {
            if seen > size {
                return Err(format!(
                    "the witness has seen {seen} entries, and there are {size}: the store was \
                     rolled back, or its log goes on elsewhere"
                ));
            }
            self.seen = seen;
            answer = self.ask(service, signed).await?;
        }
        let Answer::Cosigned(lines) = answer else {
            return Err("the witness does not say twice the same".into());
        };
        let added = service.add_cosignatures(size, &lines);
        added.map_err(|_| "its answer is no cosignature".to_owned())?;
        (self.seen, self.done) = (size, Some(size));
        Ok(())
    }

    async fn ask(&self, service: &Service, signed: &Signed) -> Result<Answer, String> {
        let size = signed.checkpoint.size;
        let proof = service.prove_growth(self.seen, size).await;
        let proof = proof.map_err(|_| "the growth of the log cannot be proved".to_owned())?;
        let mut body = format!("old {}\n", self.seen);
        for hash in proof {
            // Writing to a String cannot fail.
            let _ = writeln!(body, "{}", Base64::encode_string(&hash));
        }
        let _ = write!(body, "\n{}", signed.note);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.target)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| "its URL cannot be asked for".to_owned())?;
        let sent = self.connector.send(&self.origin, request, ANSWER_MAX).await;
        let (response, _connection) = sent.map_err(|why| why.reason().to_owned())?;
        let status = response.status();
        let whole = timeout(ANSWER_MAX, connect::whole(response.into_body(), BYTES_MAX)).await;
        let whole = whole.map_err(|_| "it has stopped sending".to_owned())?;
        let whole = whole.map_err(|cut| match cut {
            Cut::Broken => "the connection broke off".to_owned(),
            Cut::TooLong => "its answer is longer than 64 KiB".to_owned(),
        })?;
        let text = String::from_utf8(whole.into());
        let text = text.map_err(|_| "its answer is no text".to_owned())?;
        match status {
            StatusCode::OK => Ok(Answer::Cosigned(text)),
            StatusCode::CONFLICT => {
                let seen = text.trim_end().parse();
                seen.map(Answer::HasSeen)
                    .map_err(|_| "it does not say how much it has seen".to_owned())
            }
            status => Err(format!("it answered {}", status.as_u16())),
        }
    }
}

/// What a witness answers.
enum Answer {
    /// Lines of signatures.
    Cosigned(String),
    /// That it has seen the log of another size last.
    HasSeen(u64),
}

impl Publish for Witness {
    fn name(&self) -> String {
        self.origin.to_string()
    }

    fn publish<'a>(
        &'a mut self,
        service: &'a Service,
        signed: &'a Signed,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.submit(service, signed))
    }
}
