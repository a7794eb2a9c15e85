//! Looks at what the audit of each project says, soon after it was said.
//!
//! How far it is, is kept in each project, with the alerts that were found until there: after a
//! stop it goes on, and nothing is found twice. What rules remember of the last hour is
//! read again then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use salus_auth::record::{
    ALERT_EVENTS_MAX, Alert, AlertProgress, AlertRule, Alerting, Email, Letter, Mail, Saved,
    SystemRecord, Unsent,
};
use salus_auth::{Action, Grant};
use salus_store::{At, AuditQuery, AuditRecord, Batch, Scope, Seq, Snapshot};

use super::facts::Known;
use super::rules::{Event, Facts, Memory};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::{ever, one};

/// How often each project is looked at.
const ROUND: Duration = Duration::from_secs(2);
/// Entries that are read at once.
const PAGE: usize = 500;
/// Pages of a project before others have their turn.
const PAGES_MAX: usize = 40;
/// How long it is kept at least how far a project is, if there is nothing else to keep.
const KEPT_MS: i64 = 60_000;
/// What is read again after a stop.
const REMEMBERED_MS: i64 = 60 * 60 * 1000;
/// Open alerts of a project that further findings are added to.
const OPEN_MAX: usize = 1000;

/// Of one project.
#[derive(Default)]
struct Watch {
    memory: Memory,
    /// All entries up to it were looked at; none before the first round.
    seq: Option<Seq>,
    kept: Seq,
    kept_ms: i64,
}

/// What was found in a page, by rule and who did it.
type Found = HashMap<(AlertRule, Box<str>), Vec<(Seq, i64)>>;

impl Service {
    /// Watches all projects. Never ends.
    pub fn run_alerts(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut round = tokio::time::interval(ROUND);
            let mut watches: HashMap<Scope, Watch> = HashMap::new();
            loop {
                round.tick().await;
                for scope in self.scopes() {
                    let watch = watches.entry(scope).or_default();
                    if let Err(error) = self.watch(scope, watch).await {
                        let cause = error.cause();
                        tracing::warn!(cause, "the audit of a project cannot be watched just now");
                    }
                }
            }
        })
    }

    /// Looks at what is new in a project, and sends what waits.
    async fn watch(&self, scope: Scope, watch: &mut Watch) -> Result<(), Error> {
        let setting = one::<Alerting>(&*self.store, scope, Alerting::ID).await?;
        let setting = setting.map_or_else(Alerting::default, |saved| saved.value);
        let mut known = Known::default();
        for _ in 0..PAGES_MAX {
            let snapshot = self.store.snapshot(scope, At::Now).await?;
            let after = match watch.seq {
                Some(seq) => seq,
                None => self.begin_watch(scope, &*snapshot, &setting, watch).await?,
            };
            let page = page(&*snapshot, after).await?;
            let Some(last) = page.last().map(|record| record.seq) else {
                break;
            };
            let found = found(&*snapshot, (&setting, watch, &mut known), &page).await?;
            self.raise(scope, &setting, found, last).await?;
            watch.seq = Some(last);
            if page.len() < PAGE {
                break;
            }
        }
        self.keep_progress(scope, watch).await?;
        self.send_messages(scope, &setting).await
    }

    /// Where to go on, with what rules remember of before.
    async fn begin_watch(
        &self,
        scope: Scope,
        snapshot: &dyn Snapshot,
        setting: &Alerting,
        watch: &mut Watch,
    ) -> Result<Seq, Error> {
        let progress = one::<AlertProgress>(&*self.store, scope, AlertProgress::ID).await?;
        let seq = match progress {
            Some(progress) => Seq(progress.value.seq),
            // Before the first time, nothing was watched: what is older is not told any more.
            None => start(snapshot, self.now_ms() - KEPT_MS).await?,
        };
        let query = AuditQuery {
            from_ms: Some(self.now_ms() - REMEMBERED_MS),
            ascending: true,
            limit: PAGE * PAGES_MAX,
            ..AuditQuery::default()
        };
        for record in snapshot.audit(&query).await? {
            if record.seq <= seq
                && let Some(entry) = Entry::decode(&record.body)
            {
                let event = Event {
                    time_ms: record.time_ms,
                    entry: &entry,
                };
                watch.memory.look(setting, event, &Facts::default());
            }
        }
        watch.kept = seq;
        watch.seq = Some(seq);
        Ok(seq)
    }

    /// Keeps what was found, with how far the project was looked at.
    async fn raise(
        &self,
        scope: Scope,
        setting: &Alerting,
        found: Found,
        last: Seq,
    ) -> Result<(), Error> {
        if found.is_empty() {
            return Ok(());
        }
        let cx = &self.operator_context(scope);
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteSettings)
            .await?;
        let mut open = self.open_alerts(scope).await?;
        let (mut writes, mut new) = (Vec::new(), 0);
        for ((rule, agent), seen) in found {
            let quiet_ms = i64::from(setting.quiet_minutes) * 60_000;
            let before = open.remove(&(rule, agent.clone())).filter(|alert| {
                seen.iter()
                    .all(|(_, ms)| *ms <= alert.value.to_ms + quiet_ms)
            });
            let known = before.is_some();
            let alert = before.unwrap_or_else(|| {
                Saved::new(
                    self.new_id(cx),
                    begun(setting, rule, agent, &seen, cx.now_ms),
                )
            });
            let Some(alert) = with(alert, &seen) else {
                continue;
            };
            if !known {
                new += 1;
                let (rule, id) = (rule.name(), &*alert.id);
                tracing::warn!(rule, alert = id, "an alert of the audit");
            }
            writes.push(Write::system(&grant, "Alert", alert.put()?));
        }
        if writes.is_empty() {
            return Ok(());
        }
        let progress = self.progress_to(scope, last).await?;
        writes.push(Write::aside(&grant, progress.put()?));
        let letters = match new {
            0 => Vec::new(),
            _ => self.alert_letters(cx, &grant, setting)?,
        };
        let count = letters.len();
        writes.extend(letters);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, "alert");
        self.commit(cx, entry, Vec::new(), writes).await?;
        (0..count).for_each(|_| self.posted());
        Ok(())
    }

    async fn open_alerts(
        &self,
        scope: Scope,
    ) -> Result<HashMap<(AlertRule, Box<str>), Saved<Alert>>, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let found = snapshot.find(&Alert::listed(true, OPEN_MAX, None)).await?;
        let mut open = HashMap::new();
        for hit in &found.hits {
            if let Some(alert) = Saved::<Alert>::read(&hit.record)? {
                let key = (alert.value.rule, alert.value.agent.clone());
                // The newest comes first.
                open.entry(key).or_insert(alert);
            }
        }
        Ok(open)
    }

    /// A mail to each address, if mail can be sent: alerts are in their list, too.
    fn alert_letters(
        &self,
        cx: &Context,
        grant: &Grant,
        setting: &Alerting,
    ) -> Result<Vec<Write>, Error> {
        if self.check_mail().is_err() {
            return Ok(Vec::new());
        }
        let told = setting.mail.iter();
        let told = told.filter_map(|text| Email::parse(text).ok());
        told.map(|to| self.letter(cx, grant, Letter::new(Mail::Alert, to, cx.now_ms)))
            .collect()
    }

    /// The record that says that a project was looked at up to an entry.
    async fn progress_to(&self, scope: Scope, seq: Seq) -> Result<Saved<AlertProgress>, Error> {
        let (_, version) = ever::<AlertProgress>(&*self.store, scope, AlertProgress::ID).await?;
        Ok(Saved {
            id: AlertProgress::ID.into(),
            version,
            value: AlertProgress { seq: seq.0 },
        })
    }

    /// Keeps how far a project is, now and then, and no older version of it.
    async fn keep_progress(&self, scope: Scope, watch: &mut Watch) -> Result<(), Error> {
        let (Some(seq), now_ms) = (watch.seq, self.now_ms()) else {
            return Ok(());
        };
        if seq == watch.kept || now_ms - watch.kept_ms < KEPT_MS {
            return Ok(());
        }
        let progress = self.progress_to(scope, seq).await?;
        let batch = Batch::of(scope, now_ms, vec![progress.put()?]);
        self.store.commit(batch).await?;
        self.purge_former(scope, AlertProgress::KIND).await?;
        (watch.kept, watch.kept_ms) = (seq, now_ms);
        Ok(())
    }
}

/// What the rules find in a page of entries.
async fn found(
    snapshot: &dyn Snapshot,
    (setting, watch, known): (&Alerting, &mut Watch, &mut Known),
    page: &[AuditRecord],
) -> Result<Found, Error> {
    let mut found = Found::new();
    for record in page {
        // One that cannot be read is for the check of the store to find.
        let Some(entry) = Entry::decode(&record.body) else {
            continue;
        };
        let event = Event {
            time_ms: record.time_ms,
            entry: &entry,
        };
        let facts = known.facts(snapshot, (record.seq, event)).await?;
        for rule in watch.memory.look(setting, event, &facts) {
            let key = (rule, entry.agent.clone());
            let seen = found.entry(key).or_default();
            seen.push((record.seq, record.time_ms));
        }
    }
    Ok(found)
}

/// An alert that was not there before.
fn begun(
    setting: &Alerting,
    rule: AlertRule,
    agent: Box<str>,
    seen: &[(Seq, i64)],
    now_ms: i64,
) -> Alert {
    let from_ms = seen.first().map_or(now_ms, |(_, time_ms)| *time_ms);
    Alert {
        rule,
        agent,
        from_ms,
        to_ms: from_ms,
        count: 0,
        events: Vec::new(),
        unsent: setting.webhook.as_ref().map(|_| Unsent {
            tries: 0,
            due_ms: now_ms,
        }),
        disposition: None,
    }
}

/// An alert with what was seen added; nothing if it has all of it.
fn with(mut alert: Saved<Alert>, seen: &[(Seq, i64)]) -> Option<Saved<Alert>> {
    let value = &mut alert.value;
    let known = value.events.clone();
    let new = seen.iter().filter(|(seq, _)| !known.contains(&seq.0));
    let before = value.count;
    for (seq, time_ms) in new {
        value.count += 1;
        value.to_ms = value.to_ms.max(*time_ms);
        if value.events.len() < ALERT_EVENTS_MAX {
            value.events.push(seq.0);
        }
    }
    (value.count > before).then_some(alert)
}

async fn page(snapshot: &dyn Snapshot, after: Seq) -> Result<Vec<AuditRecord>, Error> {
    let query = AuditQuery {
        ascending: true,
        after: Some(after),
        limit: PAGE,
        ..AuditQuery::default()
    };
    Ok(snapshot.audit(&query).await?)
}

/// Behind which entry those of a time and later come.
async fn start(snapshot: &dyn Snapshot, from_ms: i64) -> Result<Seq, Error> {
    let query = AuditQuery {
        from_ms: Some(from_ms),
        ascending: true,
        limit: 1,
        ..AuditQuery::default()
    };
    let found = snapshot.audit(&query).await?;
    let first = found.first().map(|record| record.seq.0);
    Ok(first.map_or(snapshot.seq(), |first| Seq(first.saturating_sub(1))))
}
