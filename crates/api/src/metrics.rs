//! Numbers for Prometheus: requests by route and status, and how long they took.
//!
//! Labels come from the route table and from status codes, never from a request.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use salus_service::Numbers;

/// Upper bounds of the histogram, in seconds.
const BUCKETS: [f64; 10] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteStatus {
    route: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteOnly {
    route: &'static str,
}

/// The counters of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RouteStatus, Counter>,
    seconds: Family<RouteOnly, Histogram>,
    store_bytes: Gauge,
    index_pending: Gauge,
    indexed: Counter,
    audit_covered: Gauge,
    checkpoints: Counter,
    checkpoints_unpublished: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("salus");
        let requests = Family::default();
        let seconds: Family<RouteOnly, Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let store_bytes = Gauge::default();
        let (index_pending, indexed) = (Gauge::default(), Counter::default());
        registry.register(
            "requests",
            "Requests answered, by route and status",
            requests.clone(),
        );
        registry.register_with_unit(
            "request",
            "Time from the head of a request to the head of its answer",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register_with_unit(
            "store",
            "Size of the store on disk",
            Unit::Bytes,
            store_bytes.clone(),
        );
        registry.register(
            "reindex_pending_records",
            "Records that wait to be indexed anew, about",
            index_pending.clone(),
        );
        registry.register(
            "reindexed_records",
            "Records that were indexed anew",
            indexed.clone(),
        );
        let audit_covered = Gauge::default();
        let (checkpoints, checkpoints_unpublished) = (Counter::default(), Counter::default());
        registry.register(
            "audit_covered_entries",
            "Audit entries that the newest checkpoint covers",
            audit_covered.clone(),
        );
        registry.register(
            "audit_checkpoints",
            "Checkpoints of the audit log that were signed",
            checkpoints.clone(),
        );
        registry.register(
            "audit_checkpoints_unpublished",
            "Times that a checkpoint could not be kept or published",
            checkpoints_unpublished.clone(),
        );
        Self {
            registry,
            requests,
            seconds,
            store_bytes,
            index_pending,
            indexed,
            audit_covered,
            checkpoints,
            checkpoints_unpublished,
        }
    }

    /// Counts one answered request.
    pub(crate) fn observe(&self, route: &'static str, status: StatusCode, elapsed: Duration) {
        let status = u32::from(status.as_u16());
        self.requests
            .get_or_create(&RouteStatus { route, status })
            .inc();
        self.seconds
            .get_or_create(&RouteOnly { route })
            .observe(elapsed.as_secs_f64());
    }

    /// All numbers in the text format of OpenMetrics.
    pub(crate) fn text(&self, numbers: &Numbers) -> String {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.store_bytes.set(number(numbers.disk_bytes));
        self.index_pending.set(number(numbers.index_pending));
        self.audit_covered.set(number(numbers.log.covered));
        let counts = [
            (&self.indexed, numbers.indexed),
            (&self.checkpoints, numbers.log.signed),
            (&self.checkpoints_unpublished, numbers.log.unpublished),
        ];
        for (counter, count) in counts {
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
