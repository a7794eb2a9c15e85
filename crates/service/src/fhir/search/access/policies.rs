//! Policies as administrators write them, and users under what the service
//! makes of them.

use salus_auth::Subject;
use salus_auth::record::{Email, Membership, User};
use salus_store::Scope;
use serde_json::{Value, json};

use super::super::host::{Host, context};
use super::{Clauses, NOW_MS};
use crate::fhir::types::ResourceType;

/// A rule that allows all users to do this, under a condition or not.
pub(super) fn allow(
    id: &str,
    actions: &[&str],
    kinds: &[&str],
    condition: Option<String>,
) -> Value {
    let mut rule = json!({"id": id, "effect": "allow", "subjects": ["everyone"],
        "actions": actions, "kinds": kinds});
    if let Some(condition) = condition {
        rule["condition"] = condition.into();
    }
    rule
}

/// What allows some actions on what clauses find, and on all other types.
pub(super) fn rules(name: &str, actions: &[&str], clauses: &Clauses) -> Vec<Value> {
    let others = ResourceType::all().into_iter().map(|ty| ty.name);
    let others = others.filter(|ty| !clauses.contains_key(ty) && *ty != ResourceType::AUDIT_EVENT);
    let others: Vec<&str> = others.collect();
    let mut rules = vec![allow(&format!("{name}-others"), actions, &others, None)];
    for (ty, alternatives) in clauses {
        let mut add = |search: String| {
            let id = format!("{name}-{}", rules.len());
            rules.push(allow(&id, actions, &[ty], Some(format!("{ty}?{search}"))));
        };
        if alternatives.is_empty() {
            add("_id=nothing".to_owned());
        }
        for one in alternatives {
            let mut search = form_urlencoded::Serializer::new(String::new());
            add(search.extend_pairs(one).finish());
        }
    }
    rules
}

/// A user of a project with just these rules.
pub(super) async fn under(host: &Host, scope: Scope, rules: Vec<Value>) -> Subject {
    let cx = context(Subject::operator(), scope, NOW_MS);
    let body = json!({"rules": rules}).to_string();
    let written = host.service.write_policy(&cx, "p", body.as_bytes()).await;
    written.unwrap_or_else(|error| panic!("{:?}: {body}", error.issues()));
    let user = User::new(Email::parse("a@b").unwrap(), 0);
    let user = Subject::user(scope, "u", &user, &Membership::default());
    let under = host.service.under_policies(user.into(), NOW_MS).await;
    (*under.unwrap()).clone()
}
