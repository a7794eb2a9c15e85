//! Expressions on one patient and one observation, and what they give.

use super::{Context, ErrorKind, Expression, Item, Options, Shape};
use crate::definitions::r4;
use crate::json::{Document, Limits};
use crate::primitive::DateTime;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const PATIENT: &str = r##"{
  "resourceType": "Patient", "id": "p1",
  "meta": {"lastUpdated": "2024-02-03T04:05:06.789Z"},
  "contained": [{"resourceType": "Organization", "id": "o1", "name": "Ward"}],
  "extension": [
    {"url": "http://example.org/a", "valueString": "x"},
    {"url": "http://example.org/b", "valueDecimal": 1.50},
    {"url": "http://example.org/c", "_valueCode": {"id": "only"}}
  ],
  "active": true,
  "name": [
    {"use": "official", "family": "Ode", "given": ["Ann", null, "Bea"],
     "_given": [null, {"extension": [{"url": "http://example.org/n", "valueBoolean": true}]}]},
    {"use": "usual", "given": ["Nan"]}
  ],
  "_birthDate": {"extension": [{"url": "http://example.org/u", "valueCode": "unknown"}]},
  "deceasedDateTime": "2024-01",
  "managingOrganization": {"reference": "#o1"},
  "generalPractitioner": [
    {"reference": "Practitioner/1"},
    {"reference": "http://example.org/fhir/Organization/2/_history/3"},
    {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "Practitioner"},
    {"reference": "Practitioner?identifier=5"},
    {"display": "Dr. No"}
  ],
  "contact": [{"name": {"family": "Eve"}, "gender": "female"}]
}"##;

const OBSERVATION: &str = r#"{
  "resourceType": "Observation", "status": "final",
  "code": {"coding": [{"system": "http://loinc.org", "code": "3141-9"}]},
  "subject": {"reference": "Patient/p1"},
  "valueQuantity": {"value": 185.0, "unit": "lbs",
    "system": "http://unitsofmeasure.org", "code": "[lb_av]"},
  "component": [{"code": {"text": "a"}, "valueInteger": 3}, {"code": {"text": "b"}}]
}"#;

/// The results as text: values as `toString()` gives them, elements by their type.
fn run(document: &str, text: &str, options: Options) -> Result<String, super::Error> {
    let document = Document::parse(document.into(), &Limits::default()).expect("json");
    let shape = Shape::of_resource(document.root());
    let expression = Expression::compile_with(text, shape, options)?;
    let context = Context {
        now: DateTime::parse("2026-11-22T10:15:30.123Z"),
        steps_max: 200_000,
        ..Context::default()
    };
    let focus = Item::resource(document.root());
    let mut out = Vec::new();
    expression.evaluate(&context, &focus, &mut out)?;
    let texts = out.iter().map(|item| match item.value() {
        Some(value) => value.to_string(),
        None => item.type_info().name.to_owned(),
    });
    Ok(texts.collect::<Vec<_>>().join(" | "))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    check_on(PATIENT, text, expected);
}

#[track_caller]
fn check_on(document: &str, text: &str, expected: &str) {
    let found = run(document, text, Options::default());
    assert_eq!(found.as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn refuse(text: &str, kind: ErrorKind) {
    let error = run(PATIENT, text, Options::default()).expect_err(text);
    assert_eq!(error.kind, kind, "{text}: {error}");
}

#[test]
fn paths_follow_the_definitions() {
    check("Patient.name.given", "Ann | string | Bea | Nan");
    check("name[0].given[2]", "Bea");
    check("name.where(use = 'usual').given", "Nan");
    check("Observation.code", "");
    check("DomainResource.active", "true");
    check("deceased", "2024-01");
    check("deceasedDateTime", "");
    check("deceased is dateTime", "true");
    check("extension.value", "x | 1.50 | code");
    check("extension('http://example.org/b').value", "1.50");
    check("contact.name.family", "Eve");
    check("contact.type().name", "BackboneElement");
    check("contained.name", "Ward");
    check("contained.ofType(Organization).name", "Ward");
    check("contained.ofType(Patient)", "");
    check("`active`", "true");
    check("resourceType", "");
    check("unheard.of", "");
    check_on(OBSERVATION, "value.unit", "lbs");
    check_on(OBSERVATION, "(value as Quantity).value", "185.0");
    check_on(OBSERVATION, "value.ofType(string)", "");
    check_on(OBSERVATION, "component.value", "3");
    check_on(OBSERVATION, "component.value.ofType(integer) + 1", "4");
    check_on(OBSERVATION, "value = 185 '[lb_av]'", "true");
    check_on(OBSERVATION, "value > 80 'kg'", "true");
    check_on(OBSERVATION, "value is Quantity", "true");
    check_on(OBSERVATION, "component.children().count()", "3");
    check_on(
        OBSERVATION,
        "descendants().where($this is code)",
        "final | [lb_av] | 3141-9",
    );
}

#[test]
fn primitives_may_have_extensions_only() {
    check("birthDate.exists()", "true");
    check("birthDate.hasValue()", "false");
    check("birthDate.extension.value", "unknown");
    check("birthDate = @2020-01-01", "false");
    check("name[0].given.select(hasValue())", "true | false | true");
    check("name.given.extension.value", "true");
    check("active.getValue()", "true");
    check("active.hasValue()", "true");
    check("name.first().hasValue()", "false");
}

#[test]
fn references_tell_their_type() {
    check(
        "generalPractitioner.where(resolve() is Practitioner).count()",
        "3",
    );
    check(
        "generalPractitioner.where(resolve() is Organization).reference.substring(7, 11)",
        "example.org",
    );
    check("generalPractitioner.resolve().count()", "0");
    check("managingOrganization.resolve().name", "Ward");
    check(
        "managingOrganization.where(resolve() is Organization).exists()",
        "true",
    );
    check_on(
        OBSERVATION,
        "subject.where(resolve() is Patient).reference",
        "Patient/p1",
    );
    check_on(OBSERVATION, "subject.where(resolve() is Group)", "");
}

#[test]
fn logic_has_three_values() {
    check("true and {}", "");
    check("false and {}", "false");
    check("true or {}", "true");
    check("{} or false", "");
    check("true xor {}", "");
    check("{} implies true", "true");
    check("false implies {}", "true");
    check("active and name.family", "true");
    check("iif({}, 1, 2)", "2");
    refuse("(true | false) and true", ErrorKind::Evaluation);
}

#[test]
fn arithmetic_is_exact() {
    check("0.1 + 0.2", "0.3");
    check("1 / 3 * 3 ~ 1.0", "true");
    check("2147483647 + 1", "");
    check("7 div 2 * 2 + 7 mod 2", "7");
    check("1 / 0", "");
    check("10.power(40)", "");
    check("2.power(0.5).round(3)", "1.414");
    check("1.5 'g' + 500 'mg'", "2.000 'g'");
    check("-(3.5).abs()", "-3.5");
    check("1.0.toString()", "1.0");
    refuse("'a' - 'b'", ErrorKind::Evaluation);
    refuse("1 + 'b'", ErrorKind::Evaluation);
    refuse("1 'g' + 1 'm'", ErrorKind::Evaluation);
}

#[test]
fn time_goes_by_the_calendar() {
    check("@2024-01-31 + 1 month", "2024-02-29");
    check("@2023 + 25 months", "2025");
    check("@2024-02-28 + 36 hours", "2024-02-29");
    check("@T23:30 + 45 minutes", "00:15");
    check("@2024-01-01T00:00:00Z - 1 second", "2023-12-31T23:59:59Z");
    check("@9999-12-31 + 1 day", "");
    check("now() - 1 day", "2026-11-21T10:15:30.123Z");
    check("today()", "2026-11-22");
    check("meta.lastUpdated < now()", "true");
    check("deceased < @2024-02-10", "true");
    check("deceased < @2024-01-10", "");
    check("@2024-01-01T12:00:00Z = @2024-01-01T13:00:00+01:00", "true");
}

#[test]
fn strings_count_characters() {
    check("'h\u{e9}llo'.length()", "5");
    check("'h\u{e9}llo'.indexOf('l')", "2");
    check("'h\u{e9}llo'.substring(1, 2)", "\u{e9}l");
    check("'a.b'.replaceMatches('[.](?<x>b)', '$x')", "ab");
    check("'ab' & {} & 'c'", "abc");
    check("'a,b'.split(',').join('-')", "a-b");
    check("'\u{e9}'.encode('base64').decode('base64')", "\u{e9}");
    check("'a<b'.escape('html')", "a&lt;b");
    refuse("'a'.matches('(')", ErrorKind::Semantic);
}

#[test]
fn collections() {
    check("(1 | 2 | 2 | 3).count()", "3");
    check("name.given.where($index = 1).count()", "1");
    check("name.select($index)", "0 | 1");
    check("(1 | 2 | 3).aggregate($this + $total, 0)", "6");
    check("(3 | 1 | 2).sort(-$this)", "3 | 2 | 1");
    check("name.repeat(given).count()", "4");
    check("(1 | 2).intersect(2 | 3)", "2");
    check("1.combine(1).isDistinct()", "false");
    check("name.given.first() in name.given", "true");
    check("%resource.id", "p1");
    check("%context.id", "p1");
    check("%ext-a = %`ext-a`", "true");
    check("%\"vs-a\"", "http://hl7.org/fhir/ValueSet/a");
    check("name.all(given.exists())", "true");
    check("name.trace('names').count()", "2");
    refuse("name.single()", ErrorKind::Evaluation);
    refuse("%nothing", ErrorKind::Evaluation);
}

#[test]
fn equal_elements_count_once_however_many() {
    let codings: Vec<String> = (0..3000)
        .map(|n| format!(r#"{{"code": "c{}", "version": "{}"}}"#, n % 1000, n % 7))
        .collect();
    let document = format!(
        r#"{{"resourceType": "Observation", "code": {{"coding": [{}, {}]}}}}"#,
        codings.join(","),
        r#"{"version": "0", "code": "c0"}, {"id": "1.0"}, {"id": "1.0"}"#
    );
    check_on(&document, "code.coding.count()", "3003");
    check_on(&document, "code.coding.distinct().count()", "3001");
    check_on(&document, "code.coding.code.distinct().count()", "1000");
    check_on(
        &document,
        "(code.coding | code.coding.code).count()",
        "4001",
    );
}

#[test]
fn terminology_of_the_definitions() {
    check(
        "contact.gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')",
        "true",
    );
    check(
        "'x'.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')",
        "false",
    );
    check("'x'.memberOf('http://example.org/unknown')", "");
    check(
        "conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')",
        "true",
    );
    refuse(
        "conformsTo('http://example.org/unknown')",
        ErrorKind::Unsupported,
    );
}

#[track_caller]
fn html(div: &str, allowed: bool) {
    let expression = format!("'{}'.htmlChecks()", div.replace('\'', "\\'"));
    check(&expression, &allowed.to_string());
}

#[test]
fn narratives_are_checked() {
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">";
    html(&format!("{div}<p>a <b>b</b><br/></p></div>"), true);
    html(&format!("{div}<p>a</div>"), false);
    html(&format!("{div}  </div>"), false);
    html(&format!("{div}<script>x</script></div>"), false);
    html("<div>a</div>", false);
}

#[test]
fn faults_are_found_while_compiling() {
    refuse("name.", ErrorKind::Syntax);
    refuse("name name", ErrorKind::Syntax);
    refuse("(name", ErrorKind::Syntax);
    refuse("'name", ErrorKind::Syntax);
    refuse("@2024-13", ErrorKind::Syntax);
    refuse("$that", ErrorKind::Syntax);
    refuse("name.unknown()", ErrorKind::Semantic);
    refuse("name.first(1)", ErrorKind::Semantic);
    refuse("name is Unheard", ErrorKind::Semantic);
    refuse("name.ofType(1)", ErrorKind::Semantic);
}

#[test]
fn strict_compiling_knows_the_elements() {
    let strict = Options {
        strict: true,
        as_filters: false,
    };
    let compile = |text| run(PATIENT, text, strict).map_err(|error| error.kind);
    assert_eq!(compile("name.given1"), Err(ErrorKind::Semantic));
    assert_eq!(compile("Observation.value"), Err(ErrorKind::Semantic));
    assert_eq!(compile("children().first()"), Err(ErrorKind::Semantic));
    assert_eq!(compile("contained.name").as_deref(), Ok("Ward"));
    assert_eq!(
        compile("name.where(family = 'Ode').use").as_deref(),
        Ok("official")
    );
}

#[test]
fn as_filters_in_search_parameters_only() {
    let search = Options {
        strict: false,
        as_filters: true,
    };
    let found = run(PATIENT, "extension.value as decimal", search);
    assert_eq!(found.as_deref(), Ok("1.50"));
    refuse("extension.value as decimal", ErrorKind::Evaluation);
}

#[test]
fn unions_lose_the_parts_of_other_types() {
    let patient = r4().type_named("Patient").expect("Patient");
    let compile = |text| Expression::compile_search(text, patient).expect(text);
    assert!(compile("Observation.code | Condition.code.where(x)").is_empty());
    assert!(!compile("Observation.code | Patient.name").is_empty());
}

#[test]
fn cost_is_bounded() {
    let nested = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    refuse(&nested, ErrorKind::TooCostly);
    refuse(&"-".repeat(500), ErrorKind::TooCostly);
    refuse(&" ".repeat(40_000), ErrorKind::TooCostly);
    refuse(&format!("a{}", ".a".repeat(400)), ErrorKind::TooCostly);
    let deep = format!("{}true{}", "iif(".repeat(45), ", true)".repeat(45));
    check(&deep, "true");
    let wide = format!("1{}", " + 1".repeat(3000));
    check(&wide, "3001");
    let heavy = "(1|2|3|4|5|6|7|8|9)";
    let select = format!("{heavy}{}", format!(".select({heavy})").repeat(7));
    refuse(&select, ErrorKind::TooCostly);
    let grow = format!(
        "('xxxxxxxxxxxxxxxx'){}",
        ".replace('x', 'xxxxxxxxxxxxxxxx')".repeat(6)
    );
    refuse(&grow, ErrorKind::TooCostly);
    let endless = "1.repeat($this + 1)";
    refuse(endless, ErrorKind::TooCostly);
    let digits = "('0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9')";
    check("(1 | 1.0 | 'a' | true | @2024 | 1).count()", "4");
    check(
        &format!("{digits}.combine({digits}).combine(1 | 1.0 | @2024 | @2024).distinct().count()"),
        "12",
    );
    let filters = format!("name{}", ".where(true)".repeat(250));
    check(&format!("{filters}.count()"), "2");
}

#[test]
fn everything_in_the_definitions_compiles() {
    let mut count = 0;
    let mut compile = |text: &str, shape: Option<Shape>, as_filters| {
        let options = Options {
            strict: false,
            as_filters,
        };
        count += 1;
        if let Err(error) = Expression::compile_with(text, shape, options) {
            panic!("{text}: {error}");
        }
    };
    for ty in r4().types() {
        let shape = Some(Shape::of_type(ty.id));
        for invariant in ty.invariants {
            compile(invariant.expression, shape, false);
        }
        for element in ty.elements {
            for invariant in r4().element(*element).invariants {
                compile(invariant.expression, None, false);
            }
        }
        for parameter in r4().search_parameters(ty.name) {
            if !parameter.expression.is_empty() {
                compile(parameter.expression, shape, true);
            }
            for component in parameter.components {
                compile(component.expression, None, true);
            }
        }
    }
    assert!(count > 2000, "{count}");
}

fn seeded() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(2),
        failure_persistence: None,
        cases: 2000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn any_text_is_compiled_or_refused(text in "\\PC{0,40}") {
        let _ = run(PATIENT, &text, Options::default());
    }

    #[test]
    fn any_words_are_run_or_refused(words in prop::collection::vec(prop::sample::select(WORDS), 0..14)) {
        let _ = run(PATIENT, &words.concat(), Options::default());
    }
}

const WORDS: &[&str] = &[
    "name",
    ".given",
    ".family",
    ".first()",
    ".where(",
    "(",
    ")",
    ")",
    "$this",
    "$index",
    " | ",
    " + ",
    " - ",
    "-",
    " * ",
    " / ",
    " and ",
    " or ",
    " = ",
    " ~ ",
    " < ",
    " in ",
    " is ",
    " as ",
    "string",
    "Quantity",
    "1",
    "2.50",
    "'a'",
    "@2024-01",
    "@T10:30",
    "@2024-01-01T10:00:00Z",
    "4 days",
    "1 'mg'",
    "{}",
    "true",
    "[0]",
    ".toString()",
    ".toQuantity()",
    ".lowBoundary()",
    ".highBoundary(",
    ".round(",
    ".power(",
    ".substring(",
    ".select(",
    ".repeat(",
    ".children()",
    ".descendants()",
    ".sort(",
    ".sqrt()",
    ".matches(",
    ".replace(",
    ",",
    ".exists()",
    ".not()",
    ".extension(",
    ".type()",
    ".resolve()",
    "iif(",
    ".aggregate(",
    "$total",
    ".toChars()",
    "%resource",
    ".skip(",
    ".distinct()",
    ".ln()",
    ".log(",
    ".exp()",
    ".precision()",
    "birthDate",
    "deceased",
    "extension",
    ".value",
    ".encode('hex')",
    ".abs()",
    " mod ",
    " div ",
    " & ",
];
