//! Alerts: what a project wants to be told of its own audit, and what it was told.
//!
//! An alert names a rule, who did it, when, and the audit events, never a patient: who may
//! read those events finds there whom it was about.

use std::collections::BTreeMap;

use salus_store::{Filter, Param, Position, Query, Row, Sort};
use serde::{Deserialize, Serialize};

use super::{Email, SystemRecord, matching, token_row, with_token};
use crate::Error;

const STATE: Param = Param::named("salus:Alert", "state");

/// Audit events that an alert names at most; further ones are counted.
pub const ALERT_EVENTS_MAX: usize = 20;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertRule {
    /// Sign-ins that failed, many from one place in a short time.
    SignInBurst,
    /// Somebody whose account was suspended or removed came back.
    UseAfterTermination,
    /// One user saw the records of many patients in a short time.
    UnusualVolume,
    /// A user saw records at an hour when they do not work.
    UnusualHours,
    /// Ids were asked for one after the other.
    SequentialIds,
    /// A user saw the records of somebody who has their family name.
    SameSurname,
    /// A user saw the records of somebody who lives where they live.
    SameAddress,
    /// A user saw their own records.
    OwnChart,
    /// A user saw the records of another user.
    CoWorker,
    /// A user saw records with a label that the project looks after.
    Vip,
    /// The glass was broken.
    BreakGlass,
    /// A user saw records that nobody had looked at for long.
    DormantChart,
    /// Much was exported.
    ExportSize,
    /// Audit, policies or these rules were changed.
    Change,
    /// Something stored is not what it was.
    Integrity,
    /// What is archived could not be restored as it should.
    DrillFailed,
    /// Nobody has tried for too long whether it can be.
    DrillOverdue,
}

/// A number that a rule has.
#[derive(Clone, Copy, Debug)]
pub struct AlertLimit {
    /// Its name in the setting.
    pub name: &'static str,
    /// What it is where nothing is set.
    pub usual: i32,
    /// What it may be.
    pub within: (i32, i32),
}

const fn limit(name: &'static str, usual: i32, within: (i32, i32)) -> AlertLimit {
    AlertLimit {
        name,
        usual,
        within,
    }
}

impl AlertRule {
    /// Every rule.
    pub const ALL: [Self; 17] = [
        Self::SignInBurst,
        Self::UseAfterTermination,
        Self::UnusualVolume,
        Self::UnusualHours,
        Self::SequentialIds,
        Self::SameSurname,
        Self::SameAddress,
        Self::OwnChart,
        Self::CoWorker,
        Self::Vip,
        Self::BreakGlass,
        Self::DormantChart,
        Self::ExportSize,
        Self::Change,
        Self::Integrity,
        Self::DrillFailed,
        Self::DrillOverdue,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignInBurst => "sign-in-burst",
            Self::UseAfterTermination => "use-after-termination",
            Self::UnusualVolume => "unusual-volume",
            Self::UnusualHours => "unusual-hours",
            Self::SequentialIds => "sequential-ids",
            Self::SameSurname => "same-surname",
            Self::SameAddress => "same-address",
            Self::OwnChart => "own-chart",
            Self::CoWorker => "co-worker",
            Self::Vip => "vip",
            Self::BreakGlass => "break-glass",
            Self::DormantChart => "dormant-chart",
            Self::ExportSize => "export-size",
            Self::Change => "change",
            Self::Integrity => "integrity",
            Self::DrillFailed => "drill-failed",
            Self::DrillOverdue => "drill-overdue",
        }
    }

    /// The numbers that it has.
    #[must_use]
    pub fn limits(self) -> &'static [AlertLimit] {
        match self {
            Self::SignInBurst => {
                const {
                    &[
                        limit("failures", 10, (2, 1000)),
                        limit("minutes", 5, (1, 60)),
                    ]
                }
            }
            Self::UnusualVolume => {
                const {
                    &[
                        limit("patients", 100, (2, 10_000)),
                        limit("minutes", 60, (1, 60)),
                    ]
                }
            }
            // Hours of the day, at so many minutes before UTC.
            Self::UnusualHours => {
                const {
                    &[
                        limit("from", 22, (0, 23)),
                        limit("until", 5, (0, 23)),
                        limit("utc_offset_minutes", 0, (-720, 840)),
                    ]
                }
            }
            Self::SequentialIds => const { &[limit("ids", 10, (3, 1000))] },
            Self::DormantChart => const { &[limit("days", 730, (1, 3650))] },
            Self::ExportSize => const { &[limit("patients", 1000, (1, 10_000_000))] },
            Self::UseAfterTermination
            | Self::SameSurname
            | Self::SameAddress
            | Self::OwnChart
            | Self::CoWorker
            | Self::Vip
            | Self::BreakGlass
            | Self::Change
            | Self::Integrity
            | Self::DrillFailed
            | Self::DrillOverdue => &[],
        }
    }

    /// Whether it counts where nothing is set: who works when, only a project knows.
    #[must_use]
    pub fn is_usual(self) -> bool {
        self != Self::UnusualHours
    }
}

/// How a project wants a rule.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertSetting {
    /// Whether it counts, if that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// Its numbers, as far as they are said.
    #[serde(flatten)]
    pub limits: BTreeMap<String, i32>,
}
salus_phi::guard!(AlertSetting);

/// The setting of a project. There is one such record at most.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerting {
    /// Addresses that are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mail: Vec<String>,
    /// Where alerts are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// For how long what happens again is a part of the alert that there is.
    #[serde(default = "an_hour")]
    pub quiet_minutes: u32,
    /// Security labels, `system|code`, whose records `vip` looks after.
    #[serde(default = "usual_labels")]
    pub labels: Vec<String>,
    /// The rules that are otherwise than usual.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<AlertRule, AlertSetting>,
}
salus_phi::guard!(Alerting);

/// A place of the web that is told, after <https://www.standardwebhooks.com>.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where.
    pub url: String,
    /// What its messages are signed with: `whsec_` and 24 to 64 bytes in base64.
    pub secret: String,
}
salus_phi::guard!(Webhook);

fn an_hour() -> u32 {
    60
}

/// Celebrities and employees, as v3-ActCode has them.
fn usual_labels() -> Vec<String> {
    ["CEL", "EMP"]
        .map(|code| format!("http://terminology.hl7.org/CodeSystem/v3-ActCode|{code}"))
        .into()
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            mail: Vec::new(),
            webhook: None,
            quiet_minutes: an_hour(),
            labels: usual_labels(),
            rules: BTreeMap::new(),
        }
    }
}

impl SystemRecord for Alerting {
    const NAME: &'static str = "salus:Alerting";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Webhook {
    /// The key that messages are signed with.
    #[must_use]
    pub fn key(&self) -> Option<Vec<u8>> {
        use base64ct::{Base64, Encoding};
        let text = self.secret.strip_prefix("whsec_")?;
        let key = Base64::decode_vec(text).ok()?;
        (24..=64).contains(&key.len()).then_some(key)
    }
}

impl Alerting {
    /// The id of a project's only record.
    pub const ID: &'static str = "alerting";

    /// Checks that it makes sense.
    ///
    /// # Errors
    /// What does not, and what is accepted.
    pub fn check(&self) -> Result<(), Error> {
        let refused = |what, form| Err(Error::Name { what, form });
        let is_address = |text: &String| Email::parse(text).is_ok();
        if self.mail.len() > 10 || !self.mail.iter().all(is_address) {
            return refused("mail", "up to 10 e-mail addresses");
        }
        if self
            .webhook
            .as_ref()
            .is_some_and(|hook| hook.key().is_none())
        {
            return refused("webhook.secret", "whsec_ and 24 to 64 bytes in base64");
        }
        if !(1..=10_080).contains(&self.quiet_minutes) {
            return refused("quiet_minutes", "1 to 10080");
        }
        let is_label = |text: &String| text.len() <= 200 && text.contains('|');
        if self.labels.len() > 50 || !self.labels.iter().all(is_label) {
            return refused("labels", "up to 50 of system|code");
        }
        for (rule, setting) in &self.rules {
            for (name, value) in &setting.limits {
                let known = rule.limits().iter().find(|limit| limit.name == name);
                let Some(known) = known else {
                    return refused("rules", "on, and the numbers that a rule has");
                };
                if !(known.within.0..=known.within.1).contains(value) {
                    return refused("rules", "numbers within what docs/alerts.md says");
                }
            }
        }
        Ok(())
    }

    /// Whether a rule counts.
    #[must_use]
    pub fn is_on(&self, rule: AlertRule) -> bool {
        let set = self.rules.get(&rule).and_then(|setting| setting.on);
        set.unwrap_or(rule.is_usual())
    }

    /// A number of a rule.
    #[must_use]
    pub fn limit(&self, rule: AlertRule, name: &str) -> i32 {
        let set = self.rules.get(&rule);
        let set = set.and_then(|setting| setting.limits.get(name).copied());
        let usual = rule.limits().iter().find(|limit| limit.name == name);
        set.or(usual.map(|limit| limit.usual)).unwrap_or_default()
    }
}

/// Something that a rule found.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The rule.
    pub rule: AlertRule,
    /// Who did it, as the audit names them: `User/1f3c`.
    pub agent: Box<str>,
    /// When it began, in milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// When it was last seen.
    pub to_ms: i64,
    /// How often it was seen.
    pub count: u32,
    /// The first audit events of it, by their ids as numbers.
    pub events: Vec<u64>,
    /// A message to the webhook that is still to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsent: Option<Unsent>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
}
salus_phi::guard!(Alert);

/// A message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsent {
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next, in milliseconds since 1970 UTC.
    pub due_ms: i64,
}

/// What came of an alert.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposition {
    /// The label of who says it.
    pub by: Box<str>,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// In one word.
    pub outcome: DispositionOutcome,
    /// In more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}
salus_phi::guard!(Disposition);

/// What an alert came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DispositionOutcome {
    /// It was right to do that.
    Justified,
    /// It was not.
    Violation,
    /// The rule should not have found it.
    FalseAlarm,
    /// Somebody else has to look at it.
    Escalated,
}

impl SystemRecord for Alert {
    const NAME: &'static str = "salus:Alert";

    fn rows(&self) -> Vec<Row> {
        let state = match self.disposition {
            None => "open",
            Some(_) => "closed",
        };
        let mut rows = vec![token_row(STATE, state)];
        if self.unsent.is_some() {
            rows.push(token_row(STATE, "unsent"));
        }
        rows
    }
}

impl Alert {
    /// Those that nobody has said anything about, or all; the newest first.
    #[must_use]
    pub fn listed(only_open: bool, limit: usize, after: Option<Position>) -> Query {
        let query = match only_open {
            true => with_token::<Self>(STATE, "open"),
            false => matching::<Self>(Filter::Everything),
        };
        Query {
            sort: vec![Sort::Updated { descending: true }],
            limit,
            after,
            ..query
        }
    }

    /// Those whose message waits, so many at most.
    #[must_use]
    pub fn unsent(limit: usize) -> Query {
        Query {
            limit,
            ..with_token::<Self>(STATE, "unsent")
        }
    }
}

/// How far the audit of a project was looked at. There is one such record at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertProgress {
    /// All entries up to this one were.
    pub seq: u64,
}

impl SystemRecord for AlertProgress {
    const NAME: &'static str = "salus:AlertProgress";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl AlertProgress {
    /// The id of a project's only record.
    pub const ID: &'static str = "alerts";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> Result<Alerting, Error> {
        let read: Alerting = serde_json::from_str(text).unwrap();
        read.check().map(|()| read)
    }

    #[test]
    fn an_empty_setting_is_the_usual_one() {
        assert_eq!(read("{}").unwrap(), Alerting::default());
        for rule in AlertRule::ALL {
            let name = serde_json::to_string(&rule).unwrap();
            assert_eq!(name, format!("\"{}\"", rule.name()));
            for limit in rule.limits() {
                assert!((limit.within.0..=limit.within.1).contains(&limit.usual));
            }
        }
    }

    #[test]
    fn rules_are_tuned_one_by_one() {
        let tuned = r#"{"rules": {"sign-in-burst": {"failures": 3}, "own-chart": {"on": false}}}"#;
        let tuned = read(tuned).unwrap();
        assert_eq!(tuned.limit(AlertRule::SignInBurst, "failures"), 3);
        assert_eq!(tuned.limit(AlertRule::SignInBurst, "minutes"), 5);
        assert!(tuned.is_on(AlertRule::SignInBurst) && !tuned.is_on(AlertRule::OwnChart));
        assert!(!tuned.is_on(AlertRule::UnusualHours));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            r#"{"mail": ["nobody"]}"#,
            r#"{"quiet_minutes": 0}"#,
            r#"{"labels": ["CEL"]}"#,
            r#"{"webhook": {"url": "https://a.example/", "secret": "whsec_AAAA"}}"#,
            r#"{"rules": {"sign-in-burst": {"failures": 1}}}"#,
            r#"{"rules": {"own-chart": {"failures": 3}}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Alerting>(r#"{"rules": {"no-rule": {}}}"#).is_err());
    }
}
