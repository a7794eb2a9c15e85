//! Asks providers of OpenID Connect for what they say in JSON, over the connections of
//! `connect.rs`: short answers, in a short time.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use salus_service::federation::{Ask, Asking, Question, Unanswered};
use salus_service::jobs::Origin;
use tokio::time::timeout;

use crate::connect::{self, Connector, Cut};

/// How long a provider may take to begin its answer, and for all of it.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const BODY_MAX: Duration = Duration::from_secs(10);
/// The longest answer; keys and tokens are a few KiB.
const BYTES_MAX: usize = 256 << 10;

/// The network, as signing in by providers may use it.
pub(crate) struct Providers(Connector);

impl Providers {
    /// For these origins, trusting the authorities in a file or the machine's.
    pub(crate) fn new(origins: &[Origin], roots: Option<&Path>) -> Result<Self, connect::Error> {
        Connector::new(origins, roots).map(Self)
    }

    async fn answer(&self, question: Question<'_>) -> Asking<Bytes> {
        let (location, form) = (question.location, question.form);
        let mut request = Request::builder()
            .uri(&location.target)
            .header(header::ACCEPT, "application/json");
        let body = match form {
            None => Bytes::new(),
            Some(form) => {
                let ty = "application/x-www-form-urlencoded";
                request = request
                    .method(Method::POST)
                    .header(header::CONTENT_TYPE, ty);
                Bytes::copy_from_slice(form.expose().as_bytes())
            }
        };
        if let Some(credentials) = question.authorization {
            request = request.header(header::AUTHORIZATION, credentials.expose());
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|_| Unanswered::new("its URL cannot be asked for"))?;
        let sent = self.0.send(&location.origin, request, ANSWER_MAX).await;
        let (response, _connection) = sent.map_err(|why| Unanswered::new(why.reason()))?;
        let status = response.status();
        if status != StatusCode::OK {
            let reason = format!("its server answered {}", status.as_u16());
            return Err(Unanswered::new(reason));
        }
        let whole = timeout(BODY_MAX, connect::whole(response.into_body(), BYTES_MAX)).await;
        let whole = whole.map_err(|_| Unanswered::new("its server has stopped sending"))?;
        whole.map_err(|cut| {
            Unanswered::new(match cut {
                Cut::Broken => "the connection broke off before its end",
                Cut::TooLong => "its answer is longer than 256 KiB",
            })
        })
    }
}

impl Ask for Providers {
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Asking<Bytes>> {
        Box::pin(self.answer(question))
    }
}
