//! The whole table of who may do what, and what no words can buy.

use proptest::prelude::*;

use super::*;
use crate::record::{Email, Membership, Profile, User};
use crate::{Role, credentials};

const PROJECT: Scope = Scope(1);
const OTHER: Scope = Scope(2);

fn administrator(home: Scope, of: &[Scope]) -> Arc<Subject> {
    let user = User {
        roles: of.iter().map(|s| (s.0, Role::Administrator)).collect(),
        ..User::new(Email::parse("a@b").unwrap(), 0)
    };
    Arc::new(Subject::user(home, "u", &user, &Membership::default()))
}

/// Somebody whom no policy speaks of, however many groups and roles they have.
fn user(home: Scope) -> Arc<Subject> {
    let profile = Profile::parse("Patient/7").unwrap();
    let user = User {
        profiles: vec![profile],
        ..User::new(Email::parse("a@b").unwrap(), 0)
    };
    let membership = Membership {
        groups: vec!["g".into()],
        roles: vec!["administrator".into()],
        mfa_required: false,
    };
    Arc::new(Subject::user(home, "u", &user, &membership))
}

fn client(home: Scope, scopes: &str) -> Arc<Subject> {
    let scopes = Scopes::parse(scopes).unwrap();
    let (_, secret) = credentials::client_secret(&[1; 32]);
    let client = crate::record::Client::register("c", "c", secret, scopes.clone(), 0).unwrap();
    Arc::new(Subject::client(home, "c", &client.value, &scopes))
}

/// The actions that someone may do to something, by name.
fn allowed(subject: &Arc<Subject>, scope: Scope, target: Target<'_>) -> String {
    let actions = Action::ALL.into_iter();
    let allowed = actions.filter(|action| authorize(subject, scope, *action, target).is_ok());
    let names: Vec<String> = allowed.map(|action| format!("{action:?}")).collect();
    names.join(" ")
}

#[test]
fn the_table_is_as_it_was_agreed() {
    let subjects = [
        ("anonymous", Arc::new(Subject::anonymous())),
        ("operator", Arc::new(Subject::operator())),
        (
            "administrator of the project",
            administrator(PROJECT, &[PROJECT]),
        ),
        (
            "administrator of the system",
            administrator(Scope::SYSTEM, &[Scope::SYSTEM]),
        ),
        (
            "administrator of system and project",
            administrator(Scope::SYSTEM, &[Scope::SYSTEM, PROJECT]),
        ),
        ("user without a role", administrator(PROJECT, &[])),
        ("user with groups and roles", user(PROJECT)),
        ("client without scopes", client(PROJECT, "")),
        ("client system/*.cruds", client(PROJECT, "system/*.cruds")),
        ("client system/*.rs", client(PROJECT, "system/*.rs")),
        (
            "client system/Patient.c",
            client(PROJECT, "system/Patient.c"),
        ),
        (
            "client system/AuditEvent.cruds",
            client(PROJECT, "system/AuditEvent.cruds"),
        ),
        (
            "client salus/launch.create",
            client(PROJECT, "salus/launch.create"),
        ),
        (
            "client salus/metrics.read of the system",
            client(Scope::SYSTEM, "salus/metrics.read"),
        ),
    ];
    let places = [
        ("system", Scope::SYSTEM),
        ("project", PROJECT),
        ("other", OTHER),
    ];
    let targets = [
        ("Patient", Target::Type("Patient")),
        ("AuditEvent", Target::Type(AUDIT_EVENT)),
        ("-", Target::System),
    ];
    let mut table = String::new();
    for (who, subject) in &subjects {
        table.push_str(&format!("{who}\n"));
        for (place, scope) in places {
            for (what, target) in targets {
                let actions = allowed(subject, scope, target);
                table.push_str(&format!("  {place} {what}: {actions}\n"));
            }
        }
    }
    let agreed = include_str!("table.txt");
    assert!(table == agreed, "the table is now:\n{table}");
}

#[track_caller]
fn check_rule(subject: &Arc<Subject>, scope: Scope, action: Action, ty: &str, expect: &str) {
    let target = Target::Type(ty);
    let rule = match authorize(subject, scope, action, target) {
        Ok(grant) => {
            assert_eq!((grant.scope(), grant.action()), (scope, action));
            assert_eq!(grant.subject().label(), subject.label());
            format!("allowed: {}", grant.rule())
        }
        Err(denied) => format!("refused: {}", denied.rule()),
    };
    assert_eq!(rule, expect);
}

#[test]
fn the_rule_that_decided_is_named() {
    let client = client(PROJECT, "system/Patient.r system/*.s");
    let read = Action::Read;
    check_rule(
        &client,
        PROJECT,
        read,
        "Patient",
        "allowed: system/Patient.r",
    );
    check_rule(
        &client,
        PROJECT,
        Action::Search,
        "Patient",
        "allowed: system/*.s",
    );
    check_rule(
        &client,
        PROJECT,
        read,
        "Group",
        "refused: no scope allows it",
    );
    check_rule(
        &client,
        OTHER,
        read,
        "Patient",
        "refused: of another project",
    );
    let anonymous = Arc::new(Subject::anonymous());
    check_rule(
        &anonymous,
        PROJECT,
        read,
        "Patient",
        "refused: not signed in",
    );
    let administrator = administrator(PROJECT, &[PROJECT]);
    check_rule(
        &administrator,
        PROJECT,
        read,
        AUDIT_EVENT,
        "allowed: administrator",
    );
    let refused = "refused: audit is written by the server only";
    check_rule(
        &administrator,
        PROJECT,
        Action::Create,
        AUDIT_EVENT,
        refused,
    );
    check_rule(
        &administrator,
        PROJECT,
        Action::Delete,
        AUDIT_EVENT,
        refused,
    );
}

#[test]
fn a_project_cannot_give_roles_in_another() {
    let forged = administrator(PROJECT, &[OTHER, Scope::SYSTEM]);
    for scope in [Scope::SYSTEM, PROJECT, OTHER] {
        for action in Action::ALL {
            let own = matches!(action.class(), Class::Own | Class::OwnAccount) && scope == PROJECT;
            let open = own || matches!(action.class(), Class::Open);
            let got = authorize(&forged, scope, action, Target::System);
            assert_eq!(got.is_ok(), open, "{action:?} in {scope:?}");
        }
    }
}

/// Texts that are, or nearly are, scopes.
fn scope_text() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        8 => "system/(\\*|Patient|Observation|AuditEvent|Group)\\.c?r?u?d?s?",
        1 => "(system|user|patient|salus|2|other)/[*A-Za-z.?=/]{0,12}",
        1 => Just("salus/metrics.read".to_owned()),
    ];
    proptest::collection::vec(one, 0..5).prop_map(|parts| parts.join(" "))
}

fn any_action() -> impl Strategy<Value = Action> {
    proptest::sample::select(Action::ALL.to_vec())
}

fn any_target() -> impl Strategy<Value = Target<'static>> {
    proptest::sample::select(vec![
        Target::System,
        Target::Type("Patient"),
        Target::Type("Observation"),
        Target::Type("AuditEvent"),
    ])
}

fn parsed(text: &str) -> Scopes {
    Scopes::parse(text).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn no_scope_grants_across_projects(
        text in scope_text(),
        home in 0u32..4,
        away in 0u32..4,
        action in any_action(),
        target in any_target(),
    ) {
        prop_assume!(home != away);
        let subject = client(Scope(home), &parsed(&text).text());
        if let Ok(grant) = authorize(&subject, Scope(away), action, target) {
            prop_assert!(matches!(grant.action().class(), Class::Open));
        }
    }

    #[test]
    fn an_intersection_gives_what_both_give(
        a in scope_text(),
        b in scope_text(),
        action in any_action(),
        target in any_target(),
    ) {
        let both = parsed(&a).intersect(&parsed(&b));
        let may = |scopes: &Scopes| {
            let subject = client(PROJECT, &scopes.text());
            authorize(&subject, PROJECT, action, target).is_ok()
        };
        if may(&both) {
            prop_assert!(may(&parsed(&a)) && may(&parsed(&b)), "{}", both.text());
        }
    }

    #[test]
    fn what_scopes_print_is_what_they_read(text in scope_text()) {
        let scopes = parsed(&text);
        prop_assert_eq!(parsed(&scopes.text()), scopes);
    }
}
