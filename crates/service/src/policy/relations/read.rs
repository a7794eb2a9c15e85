//! What records say about who stands how to a patient.
//!
//! References count if they are relative, as `Practitioner/1`. What cannot be
//! read relates nobody.

use std::collections::HashSet;

use salus_fhir::json::Node;
use salus_fhir::reference::{Local, Reference};
use salus_fhir::search::Span;
use salus_store::{Filter, Kind, Param, References, Test};

use super::time::Time;

/// The system of an encounter's status.
pub(super) const ENCOUNTER_STATUS: &str = "http://hl7.org/fhir/encounter-status";
/// Those of encounters that have begun and not ended.
pub(super) const UNDER_WAY: [&str; 4] = ["arrived", "triaged", "in-progress", "onleave"];

/// Codes of v3-RoleCode of who stands to a patient otherwise than as a
/// parent, so that it does not end when the patient is of age.
const NOT_PARENTS: [&str; 15] = [
    "SPS",
    "HUSB",
    "WIFE",
    "DOMPART",
    "SIGOTHR",
    "CHILD",
    "CHLDADOPT",
    "DAU",
    "SON",
    "DAUC",
    "SONC",
    "SIB",
    "GUARD",
    "HPOWATT",
    "POWATT",
];

/// Whom records mean when they mean one user.
#[derive(Default)]
pub(super) struct Actors(HashSet<(Kind, Box<str>)>);

impl Actors {
    pub(super) fn add(&mut self, kind: Kind, id: Box<str>) {
        self.0.insert((kind, id));
    }

    /// The records whose parameter refers to one of these kinds of them.
    pub(super) fn named_by(&self, param: Param, kinds: &[Kind]) -> Filter {
        let of = |kind: Kind| {
            let ids = self.0.iter().filter(|(own, _)| *own == kind);
            let ids: Vec<Box<str>> = ids.map(|(_, id)| id.clone()).collect();
            (!ids.is_empty())
                .then(|| Filter::Value(param, Test::References(References::of(kind, ids))))
        };
        let any: Vec<Filter> = kinds.iter().filter_map(|kind| of(*kind)).collect();
        match any.is_empty() {
            true => Filter::Nothing,
            false => Filter::Any(any),
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> HashSet<(Kind, Box<str>)> {
        self.0.clone()
    }

    fn has(&self, reference: &Local<'_>, but: Option<Kind>) -> bool {
        let kind = Kind::named(reference.ty);
        Some(kind) != but && self.0.contains(&(kind, reference.id.into()))
    }
}

/// A record that relates the user to a patient at some times.
pub(super) struct Related {
    pub(super) patient: Box<str>,
    pub(super) times: Vec<Time>,
}

/// The organization of a role, and when it is held.
pub(super) fn role(node: Node<'_>) -> Option<(Option<Box<str>>, Time)> {
    if node.get("active").and_then(Node::bool) == Some(false) {
        return None;
    }
    let organization = target(node.get("organization"), "Organization");
    Some((organization, Time::of(node.get("period"))?))
}

pub(super) fn care_team(node: Node<'_>, actors: &Actors) -> Option<Related> {
    if &*node.get("status")?.str()? != "active" {
        return None;
    }
    let patient = target(node.get("subject"), "Patient")?;
    let whole = Time::of(node.get("period"))?;
    let times = participants(node, "member", |local| actors.has(local, None));
    let times = times.map(|time| time.and(whole)).collect();
    Some(Related { patient, times })
}

pub(super) fn encounter(node: Node<'_>, actors: &Actors, grace_ms: i64) -> Option<Related> {
    let whole = Time::of(node.get("period"))?;
    let status = node.get("status")?.str()?;
    let is_over = &*status == "finished";
    // What has ended nobody knows when relates nobody any more.
    if !(UNDER_WAY.contains(&&*status) || is_over && whole.ends()) {
        return None;
    }
    let patient = target(node.get("subject"), "Patient")?;
    // An encounter is met by people, not by all of an organization.
    let organization = Some(super::ORGANIZATION);
    let times = participants(node, "individual", |local| actors.has(local, organization));
    let times = times.map(|time| time.and(whole).and_longer(grace_ms));
    Some(Related {
        patient,
        times: times.collect(),
    })
}

/// Somebody who acts for a patient.
pub(super) struct Proxy {
    pub(super) patient: Box<str>,
    pub(super) time: Time,
    /// Only while the patient is not of age.
    pub(super) is_of_minor: bool,
}

pub(super) fn proxy(node: Node<'_>) -> Option<Proxy> {
    if node.get("active").and_then(Node::bool) == Some(false) {
        return None;
    }
    let codes = node.get("relationship").map(Node::children);
    let codes = codes.into_iter().flatten();
    let codings = codes.filter_map(|concept| concept.get("coding"));
    let mut codings = codings.flat_map(Node::children);
    let is_other = codings.any(|coding| {
        let code = coding.get("code").and_then(Node::str);
        code.is_some_and(|code| NOT_PARENTS.contains(&&*code))
    });
    Some(Proxy {
        patient: target(node.get("patient"), "Patient")?,
        time: Time::of(node.get("period"))?,
        is_of_minor: !is_other,
    })
}

/// When a patient is so many years old at the earliest; `None` if nobody knows.
pub(super) fn of_age_ms(node: Node<'_>, years: u32) -> Option<i64> {
    let born = node.get("birthDate")?.str()?;
    let (year, rest) = born.split_at_checked(4)?;
    let year = year.parse::<u32>().ok()?.checked_add(years)?;
    // Who was born on the 29th of February is of age on the 28th at the earliest.
    let rest = if rest == "-02-29" { "-02-28" } else { rest };
    Some(Span::parse(&format!("{year:04}{rest}"))?.from_ms)
}

/// When those take part whose reference is meant.
fn participants<'n>(
    node: Node<'n>,
    name: &'static str,
    is_meant: impl Fn(&Local<'_>) -> bool + 'n,
) -> impl Iterator<Item = Time> + 'n {
    let all = node.get("participant").map(Node::children);
    all.into_iter().flatten().filter_map(move |participant| {
        let text = participant.get(name)?.get("reference")?.str()?;
        let meant = local(&text).filter(|local| is_meant(local));
        meant.and_then(|_| Time::of(participant.get("period")))
    })
}

/// The id that a reference to a type names.
fn target(node: Option<Node<'_>>, ty: &str) -> Option<Box<str>> {
    let text = node?.get("reference")?.str()?;
    let local = local(&text).filter(|local| local.ty == ty);
    local.map(|local| local.id.into())
}

fn local(text: &str) -> Option<Local<'_>> {
    match Reference::parse::<&str>(text, &[]) {
        Some(Reference::Local(local)) => Some(local),
        Some(_) | None => None,
    }
}
