//! Scopes as clients write them.

use super::*;

#[track_caller]
fn check(text: &str, expect: &str) {
    let got = match Scopes::parse(text) {
        Ok(scopes) => scopes.text(),
        Err(error) => error.to_string(),
    };
    assert_eq!(got, expect, "{text}");
}

#[test]
fn scopes_of_both_versions_read() {
    check("", "");
    check("system/Patient.cruds", "system/Patient.cruds");
    check("  system/*.rs  system/*.rs ", "system/*.rs");
    check("system/Patient.read", "system/Patient.rs");
    check("system/Patient.write", "system/Patient.cud");
    check("system/*.*", "system/*.cruds");
    check("salus/metrics.read", "salus/metrics.read");
    check(
        "openid fhirUser launch/patient patient/*.read user/Observation.write",
        "openid fhirUser launch/patient patient/*.rs user/Observation.cud",
    );
}

#[test]
fn levels_do_not_mix() {
    let own = Scopes::parse("system/*.rs user/*.r openid offline_access").unwrap();
    let asked = Scopes::parse("patient/*.rs user/Patient.rs openid").unwrap();
    assert_eq!(own.intersect(&asked).text(), "user/Patient.r openid");
    assert_eq!(own.of(Level::System).text(), "system/*.rs");
    assert_eq!(
        asked.without_level(Level::Patient).text(),
        "user/Patient.rs openid"
    );
    assert!(own.has(Word::OfflineAccess) && !asked.has(Word::OfflineAccess));
    let some = Scopes::known_of("email patient/*.rs?x openid address");
    assert_eq!(some.text(), "openid");
}

#[test]
fn other_texts_are_refused_with_the_reason() {
    let none = "it is none of system/, user/, patient/ and the words of docs/api.md";
    check("email", &format!("scope 1: {none}"));
    check(
        "system/Patient.r other/Patient.r",
        &format!("scope 2: {none}"),
    );
    check("openid/Patient.r", &format!("scope 1: {none}"));
    check("system/Patient", "scope 1: it has no rights");
    let rights = "scope 1: its rights are not letters of cruds in order";
    check("system/Patient.", rights);
    check("system/Patient.rc", rights);
    check("system/Patient.rr", rights);
    check("system/Patient.x", rights);
    let ty = "scope 1: its type is not a FHIR R4 resource";
    check("system/Pateint.r", ty);
    check("system/DomainResource.r", ty);
    check("system/salus:User.r", ty);
    let search = "scope 1: behind its ? stands no search of name=value, joined by &";
    for bad in ["", "category", "category=", "=a", "a=b&", "a=\"b", "a=\\b"] {
        check(&format!("system/Observation.rs?{bad}"), search);
    }
    check(
        &format!("system/Observation.rs?a={}", "b".repeat(SEARCH_BYTES_MAX)),
        "scope 1: its search is longer than 500 bytes",
    );
    check(
        &"system/*.r ".repeat(SCOPES_MAX + 1),
        "scope 65: there are too many",
    );
}

#[test]
fn what_two_sets_give_is_in_both() {
    let own = Scopes::parse("system/*.rs system/Patient.cruds").unwrap();
    let asked = Scopes::parse("system/Patient.u system/Observation.cr").unwrap();
    let both = own.intersect(&asked);
    assert_eq!(both.text(), "system/Observation.r system/Patient.u");
    let none = Scopes::parse("system/Patient.d").unwrap();
    assert!(asked.intersect(&none).is_empty());
}

#[track_caller]
fn check_both(one: &str, other: &str, expect: &str) {
    let (one, other) = (Scopes::parse(one).unwrap(), Scopes::parse(other).unwrap());
    assert_eq!(one.intersect(&other).text(), expect);
    // Meeting them again changes nothing.
    assert_eq!(one.intersect(&other).intersect(&one).text(), expect);
}

#[test]
fn searches_of_two_sets_both_hold() {
    let lab = "patient/Observation.rs?category=laboratory";
    check_both("patient/*.rs", lab, lab);
    check_both(lab, lab, lab);
    check_both(
        lab,
        "patient/Observation.r?code=a&category=laboratory",
        "patient/Observation.r?category=laboratory&code=a",
    );
    check_both("user/*.rs", lab, "");
    let long = |name: &str| format!("user/*.rs?{name}={}", "b".repeat(400));
    check_both(&long("a"), &long("b"), "");
}

#[test]
fn everything_is_not_the_audit() {
    let any = Scopes::parse("system/*.cruds").unwrap();
    let audit = Scopes::parse("system/AuditEvent.rs").unwrap();
    assert!(any.on_type("Patient", Rights::READ).is_some());
    assert!(any.on_type(AUDIT_EVENT, Rights::READ).is_none());
    assert!(audit.on_type(AUDIT_EVENT, Rights::READ).is_some());
    assert!(any.intersect(&audit).is_empty());
    assert!(audit.intersect(&any).is_empty());
}
