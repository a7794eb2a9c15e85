//! Questions about operations: whether one may be called, and by which rules.

use salus_auth::record::Effect;
use salus_auth::{Action, Grant, Operation, Target};
use serde_json::{Value, json};

use super::{Judged, Question};
use crate::context::Context;
use crate::fhir::check_id;
use crate::fhir::operations::action_of;
use crate::fhir::types::ResourceType;

const AUDIT_EVENT: &str = ResourceType::AUDIT_EVENT;

/// Whether an operation may be called; which records it may touch is for other questions.
pub(super) fn answer(
    cx: &Context,
    asked: &Judged,
    name: &str,
    question: &Question,
) -> Result<Value, &'static str> {
    let operation = Operation::named(name).ok_or("names no operation that there is")?;
    if question.compare || question.content.is_some() {
        return Err("compares or writes records, which no operation by itself is about");
    }
    let about = called_on(question)?;
    let ty = about.map(|(ty, _)| ty);
    let target = ty.map_or(Target::System, |ty| Target::Type(ty.name));
    let of_one = about.is_some_and(|(_, id)| id.is_some());
    // These two are no operations that are called: rules name them to say who sees the audit whole
    // and who keeps account of disclosures.
    let (target, action) = match operation {
        Operation::AUDIT => (Target::Type(AUDIT_EVENT), Some(Action::Search)),
        Operation::DISCLOSURES => (Target::Type("Patient"), Some(Action::WriteSettings)),
        _ => (target, action_of(operation, ty, of_one)),
    };
    let Some(action) = action else {
        return Ok(json!({"allowed": false, "records": "none",
            "rule": "the operation is not called there", "named": false, "rules": []}));
    };
    let called = (operation, action);
    let decided = salus_auth::authorize_operation(&asked.subject, cx.scope, called, target);
    let is_audit = operation == Operation::AUDIT;
    // Entries of the audit are read by all who may search it, and seen whole by auditors.
    let is_whole = |grant: &Grant| !is_audit || grant.audits();
    let is_allowed = decided.as_ref().is_ok_and(is_whole);
    let plain = salus_auth::authorize(&asked.subject, cx.scope, action, target);
    let plain = plain.is_ok() && !is_audit;
    let (records, rule) = match &decided {
        Ok(grant) if is_allowed => ("all", grant.rule()),
        Ok(_) => ("none", "what an entry says of records and people is masked"),
        Err(denied) => ("none", denied.rule()),
    };
    let rules = asked.operations.about(operation, target).map(|one| {
        let effect = match one.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        json!({"rule": &*one.rule, "effect": effect, "matches": true})
    });
    Ok(
        json!({"allowed": is_allowed, "records": records, "rule": rule,
        "named": is_allowed != plain, "rules": rules.collect::<Vec<_>>()}),
    )
}

/// The type that it is called on, and of which one record, if on one.
fn called_on(question: &Question) -> Result<Option<(ResourceType, Option<&str>)>, &'static str> {
    let (name, id) = match (&question.ty, &question.resource) {
        (None, None) => return Ok(None),
        (Some(ty), None) => (&**ty, None),
        (None, Some(resource)) => match resource.split_once('/') {
            Some((ty, id)) if check_id(id).is_ok() => (ty, Some(id)),
            _ => return Err("has a resource that is no Type/id"),
        },
        (Some(_), Some(_)) => return Err("needs a type or a resource, not both"),
    };
    let ty = ResourceType::named(name).ok_or("names no type of resource")?;
    Ok(Some((ty, id)))
}
