//! What a query did, step by step, for whoever asks how it was answered.

use std::time::{Duration, Instant};

use salus_store::{Filter, Plan, PlanCondition, PlanStep};

use crate::core::read_count;
use crate::search::Search;

/// Steps, the last of which is still being taken.
pub(crate) struct Trace {
    steps: Vec<PlanStep>,
    /// When the last step began, and the rows touched until then.
    begun: (Instant, u64),
    estimates: Vec<Option<u64>>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            steps: Vec::new(),
            begun: (Instant::now(), 0),
            estimates: Vec::new(),
        }
    }

    fn end(&mut self, rows: u64) {
        if let Some(step) = self.steps.last_mut() {
            step.rows = rows.saturating_sub(self.begun.1);
            step.time = self.begun.0.elapsed();
        }
        self.begun = (Instant::now(), rows);
    }
}

impl Search<'_> {
    /// Begins another step, if anybody asked.
    pub(crate) fn step(&mut self, what: &'static str, conditions: &[usize], expected: Option<f64>) {
        let touched = self.links.touched;
        let Some(trace) = &mut self.trace else {
            return;
        };
        trace.end(touched);
        trace.steps.push(PlanStep {
            what,
            conditions: conditions.to_vec(),
            rows_expected: expected.map(|rows| rows.round() as u64),
            rows: 0,
            time: Duration::ZERO,
        });
    }

    /// Tells how many records probably satisfy each condition.
    pub(crate) fn tell(&mut self, estimates: impl Iterator<Item = Option<f64>>) {
        if let Some(trace) = &mut self.trace {
            let estimates = estimates.map(|one| one.map(|records| records.round() as u64));
            trace.estimates = estimates.collect();
        }
    }

    pub(crate) fn plan(mut self) -> Plan {
        let rows = self.links.touched;
        let Some(mut trace) = self.trace.take() else {
            return Plan::default();
        };
        trace.end(rows);
        let reader = self.reader;
        let conditions = self.conditions.all.iter().enumerate();
        let conditions = conditions.map(|(at, filter)| PlanCondition {
            estimate: trace.estimates.get(at).copied().flatten(),
            ..about(filter)
        });
        Plan {
            records: read_count(&reader.view, reader.scope, self.query.kind).ok(),
            conditions: conditions.collect(),
            steps: trace.steps,
            rows,
        }
    }
}

/// What a condition looks at.
fn about(filter: &Filter) -> PlanCondition {
    let mut about = PlanCondition::default();
    put_about(filter, &mut about);
    about.params.sort_unstable();
    about.params.dedup();
    about
}

fn put_about(filter: &Filter, about: &mut PlanCondition) {
    match filter {
        Filter::Everything | Filter::Nothing => {}
        Filter::All(filters) | Filter::Any(filters) => {
            filters.iter().for_each(|filter| put_about(filter, about));
        }
        Filter::Not(filter) => put_about(filter, about),
        Filter::Value(param, _) => about.params.push(*param),
        Filter::Ids(_) => about.ids = true,
        Filter::Updated(..) => about.times = true,
        Filter::Refers { param, .. } => {
            about.params.push(*param);
            about.linked = true;
        }
        // The parameter is one of the other record.
        Filter::Referred { .. } => about.linked = true,
    }
}
