//! What a drill asks of a running server, and tells it: on the folder's own socket only, where
//! nobody else is.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use salus_crypto::hex;
use salus_service::Service;
use salus_service::audit::log;
use salus_service::context::World;
use salus_service::drill::{self, Noted, REPORT, Sample};
use salus_service::statement;
use salus_store::{At, Error, Log, Seq, Store};
use salus_store_embedded::Embedded;
use serde_json::{Value, json};

use super::live::{Point, Question, Shipped, drawn, sent};
use super::record::Record;
use crate::backup::Archives;
use crate::control::answer;
use crate::open::Machine;

/// What the routes work on.
pub(crate) struct Operator {
    pub(crate) service: Arc<Service>,
    pub(crate) engine: Arc<Embedded>,
    pub(crate) archives: Option<Arc<Archives>>,
    pub(crate) record: Arc<Record>,
}

/// The routes, to be served beside all others.
pub(crate) fn router(operator: Operator) -> Router {
    Router::new()
        .route("/operator/drill", get(status))
        .route("/operator/drill/point", post(point))
        .route("/operator/drill/ended", post(ended))
        .with_state(Arc::new(operator))
}

async fn status(State(operator): State<Arc<Operator>>) -> Response {
    answer(StatusCode::OK, &operator.record.status())
}

async fn point(State(operator): State<Arc<Operator>>, body: Bytes) -> Response {
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        let error = json!({"error": "this is no question of a drill"});
        return answer(StatusCode::BAD_REQUEST, &error);
    };
    match operator.point(question).await {
        Ok(point) => answer(StatusCode::OK, &json!(point)),
        Err(Error::Misuse(what)) => answer(StatusCode::CONFLICT, &json!({"error": what})),
        Err(error) => {
            let error = json!({"error": error.to_string()});
            answer(StatusCode::SERVICE_UNAVAILABLE, &error)
        }
    }
}

async fn ended(State(operator): State<Arc<Operator>>, body: Bytes) -> Response {
    match operator.ended(&body).await {
        Ok(()) => answer(StatusCode::OK, &json!({})),
        Err(error) => answer(StatusCode::BAD_REQUEST, &json!({"error": error})),
    }
}

impl Operator {
    async fn point(&self, question: Question) -> Result<Point, Error> {
        let head = self.engine.head().await?;
        let seq = question.seq.map_or(head.seq, Seq);
        let engine = Arc::clone(&self.engine);
        let tally = tokio::task::spawn_blocking(move || engine.tally(seq)).await;
        let tally = tally.map_err(|error| Error::Unavailable(error.to_string()))??;
        let audit_size = question.audit_size.unwrap_or(head.audit_size);
        if audit_size > head.audit_size {
            return Err(Error::Misuse(
                "the audit log of the running store is not so long",
            ));
        }
        let root = log::root_at(self.engine.audit_tree(), audit_size).await?;
        let kinds = sent(&tally);
        let samples = match question.each {
            0 => None,
            _ => samples(&*self.engine, seq, At::Seq(seq), (&kinds, &question)).await?,
        };
        Ok(Point {
            seq: seq.0,
            chain: hex(&tally.chain),
            audit_size,
            audit_root: hex(&root),
            kinds,
            samples,
            disk_bytes: self.engine.disk_bytes(),
            archives: self.shipped(),
        })
    }

    fn shipped(&self) -> Vec<Shipped> {
        let now_ms = Machine.now_ms();
        let shipped = self.archives.iter().flat_map(|archives| archives.shipped());
        let shipped = shipped.map(|(archive, seq, since_ms, stopped)| {
            let behind_ms = now_ms.saturating_sub(since_ms.unwrap_or(now_ms));
            Shipped {
                archive,
                seq,
                behind_ms: u64::try_from(behind_ms).unwrap_or(0),
                stopped,
            }
        });
        shipped.collect()
    }

    /// Keeps a report that this server's own key signed, and notes how the drill ended.
    async fn ended(&self, body: &[u8]) -> Result<(), String> {
        let key = self.record.key();
        let said = statement::verify(body, REPORT, key).map_err(|error| error.to_string())?;
        let signed: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        self.record.keep(&signed, &said)?;
        let passed = said["outcome"] == "passed";
        let (noted, word) = match passed {
            true => (Noted::Passed, "passed"),
            false => (Noted::Failed, "failed"),
        };
        let failed = super::report::failed(&said).join(", ");
        let text = format!("{word} at seq {}: {failed}", said["restored"]["seq"]);
        let text = text.trim_end_matches(": ");
        match passed {
            true => tracing::info!("a drill passed"),
            false => tracing::warn!(failed, "a drill failed"),
        }
        let kept = self.service.note_drill(noted, text).await;
        kept.map_err(|error| error.to_string())
    }
}

/// Samples of a store at a point; none if it does not show that any more.
pub(super) async fn samples(
    store: &dyn Store,
    upto: Seq,
    at: At,
    (kinds, question): (&[(u32, u32, u64, u64)], &Question),
) -> Result<Option<Vec<Sample>>, Error> {
    let mut samples = Vec::new();
    for (scope, kinds) in drawn(kinds, question.each) {
        let snapshot = match store.snapshot(scope, at).await {
            Ok(snapshot) => snapshot,
            Err(Error::SnapshotGone(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let asked = drill::Asked {
            seed: question.seed,
            upto,
            each: question.each,
            kinds: &kinds,
        };
        match drill::sample(&*snapshot, scope, &asked).await {
            Ok(some) => samples.extend(some),
            Err(Error::SnapshotGone(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(samples))
}
