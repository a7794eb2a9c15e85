//! What the rules find in the entries of an audit, one after the other.
//!
//! This is computing only: what rules have to know of users and patients comes with each
//! entry as [`Facts`], and what they remember is in [`Memory`], which has bounds.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use salus_auth::record::{AlertRule, Alerting};

use crate::audit::entry::{Entry, Outcome, What};
use crate::drill::OVERDUE;
use crate::sessions::TERMINATED;

/// Agents and places that are remembered at once, of each sort; beyond, all is forgotten.
const REMEMBERED_MAX: usize = 50_000;
/// Patients of an agent that are remembered.
const PATIENTS_MAX: usize = 10_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// An entry, as rules look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    /// When it happened, in milliseconds since 1970 UTC.
    pub(super) time_ms: i64,
    /// What it says.
    pub(super) entry: &'a Entry,
}

impl<'a> Event<'a> {
    /// Whether somebody was shown something.
    fn shows(self) -> bool {
        let shows = matches!(
            self.entry.what,
            What::Read
                | What::Vread
                | What::HistoryInstance
                | What::HistoryType
                | What::HistorySystem
                | What::Search
                | What::Operation
                | What::Export
        );
        shows && self.entry.outcome == Outcome::Success
    }

    /// Whose records it was about.
    pub(super) fn patients(self) -> impl Iterator<Item = &'a str> {
        let entities = self.entry.entities.iter();
        let patients = entities.filter(|entity| entity.ty == "Patient");
        patients.map(|entity| &*entity.id)
    }

    /// The user who did it, by id.
    pub(super) fn user(self) -> Option<&'a str> {
        self.entry.agent.strip_prefix("User/")
    }

    /// Whether rules about users and the patients whose records they see look at it.
    pub(super) fn needs_facts(self) -> bool {
        self.shows() && self.user().is_some() && self.patients().next().is_some()
    }
}

/// What rules have to know besides.
#[derive(Clone, Default)]
pub(super) struct Facts {
    /// Of the user.
    pub(super) user: Person,
    /// The ids of patients that are the user.
    pub(super) own: HashSet<Box<str>>,
    /// Of patients, by id.
    pub(super) charts: BTreeMap<Box<str>, Chart>,
}
salus_phi::guard!(Facts);

/// Somebody, as far as rules compare people.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// Family names, folded.
    pub(super) families: HashSet<String>,
    /// Lines and postal codes of addresses, folded.
    pub(super) addresses: HashSet<String>,
}
salus_phi::guard!(Person);

/// The records of a patient.
#[derive(Clone, Default)]
pub(super) struct Chart {
    /// Who it is.
    pub(super) person: Person,
    /// Security labels of the Patient, `system|code`.
    pub(super) labels: Vec<String>,
    /// Whether the patient is a user of the project.
    pub(super) is_user: bool,
    /// When somebody was last about it, before this.
    pub(super) before_ms: Option<i64>,
}
salus_phi::guard!(Chart);

/// What rules remember, of one project.
#[derive(Default)]
pub(super) struct Memory {
    failures: HashMap<Box<str>, VecDeque<i64>>,
    seen: HashMap<Box<str>, VecDeque<(i64, Box<str>)>>,
    runs: HashMap<Box<str>, Run>,
    exported: HashMap<Box<str>, Exported>,
}
salus_phi::guard!(Memory);

/// Ids that were asked for one after the other.
#[derive(Debug, Default)]
struct Run {
    last: u64,
    length: i32,
}

#[derive(Default)]
struct Exported {
    from_ms: i64,
    patients: HashSet<Box<str>>,
}
salus_phi::guard!(Exported);

impl Memory {
    /// Which rules an entry meets.
    pub(super) fn look(
        &mut self,
        setting: &Alerting,
        event: Event<'_>,
        facts: &Facts,
    ) -> Vec<AlertRule> {
        self.keep_bounds();
        let met = AlertRule::ALL.into_iter().filter(|rule| {
            setting.is_on(*rule)
                && match rule {
                    AlertRule::SignInBurst => self.bursts(setting, event),
                    AlertRule::UseAfterTermination => is_terminated(event),
                    AlertRule::UnusualVolume => self.is_much(setting, event),
                    AlertRule::UnusualHours => is_late(setting, event),
                    AlertRule::SequentialIds => self.runs(setting, event),
                    AlertRule::SameSurname => resembles(facts, event, |person| &person.families),
                    AlertRule::SameAddress => resembles(facts, event, |person| &person.addresses),
                    AlertRule::OwnChart => any(facts, event, |id, _| facts.own.contains(id)),
                    AlertRule::CoWorker => any(facts, event, |id, chart| {
                        chart.is_user && !facts.own.contains(id)
                    }),
                    AlertRule::Vip => any(facts, event, |_, chart| {
                        chart.labels.iter().any(|one| setting.labels.contains(one))
                    }),
                    AlertRule::BreakGlass => {
                        event.entry.what == What::BreakGlass
                            && event.entry.outcome == Outcome::Success
                    }
                    AlertRule::DormantChart => is_dormant(setting, facts, event),
                    AlertRule::ExportSize => self.exports(setting, event),
                    AlertRule::Change => is_change(event),
                    AlertRule::Integrity => is_integrity(event),
                    AlertRule::DrillFailed => is_drill(event) && &*event.entry.rule != OVERDUE,
                    AlertRule::DrillOverdue => is_drill(event) && &*event.entry.rule == OVERDUE,
                }
        });
        met.collect()
    }

    fn keep_bounds(&mut self) {
        if self.failures.len() > REMEMBERED_MAX {
            self.failures.clear();
        }
        if self.seen.len() > REMEMBERED_MAX {
            self.seen.clear();
        }
        if self.runs.len() > REMEMBERED_MAX {
            self.runs.clear();
        }
        if self.exported.len() > REMEMBERED_MAX {
            self.exported.clear();
        }
    }

    fn bursts(&mut self, setting: &Alerting, event: Event<'_>) -> bool {
        let entry = event.entry;
        if entry.what != What::SignIn || entry.outcome == Outcome::Success {
            return false;
        }
        let place = entry.remote.map(|remote| remote.to_string());
        let failures = self.failures.entry(place.unwrap_or_default().into());
        let failures = failures.or_default();
        let rule = AlertRule::SignInBurst;
        let most = setting.limit(rule, "failures");
        let from_ms = event.time_ms - i64::from(setting.limit(rule, "minutes")) * MINUTE_MS;
        failures.push_back(event.time_ms);
        while failures.front().is_some_and(|time_ms| *time_ms < from_ms)
            || failures.len() > most as usize
        {
            failures.pop_front();
        }
        failures.len() >= most as usize
    }

    fn is_much(&mut self, setting: &Alerting, event: Event<'_>) -> bool {
        if !event.shows() || event.user().is_none() {
            return false;
        }
        let rule = AlertRule::UnusualVolume;
        let most = setting.limit(rule, "patients") as usize;
        let from_ms = event.time_ms - i64::from(setting.limit(rule, "minutes")) * MINUTE_MS;
        let seen = self.seen.entry(event.entry.agent.clone()).or_default();
        for id in event.patients().take(PATIENTS_MAX) {
            seen.push_back((event.time_ms, id.into()));
        }
        while seen.front().is_some_and(|(time_ms, _)| *time_ms < from_ms)
            || seen.len() > PATIENTS_MAX
        {
            seen.pop_front();
        }
        // Counting is for those who saw enough in all.
        seen.len() >= most && {
            let different: HashSet<&str> = seen.iter().map(|(_, id)| &**id).collect();
            different.len() >= most
        }
    }

    /// Found or not, and whoever asks.
    fn runs(&mut self, setting: &Alerting, event: Event<'_>) -> bool {
        let entry = event.entry;
        if !matches!(entry.what, What::Read | What::Vread) {
            return false;
        }
        let Some(id) = entry.entities.first().and_then(|first| number(&first.id)) else {
            return false;
        };
        let run = self.runs.entry(entry.agent.clone()).or_default();
        run.length = match id.abs_diff(run.last) {
            0 => run.length,
            1 => run.length + 1,
            _ => 1,
        };
        run.last = id;
        run.length >= setting.limit(AlertRule::SequentialIds, "ids")
    }

    fn exports(&mut self, setting: &Alerting, event: Event<'_>) -> bool {
        let entry = event.entry;
        if entry.what != What::Export || entry.outcome != Outcome::Success {
            return false;
        }
        let exported = self.exported.entry(entry.agent.clone()).or_default();
        if event.time_ms - exported.from_ms > DAY_MS {
            exported.patients.clear();
            exported.from_ms = event.time_ms;
        }
        let most = setting.limit(AlertRule::ExportSize, "patients") as usize;
        for id in event.patients() {
            if exported.patients.len() < most {
                exported.patients.insert(id.into());
            }
        }
        exported.patients.len() >= most
    }
}

/// The number that an id is, or ends in.
fn number(id: &str) -> Option<u64> {
    let start = id
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    id.get(start..)?.parse().ok()
}

fn is_terminated(event: Event<'_>) -> bool {
    let entry = event.entry;
    matches!(entry.what, What::SignIn | What::Unauthenticated)
        && entry.outcome != Outcome::Success
        && matches!(&*entry.rule, "suspended" | TERMINATED)
}

fn is_late(setting: &Alerting, event: Event<'_>) -> bool {
    let number = |name| i64::from(setting.limit(AlertRule::UnusualHours, name));
    let local_ms = event.time_ms + number("utc_offset_minutes") * MINUTE_MS;
    let hour = local_ms.div_euclid(HOUR_MS).rem_euclid(24);
    let (from, until) = (number("from"), number("until"));
    let late = match from <= until {
        true => (from..until).contains(&hour),
        false => hour >= from || hour < until,
    };
    late && event.needs_facts()
}

/// Whether something holds of a patient whose records a user saw.
fn any(facts: &Facts, event: Event<'_>, test: impl Fn(&str, &Chart) -> bool) -> bool {
    event.needs_facts()
        && event
            .patients()
            .any(|id| facts.charts.get(id).is_some_and(|chart| test(id, chart)))
}

/// Whether a user saw the records of somebody, not themselves, who is like them.
fn resembles(facts: &Facts, event: Event<'_>, of: impl Fn(&Person) -> &HashSet<String>) -> bool {
    let own = of(&facts.user);
    any(facts, event, |id, chart| {
        !facts.own.contains(id) && !of(&chart.person).is_disjoint(own)
    })
}

fn is_dormant(setting: &Alerting, facts: &Facts, event: Event<'_>) -> bool {
    let days = i64::from(setting.limit(AlertRule::DormantChart, "days"));
    let before_ms = event.time_ms - days * DAY_MS;
    any(facts, event, |_, chart| {
        chart.before_ms.is_some_and(|last_ms| last_ms < before_ms)
    })
}

fn is_change(event: Event<'_>) -> bool {
    let watched = matches!(
        event.entry.what,
        What::PolicyChange
            | What::SettingChange
            | What::KeyRotated
            | What::KeyDestroyed
            | What::KeyExported
            | What::HoldLifted
            | What::SystemRestore
    );
    watched && event.entry.outcome == Outcome::Success
}

/// A check that found something says that it failed.
fn is_integrity(event: Event<'_>) -> bool {
    event.entry.what == What::SystemCheck && event.entry.outcome != Outcome::Success
}

/// A drill that did not pass, or was not run.
fn is_drill(event: Event<'_>) -> bool {
    event.entry.what == What::SystemDrill && event.entry.outcome != Outcome::Success
}

#[cfg(test)]
mod tests;
