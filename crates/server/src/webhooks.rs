//! Sends messages to webhooks over the connections of `connect.rs`: short ones, in a short time.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, Request, header};
use http_body_util::Full;
use salus_service::alerts::{Hooks, Message, Untold};
use salus_service::jobs::Origin;

use crate::connect::{self, Connector};

/// How long another server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The network, as alerts may use it.
pub(crate) struct Webhooks(Connector);

impl Webhooks {
    /// For these origins, trusting the authorities in a file or the machine's.
    pub(crate) fn new(origins: &[Origin], roots: Option<&Path>) -> Result<Self, connect::Error> {
        Connector::new(origins, roots).map(Self)
    }

    async fn post(&self, message: Message) -> Result<(), Untold> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&message.location.target)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(message.body));
        let request = request.map_err(|_| Untold::new("its URL cannot be asked for"))?;
        let sent = self.0.send(&message.location.origin, request, ANSWER_MAX);
        let (response, _connection) = sent.await.map_err(|why| Untold::new(why.reason()))?;
        let status = response.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(Untold::new(format!(
                "its server answered {}",
                status.as_u16()
            ))),
        }
    }
}

impl Hooks for Webhooks {
    fn send(&self, message: Message) -> BoxFuture<'_, Result<(), Untold>> {
        Box::pin(self.post(message))
    }
}
