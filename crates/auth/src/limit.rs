//! What a client may do of what its user may: `user/` and `patient/` scopes.
//!
//! They give nothing. What the user may do is decided first, by roles and
//! policy; then this takes away what the client was not given. A `patient/`
//! scope holds for the compartment of one patient, for reading and searching:
//! a type that is in no compartment of patients is not among it, nor is a
//! history of many records, nor a write.

use std::sync::Arc;

use salus_store::{Filter, Scope};

use crate::policy::compartment;
use crate::scopes::{Level, Rights};
use crate::{Action, Scopes, Target};

/// A limit of a subject.
#[derive(Clone, Debug)]
pub struct Limit {
    project: Scope,
    client: Box<str>,
    all: Scopes,
    user: Scopes,
    patient: Scopes,
    patient_id: Option<Box<str>>,
}

impl Limit {
    /// What a client of a project was given, about this patient if about one.
    #[must_use]
    pub fn new(
        project: Scope,
        client: &str,
        scopes: &Scopes,
        patient_id: Option<&str>,
    ) -> Arc<Self> {
        Arc::new(Self {
            project,
            client: client.into(),
            all: scopes.clone(),
            user: scopes.of(Level::User),
            patient: scopes.of(Level::Patient),
            patient_id: patient_id.map(Into::into),
        })
    }

    /// All that the client was given.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.all
    }

    /// The client that acts.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The scope that lets something through which the user may do.
    pub(crate) fn lets(
        &self,
        scope: Scope,
        action: Action,
        right: Option<Rights>,
        target: Target<'_>,
    ) -> Option<Arc<str>> {
        match (action, right, target) {
            (Action::Capabilities | Action::SignIn | Action::SignOut, ..) => Some("open".into()),
            _ if scope != self.project => None,
            (Action::ReadAccount, ..) => Some("one's own account".into()),
            // Their entries are decided one by one.
            (Action::Batch | Action::Transaction | Action::Validate, ..) => Some("entries".into()),
            (_, Some(right), Target::Type(ty)) => self.on_type(ty, action, right).cloned(),
            _ => None,
        }
    }

    fn on_type(&self, ty: &str, action: Action, right: Rights) -> Option<&Arc<str>> {
        let narrow = matches!(
            action,
            Action::Read | Action::VRead | Action::HistoryInstance | Action::Search
        );
        if self.is_narrowed(ty) {
            let all = narrow.then(|| self.user.on_type(ty, right));
            let one =
                (narrow && self.compartment(ty).is_some()).then(|| self.patient.on_type(ty, right));
            return all.flatten().or(one.flatten());
        }
        self.user.on_type(ty, right)
    }

    /// Whether only the records of the patient are there of a type. Who may read and
    /// search all of them as the user sees them all.
    fn is_narrowed(&self, ty: &str) -> bool {
        let both = [Rights::READ, Rights::SEARCH];
        let all = both
            .iter()
            .all(|right| self.user.on_type(ty, *right).is_some());
        let some = both
            .iter()
            .any(|right| self.patient.on_type(ty, *right).is_some());
        some && !all
    }

    /// The records of a type that are there; `None` is all.
    pub(crate) fn visible(&self, ty: &str) -> Option<Filter> {
        let both = [Rights::READ, Rights::SEARCH];
        if self.is_narrowed(ty) {
            return Some(self.compartment(ty).unwrap_or(Filter::Nothing));
        }
        // What the client may not see it cannot find out by a chain either.
        let none = both
            .iter()
            .all(|right| self.user.on_type(ty, *right).is_none());
        none.then_some(Filter::Nothing)
    }

    fn compartment(&self, ty: &str) -> Option<Filter> {
        let patient = self.patient_id.as_deref()?;
        compartment::of_patients(ty, &[patient])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: Scope = Scope(1);

    #[track_caller]
    fn check(scopes: &str, action: Action, right: Rights, ty: &str, expect: Option<&str>) {
        let scopes = Scopes::parse(scopes).unwrap();
        let limit = Limit::new(PROJECT, "app", &scopes, Some("p"));
        let rule = limit.lets(PROJECT, action, Some(right), Target::Type(ty));
        assert_eq!(rule.as_deref(), expect, "{scopes:?} {action:?} {ty}");
        let other = limit.lets(Scope(2), action, Some(right), Target::Type(ty));
        assert_eq!(other, None);
    }

    #[test]
    fn a_patients_scope_is_for_reading_in_the_compartment() {
        let all = "patient/*.cruds";
        check(all, Action::Read, Rights::READ, "Observation", Some(all));
        check(all, Action::Search, Rights::SEARCH, "Patient", Some(all));
        check(all, Action::Create, Rights::CREATE, "Observation", None);
        check(
            all,
            Action::HistoryType,
            Rights::SEARCH,
            "Observation",
            None,
        );
        check(all, Action::Read, Rights::READ, "Organization", None);
        check(all, Action::Read, Rights::READ, "AuditEvent", None);
        check("openid launch", Action::Read, Rights::READ, "Patient", None);
        check("system/*.rs", Action::Read, Rights::READ, "Patient", None);
    }

    #[test]
    fn a_users_scope_is_for_what_the_user_sees() {
        let some = "user/Observation.cruds";
        check(
            some,
            Action::Create,
            Rights::CREATE,
            "Observation",
            Some(some),
        );
        check(
            some,
            Action::HistoryType,
            Rights::SEARCH,
            "Observation",
            Some(some),
        );
        check(some, Action::Read, Rights::READ, "Patient", None);
    }

    #[test]
    fn only_the_patients_records_are_there() {
        let of = |scopes: &str, patient, ty| {
            let scopes = Scopes::parse(scopes).unwrap();
            Limit::new(PROJECT, "app", &scopes, patient).visible(ty)
        };
        assert!(matches!(
            of("patient/*.rs", Some("p"), "Observation"),
            Some(Filter::Any(_))
        ));
        assert_eq!(
            of("patient/*.rs", None, "Observation"),
            Some(Filter::Nothing)
        );
        assert_eq!(
            of("patient/*.rs", Some("p"), "Organization"),
            Some(Filter::Nothing)
        );
        assert_eq!(of("user/*.rs patient/*.rs", Some("p"), "Observation"), None);
        // What is read of all could be found of one: nobody gets more than both give.
        assert!(of("user/*.r patient/*.rs", Some("p"), "Observation").is_some());
        assert_eq!(of("user/*.rs", Some("p"), "Observation"), None);
        assert_eq!(of("openid", None, "Observation"), Some(Filter::Nothing));
    }

    #[test]
    fn nothing_else_is_let_through() {
        let scopes = Scopes::parse("user/*.cruds patient/*.cruds").unwrap();
        let limit = Limit::new(PROJECT, "app", &scopes, Some("p"));
        for action in Action::ALL {
            let lets = limit.lets(PROJECT, action, None, Target::System).is_some();
            let expect = matches!(
                action,
                Action::Capabilities
                    | Action::SignIn
                    | Action::SignOut
                    | Action::ReadAccount
                    | Action::Batch
                    | Action::Transaction
                    | Action::Validate
            );
            assert_eq!(lets, expect, "{action:?}");
        }
    }
}
