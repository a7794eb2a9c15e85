//! Questions about operations: whether one may be called, and by which rules.

use salus_auth::record::Effect;
use salus_auth::{Operation, Target};
use serde_json::{Value, json};

use super::{Judged, Question};
use crate::context::Context;
use crate::fhir::check_id;
use crate::fhir::operations::action_of;
use crate::fhir::types::ResourceType;

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
    let Some(action) = action_of(operation, ty, of_one) else {
        return Ok(json!({"allowed": false, "records": "none",
            "rule": "the operation is not called there", "named": false, "rules": []}));
    };
    let called = (operation, action);
    let decided = salus_auth::authorize_operation(&asked.subject, cx.scope, called, target);
    let plain = salus_auth::authorize(&asked.subject, cx.scope, action, target);
    let (records, rule) = match &decided {
        Ok(grant) => ("all", grant.rule()),
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
        json!({"allowed": decided.is_ok(), "records": records, "rule": rule,
        "named": decided.is_ok() != plain.is_ok(), "rules": rules.collect::<Vec<_>>()}),
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
