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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArchiveOnly {
    archive: u32,
}

/// The counters of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RouteStatus, Counter>,
    seconds: Family<RouteOnly, Histogram>,
    store_bytes: Gauge,
    index_pending: Gauge,
    indexed: Counter,
    archives: Archives,
    drill_age: Gauge,
    drill_last_ok: Gauge,
    audit_covered: Gauge,
    checkpoints: Counter,
    checkpoints_unpublished: Counter,
}

/// Numbers of archives, by their place in the settings.
#[derive(Default)]
struct Archives {
    lag_seconds: Family<ArchiveOnly, Gauge>,
    lag_seqs: Family<ArchiveOnly, Gauge>,
    errors: Family<ArchiveOnly, Counter>,
    bytes: Family<ArchiveOnly, Counter>,
}

impl Archives {
    fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "archive_lag",
            "How long something has been waiting that the archive does not hold",
            Unit::Seconds,
            self.lag_seconds.clone(),
        );
        registry.register(
            "archive_lag_seqs",
            "Versions and audit entries that the archive does not hold",
            self.lag_seqs.clone(),
        );
        registry.register(
            "archive_errors",
            "Failures to ship to the archive",
            self.errors.clone(),
        );
        registry.register_with_unit(
            "archive_shipped",
            "What was shipped to the archive",
            Unit::Bytes,
            self.bytes.clone(),
        );
    }

    fn set(&self, numbers: &Numbers) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let count = |counter: &Counter, to: u64| {
            counter.inc_by(to.saturating_sub(counter.get()));
        };
        for (archive, numbers) in (1..).zip(&numbers.archives) {
            let of = ArchiveOnly { archive };
            let lag = number(numbers.lag_seconds);
            self.lag_seconds.get_or_create(&of).set(lag);
            let lag = number(numbers.lag_seqs);
            self.lag_seqs.get_or_create(&of).set(lag);
            count(&self.errors.get_or_create(&of), numbers.errors);
            count(&self.bytes.get_or_create(&of), numbers.bytes);
        }
    }
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
        let archives = Archives::default();
        archives.register(&mut registry);
        let (drill_age, drill_last_ok) = (Gauge::default(), Gauge::default());
        registry.register_with_unit(
            "drill_age",
            "Time since the last drill, or since drills are to be run",
            Unit::Seconds,
            drill_age.clone(),
        );
        registry.register(
            "drill_last_ok",
            "Whether the last drill passed",
            drill_last_ok.clone(),
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
            archives,
            drill_age,
            drill_last_ok,
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
        self.archives.set(numbers);
        let drills = numbers.drills.unwrap_or_default();
        self.drill_age.set(number(drills.age_seconds));
        self.drill_last_ok.set(i64::from(drills.last_ok));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
