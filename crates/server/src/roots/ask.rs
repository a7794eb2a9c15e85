//! One question to a key service over HTTP: short, in a short time, a little patient with one
//! that is busy.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::Full;
use salus_crypto::RootFault;
use salus_service::jobs::Origin;

use super::Error;
use crate::connect::{self, Connector, Cut, Unreached};

/// How long a service may take to begin its answer, and for all of it.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The longest answer; a wrapped key is less than a KiB.
const BYTES_MAX: usize = 64 << 10;
/// How often one that is busy is asked, and how long is waited before the second time.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_millis(200);

/// A key service.
pub(super) struct Service {
    origin: Origin,
    roots: Option<PathBuf>,
}

/// What it said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl Service {
    /// At this origin, over TLS unless it is on this machine.
    pub(super) fn new(origin: Origin, roots: Option<PathBuf>) -> Result<Self, Error> {
        if !origin.is_secure() && !origin.is_loopback() {
            return Err(Error::Part("the URL", "it has to begin with https://"));
        }
        Ok(Self { origin, roots })
    }

    /// Host and port, as they are signed.
    pub(super) fn authority(&self) -> String {
        self.origin.authority()
    }

    /// Asks, on a thread of its own: whoever calls may be on one that must not wait for tasks.
    pub(super) fn ask(
        &self,
        request: impl Fn() -> Result<Request<Full<Bytes>>, RootFault> + Sync,
    ) -> Result<Answer, RootFault> {
        let failed = |_| RootFault::NotReady("no thread can be started".to_owned());
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.map_err(failed)?.block_on(self.patiently(&request))
            });
            asking
                .join()
                .unwrap_or(Err(RootFault::Unreachable("it could not be asked")))
        })
    }

    async fn patiently(
        &self,
        request: &(impl Fn() -> Result<Request<Full<Bytes>>, RootFault> + Sync),
    ) -> Result<Answer, RootFault> {
        let origins = std::slice::from_ref(&self.origin);
        let connector = Connector::new(origins, self.roots.as_deref());
        let connector = connector.map_err(|error| RootFault::NotReady(error.to_string()))?;
        let mut tries = 1;
        loop {
            let answer = self.once(&connector, request()?).await?;
            if !answer.is_busy() {
                return Ok(answer);
            }
            if tries == TRIES {
                return Err(RootFault::Unreachable("it is busy"));
            }
            tokio::time::sleep(WAIT * tries).await;
            tries += 1;
        }
    }

    fn once<'a>(
        &'a self,
        connector: &'a Connector,
        request: Request<Full<Bytes>>,
    ) -> BoxFuture<'a, Result<Answer, RootFault>> {
        Box::pin(async move {
            let sent = connector.send(&self.origin, request, ANSWER_MAX).await;
            let (response, _connection) = sent.map_err(unreached)?;
            let status = response.status();
            let whole = connect::whole(response.into_body(), BYTES_MAX);
            let whole = tokio::time::timeout(ANSWER_MAX, whole).await;
            let whole = whole.map_err(|_| RootFault::Unreachable("it has stopped sending"))?;
            let body = whole.map_err(|cut| match cut {
                Cut::Broken => RootFault::Unreachable("the connection broke off"),
                Cut::TooLong => RootFault::Garbled("it is longer than 64 KiB"),
            })?;
            Ok(Answer { status, body })
        })
    }
}

impl Answer {
    #[cfg(test)]
    pub(super) fn new(status: u16, body: &str) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    /// Tries answers of all sorts and one more body: nothing but a 200 is a success.
    #[cfg(test)]
    #[track_caller]
    pub(super) fn all_told(more: &str, is_good: impl Fn(&Self) -> bool) {
        let bodies = ["", "x", "null", "[]", "5", "{}", more, "{\"a\":{\"a\":[]}}"];
        for status in [200, 204, 302, 400, 401, 403, 404, 429, 500, 503, 599] {
            for body in bodies {
                let good = is_good(&Self::new(status, body));
                assert_eq!(good, status == 200, "{status} {body}");
            }
        }
    }

    /// What it said in JSON, or nothing.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Throttled, or down for a moment.
    fn is_busy(&self) -> bool {
        let throttled = || {
            self.json()["__type"]
                .as_str()
                .is_some_and(|ty| ty.contains("Throttl"))
        };
        matches!(self.status.as_u16(), 429 | 500 | 502 | 504) || throttled()
    }
}

fn unreached(why: Unreached) -> RootFault {
    RootFault::Unreachable(why.reason())
}
