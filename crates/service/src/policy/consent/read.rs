//! A Consent as provisions: <https://hl7.org/fhir/R4/consent.html>.
//!
//! The root provision says what the consent is about; whether that is
//! permitted or denied its `type` says or else `policyRule` (`OPTIN`, `OPTOUT`).
//! Provisions inside are exceptions. What is not understood of a criterion makes
//! it unknown, so that it holds where it denies and does not where it permits.

use salus_auth::PurposeOfUse;
use salus_fhir::json::Node;
use salus_fhir::reference::{Local, Reference};
use salus_store::Kind;

use crate::policy::relations::Time;

/// How deep provisions may stand in provisions.
const DEPTH_MAX: usize = 8;
/// Values of one criterion at most.
const VALUES_MAX: usize = 200;

/// What a user is known to be.
const ACTORS: [&str; 5] = [
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "RelatedPerson",
    "Patient",
];
/// What <https://hl7.org/fhir/R4/codesystem-consent-action.html> knows.
const ACTIONS: [&str; 5] = ["collect", "access", "use", "disclose", "correct"];

/// A system and a code; no system is any.
pub(crate) type Code = (Option<Box<str>>, Box<str>);

/// A consent that holds, as far as its status says.
pub(crate) struct Parsed {
    pub(crate) patient: Box<str>,
    pub(crate) root: Provision,
}

/// Values of a criterion. None at all is no criterion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Values<T> {
    pub(crate) known: Vec<T>,
    /// Whether some were not understood.
    pub(crate) unknown: bool,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            unknown: false,
        }
    }
}

impl<T> Values<T> {
    /// Whether it is a criterion.
    pub(crate) fn is_some(&self) -> bool {
        self.unknown || !self.known.is_empty()
    }
}

/// One provision.
#[derive(Clone)]
pub(crate) struct Provision {
    pub(crate) permits: bool,
    /// When; `None` if nobody knows.
    pub(crate) time: Option<Time>,
    pub(crate) actors: Values<(Kind, Box<str>)>,
    pub(crate) actions: Values<&'static str>,
    pub(crate) purposes: Values<PurposeOfUse>,
    pub(crate) labels: Values<Code>,
    pub(crate) classes: Values<Box<str>>,
    pub(crate) codes: Values<Code>,
    pub(crate) data: Values<(Kind, Box<str>)>,
    pub(crate) nested: Vec<Provision>,
}
salus_phi::guard!(Provision);

/// What a Consent says, if it is an active one about privacy. One that cannot
/// be understood denies everything of its patient.
pub(crate) fn consent(node: Node<'_>) -> Option<Parsed> {
    let is_active = &*node.get("status")?.str()? == "active";
    let about_privacy = codings(node.get("scope")).any(|code| is(code, "patient-privacy"));
    if !(is_active && about_privacy) {
        return None;
    }
    let patient = local(node.get("patient"))?;
    let base = match codings(node.get("policyRule")).find_map(|code| code.get("code")?.str()) {
        Some(code) if &*code == "OPTIN" => Some(true),
        Some(code) if &*code == "OPTOUT" => Some(false),
        Some(_) | None => None,
    };
    let root = match node.get("provision") {
        Some(root) => provision(root, base, DEPTH_MAX),
        None => base.map(nothing_but),
    };
    (patient.0 == Kind::named("Patient")).then(|| Parsed {
        patient: patient.1,
        root: root.unwrap_or_else(|| nothing_but(false)),
    })
}

fn nothing_but(permits: bool) -> Provision {
    Provision {
        permits,
        time: Some(Time::ALWAYS),
        actors: Values::default(),
        actions: Values::default(),
        purposes: Values::default(),
        labels: Values::default(),
        classes: Values::default(),
        codes: Values::default(),
        data: Values::default(),
        nested: Vec::new(),
    }
}

fn provision(node: Node<'_>, base: Option<bool>, depth: usize) -> Option<Provision> {
    let permits = match node.get("type").and_then(Node::str) {
        Some(code) => &*code == "permit",
        None => base?,
    };
    let mut nested = Vec::new();
    for inner in children(node, "provision") {
        nested.push(provision(inner, None, depth.checked_sub(1)?)?);
    }
    let mut data = values(node, "data", |data| {
        // Which records are related to one, or depend on it, no index says.
        (&*data.get("meaning")?.str()? == "instance").then(|| local(data.get("reference")))?
    });
    data.unknown |= node.get("dataPeriod").is_some();
    Some(Provision {
        permits,
        time: Time::of(node.get("period")),
        // Who is in a group or a team, or speaks through a device, is not known here.
        actors: values(node, "actor", |actor| {
            local(actor.get("reference")).filter(|(kind, _)| is_actor(*kind))
        }),
        actions: values(node, "action", |action| {
            codings(Some(action)).find_map(|coding| one_of(coding, &ACTIONS))
        }),
        purposes: values(node, "purpose", |coding| {
            PurposeOfUse::parse(&coding.get("code")?.str()?)
        }),
        labels: values(node, "securityLabel", code),
        classes: values(node, "class", |class| {
            let code = class.get("code")?.str()?;
            let ty = code.strip_prefix("http://hl7.org/fhir/StructureDefinition/");
            let ty = ty.unwrap_or(&code);
            let known = crate::fhir::types::ResourceType::named(ty);
            known.map(|ty| ty.name.into())
        }),
        codes: values(node, "code", |concept| {
            codings(Some(concept)).find_map(code)
        }),
        data,
        nested,
    })
}

fn values<T>(node: Node<'_>, name: &str, read: impl Fn(Node<'_>) -> Option<T>) -> Values<T> {
    let mut values = Values::default();
    for child in children(node, name) {
        match read(child) {
            Some(one) if values.known.len() < VALUES_MAX => values.known.push(one),
            Some(_) | None => values.unknown = true,
        }
    }
    values
}

fn children<'n>(node: Node<'n>, name: &str) -> impl Iterator<Item = Node<'n>> {
    node.get(name).map(Node::children).into_iter().flatten()
}

fn codings(concept: Option<Node<'_>>) -> impl Iterator<Item = Node<'_>> {
    concept
        .into_iter()
        .flat_map(|concept| children(concept, "coding"))
}

fn code(node: Node<'_>) -> Option<Code> {
    let system = match node.get("system") {
        Some(system) => Some(system.str()?.into()),
        None => None,
    };
    Some((system, node.get("code")?.str()?.into()))
}

fn one_of(coding: Node<'_>, known: &[&'static str]) -> Option<&'static str> {
    let code = coding.get("code")?.str()?;
    known.iter().copied().find(|one| *one == &*code)
}

fn is_actor(kind: Kind) -> bool {
    let mut known = ACTORS.iter();
    known.any(|name| Kind::named(name) == kind)
}

fn is(node: Node<'_>, code: &str) -> bool {
    let own = node.get("code").and_then(Node::str);
    own.is_some_and(|own| &*own == code)
}

fn local(reference: Option<Node<'_>>) -> Option<(Kind, Box<str>)> {
    let text = reference?.get("reference")?.str()?;
    match Reference::parse::<&str>(&text, &[])? {
        Reference::Local(Local { ty, id, .. }) => Some((Kind::named(ty), id.into())),
        Reference::Absolute { .. }
        | Reference::Urn(_)
        | Reference::Contained(_)
        | Reference::Conditional { .. } => None,
    }
}
