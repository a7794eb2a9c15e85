//! What a client may do of what its user may: `user/` and `patient/` scopes.
//!
//! They give nothing. What the user may do is decided first, by roles and
//! policy; then this takes away what the client was not given. A `patient/`
//! scope holds for the compartment of one patient: a type that is in no
//! compartment of patients is not among it. For which records a scope holds is
//! said by the rules that are made of it ([`crate::Subject::limited`]).

use std::sync::Arc;

use salus_store::Scope;

use crate::policy::compartment;
use crate::scopes::{Level, Rights};
use crate::{Action, Scopes, Target};

/// A limit of a subject.
#[derive(Clone)]
pub struct Limit {
    project: Scope,
    client: Box<str>,
    all: Scopes,
    user: Scopes,
    patient: Scopes,
    patient_id: Option<Box<str>>,
}
salus_phi::guard!(Limit);

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
            (_, Some(right), Target::Type(ty)) => self.on_type(ty, right).cloned(),
            _ => None,
        }
    }

    fn on_type(&self, ty: &str, right: Rights) -> Option<&Arc<str>> {
        let of_one = || match self.is_about(ty) {
            true => self.patient.on_type(ty, right),
            false => None,
        };
        self.user.on_type(ty, right).or_else(of_one)
    }

    /// Whether records of a type are in the compartment of the patient.
    fn is_about(&self, ty: &str) -> bool {
        let patient = self.patient_id.as_deref();
        patient.is_some_and(|patient| compartment::of_patients(ty, &[patient]).is_some())
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
    fn a_patients_scope_is_for_the_compartment() {
        let all = "patient/*.cruds";
        check(all, Action::Read, Rights::READ, "Observation", Some(all));
        check(all, Action::Search, Rights::SEARCH, "Patient", Some(all));
        check(
            all,
            Action::Create,
            Rights::CREATE,
            "Observation",
            Some(all),
        );
        let some = "patient/*.rs";
        check(some, Action::Create, Rights::CREATE, "Observation", None);
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
    fn without_a_patient_there_is_no_compartment() {
        let scopes = Scopes::parse("patient/*.rs").unwrap();
        let limit = Limit::new(PROJECT, "app", &scopes, None);
        let right = Some(Rights::READ);
        let target = Target::Type("Observation");
        assert_eq!(limit.lets(PROJECT, Action::Read, right, target), None);
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
