//! Scopes as rules: for which records each of them holds.
//!
//! `patient/` is the compartment of a patient, what stands behind a `?` a search.
//! Both become predicates as conditions of policies do, so that reads, searches,
//! histories and writes keep to them. They meet what there is otherwise
//! ([`Rules::and`]) and so give nothing to anybody.

use std::sync::Arc;

use salus_auth::policy::{Bindings, Deed, Rules, Statement, compartment};
use salus_auth::record::Effect;
use salus_auth::{Granted, Level, Scopes};
use salus_fhir::mask::Paths;
use salus_store::Filter;

use super::condition::meaning;
use crate::context::Context;
use crate::fhir::types::ResourceType;

/// What scopes allow. A search that is not understood any more allows nothing.
pub(crate) fn rules(cx: &Context, scopes: &Scopes, patient: Option<&str>) -> Rules {
    let granted: Vec<Granted<'_>> = scopes.granted().collect();
    let mut statements = Vec::new();
    for ty in ResourceType::all() {
        let about: Vec<&Granted<'_>> = granted.iter().filter(|one| is_about(one, ty)).collect();
        for one in &about {
            let Some(filter) = filter(cx, one, ty, patient) else {
                continue;
            };
            let mut deeds: Vec<Deed> = one.deeds().collect();
            if sees_history(one, &about) {
                deeds.push(Deed::History);
            }
            statements.push(Statement {
                rule: Arc::clone(one.text),
                effect: Effect::Allow,
                kind: ty.kind,
                deeds,
                filter,
                hidden: Paths::default(),
                read_only: Paths::default(),
            });
        }
    }
    Rules::of(&statements)
}

/// Those scopes whose searches the project understands, for one type at least.
pub(crate) fn understood(cx: &Context, scopes: &Scopes) -> Scopes {
    if !scopes.are_narrowed() {
        return scopes.clone();
    }
    let lost = |one: &Granted<'_>| {
        let mut types = ResourceType::all().into_iter();
        !types.any(|ty| is_about(one, ty) && searched(cx, one, ty).is_some())
    };
    let lost = scopes.granted().filter(lost);
    let lost: Vec<Arc<str>> = lost.map(|one| Arc::clone(one.text)).collect();
    scopes.only(|text| !lost.iter().any(|one| **one == *text))
}

fn is_about(one: &Granted<'_>, ty: ResourceType) -> bool {
    match one.ty {
        Some(name) => name == ty.name,
        None => ty.name != ResourceType::AUDIT_EVENT,
    }
}

/// A history is read by id and found by type, but both show the same records: where
/// one scope lets read and another search, only what both let do is shown.
fn sees_history(one: &Granted<'_>, about: &[&Granted<'_>]) -> bool {
    let any = |has: fn((bool, bool)) -> bool| {
        let mut all = about.iter().map(|one| one.reads_and_searches());
        all.any(has)
    };
    match one.reads_and_searches() {
        (true, true) => true,
        (true, false) => !any(|(_, searches)| searches),
        (false, true) => !any(|(reads, _)| reads),
        (false, false) => false,
    }
}

/// The records of a type that a scope is about; `None` is none.
fn filter(
    cx: &Context,
    one: &Granted<'_>,
    ty: ResourceType,
    patient: Option<&str>,
) -> Option<Filter> {
    let searched = searched(cx, one, ty)?;
    if one.level != Level::Patient {
        return Some(searched);
    }
    let within = compartment::of_patients(ty.name, &[patient?])?;
    Some(match searched == Filter::Everything {
        true => within,
        false => Filter::All(vec![within, searched]),
    })
}

fn searched(cx: &Context, one: &Granted<'_>, ty: ResourceType) -> Option<Filter> {
    let Some(search) = one.search else {
        return Some(Filter::Everything);
    };
    // Nothing of the user stands in the search of a scope.
    let nobody = Bindings::default();
    let meaning = meaning(cx, ty, &format!("?{search}"), &nobody).ok()??;
    meaning.whole.then_some(meaning.filter)
}

#[cfg(test)]
mod tests {
    use salus_auth::record::{Email, Membership, User};
    use salus_auth::{Action, Limit, Role, Subject, Target, authorize};
    use salus_store::Scope;
    use salus_store::memory::Memory;

    use super::*;
    use crate::fhir::search::host::{Host, context};

    const SCOPE: Scope = Scope(1);

    fn administrator() -> Subject {
        let user = User {
            roles: vec![(SCOPE.0, Role::Administrator)],
            ..User::new(Email::parse("a@b").unwrap(), 0)
        };
        Subject::user(SCOPE, "u", &user, &Membership::default())
    }

    /// What a client may do for somebody who may do everything.
    #[track_caller]
    fn check(cx: &Context, text: &str, (action, ty): (Action, &str), expect: &str) {
        let scopes = Scopes::parse(text).unwrap();
        let limit = Limit::new(SCOPE, "app", &scopes, Some("p"));
        let subject = administrator().limited(limit, rules(cx, &scopes, Some("p")));
        let granted = authorize(&Arc::new(subject), SCOPE, action, Target::Type(ty));
        let got = match granted.as_ref().map(|grant| grant.filter()) {
            Err(_) => "nothing",
            Ok(Filter::Everything) => "all",
            Ok(_) => "some",
        };
        assert_eq!(got, expect, "{text} {action:?} {ty}");
    }

    #[tokio::test]
    async fn scopes_hold_for_their_records_only() {
        let _host = Host::over(Arc::new(Memory::new())).await;
        let cx = &context(Subject::operator(), SCOPE, 0);
        let check = |text, action, ty, expect| check(cx, text, (action, ty), expect);
        let (read, search, create) = (Action::Read, Action::Search, Action::Create);
        check("user/*.rs", read, "Observation", "all");
        check("user/*.rs", create, "Observation", "nothing");
        check("patient/*.cruds", search, "Observation", "some");
        check("patient/*.cruds", create, "Observation", "some");
        check("patient/*.cruds", read, "Organization", "nothing");
        check("user/*.rs patient/*.rs", read, "Observation", "all");
        let lab = "user/Observation.rs?category=laboratory";
        check(lab, read, "Observation", "some");
        check(lab, search, "Observation", "some");
        check(lab, search, "Patient", "nothing");
        let both = "user/Observation.r user/Observation.s?category=laboratory";
        check(both, read, "Observation", "all");
        check(both, search, "Observation", "some");
        // What is read one by one is not found all at once.
        check(both, Action::HistoryType, "Observation", "nothing");
        check(lab, Action::HistoryType, "Observation", "some");
        check("user/*.r", Action::HistoryInstance, "Patient", "all");
        check("user/*.s", Action::HistoryType, "Patient", "all");
        // A search that means nothing lets nothing through.
        check(
            "user/Observation.rs?nothing=x",
            read,
            "Observation",
            "nothing",
        );
        check(
            "user/Observation.rs?_count=1",
            read,
            "Observation",
            "nothing",
        );
        check(
            "user/Patient.rs?_id=%25user.patient",
            read,
            "Patient",
            "nothing",
        );
        check("user/*.rs", read, "AuditEvent", "nothing");
    }

    #[tokio::test]
    async fn scopes_that_mean_nothing_are_left_out() {
        let _host = Host::over(Arc::new(Memory::new())).await;
        let cx = &context(Subject::operator(), SCOPE, 0);
        let text = "openid user/*.rs?code=x user/Patient.rs?code=x user/Patient.rs?gender=male";
        let scopes = understood(cx, &Scopes::parse(text).unwrap());
        assert_eq!(
            scopes.text(),
            "openid user/*.rs?code=x user/Patient.rs?gender=male"
        );
    }
}
