//! The grammar of filters, what they mean, and what they must not be.

use super::super::{Asking, Clause, Criterion, Parameters, Search};
use super::grammar::{Expression, To, parse};
use crate::issue::Issue;

/// An expression with all its parentheses.
fn shape(expression: &Expression<'_>) -> String {
    let joined = |all: &[Expression<'_>], by: &str| {
        let all: Vec<String> = all.iter().map(shape).collect();
        format!("({})", all.join(by))
    };
    match expression {
        Expression::All(all) => joined(all, " & "),
        Expression::Any(any) => joined(any, " | "),
        Expression::Not(inner) => format!("!{}", shape(inner)),
        Expression::Compare(compare) => {
            let mut path = String::new();
            for link in &compare.links {
                path += link.name.text;
                match &link.to {
                    Some(To::Type(word)) => path += &format!("[{}]", word.text),
                    Some(To::Those(filter)) => path += &format!("[{}]", shape(filter)),
                    None => {}
                }
                path += ".";
            }
            let name = compare.name.text;
            format!("{path}{name} {:?} <{}>", compare.operator, compare.value)
        }
    }
}

#[track_caller]
fn reads(text: &str, expected: &str) {
    let expression = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    assert_eq!(shape(&expression), expected, "{text}");
}

#[test]
fn values_are_words_or_texts_in_quotes() {
    reads("given eq peter", "given Eq <peter>");
    reads(r#"given eq "peter""#, "given Eq <peter>");
    reads(r#"name co "a (b) and c""#, "name Co <a (b) and c>");
    reads(r#"name co "\"q\" \\ \u00e9""#, r#"name Co <"q" \ é>"#);
    reads(r#"name eq """#, "name Eq <>");
    reads(
        "code eq http://loinc.org|1234-5",
        "code Eq <http://loinc.org|1234-5>",
    );
    reads("birthdate ge 2014-10-10", "birthdate Ge <2014-10-10>");
    reads(
        "date ge 2014-10-10T10:00:00.5+02:00",
        "date Ge <2014-10-10T10:00:00.5+02:00>",
    );
    reads("probability lt -1.5e3", "probability Lt <-1.5e3>");
    reads("  gender \t eq\nmale ", "gender Eq <male>");
    reads("(gender eq male)", "gender Eq <male>");
    reads("name eq é", "name Eq <é>");
    reads("name pr not", "name Pr <not>");
}

#[test]
fn all_operators_are_read() {
    for (text, operator) in super::grammar::OPERATORS {
        reads(&format!("p {text} v"), &format!("p {operator:?} <v>"));
    }
}

#[test]
fn and_and_or_are_taken_from_left_to_right() {
    reads(
        "a eq 1 and b eq 2 and c eq 3",
        "(a Eq <1> & b Eq <2> & c Eq <3>)",
    );
    reads(
        "a eq 1 or b eq 2 or c eq 3",
        "(a Eq <1> | b Eq <2> | c Eq <3>)",
    );
    reads(
        "a eq 1 or b eq 2 and c eq 3",
        "((a Eq <1> | b Eq <2>) & c Eq <3>)",
    );
    reads(
        "a eq 1 and b eq 2 or c eq 3",
        "((a Eq <1> & b Eq <2>) | c Eq <3>)",
    );
    reads(
        "a eq 1 or (b eq 2 and c eq 3)",
        "(a Eq <1> | (b Eq <2> & c Eq <3>))",
    );
    reads(
        "(a eq 1 or b eq 2)and c eq 3",
        "((a Eq <1> | b Eq <2>) & c Eq <3>)",
    );
    reads("((a eq 1))", "a Eq <1>");
}

#[test]
fn not_stands_before_parentheses() {
    reads("not(a eq 1)", "!a Eq <1>");
    reads(
        "not (a eq 1 or b eq 2) and c eq 3",
        "(!(a Eq <1> | b Eq <2>) & c Eq <3>)",
    );
    reads("not(not(a eq 1))", "!!a Eq <1>");
    reads("c eq 3 or not(a eq 1)", "(c Eq <3> | !a Eq <1>)");
}

#[test]
fn paths_have_types_and_filters_in_brackets() {
    reads("subject.name co x", "subject.name Co <x>");
    reads("subject[Patient].name co x", "subject[Patient].name Co <x>");
    reads("subject:Patient.name co x", "subject[Patient].name Co <x>");
    reads(
        "a[b eq 1 and (c eq 2)].d[E].f eq 3",
        "a[(b Eq <1> & c Eq <2>)].d[E].f Eq <3>",
    );
    reads(
        "a[b[c eq 1].d eq 2].e eq 3",
        "a[b[c Eq <1>].d Eq <2>].e Eq <3>",
    );
    reads(
        r#"related[type eq "has-component"].target pr false"#,
        "related[type Eq <has-component>].target Pr <false>",
    );
}

#[track_caller]
fn fault(text: &str, column: usize, words: &str) {
    let fault = parse(text).map(|it| shape(&it)).expect_err(text);
    let issue = fault.issue(text, crate::issue::IssueType::Value);
    let begins = format!("column {column}: ");
    assert!(issue.details.starts_with(&begins), "{text}: {issue}");
    assert!(issue.details.contains(words), "{text}: {issue}");
}

#[test]
fn faults_are_named_with_their_column() {
    fault("", 1, "search parameter");
    fault("name", 5, "space");
    fault("name ", 6, "operator; allowed: eq, ne, co");
    fault("name like x", 6, "operator; allowed: eq");
    fault("name eq", 8, "space");
    fault("name eq ", 9, "value");
    fault("name eq )", 9, "value");
    fault(r#"name eq "x"#, 9, "does not end");
    fault(r#"name eq "\x""#, 9, "JSON");
    fault(r#"name eq "x"y"#, 12, "end");
    fault("(name eq x", 11, ")");
    fault("name eq x)", 10, "end");
    fault("é eq x", 1, "search parameter");
    fault("name eq é é", 11, "end");
    fault("name eq x and", 14, "space");
    fault("name eq x and ", 15, "search parameter");
    fault("name eq x xor a eq b", 11, "and, or");
    fault("not name eq x", 5, "(");
    fault("a[b eq 1 eq 2", 10, "]");
    fault("a[b eq 1] eq 2", 10, ".");
    fault("a[].b eq 2", 3, "search parameter");
    fault("a..b eq 2", 3, "search parameter");
    fault("a:.b eq 2", 3, "type");
    fault("a:B eq 2", 4, ".");
}

#[test]
fn filters_have_bounds() {
    let nested = |depth: usize| format!("{}a eq 1{}", "(".repeat(depth), ")".repeat(depth));
    reads(&nested(16), "a Eq <1>");
    fault(&nested(17), 18, "deep");
    fault(&nested(10_000).replace(')', ""), 18, "deep");
    let many = |count: usize| vec!["a eq 1"; count].join(" or ");
    assert!(parse(&many(100)).is_ok());
    fault(&many(101), 1001, "comparisons");
    fault(&" ".repeat(20_000), 1, "bytes");
}

fn clause(text: &str) -> Result<Clause, Issue> {
    let asking = Asking {
        hidden: crate::mask::Hidden::NOTHING,
        own_bases: &["http://localhost/fhir"],
        parameters: Parameters::r4(),
        now_ms: 1_000_000_000_000,
    };
    let (ty, filter) = text.split_once('?').unwrap();
    let (mut search, mut problems) = Search::parse(ty, &[("_filter", filter)], &asking);
    match problems.pop() {
        Some(problem) => Err(problem.issue),
        None => Ok(search.clauses.pop().unwrap().1),
    }
}

fn meaning(clause: &Clause) -> String {
    let joined = |all: &[Clause], by: &str| {
        let all: Vec<String> = all.iter().map(meaning).collect();
        format!("({})", all.join(by))
    };
    match clause {
        Clause::Own(Criterion {
            parameter,
            modifier,
            values,
        }) => {
            let modifier = modifier.map_or(String::new(), |it| format!(":{it:?}"));
            format!("{}{modifier}={:?}", parameter.code, values[0])
        }
        Clause::Chain { reference, targets } => {
            let of = |(ty, then): &(&str, Clause)| format!("{ty}.{}", meaning(then));
            let targets: Vec<String> = targets.iter().map(of).collect();
            format!("{}->{}", reference.code, targets.join(","))
        }
        Clause::Has { .. } | Clause::Listed(_) => panic!("no filter says so"),
        Clause::All(all) => joined(all, " & "),
        Clause::Any(any) => joined(any, " | "),
        Clause::Not(inner) => format!("!{}", meaning(inner)),
    }
}

#[track_caller]
fn means(filter: &str, expected: &str) {
    let clause = clause(filter).unwrap_or_else(|issue| panic!("{filter}: {issue}"));
    assert_eq!(meaning(&clause), expected, "{filter}");
}

/// The same as a parameter of its own.
#[track_caller]
fn same(filter: &str, (name, value): (&str, &str)) {
    let (ty, _) = filter.split_once('?').unwrap();
    let asking = Asking {
        hidden: crate::mask::Hidden::NOTHING,
        own_bases: &["http://localhost/fhir"],
        parameters: Parameters::r4(),
        now_ms: 1_000_000_000_000,
    };
    let (search, problems) = Search::parse(ty, &[(name, value)], &asking);
    assert_eq!(problems, [], "{name}={value}");
    means(filter, &meaning(&search.clauses[0].1));
}

#[test]
fn operators_are_prefixes_and_modifiers() {
    same("Patient?name sw pet", ("name", "pet"));
    same("Patient?name co Pét", ("name:contains", "Pét"));
    same(r#"Patient?name co "a,b\\c""#, ("name:contains", r"a\,b\\c"));
    same("Patient?name pr true", ("name:missing", "false"));
    same("Patient?name pr false", ("name:missing", "true"));
    same("Patient?birthdate ge 2014", ("birthdate", "ge2014"));
    same("Patient?birthdate ap 2014", ("birthdate", "ap2014"));
    same("Patient?_lastUpdated lt 2014", ("_lastUpdated", "lt2014"));
    same(
        "RiskAssessment?probability gt 0.5",
        ("probability", "gt0.5"),
    );
    same(
        "Observation?value-quantity le 5.4|http://unitsofmeasure.org|mg",
        ("value-quantity", "le5.4|http://unitsofmeasure.org|mg"),
    );
    same("Patient?gender eq male", ("gender", "male"));
    same(
        r#"Patient?identifier eq "urn:x|a\\|b""#,
        ("identifier", r"urn:x|a\|b"),
    );
    same("Patient?_id eq 1", ("_id", "1"));
    same("Patient?_id ne 1", ("_id:not", "1"));
    same(
        "Observation?code ss http://x|1",
        ("code:below", "http://x|1"),
    );
    same(
        "Observation?code sb http://x|1",
        ("code:above", "http://x|1"),
    );
    same(
        "Observation?code in http://x/vs",
        ("code:in", "http://x/vs"),
    );
    same(
        "Observation?code ni http://x/vs",
        ("code:not-in", "http://x/vs"),
    );
    same("Observation?subject re Patient/1", ("subject", "Patient/1"));
    same("Observation?subject eq 1", ("subject", "1"));
    same("ValueSet?url ss http://x", ("url:below", "http://x"));
    same("ValueSet?url eq http://x", ("url", "http://x"));
    same("Location?near eq 1|2|3|km", ("near", "1|2|3|km"));
    same(
        "Observation?code-value-quantity eq 1$gt5",
        ("code-value-quantity", "1$gt5"),
    );
    means(
        "Patient?name ne Péter",
        r#"name:Ordered(Ne)=Text { folded: "peter", exact: "Péter" }"#,
    );
    means(
        "Patient?name ew er",
        r#"name:Ends=Text { folded: "er", exact: "er" }"#,
    );
    means(
        "Patient?gender ne male",
        r#"gender:Other=Token { system: None, code: Some("male") }"#,
    );
    means(
        "Patient?birthdate po 1970",
        "birthdate=Date(Ap, Span { from_ms: 0, to_ms: 31536000000 })",
    );
}

#[test]
fn paths_are_chains() {
    same("Observation?subject.name sw x", ("subject.name", "x"));
    same(
        "Observation?subject[Patient].name sw x",
        ("subject:Patient.name", "x"),
    );
    same(
        "Observation?patient.organization.name sw x",
        ("patient.organization.name", "x"),
    );
    means(
        "Observation?patient[gender eq male].birthdate pr true",
        r#"patient->Patient.(gender=Token { system: None, code: Some("male") } & birthdate:Missing=Missing(false))"#,
    );
}

#[test]
fn filters_stand_at_the_end_of_chains() {
    let parse = |name: &str, value: &str| {
        let asking = Asking {
            hidden: crate::mask::Hidden::NOTHING,
            own_bases: &["http://localhost/fhir"],
            parameters: Parameters::r4(),
            now_ms: 1_000_000_000_000,
        };
        let (mut search, problems) = Search::parse("Observation", &[(name, value)], &asking);
        let clause = search.clauses.pop().map(|(_, clause)| clause);
        clause.ok_or_else(|| problems[0].issue.clone())
    };
    let chain = parse("patient._filter", "gender eq male or active eq true").unwrap();
    assert_eq!(
        meaning(&chain),
        r#"patient->Patient.(gender=Token { system: None, code: Some("male") } | active=Token { system: None, code: Some("true") })"#
    );
    assert!(matches!(
        parse("_has:Observation:has-member:_filter", "code eq 1"),
        Ok(Clause::Has { .. })
    ));
    assert!(matches!(
        parse("patient._list", "42"),
        Ok(Clause::Chain { .. })
    ));
    // The links of both together.
    let links = "partof[_id pr true].".repeat(4);
    let long = |rest: &str| parse("patient.organization._filter", &format!("{links}{rest}"));
    assert!(long("name eq x").is_ok());
    let issue = long("partof.name eq x").map(|it| meaning(&it)).unwrap_err();
    assert!(issue.details.contains("6 links"), "{issue}");
}

#[track_caller]
fn refuse(filter: &str, column: usize, words: &str) {
    let issue = clause(filter).map(|it| meaning(&it)).expect_err(filter);
    assert_eq!(issue.expression, "http._filter");
    let begins = format!("column {column}: ");
    assert!(issue.details.starts_with(&begins), "{filter}: {issue}");
    assert!(issue.details.contains(words), "{filter}: {issue}");
}

#[test]
fn what_has_no_meaning_is_refused() {
    refuse("Patient?nme eq x", 1, "allowed: ");
    refuse("Patient?gender eq x and nme eq x", 17, "birthdate");
    refuse("Patient?gender co x", 8, "eq, ne, pr, ss");
    refuse("Patient?birthdate sw x", 11, "po");
    refuse("Patient?birthdate eq soon", 14, "prefix");
    refuse("Patient?birthdate eq 20", 14, "date");
    refuse("Patient?birthdate eq ge2014", 14, "prefix");
    refuse("Patient?name pr maybe", 9, "true or false");
    refuse(r#"Patient?name co """#, 9, "empty");
    refuse("Patient?gender.name eq x", 1, "organization");
    refuse("Patient?name[given eq x].family eq y", 1, "brackets");
    refuse("Observation?subject[Medication].name eq y", 9, "Patient");
    refuse(
        "Observation?subject.nme eq x",
        9,
        "unknown search parameter",
    );
    refuse("Patient?_text eq x", 1, "no operators");
    refuse("Location?near sw 1|2", 6, "compared by eq");
    refuse("Location?near eq 1", 9, "latitude|longitude");
    refuse("Patient?_filter eq x", 1, "unknown search parameter");
    let chain = "partof[_id pr true].".repeat(7);
    refuse(&format!("Organization?{chain}name eq x"), 141, "6 links");
}
