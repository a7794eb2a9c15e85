//! Bases of a server's archives: taken when they are due, or when the operator asks for one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_archive::{BaseName, Pace, Phase, Taken, Whole};
use serde_json::{Value, json};

use super::archives::{Archives, Error, One, time};
use super::schedule::Schedule;

impl Archives {
    /// Takes a base of each archive now.
    pub(crate) async fn base(&self) -> Result<Value, Error> {
        let _one_at_a_time = self.taking.lock().await;
        let mut all = Vec::new();
        for one in &self.archives {
            let begun = Instant::now();
            let taken = self.take(one, Pace::BRISK).await?;
            all.push(shown(one, &taken, begun.elapsed()));
        }
        Ok(json!({"archives": all}))
    }

    /// Takes a base of each archive whenever it is due.
    pub(super) async fn take_when_due(weak: std::sync::Weak<Self>, schedule: Schedule) {
        let mut wait = schedule.first_look;
        loop {
            tokio::time::sleep(wait).await;
            wait = schedule.look;
            let Some(archives) = weak.upgrade() else {
                return;
            };
            archives.take_those_due().await;
        }
    }

    async fn take_those_due(self: &Arc<Self>) {
        let _one_at_a_time = self.taking.lock().await;
        for one in &self.archives {
            let due = async {
                Ok::<_, Error>(match self.is_due(one).await? {
                    true => Some(self.take(one, Pace::GENTLE).await?),
                    false => None,
                })
            };
            match due.await {
                Ok(Some(Taken::Made(name, whole))) => tracing::info!(
                    archive = one.archive.label(),
                    seq = name.seq.0,
                    bytes = whole.bytes,
                    "a base was taken"
                ),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(archive = one.archive.label(), %error, "no base could be taken");
                }
            }
        }
    }

    /// Whether the newest base, or the archive if there is none, is older than the time between
    /// two; or one was cut off.
    async fn is_due(&self, one: &One) -> Result<bool, Error> {
        let well = one
            .status()
            .is_some_and(|status| status.phase == Phase::Shipping);
        let Some(every_ms) = self.base_every_ms.filter(|_| well) else {
            return Ok(false);
        };
        let summary = one.archive.summary().await?;
        let newest = summary.bases.last().map(|(_, whole)| whole.made_ms.1);
        let since = newest.or(summary.times_ms.map(|(first, _)| first));
        let now_ms = (self.schedule.now_ms)();
        let old = since.is_some_and(|since| now_ms.saturating_sub(since) >= every_ms);
        Ok(old || summary.cut_off > 0)
    }

    async fn take(&self, one: &One, pace: Pace) -> Result<Taken, Error> {
        let progress = self.progress();
        let tell = move |done, all| progress.set(done, all);
        let follows = salus_store_embedded::follows;
        let now_ms = self.schedule.now_ms;
        let taken = one
            .archive
            .take_base(&*self.engine, pace, now_ms, &follows, &tell);
        Ok(taken.await?)
    }
}

fn shown(one: &One, taken: &Taken, took: Duration) -> Value {
    let mut shown = json!({"archive": one.archive.label()});
    match taken {
        Taken::Made(name, whole) => {
            shown["base"] = of(name, whole);
            shown["seconds"] = ((took.as_secs_f64() * 10.0).round() / 10.0).into();
        }
        Taken::There(name) => {
            shown["base"] = json!({"seq": name.seq.0});
            shown["note"] = "it is there already: nothing was shipped since".into();
        }
        Taken::Empty => shown["note"] = "nothing was shipped yet".into(),
    }
    shown
}

/// A base, for people and programs.
pub(super) fn of(name: &BaseName, whole: &Whole) -> Value {
    json!({
        "seq": name.seq.0,
        "usableFrom": time(Some(whole.valid.1)),
        "usableFromSeq": whole.valid.0.0,
        "taken": time(Some(whole.made_ms.1)),
        "segments": whole.segments,
        "bytes": whole.bytes,
    })
}
