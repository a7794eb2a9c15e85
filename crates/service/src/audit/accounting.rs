//! The accounting of disclosures of a patient's records: 45 CFR 164.528.
//!
//! It is computed from the log and nothing else: entries about the patient of requests
//! by clients of recipients outside, disclosures that staff recorded, protocols of
//! research, and suspensions. What one of the exceptions of (a)(1) leaves out is counted
//! with its reason, and what a suspension holds back is told to staff only.

use std::collections::{BTreeMap, BTreeSet};

use salus_auth::{Exception, PurposeOfUse, Recipient};
use serde::Serialize;

use super::day::Day;
use super::disclosure::{self, Form, Protocol, Suspension};
use super::entry::{Entry, Outcome, What};

/// The accounting of one patient.
#[derive(Default, Serialize)]
pub struct Accounting {
    /// The patient.
    pub patient: String,
    /// The first day that it is about.
    pub from: Day,
    /// The last one.
    pub to: Day,
    /// What was disclosed; what was repeated for one purpose to one recipient is one line.
    pub disclosures: Vec<Line>,
    /// Research for which records may have been disclosed.
    pub protocols: Vec<Protocol>,
    /// How many were left out, by the exception.
    pub excepted: BTreeMap<&'static str, u64>,
    /// What a suspension holds back: for staff, not for the patient.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Line>,
}
salus_phi::guard!(Accounting);

/// Disclosures to one recipient for one purpose: (b)(2), (b)(3).
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The day of the first one.
    pub date: Day,
    /// The day of the last one.
    pub last: Day,
    /// How many there were.
    pub times: u64,
    /// To whom.
    pub recipient: Recipient,
    /// What was disclosed, in short.
    pub description: String,
    /// What for.
    pub purpose: String,
}
salus_phi::guard!(Line);

/// The years of an accounting, at most.
pub(super) const YEARS: i64 = 6;

/// An accounting that is being made.
pub(super) struct Making {
    accounting: Accounting,
    today: Day,
    suspensions: Vec<Suspension>,
    lines: Vec<(Line, Key)>,
}

/// What is summarised in one line: the recipient, the purpose, the description.
type Key = (Recipient, String, String);

impl Making {
    pub(super) fn new(patient: &str, (from, to): (Day, Day), today: Day) -> Self {
        let accounting = Accounting {
            patient: patient.to_owned(),
            from,
            to,
            ..Accounting::default()
        };
        Self {
            accounting,
            today,
            suspensions: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Adds an entry about the patient or about protocols; the oldest comes first.
    pub(super) fn add(&mut self, time_ms: i64, entry: &Entry) {
        if entry.outcome != Outcome::Success {
            return;
        }
        match disclosure::form(entry) {
            Some(Form::Disclosure(one)) => {
                let line = Line {
                    date: one.date,
                    last: one.last.unwrap_or(one.date),
                    times: one.times.unwrap_or(1).into(),
                    recipient: one.recipient,
                    description: one.description,
                    purpose: one.purpose,
                };
                self.disclosed(line, one.exception);
            }
            Some(Form::Protocol(protocol)) => {
                let Accounting { from, to, .. } = &self.accounting;
                if protocol.from <= *to && protocol.to >= *from {
                    self.accounting.protocols.push(protocol);
                }
            }
            Some(Form::Suspension(one)) => {
                // What is said later of an agency counts.
                self.suspensions.retain(|old| !old.is_of(&one));
                self.suspensions.push(one);
            }
            None => self.shown(time_ms, entry),
        }
    }

    /// Adds what a client of somebody outside was shown.
    fn shown(&mut self, time_ms: i64, entry: &Entry) {
        let Some(recipient) = entry.recipient().filter(|_| shows(entry)) else {
            return;
        };
        let date = Day::of(time_ms);
        let line = Line {
            date,
            last: date,
            times: 1,
            recipient: recipient.clone(),
            description: types(entry),
            purpose: match entry.purpose {
                Some(purpose) => purpose.code().to_owned(),
                None => "not stated".to_owned(),
            },
        };
        let exception = excepted(entry, &self.accounting.patient).or(recipient.basis);
        self.disclosed(line, exception);
    }

    fn disclosed(&mut self, line: Line, exception: Option<Exception>) {
        if line.last < self.accounting.from || line.date > self.accounting.to {
            return;
        }
        if let Some(exception) = exception {
            *self
                .accounting
                .excepted
                .entry(exception.name())
                .or_default() += line.times;
            return;
        }
        let key = (
            line.recipient.clone(),
            line.purpose.clone(),
            line.description.clone(),
        );
        match self.lines.iter_mut().find(|(_, known)| *known == key) {
            Some((known, _)) => {
                known.date = known.date.min(line.date);
                known.last = known.last.max(line.last);
                known.times += line.times;
            }
            None => self.lines.push((line, key)),
        }
    }

    /// The accounting, when all entries are added.
    pub(super) fn end(self) -> Accounting {
        let mut accounting = self.accounting;
        for (line, _) in self.lines {
            let mut held = self.suspensions.iter();
            match held.any(|one| one.holds(&line.recipient, self.today)) {
                true => accounting.withheld.push(line),
                false => accounting.disclosures.push(line),
            }
        }
        accounting.disclosures.sort_by_key(|line| line.date);
        accounting.withheld.sort_by_key(|line| line.date);
        accounting
    }
}

/// Whether records were shown by what an entry tells. What a client wrote itself was
/// not disclosed to it.
fn shows(entry: &Entry) -> bool {
    let reads = matches!(
        entry.what,
        What::Read
            | What::Vread
            | What::HistoryInstance
            | What::HistoryType
            | What::HistorySystem
            | What::Search
            | What::Operation
            | What::Export
    );
    reads && entry.entities.iter().any(|entity| entity.version > 0)
}

/// The types of the records that were shown.
fn types(entry: &Entry) -> String {
    let shown = entry.entities.iter().filter(|entity| entity.version > 0);
    let types: BTreeSet<&str> = shown.map(|entity| &*entity.ty).collect();
    types.into_iter().collect::<Vec<_>>().join(", ")
}

/// The exception of (a)(1) that holds for what was shown.
fn excepted(entry: &Entry, patient: &str) -> Option<Exception> {
    let by = entry.by();
    let profile = by.map_or("", |by| &*by.profile);
    let own = profile.strip_prefix("Patient/") == Some(patient);
    if own || profile.starts_with("RelatedPerson/") {
        return Some(Exception::Individual);
    }
    let is = |code: &str| {
        let above = PurposeOfUse::parse(code);
        entry
            .purpose
            .zip(above)
            .is_some_and(|(own, above)| own.is(above))
    };
    let by_purpose = [
        ("TREAT", Exception::Treatment),
        ("HPAYMT", Exception::Payment),
        // A purpose below operations, and named by itself.
        ("HDIRECT", Exception::Directory),
        ("HOPERAT", Exception::Operations),
    ];
    let mut found = by_purpose.into_iter().filter(|(code, _)| is(code));
    found.next().map(|(_, exception)| exception)
}
