//! Requests as the specification writes them, and what they must not be.

use super::super::*;
use super::*;
use proptest::prelude::*;

static ASKING: Asking<'static> = Asking {
    hidden: crate::mask::Hidden::NOTHING,
    parameters: &super::super::parameters::R4,
    own_bases: &["http://localhost/fhir"],
    now_ms: 1_000_000_000_000,
};

fn parse(ty: &str, name: &str, value: &str) -> Result<Search, Issue> {
    let (search, mut problems) = Search::parse(ty, &[(name, value)], &ASKING);
    problems
        .pop()
        .map_or(Ok(search), |problem| Err(problem.issue))
}

fn operand(operand: &Operand) -> String {
    let part = |part: &Option<Box<str>>| part.as_deref().unwrap_or("*").to_owned();
    let day = |ms: i64| {
        let text = jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
        text.trim_end_matches("T00:00:00Z").to_owned()
    };
    match operand {
        Operand::Missing(missing) => format!("missing {missing}"),
        Operand::Token { system, code } => format!("{}|{}", part(system), part(code)),
        Operand::OfType {
            system,
            code,
            value,
        } => format!("{system}|{code}|{value}"),
        Operand::Words(query) => format!("{query:?}"),
        Operand::Text { folded, exact } => format!("{folded}={exact}"),
        Operand::Date(prefix, span) => {
            format!("{prefix:?} {}/{}", day(span.from_ms), day(span.to_ms))
        }
        Operand::Number(prefix, n) => format!("{prefix:?} {}..{}", n.from, n.to),
        Operand::Quantity {
            prefix,
            number: n,
            system,
            code,
            amount,
        } => {
            let plain = format!("{}..{} {}|{}", n.from, n.to, part(system), part(code));
            let amount = amount.as_ref().map_or(String::new(), |m| {
                let (from, to) = (&m.number.from, &m.number.to);
                format!(" or {from}..{to} {} as {}", m.unit, part(&m.code))
            });
            format!("{prefix:?} {plain}{amount}")
        }
        Operand::Reference { ty, id, version } => {
            let version = version.as_ref().map_or(String::new(), |v| format!("@{v}"));
            format!("{}/{id}{version}", ty.unwrap_or("*"))
        }
        Operand::Uri(uri) => format!("<{uri}>"),
        Operand::Near(near) => format!("{near:?}"),
        Operand::Composite(parts) => parts
            .iter()
            .map(self::operand)
            .collect::<Vec<_>>()
            .join(" $ "),
    }
}

fn clause(clause: &Clause) -> String {
    match clause {
        Clause::Own(criterion) => {
            let values: Vec<_> = criterion.values.iter().map(operand).collect();
            let modifier = criterion
                .modifier
                .map_or(String::new(), |m| format!(":{m:?}"));
            format!(
                "{}{modifier} {}",
                criterion.parameter.code,
                values.join(" or ")
            )
        }
        Clause::Chain { reference, targets } => {
            let of = |(ty, inner): &(&str, Clause)| format!("{ty}: {}", self::clause(inner));
            let targets: Vec<_> = targets.iter().map(of).collect();
            format!("{} -> [{}]", reference.code, targets.join("; "))
        }
        Clause::Has {
            ty,
            reference,
            clause,
        } => {
            format!("<- {ty}.{} [{}]", reference.code, self::clause(clause))
        }
        Clause::All(_) | Clause::Any(_) | Clause::Not(_) | Clause::Listed(_) => {
            panic!("they have their own tests")
        }
    }
}

#[track_caller]
fn check(request: &str, expected: &str) {
    let (ty, parameter) = request.split_once('?').unwrap();
    let (name, value) = parameter.split_once('=').unwrap();
    let search = parse(ty, name, value).map_err(|issue| issue.to_string());
    let clauses = &search
        .unwrap_or_else(|issue| panic!("{request}: {issue}"))
        .clauses;
    assert_eq!(
        clauses.iter().map(|(_, it)| clause(it)).collect::<Vec<_>>(),
        [expected],
        "{request}"
    );
}

#[track_caller]
fn refuse(request: &str, code: IssueType, words: &str) {
    let (ty, parameter) = request.split_once('?').unwrap();
    let (name, value) = parameter.split_once('=').unwrap();
    let issue = parse(ty, name, value).map(|_| ()).expect_err(request);
    assert_eq!(issue.code, code, "{request}: {issue}");
    assert!(issue.details.contains(words), "{request}: {issue}");
    assert!(
        value.len() < 4 || !issue.details.contains(value),
        "{request} shows the value"
    );
}

#[test]
fn tokens() {
    check("Patient?gender=male", "gender *|male");
    check("Patient?identifier=http://mrn|7", "identifier http://mrn|7");
    check("Patient?identifier=|7", "identifier |7");
    check("Patient?identifier=http://mrn|", "identifier http://mrn|*");
    check("Patient?identifier=a,b|c", "identifier *|a or b|c");
    check(
        r"Patient?identifier=a\,b\|c\$d\\e\f",
        r"identifier *|a,b|c$d\e\f",
    );
    check(
        "Patient?gender:not=male,female",
        "gender:Not *|male or *|female",
    );
    check("Patient?active:missing=true", "active:Missing missing true");
    check("Patient?_id=1,2", "_id *|1 or *|2");
    check(
        "Observation?code:text=Blood",
        "code:Text Any([One(Stem(\"blood\")), One(Prefix(\"blood\"))])",
    );
    check("Observation?code:in=http://vs", "code:In <http://vs>");
    check(
        "Patient?identifier:of-type=http://t|MR|7",
        "identifier:OfType http://t|MR|7",
    );
}

#[test]
fn malformed_tokens() {
    for value in ["", "|", "a|b|c", "a,", ",", "a,,b"] {
        refuse(
            &format!("Patient?identifier={value}"),
            IssueType::Value,
            "system|code",
        );
    }
    refuse(
        "Patient?identifier:of-type=MR|7",
        IssueType::Value,
        "system|code|value",
    );
    refuse(
        "Patient?active:missing=yes",
        IssueType::Value,
        "true or false",
    );
}

#[test]
fn strings() {
    check("Patient?name=Müller", "name muller=Müller");
    check("Patient?name:exact=Müller", "name:Exact muller=Müller");
    check("Patient?name:contains=LL", "name:Contains ll=LL");
    check("Patient?name=a b,c", "name a b=a b or c=c");
    refuse("Patient?name=", IssueType::Value, "empty");
    refuse("Patient?name= ", IssueType::Value, "empty");
}

#[test]
fn dates_with_every_prefix() {
    check(
        "Patient?birthdate=2013-01-14",
        "birthdate Eq 2013-01-14/2013-01-15",
    );
    for (text, prefix) in [
        ("eq", "Eq"),
        ("ne", "Ne"),
        ("gt", "Gt"),
        ("lt", "Lt"),
        ("ge", "Ge"),
        ("le", "Le"),
        ("sa", "Sa"),
        ("eb", "Eb"),
    ] {
        check(
            &format!("Patient?birthdate={text}2013"),
            &format!("birthdate {prefix} 2013-01-01/2014-01-01"),
        );
    }
    check(
        "Observation?date=2013-01-14T10:00:00%2B02:00"
            .replace("%2B", "+")
            .as_str(),
        "date Eq 2013-01-14T08:00:00Z/2013-01-14T08:00:01Z",
    );
    check(
        "Patient?_lastUpdated=ge2013",
        "_lastUpdated Ge 2013-01-01/2014-01-01",
    );
}

#[test]
fn about_a_date_is_a_tenth_of_the_time_until_now() {
    // Now is 2001-09-09T01:46:40Z, 10,000 days and 100 minutes behind the day.
    let search = parse("Patient", "birthdate", "ap1974-04-24").unwrap();
    let (_, Clause::Own(criterion)) = &search.clauses[0] else {
        panic!("not its own")
    };
    let day = Span::parse("1974-04-24").unwrap();
    let tenth = (ASKING.now_ms - day.from_ms) / 10;
    assert_eq!(
        criterion.values,
        [Operand::Date(Prefix::Ap, day.widened(tenth))]
    );
}

#[test]
fn malformed_dates() {
    for value in ["2013-13", "yesterday", "eq", "2013-01-14 10:00", "zz2013"] {
        let words = if value.starts_with(['y', 'z']) {
            "prefix"
        } else {
            "YYYY"
        };
        refuse(
            &format!("Patient?birthdate={value}"),
            IssueType::Value,
            words,
        );
    }
}

#[test]
fn numbers_and_quantities() {
    check(
        "RiskAssessment?probability=0.8",
        "probability Eq 75e-2..85e-2",
    );
    check(
        "RiskAssessment?probability=gt0.8",
        "probability Gt 8e-1..8e-1",
    );
    check(
        "RiskAssessment?probability=ap10",
        "probability Ap 90e-1..110001e-4",
    );
    check(
        "Observation?value-quantity=5.4|http://unitsofmeasure.org|mg",
        "value-quantity Eq 535e-2..545e-2 http://unitsofmeasure.org|mg or 535e-5..545e-5 g as *",
    );
    check(
        "Observation?value-quantity=gt98.6|http://unitsofmeasure.org|[degF]",
        "value-quantity Gt 986e-1..986e-1 http://unitsofmeasure.org|[degF] or 31015e-2..31015e-2 K as *",
    );
    check(
        "Observation?value-quantity=5|http://unitsofmeasure.org|no-unit",
        "value-quantity Eq 45e-1..55e-1 http://unitsofmeasure.org|no-unit",
    );
    check(
        "Observation?value-quantity=5|http://other.org|mg",
        "value-quantity Eq 45e-1..55e-1 http://other.org|mg",
    );
    check(
        "Observation?value-quantity=le5.4||mg",
        "value-quantity Le 54e-1..54e-1 *|mg or 54e-4..54e-4 g as mg",
    );
    check(
        "Observation?value-quantity=ne5",
        "value-quantity Ne 45e-1..55e-1 *|*",
    );
    refuse(
        "RiskAssessment?probability=high",
        IssueType::Value,
        "prefix",
    );
    refuse(
        "RiskAssessment?probability=eq1.2.3",
        IssueType::Value,
        "number",
    );
    refuse(
        "Observation?value-quantity=5.4|http://unitsofmeasure.org|",
        IssueType::Value,
        "number||code",
    );
    refuse(
        "Observation?value-quantity=5.4|mg",
        IssueType::Value,
        "number||code",
    );
}

#[test]
fn references() {
    check("Observation?subject=Patient/23", "subject Patient/23");
    check("Observation?subject=23", "subject */23");
    check(
        "Observation?subject:Patient=23",
        "subject:Type(\"Patient\") Patient/23",
    );
    check(
        "Observation?subject:Patient=Patient/23",
        "subject:Type(\"Patient\") Patient/23",
    );
    check(
        "Observation?subject=http://localhost/fhir/Patient/23",
        "subject Patient/23",
    );
    check(
        "Observation?subject=http://x/Patient/23",
        "subject <http://x/Patient/23>",
    );
    check(
        "Observation?subject=Patient/23/_history/2",
        "subject Patient/23@2",
    );
    check(
        "Observation?subject:identifier=http://mrn|7",
        "subject:Identifier http://mrn|7",
    );
    check(
        "QuestionnaireResponse?questionnaire=http://q|1",
        "questionnaire <http://q|1>",
    );
    for value in ["Martian/1", "#p", "a b", "Patient?x=1", ""] {
        refuse(
            &format!("Observation?subject={value}"),
            IssueType::Value,
            "Type/id",
        );
    }
    refuse(
        "Observation?subject:Patient=Group/1",
        IssueType::Value,
        "Patient",
    );
    refuse(
        "Observation?subject:Martian=1",
        IssueType::NotSupported,
        "Location, Patient",
    );
}

#[test]
fn uris() {
    check("ValueSet?url=http://v/1", "url <http://v/1>");
    check("ValueSet?url:below=http://v/", "url:Below <http://v/>");
    refuse("ValueSet?url=", IssueType::Value, "empty");
}

#[test]
fn chains() {
    check(
        "Observation?subject:Patient.name:exact=Bob",
        "subject -> [Patient: name:Exact bob=Bob]",
    );
    check(
        "DiagnosticReport?subject.identifier=7",
        concat!(
            "subject -> [Device: identifier *|7; Group: identifier *|7; ",
            "Location: identifier *|7; Patient: identifier *|7]"
        ),
    );
    check(
        "Observation?patient.organization.name=x",
        "patient -> [Patient: organization -> [Organization: name x=x]]",
    );
    refuse(
        "Observation?code.name=x",
        IssueType::NotSupported,
        "only references",
    );
    refuse(
        "Observation?subject:Patient.nome=x",
        IssueType::NotSupported,
        "birthdate",
    );
    let deep = format!("Organization?{}name=x", "partof.".repeat(9));
    refuse(&deep, IssueType::TooCostly, "chain");
}

#[test]
fn resources_that_refer_to_it() {
    check(
        "Patient?_has:Observation:patient:code=1234-5",
        "<- Observation.patient [code *|1234-5]",
    );
    check(
        "Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=7",
        "<- Observation.patient [<- AuditEvent.entity [agent */7]]",
    );
    refuse(
        "Patient?_has:Observation:code=1",
        IssueType::NotSupported,
        "_has:Type",
    );
    refuse(
        "Patient?_has:Martian:x:code=1",
        IssueType::NotSupported,
        "known type",
    );
    refuse(
        "Patient?_has:Observation:encounter:code=1",
        IssueType::NotSupported,
        "patient",
    );
}

#[test]
fn composites() {
    check(
        "Observation?code-value-quantity=http://loinc.org|8480-6$gt120",
        "code-value-quantity http://loinc.org|8480-6 $ Gt 120..120 *|*",
    );
    refuse(
        "Observation?code-value-quantity=a",
        IssueType::Value,
        "2 parts",
    );
}

#[test]
fn modifiers_are_for_what_has_values_for_them() {
    let words = |name: &str| format!("{name}:Text Any([One(Stem(\"x\")), One(Prefix(\"x\"))])");
    check("Condition?code:text=x", &words("code"));
    check(
        "Patient?identifier:of-type=s|c|v",
        "identifier:OfType s|c|v",
    );
    check("Condition?subject:text=x", &words("subject"));
    let refuse = |request, words| refuse(request, IssueType::NotSupported, words);
    refuse(
        "Patient?gender:text=x",
        "allowed: missing, not, above, below, in, not-in",
    );
    refuse(
        "Condition?code:of-type=s|c|v",
        "allowed: missing, text, not",
    );
    refuse("ValueSet?version:text=x", "allowed: missing, not");
}

#[test]
fn an_order_is_taken_whole_or_not_at_all() {
    let (search, problems) = Search::parse("Patient", &[("_sort", "family,nothing")], &ASKING);
    assert!(search.control.sort.is_empty() && problems[0].is_ignorable());
}

#[test]
fn what_is_unknown_is_named_with_what_is_allowed() {
    refuse("Patient?nome=x", IssueType::NotSupported, "birthdate, ");
    refuse(
        "Patient?name:fuzzy=x",
        IssueType::NotSupported,
        "missing, exact, contains",
    );
    refuse(
        "Patient?birthdate:exact=2000",
        IssueType::NotSupported,
        "allowed: missing",
    );
    refuse(
        "Patient?_content:exact=x",
        IssueType::NotSupported,
        "no modifiers",
    );
    refuse("Patient?_content=-x", IssueType::Value, "nothing beside");
    refuse("Patient?_text=\"x", IssueType::Value, "not closed");
    refuse("Location?near=48.85", IssueType::Value, "latitude");
    refuse(
        "Martian?name=x",
        IssueType::NotSupported,
        "type of resource",
    );
    let issue = parse("Patient", "nome", "x").unwrap_err();
    assert_eq!(issue.expression, "http.nome");
    let issue = parse("Patient", "John Smith, born", "x").unwrap_err();
    assert_eq!(issue.expression, "http");
}

#[test]
fn a_problem_leaves_the_other_parameters_alone() {
    let parameters = [
        ("name", "a"),
        ("nome", "b"),
        ("birthdate", "c"),
        ("gender", "male"),
    ];
    let (search, problems) = Search::parse("Patient", &parameters, &ASKING);
    assert_eq!(search.clauses.len(), 2);
    let seen: Vec<_> = problems.iter().map(|p| (p.at, p.is_ignorable())).collect();
    assert_eq!(seen, [(1, true), (2, false)]);
}

#[test]
fn requests_are_bounded() {
    let parameters = vec![("name", "a"); PARAMETERS_MAX + 1];
    let (_, problems) = Search::parse("Patient", &parameters, &ASKING);
    assert_eq!(problems.len(), 1);
    let many = vec!["a"; ALTERNATIVES_MAX + 1].join(",");
    refuse(
        &format!("Patient?name={many}"),
        IssueType::TooCostly,
        "alternatives",
    );
    // Each value counts for each type that a chain may lead to.
    let many = vec!["a"; ALTERNATIVES_MAX].join(",");
    let chains = vec![("owner.name", many.as_str()); 5];
    let (search, problems) = Search::parse("Task", &chains, &ASKING);
    assert!((1..5).contains(&search.clauses.len()));
    let is_bound = |problem: &Problem| problem.issue.to_string().contains("20000 values");
    assert!(problems.iter().all(is_bound), "{problems:?}");
}

#[track_caller]
fn control(name: &str, value: &str) -> Control {
    let search = parse("Observation", name, value).map_err(|issue| issue.to_string());
    search.unwrap().control
}

#[test]
fn the_order_of_results() {
    let sort = control("_sort", "-date,_id,_lastUpdated,code").sort;
    let keys: Vec<_> = sort
        .iter()
        .map(|key| (key.parameter.code, key.descending))
        .collect();
    let expected = [
        ("date", true),
        ("_id", false),
        ("_lastUpdated", false),
        ("code", false),
    ];
    assert_eq!(keys, expected);
    refuse("Patient?_sort=nome", IssueType::NotSupported, "birthdate");
    refuse("Patient?_sort=", IssueType::NotSupported, "birthdate");
    refuse(
        "Observation?_sort=code-value-quantity",
        IssueType::NotSupported,
        "allowed",
    );
}

#[test]
fn the_size_of_results() {
    assert_eq!(control("_count", "20").count, Some(20));
    assert_eq!(control("_count", "0").count, Some(0));
    assert_eq!(control("_count", "99999999999").count, Some(u32::MAX));
    assert_eq!(control("_total", "accurate").total, Some(Total::Accurate));
    assert_eq!(control("_summary", "count").summary, Some(Summary::Count));
    assert_eq!(
        control("_elements", "code,value").elements,
        ["code", "value"]
    );
    assert_eq!(control("_pretty", "true").pretty, Some(true));
    assert_eq!(control("_format", "json").format.as_deref(), Some("json"));
    for (name, value) in [
        ("_count", "-1"),
        ("_count", "+1"),
        ("_count", ""),
        ("_total", "yes"),
        ("_pretty", "1"),
        ("_summary", "x"),
        ("_elements", "nome"),
        ("_elements", ""),
        ("_format", ""),
    ] {
        refuse(
            &format!("Patient?{name}={value}"),
            IssueType::Value,
            "the value",
        );
    }
    refuse(
        "Patient?_count:exact=1",
        IssueType::NotSupported,
        "modifiers",
    );
    let twice = [("_count", "1"), ("_count", "2")];
    assert_eq!(Search::parse("Patient", &twice, &ASKING).1.len(), 1);
}

#[test]
fn included_resources() {
    let include = &control("_include", "Observation:patient").includes[0];
    assert_eq!(include.source, Some("Observation"));
    assert_eq!(include.reference.map(|p| p.code), Some("patient"));
    assert!(include.target.is_none() && !include.iterate);
    let include = &control(
        "_include:iterate",
        "Patient:general-practitioner:Practitioner",
    )
    .includes[0];
    assert_eq!(
        (include.target, include.iterate),
        (Some("Practitioner"), true)
    );
    assert!(control("_include", "*").includes[0].source.is_none());
    let reverse = &control("_revinclude", "Provenance:target").reverse_includes[0];
    assert_eq!(reverse.reference.map(|p| p.code), Some("target"));
    for value in [
        "",
        "Observation",
        "Martian:x",
        "Observation:code",
        "Observation:subject:Martian",
    ] {
        refuse(
            &format!("Observation?_include={value}"),
            IssueType::Value,
            "the value",
        );
    }
    refuse(
        "Observation?_include=Patient:organization",
        IssueType::Value,
        "iterate",
    );
    refuse(
        "Observation?_revinclude=Encounter:account",
        IssueType::Value,
        "lead to",
    );
    refuse(
        "Observation?_include:x=Observation:subject",
        IssueType::NotSupported,
        "iterate",
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn parsing_never_panics(
        name in "[a-zA-Z_:.-]{0,20}|(name|subject|date|_has|code|_sort|value-quantity)(:|[.])?[a-zA-Z:.]{0,12}",
        value in "\\PC{0,30}|[a-z0-9|,$\\\\.-]{0,20}",
    ) {
        let _ = Search::parse("Observation", &[(name, value)], &ASKING);
    }

    #[test]
    fn any_text_can_be_asked_for_when_it_is_escaped(text in "[a-z,$|\\\\]{1,10}") {
        let escaped: String = text.chars().flat_map(|c| {
            let escape = matches!(c, ',' | '$' | '|' | '\\').then_some('\\');
            escape.into_iter().chain([c])
        }).collect();
        let search = parse("Patient", "identifier", &escaped).unwrap();
        let (_, Clause::Own(criterion)) = &search.clauses[0] else { panic!("not its own") };
        let expected = Operand::Token { system: None, code: Some(text.into()) };
        prop_assert_eq!(&criterion.values, &[expected]);
    }
}
