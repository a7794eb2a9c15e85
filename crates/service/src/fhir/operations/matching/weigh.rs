//! What speaks for two records being of one person, after Fellegi and Sunter
//! (A Theory for Record Linkage, 1969).
//!
//! Each feature that both have adds a weight: log2(m/u) if they agree,
//! log2((1-m)/(1-u)) if not, where m is how often it agrees in records of one
//! person, u in those of two. What only one has says nothing. The weights and
//! the odds that any two are one person give the probability.
//!
//! | feature | m | u | agrees | differs | partly |
//! |---|---|---|---|---|---|
//! | identifier, of one system | 0.95 | 0.000001 | +19.9 | -4.3 | |
//! | birth date | 0.97 | 0.001 | +9.9 | -5.1 | +3.0: one part of three differs, day and month are exchanged, or one is less precise |
//! | family name | 0.95 | 0.01 | +6.6 | -4.3 | +3.3: alike |
//! | given name | 0.9 | 0.02 | +5.5 | -3.3 | +2.7: alike, or an initial |
//! | gender | 0.98 | 0.5 | +1.0 | -4.6 | |
//! | phone or e-mail | 0.6 | 0.001 | +9.2 | -1.3 | |
//! | postal code | 0.7 | 0.01 | +6.1 | -1.7 | |
//!
//! The odds are 1 to 16,384. `certain` is a probability of 0.995 and more,
//! `probable` of 0.85, `possible` of 0.2.

use salus_fhir::json::Node;
use salus_fhir::search::fold;

use super::super::parameters::items;
use super::likeness::likeness;

/// The logarithm of the odds that two records are of one person.
const ODDS: f64 = -14.0;
/// Words that are so like each other are taken for variants.
const ALIKE: f64 = 0.85;
/// Values of a feature that count.
const VALUES_MAX: usize = 10;

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    Certain,
    Probable,
    Possible,
}

impl Grade {
    /// The grade of a probability; `None` if the two are certainly not one.
    pub(super) fn of(probability: f64) -> Option<Self> {
        match probability {
            0.995.. => Some(Self::Certain),
            0.85.. => Some(Self::Probable),
            0.2.. => Some(Self::Possible),
            _ => None,
        }
    }

    /// <https://hl7.org/fhir/R4/valueset-match-grade.html>
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Probable => "probable",
            Self::Possible => "possible",
        }
    }
}

/// What is known of a person.
#[derive(Default)]
pub(super) struct Features {
    /// Systems, which may be empty, and values.
    pub(super) identifiers: Vec<(String, String)>,
    pub(super) families: Vec<String>,
    pub(super) givens: Vec<String>,
    pub(super) birth: Option<String>,
    pub(super) sent_telecoms: Vec<String>,
    gender: Option<String>,
    telecoms: Vec<String>,
    postal_codes: Vec<String>,
}
salus_phi::guard!(Features);

impl Features {
    pub(super) fn of(patient: Node<'_>) -> Self {
        let mut features = Self {
            gender: text(patient, "gender"),
            birth: text(patient, "birthDate"),
            ..Self::default()
        };
        for identifier in items(patient, "identifier").take(VALUES_MAX) {
            if let Some(value) = text(identifier, "value") {
                let system = text(identifier, "system").unwrap_or_default();
                features.identifiers.push((system, value));
            }
        }
        for name in items(patient, "name").take(VALUES_MAX) {
            let family = text(name, "family").map(|family| folded(&family));
            add(&mut features.families, family);
            // The first is the one that all records have.
            let given = items(name, "given").next().and_then(Node::str);
            add(&mut features.givens, given.map(|given| folded(&given)));
        }
        for telecom in items(patient, "telecom").take(VALUES_MAX) {
            if let Some(value) = text(telecom, "value") {
                let system = text(telecom, "system");
                let is_phone = system.is_none_or(|system| system != "email");
                add(&mut features.telecoms, Some(telecom_key(&value, is_phone)));
                features.sent_telecoms.push(value);
            }
        }
        for address in items(patient, "address").take(VALUES_MAX) {
            let code = text(address, "postalCode").map(|code| folded(&code).replace(' ', ""));
            add(&mut features.postal_codes, code);
        }
        features
    }
}

/// How probable it is that two are one person.
pub(super) fn probability(one: &Features, other: &Features) -> f64 {
    let weights = [
        identifiers(one, other),
        birth(one, other),
        alike(&one.families, &other.families, (0.95, 0.01)),
        alike(&one.givens, &other.givens, (0.9, 0.02)),
        gender(one, other),
        common(&one.telecoms, &other.telecoms, (0.6, 0.001)),
        common(&one.postal_codes, &other.postal_codes, (0.7, 0.01)),
    ];
    let sum: f64 = weights.into_iter().sum();
    1.0 / (1.0 + (-(ODDS + sum)).exp2())
}

fn agrees((m, u): (f64, f64)) -> f64 {
    (m / u).log2()
}

fn differs((m, u): (f64, f64)) -> f64 {
    ((1.0 - m) / (1.0 - u)).log2()
}

fn identifiers(one: &Features, other: &Features) -> f64 {
    const CHANCES: (f64, f64) = (0.95, 0.000_001);
    let mut of_one_system = false;
    for (system, value) in &one.identifiers {
        for (other_system, other_value) in &other.identifiers {
            if system.is_empty() || system == other_system {
                if value == other_value {
                    return agrees(CHANCES);
                }
                of_one_system |= !system.is_empty();
            }
        }
    }
    if of_one_system { differs(CHANCES) } else { 0.0 }
}

fn birth(one: &Features, other: &Features) -> f64 {
    const CHANCES: (f64, f64) = (0.97, 0.001);
    const PARTLY: f64 = 3.0;
    let (Some(one), Some(other)) = (&one.birth, &other.birth) else {
        return 0.0;
    };
    if one == other {
        return agrees(CHANCES);
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (one.split('-').collect(), other.split('-').collect());
    let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    let less_precise = same == a.len().min(b.len());
    let exchanged = a.len() == 3 && b.len() == 3 && (a[0], a[1], a[2]) == (b[0], b[2], b[1]);
    match less_precise || same == 2 || exchanged {
        true => PARTLY,
        false => differs(CHANCES),
    }
}

fn gender(one: &Features, other: &Features) -> f64 {
    const CHANCES: (f64, f64) = (0.98, 0.5);
    match (&one.gender, &other.gender) {
        (Some(one), Some(other)) if one == "unknown" || other == "unknown" => 0.0,
        (Some(one), Some(other)) if one == other => agrees(CHANCES),
        (Some(_), Some(_)) => differs(CHANCES),
        _ => 0.0,
    }
}

/// Names: the best of all pairs counts.
fn alike(ones: &[String], others: &[String], chances: (f64, f64)) -> f64 {
    let pairs = ones
        .iter()
        .flat_map(|one| others.iter().map(move |other| (one, other)));
    let weight = |(one, other): (&String, &String)| match likeness(one, other) {
        1.0.. => agrees(chances),
        ALIKE.. => agrees(chances) / 2.0,
        _ if is_initial(one, other) || is_initial(other, one) => agrees(chances) / 2.0,
        _ => differs(chances),
    };
    pairs.map(weight).max_by(f64::total_cmp).unwrap_or(0.0)
}

fn is_initial(one: &str, other: &str) -> bool {
    let initial = one.trim_end_matches('.');
    initial.chars().count() == 1 && other.starts_with(initial)
}

fn common(ones: &[String], others: &[String], chances: (f64, f64)) -> f64 {
    if ones.is_empty() || others.is_empty() {
        return 0.0;
    }
    match ones.iter().any(|one| others.contains(one)) {
        true => agrees(chances),
        false => differs(chances),
    }
}

fn text(node: Node<'_>, name: &str) -> Option<String> {
    let text = node.get(name).and_then(|member| member.str())?;
    (!text.is_empty()).then(|| text.into_owned())
}

fn folded(text: &str) -> String {
    fold(text).trim().to_owned()
}

/// Of a phone number the last digits, since prefixes are written in many ways.
fn telecom_key(value: &str, is_phone: bool) -> String {
    const DIGITS: usize = 9;
    if !is_phone {
        return value.trim().to_lowercase();
    }
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    digits[digits.len().saturating_sub(DIGITS)..].to_owned()
}

fn add(all: &mut Vec<String>, one: Option<String>) {
    if let Some(one) = one.filter(|one| !one.is_empty() && !all.contains(one)) {
        all.push(one);
    }
}

#[cfg(test)]
mod tests {
    use salus_fhir::json::{Document, Limits};

    use super::*;

    const JOHN: &str = r#"{"identifier":[{"system":"s","value":"1"}],"name":[{"family":"Müller","given":["John","X"]}],
        "birthDate":"1970-05-06","gender":"male","telecom":[{"value":"+44 20 1234 5678"}],
        "address":[{"postalCode":"AB1 2CD"}]}"#;

    #[track_caller]
    fn check(members: &str, expect: Option<Grade>) {
        let document = |text: &str| Document::parse(text.to_owned().into(), &Limits::default());
        let (john, other) = (document(JOHN).unwrap(), document(members).unwrap());
        let (john, other) = (Features::of(john.root()), Features::of(other.root()));
        let found = probability(&john, &other);
        assert!((found - probability(&other, &john)).abs() < 1e-9);
        assert_eq!(Grade::of(found), expect, "{found}");
    }

    #[test]
    fn much_that_agrees_is_certain() {
        check(JOHN, Some(Grade::Certain));
        check(
            r#"{"name":[{"family":"MULLER","given":["john"]}],"birthDate":"1970-05-06","gender":"male"}"#,
            Some(Grade::Certain),
        );
        check(
            r#"{"identifier":[{"system":"s","value":"1"}],"name":[{"family":"Muller"}]}"#,
            Some(Grade::Certain),
        );
    }

    #[test]
    fn what_differs_a_little_is_probable_or_possible() {
        check(
            r#"{"identifier":[{"system":"s","value":"1"}]}"#,
            Some(Grade::Probable),
        );
        check(
            r#"{"name":[{"family":"Miller","given":["J."]}],"birthDate":"1970-05-06","telecom":[{"value":"020 1234 5678"}]}"#,
            Some(Grade::Certain),
        );
        check(
            r#"{"name":[{"family":"Muller","given":["Jon"]}],"birthDate":"1970-06-05","gender":"male"}"#,
            Some(Grade::Possible),
        );
        check(
            r#"{"name":[{"family":"Muller","given":["John"]}],"gender":"male"}"#,
            Some(Grade::Possible),
        );
    }

    #[test]
    fn others_are_no_matches() {
        check(r#"{}"#, None);
        check(r#"{"gender":"male"}"#, None);
        check(
            r#"{"name":[{"family":"Muller","given":["Ann"]}],"gender":"female"}"#,
            None,
        );
        check(
            r#"{"birthDate":"1970-05-06","name":[{"family":"Other","given":["Person"]}]}"#,
            None,
        );
        check(
            r#"{"identifier":[{"system":"s","value":"2"}],"name":[{"family":"Muller","given":["John"]}],"gender":"male"}"#,
            None,
        );
    }
}
