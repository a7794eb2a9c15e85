//! Disclosures as entries of the audit: what is kept of one, of a suspension, and of a
//! protocol of research, and what an entry tells of somebody outside.
//!
//! What clients of recipients outside are shown is a disclosure by itself: the entry of
//! the request says all that an accounting needs. What is disclosed elsewhere (on paper,
//! by telephone) is recorded by staff, as an entry of its own whose text is one of the
//! forms here, in JSON.

use salus_auth::{Exception, Recipient};
use salus_store::Kind;
use serde::{Deserialize, Serialize};

use super::day::Day;
use super::entry::{Entry, What};

/// A disclosure that staff record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// The day on which it was made.
    pub date: Day,
    /// To whom.
    pub recipient: Recipient,
    /// What was disclosed, in short.
    pub description: String,
    /// What for, in short.
    pub purpose: String,
    /// How it was made: paper, fax, telephone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub means: String,
    /// Why it stands in no accounting, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// How often it was made, for the same purpose to the same recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The day of the last of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Day>,
}
salus_phi::guard!(Disclosure);

/// Research for which records of fifty or more patients may have been disclosed
/// (45 CFR 164.528(b)(4)).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// The name of the protocol or the activity.
    pub name: String,
    /// What it is, its purpose and how records are selected, in plain language.
    pub description: String,
    /// Which records are disclosed.
    pub records: String,
    /// The first day of the period in which they may have been.
    pub from: Day,
    /// The last one, or that of the last disclosure.
    pub to: Day,
    /// Who sponsors it, and to whom records were disclosed.
    pub sponsor: Recipient,
    /// The telephone number of the sponsor.
    #[serde(default)]
    pub phone: String,
}
salus_phi::guard!(Protocol);

/// That an agency has asked to be left out of accountings for a time
/// (45 CFR 164.528(a)(2)).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspension {
    /// The agency or official: the name of the recipient in disclosures.
    pub agency: String,
    /// The last day on which it holds.
    pub until: Day,
    /// Whether the statement is in writing; one that is not holds for thirty days at most.
    pub written: bool,
    /// Who made the statement, and what it says.
    pub statement: String,
}
salus_phi::guard!(Suspension);

/// The longest text of a form, in bytes.
const TEXT_MAX: usize = 2000;
/// For how long a statement that is not in writing holds, in days.
pub(super) const ORAL_DAYS: i64 = 30;

/// Why something recorded cannot be taken.
pub(super) type Refusal = &'static str;

impl Disclosure {
    pub(super) fn check(&self, today: Day) -> Result<(), Refusal> {
        recipient_of(&self.recipient)?;
        told(&self.description, "description")?;
        told(&self.purpose, "purpose")?;
        let last = self.last.unwrap_or(self.date);
        if last < self.date || last > today {
            return Err("date and last must be days that were, in order");
        }
        match (self.times, self.last) {
            (None, None) => Ok(()),
            (Some(2..), Some(_)) => Ok(()),
            _ => Err("times is 2 at least, and stands together with last"),
        }
    }
}

impl Protocol {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        recipient_of(&self.sponsor)?;
        told(&self.name, "name")?;
        told(&self.description, "description")?;
        told(&self.records, "records")?;
        match self.from <= self.to {
            true => Ok(()),
            false => Err("from must not be after to"),
        }
    }
}

impl Suspension {
    pub(super) fn check(&self, today: Day) -> Result<(), Refusal> {
        told(&self.agency, "agency")?;
        told(&self.statement, "statement")?;
        match self.written || self.until <= today.days_later(ORAL_DAYS) {
            true => Ok(()),
            false => {
                Err("a statement that is not in writing holds for 30 days at most: until is later")
            }
        }
    }

    /// Whether both are about one agency.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        let (own, other) = (self.agency.trim(), other.agency.trim());
        own.eq_ignore_ascii_case(other)
    }

    /// Whether it holds on a day for what was disclosed to somebody.
    pub(super) fn holds(&self, recipient: &Recipient, today: Day) -> bool {
        today <= self.until
            && recipient
                .name
                .trim()
                .eq_ignore_ascii_case(self.agency.trim())
    }
}

fn recipient_of(recipient: &Recipient) -> Result<(), Refusal> {
    match recipient.is_told() {
        true => Ok(()),
        false => Err("a recipient has a name and an address, each one line of 300 bytes at most"),
    }
}

fn told(text: &str, member: &'static str) -> Result<(), Refusal> {
    match !text.trim().is_empty() && text.len() <= TEXT_MAX {
        true => Ok(()),
        false => Err(match member {
            "description" => "description must be a text of 2000 bytes at most",
            "purpose" => "purpose must be a text of 2000 bytes at most",
            "agency" => "agency must be a text of 2000 bytes at most",
            "statement" => "statement must be a text of 2000 bytes at most",
            _ => "name and records must be texts of 2000 bytes at most",
        }),
    }
}

/// Where the log keeps all suspensions of a project.
pub(super) fn suspensions() -> (Kind, Box<str>) {
    (Kind::named("salus:Suspension"), "all".into())
}

/// Where it keeps all protocols of research.
pub(super) fn protocols() -> (Kind, Box<str>) {
    (Kind::named("salus:Protocol"), "all".into())
}

/// What an entry holds of these forms.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    Disclosure(Disclosure),
    Protocol(Protocol),
    Suspension(Suspension),
}

/// The form in an entry, if there is one.
pub(super) fn form(entry: &Entry) -> Option<Form> {
    if entry.what == What::DisclosuresSuspended {
        let one = serde_json::from_str(&entry.query).map(Form::Suspension);
        return one.ok();
    }
    if entry.what != What::Disclosure {
        return None;
    }
    let one = serde_json::from_str(&entry.query).map(Form::Disclosure);
    let other = || serde_json::from_str(&entry.query).map(Form::Protocol);
    one.or_else(|_| other()).ok()
}

/// Somebody outside who learned what an entry is about.
pub(super) fn recipient(entry: &Entry) -> Option<Recipient> {
    match form(entry) {
        Some(Form::Disclosure(disclosure)) => Some(disclosure.recipient),
        Some(Form::Protocol(protocol)) => Some(protocol.sponsor),
        Some(Form::Suspension(_)) => None,
        None => entry.recipient().cloned(),
    }
}

/// The reason of what is no interaction, as people read it.
pub(super) fn described(entry: &Entry) -> String {
    match form(entry) {
        Some(Form::Disclosure(one)) => format!("{} {}: {}", one.date, one.purpose, one.description),
        Some(Form::Protocol(one)) => format!("{}: {}", one.name, one.records),
        Some(Form::Suspension(one)) => format!("{} until {}", one.agency, one.until),
        None => entry.query.to_string(),
    }
}
