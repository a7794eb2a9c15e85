//! What the rules of a project come to for one subject.

use std::sync::Arc;

use salus_auth::policy::{
    Bindings, Deed, Fault, Label, Named, Operations, Rules, Statement, compartment,
};
use salus_auth::record::{Effect, Party, Policy, Relationship, Rule, Saved, Verb};
use salus_auth::{PurposeOfUse, Subject, Who};
use salus_fhir::mask::{Path, Paths};
use salus_store::{Filter, Kind};

use super::condition::meaning;
use super::relations::Patients;
use crate::context::Context;
use crate::fhir::types::ResourceType;

/// What is said of clients that no rule is about.
const SCOPES: &str = "scopes";

/// The rules that somebody is under; `None` if none say anything about them.
/// A condition that cannot be understood any more allows nothing, and denies
/// all that it could.
pub(super) fn rules(
    cx: &Context,
    policies: &[Saved<Policy>],
    subject: &Subject,
    patients: &Patients,
) -> Option<Arc<Rules>> {
    let is_user = match subject.who() {
        Who::User => true,
        Who::Client => false,
        Who::Administrator | Who::Operator | Who::Anonymous => return None,
    };
    let statements = statements(cx, policies, subject, patients);
    let operations = operations(policies, subject, patients);
    let rules = match (is_user, statements.is_empty() && operations.is_empty()) {
        (true, _) => Rules::of(&statements),
        (false, true) => return None,
        (false, false) => Rules::unless(SCOPES, &statements),
    };
    Some(rules.with(operations).into())
}

/// What each rule that counts for somebody says.
pub(super) fn statements(
    cx: &Context,
    policies: &[Saved<Policy>],
    subject: &Subject,
    patients: &Patients,
) -> Vec<Statement> {
    let is_user = match subject.who() {
        Who::User => true,
        Who::Client => false,
        Who::Administrator | Who::Operator | Who::Anonymous => return Vec::new(),
    };
    let bindings = subject.bindings();
    let purposes = patients.purposes(subject);
    let mut statements = Vec::new();
    for policy in policies {
        for rule in &policy.value.rules {
            // What a client may, its scopes say.
            let counts = is_user || rule.effect == Effect::Deny;
            let counts = counts && rule.is_for(&purposes);
            if counts && rule.subjects.iter().any(|party| is(subject, party)) {
                let name = format!("{}/{}", policy.id, rule.id);
                let to = (&bindings, patients);
                state(cx, rule, &name.into(), to, &mut statements);
            }
        }
    }
    let own = bindings.profiles.iter().filter(|(ty, _)| *ty == "Patient");
    let own: Vec<Box<str>> = own.map(|(_, id)| id.clone()).collect();
    statements.extend(patients.denials(&own));
    if patients.is_payer() {
        statements.extend(self_paid());
    }
    statements
}

/// The rules that are about somebody who does this with records of a type, each by its name.
pub(super) fn about<'p>(
    (policies, subject, purposes): (&'p [Saved<Policy>], &Subject, &[PurposeOfUse]),
    deed: Deed,
    ty: ResourceType,
) -> Vec<(String, &'p Rule)> {
    let is_user = subject.who() == Who::User;
    let is_meant = |rule: &Rule| {
        (is_user || rule.effect == Effect::Deny)
            && rule.subjects.iter().any(|party| is(subject, party))
            && rule.is_for(purposes)
            && deeds(rule).contains(&deed)
            && types(rule).iter().any(|one| one.kind == ty.kind)
    };
    let mut about = Vec::new();
    for policy in policies {
        for rule in policy.value.rules.iter().filter(|rule| is_meant(rule)) {
            about.push((format!("{}/{}", policy.id, rule.id), rule));
        }
    }
    about
}

/// What rules say of operations to somebody. Where one allows some user an
/// operation, it is closed to all users whom none does.
pub(super) fn operations(
    policies: &[Saved<Policy>],
    subject: &Subject,
    patients: &Patients,
) -> Operations {
    let is_user = match subject.who() {
        Who::User => true,
        Who::Client => false,
        Who::Administrator | Who::Operator | Who::Anonymous => return Operations::default(),
    };
    let purposes = patients.purposes(subject);
    let mut said = Operations::default();
    for policy in policies {
        for rule in &policy.value.rules {
            let is_about = rule.subjects.iter().any(|party| is(subject, party));
            let is_about = is_about && rule.is_for(&purposes);
            // What a client may, its scopes say.
            let counts = is_user || rule.effect == Effect::Deny;
            for (operation, on) in called(rule).filter(|_| counts) {
                if rule.effect == Effect::Allow {
                    said.closed.push((operation, on));
                }
                if is_about {
                    said.named.push(Named {
                        rule: format!("{}/{}", policy.id, rule.id).into(),
                        effect: rule.effect,
                        operation,
                        on,
                    });
                }
            }
        }
    }
    said.closed.sort_unstable();
    said.closed.dedup();
    said
}

/// The operations that a rule names, and the types on which they are called.
fn called(rule: &Rule) -> impl Iterator<Item = (salus_auth::Operation, Option<Kind>)> {
    rule.operations().flat_map(|operation| {
        let kinds = rule.kinds.iter();
        kinds.map(move |kind| (operation, (kind != "*").then(|| Kind::named(kind))))
    })
}

/// The relationships that rules about somebody name.
pub(super) fn relationships(policies: &[Saved<Policy>], subject: &Subject) -> Vec<Relationship> {
    if subject.who() != Who::User {
        return Vec::new();
    }
    let rules = policies.iter().flat_map(|policy| &policy.value.rules);
    let about = rules.filter(|rule| rule.subjects.iter().any(|party| is(subject, party)));
    let mut named: Vec<Relationship> = about.filter_map(|rule| rule.relationship).collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// What no rule can allow who acts for a payer.
fn self_paid() -> impl Iterator<Item = Statement> {
    let types = ResourceType::all().into_iter();
    types.map(|ty| Statement {
        rule: "self-pay".into(),
        effect: Effect::Deny,
        kind: ty.kind,
        deeds: Deed::ALL.into(),
        filter: Label::any_of(ty.name, &[Label::self_pay()]),
        hidden: Paths::default(),
        read_only: Paths::default(),
    })
}

/// Whether some rule says what somebody may do who has broken the glass.
pub(super) fn may_break_glass(policies: &[Saved<Policy>], subject: &Subject) -> bool {
    let mut rules = policies.iter().flat_map(|policy| &policy.value.rules);
    subject.who() == Who::User
        && rules.any(|rule| {
            let opens = rule.relationship == Some(Relationship::BreakGlass);
            let is_meant = rule.subjects.iter().any(|party| is(subject, party));
            opens && rule.effect == Effect::Allow && is_meant
        })
}

/// What is wrong with the conditions of a policy, as the project understands them.
pub(super) fn faults(cx: &Context, policy: &Policy) -> Vec<Fault> {
    let example = Bindings::example();
    let mut faults = Vec::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        if let Some(kind) = of_no_patient(rule) {
            let place = format!("rules[{at}].relationship");
            let details = format!("for {kind}: the type is in no compartment of patients");
            faults.push(Fault::at(place, details));
        }
        let Some(condition) = &rule.condition else {
            continue;
        };
        let place = format!("rules[{at}].condition");
        let by_name = |ty: &ResourceType| rule.kinds.iter().any(|kind| kind == ty.name);
        for ty in types(rule) {
            let fault = match meaning(cx, ty, condition, &example) {
                Ok(None) if by_name(&ty) => {
                    "names a compartment that the type is never in".to_owned()
                }
                Ok(_) => continue,
                Err(details) => details,
            };
            faults.push(Fault::at(&place, format!("for {}: {fault}", ty.name)));
            // Others of the types would say the same.
            break;
        }
    }
    faults
}

/// A type that a rule about patients names, and that has nothing of them.
fn of_no_patient(rule: &Rule) -> Option<&str> {
    rule.relationship?;
    let named = rule.kinds.iter().filter(|kind| *kind != "*");
    let mut without = named.filter(|kind| compartment::of_patients::<&str>(kind, &[]).is_none());
    without.next().map(String::as_str)
}

/// Whether a subject is meant.
fn is(subject: &Subject, party: &Party) -> bool {
    match party {
        Party::Everyone => true,
        Party::User(id) => subject.user_id() == Some(&**id),
        Party::Group(id) => subject.groups().binary_search(id).is_ok(),
        Party::Role(name) => subject.role_names().iter().any(|own| **own == **name),
        Party::Client(id) => subject.client_id() == Some(&**id),
    }
}

/// Adds what a rule says of each of its types.
fn state(
    cx: &Context,
    rule: &Rule,
    name: &Arc<str>,
    (bindings, patients): (&Bindings, &Patients),
    statements: &mut Vec<Statement>,
) {
    let deeds = deeds(rule);
    if deeds.is_empty() {
        return;
    }
    let paths = |texts: &[String]| {
        let all = texts.iter().map(|text| Path::parse(text));
        all.collect::<Result<Vec<_>, _>>()
    };
    // A path that is none any more denies what the rule is about.
    let parsed = (paths(&rule.hidden), paths(&rule.read_only));
    let (Ok(hidden), Ok(read_only)) = parsed else {
        return deny(rule, name, &deeds, statements);
    };
    for ty in types(rule) {
        let Some(narrowed) = narrowed(rule, ty, patients) else {
            continue;
        };
        let (hidden, read_only) = (Paths::of(ty.name, &hidden), Paths::of(ty.name, &read_only));
        if rule.denies_fields() && hidden.is_empty() && read_only.is_empty() {
            continue;
        }
        let filter = match rule.condition.as_deref() {
            None => Filter::Everything,
            Some(text) => match (meaning(cx, ty, text, bindings), rule.effect) {
                (Ok(None), _) => continue,
                (Ok(Some(meaning)), Effect::Allow) if !meaning.whole => continue,
                (Ok(Some(meaning)), _) => meaning.filter,
                (Err(_), Effect::Allow) => continue,
                (Err(_), Effect::Deny) => Filter::Everything,
            },
        };
        statements.push(Statement {
            rule: Arc::clone(name),
            effect: rule.effect,
            kind: ty.kind,
            deeds: deeds.clone(),
            filter: all(narrowed, filter),
            hidden,
            read_only,
        });
    }
}

/// What a rule says of records beside its condition: whose they are and how
/// they are labelled. `None`: those of the type are of no patient.
fn narrowed(rule: &Rule, ty: ResourceType, patients: &Patients) -> Option<Vec<Filter>> {
    let mut parts = Vec::new();
    if let Some(relationship) = rule.relationship {
        let records = patients.records(relationship, ty.name)?;
        parts.push(match (records, rule.effect) {
            // Who has no patient just now finds nothing, and may look for it.
            (Filter::Nothing, Effect::Allow) => Filter::Ids(Vec::new()),
            (records, _) => records,
        });
    }
    if !rule.labels.is_empty() {
        parts.push(Label::any_of(ty.name, &rule.labels));
    }
    if !rule.except_labels.is_empty() {
        let labelled = Label::any_of(ty.name, &rule.except_labels);
        parts.push(Filter::Not(labelled.into()));
    }
    Some(parts)
}

fn all(mut parts: Vec<Filter>, condition: Filter) -> Filter {
    if parts.contains(&Filter::Nothing) {
        return Filter::Nothing;
    }
    if condition != Filter::Everything {
        parts.push(condition);
    }
    match parts.len() {
        0 => Filter::Everything,
        1 => parts.remove(0),
        _ => Filter::All(parts),
    }
}

/// Of a rule that is no longer understood, nothing is allowed.
fn deny(rule: &Rule, name: &Arc<str>, deeds: &[Deed], statements: &mut Vec<Statement>) {
    let all = types(rule).into_iter().map(|ty| Statement {
        rule: Arc::clone(name),
        effect: Effect::Deny,
        kind: ty.kind,
        deeds: deeds.to_vec(),
        filter: Filter::Everything,
        hidden: Paths::default(),
        read_only: Paths::default(),
    });
    statements.extend(all);
}

fn deeds(rule: &Rule) -> Vec<Deed> {
    let all = Deed::ALL.into_iter();
    let is_meant = |deed: &Deed| {
        let mut verbs = rule.actions.iter();
        verbs.any(|verb| matches!(verb, Verb::Any) || *verb == Verb::Deed(*deed))
    };
    all.filter(is_meant).collect()
}

/// The types of a rule; all of them are not the audit.
fn types(rule: &Rule) -> Vec<ResourceType> {
    let any = rule.kinds.iter().any(|kind| kind == "*");
    let named = |ty: &ResourceType| {
        any && ty.name != ResourceType::AUDIT_EVENT || rule.kinds.iter().any(|kind| kind == ty.name)
    };
    ResourceType::all().into_iter().filter(named).collect()
}
