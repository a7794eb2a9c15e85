//! The thirty shapes of search, as one table.
//!
//! Each query is filled in from a witness, a resource drawn from those we
//! loaded; the conditions say, over the facts we know, which other resources
//! must be found with it. The witness itself always is.

use crate::population::{Population, encounter_of, patient_of};
use crate::resource::{Facts, IDENTIFIERS, Kind, day, instant};

const DAY: i64 = 86_400;

/// A way to search, with what it must find.
pub(crate) struct Shape {
    /// Shown in the report.
    pub(crate) name: &'static str,
    /// The type searched for.
    pub(crate) kind: Kind,
    /// The parameters, with `{placeholders}` for facts of the witness.
    pub(crate) query: &'static str,
    /// What every match has in common with the witness.
    pub(crate) conditions: &'static [Condition],
    /// `_count` of the query, or the largest page we expect without it.
    pub(crate) count: usize,
    /// The order of the matches.
    pub(crate) order: Order,
    /// What comes beside the matches.
    pub(crate) extra: Extra,
}

/// Compares a candidate with the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Of the same patient.
    Patient,
    /// Recorded in the same encounter.
    Encounter,
    /// Has the same code.
    Code,
    /// Has the witness' code, or one of the two that follow in the list.
    CodeOfThree,
    /// Has the same status.
    Status,
    /// On the witness' day or later.
    From,
    /// Before the witness' day plus 90.
    Before90,
    /// Before the witness' day plus 3 years.
    Before3Years,
    /// On the witness' day.
    SameDay,
    /// Later than the witness' day less 400.
    After400,
    /// Has at least the value.
    AtLeast,
    /// Has exactly the value.
    SameValue,
    /// Family name starts with the witness' first three letters.
    FamilyStarts,
    /// Has the same family name.
    Family,
    /// Family name contains the witness' letters two to four.
    FamilyContains,
    /// Given name starts with the witness' whole one.
    Given,
    /// Has the same organization.
    Organization,
    /// Has the same practitioner.
    Practitioner,
    /// Is the witness.
    Itself,
    /// Is the witness, or the patient before or after.
    Neighbour,
}

/// The order of matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Unspecified.
    Any,
    /// By date, oldest first.
    Oldest,
    /// By date, newest first.
    Newest,
    /// By family name.
    ByFamily,
}

/// What comes beside matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Nothing.
    None,
    /// Their encounters, each once.
    Encounters,
    /// The conditions of the witness, who is the only match.
    Conditions,
    /// Nothing, but the total must be there.
    Total,
    /// Nothing, but all pages are read through `next` links.
    Pages,
}

const fn shape(
    name: &'static str,
    kind: Kind,
    query: &'static str,
    conditions: &'static [Condition],
    count: usize,
    order: Order,
) -> Shape {
    Shape {
        name,
        kind,
        query,
        conditions,
        count,
        order,
        extra: Extra::None,
    }
}

const fn with(extra: Extra, shape: Shape) -> Shape {
    Shape { extra, ..shape }
}

use Condition as C;
use Kind::{Condition as Problem, Encounter, MedicationRequest, Observation, Patient};
use Order::{Any, ByFamily, Newest, Oldest};

/// All thirty.
#[rustfmt::skip]
pub(crate) const SHAPES: [Shape; 30] = [
    shape("patient+code+date page", Observation, "patient={patient}&code={code}&date=ge{-400d}&_sort=-date&_count=20", &[C::Patient, C::Code, C::After400], 20, Newest),
    shape("patient, newest", Observation, "patient={patient}&_sort=-date&_count=20", &[C::Patient], 20, Newest),
    shape("patient, oldest", Observation, "patient={patient}&_sort=date&_count=20", &[C::Patient], 20, Oldest),
    shape("subject, date range", Observation, "subject=Patient/{patient}&date=ge{day}&date=lt{+90d}&_count=50", &[C::Patient, C::From, C::Before90], 50, Any),
    shape("patient+category", Observation, "patient={patient}&category=vital-signs&_count=50", &[C::Patient], 50, Any),
    shape("code, quantity ge", Observation, "code={code}&value-quantity=ge{value}&_count=20", &[C::Code, C::AtLeast], 20, Any),
    shape("patient, quantity eq", Observation, "patient={patient}&code={code}&value-quantity={value}", &[C::Patient, C::Code, C::SameValue], 80, Any),
    shape("patient, code OR", Observation, "patient={patient}&code={code},{code1},{code2}&_count=50", &[C::Patient, C::CodeOfThree], 50, Any),
    shape("encounter", Observation, "encounter=Encounter/{encounter}&_count=50", &[C::Encounter], 50, Any),
    shape("patient+status", Observation, "patient={patient}&status={status}&_count=100", &[C::Patient, C::Status], 100, Any),
    with(Extra::Encounters, shape("_include encounter", Observation, "patient={patient}&code={code}&_include=Observation:encounter&_count=100", &[C::Patient, C::Code], 100, Any)),
    with(Extra::Total, shape("_total accurate", Observation, "patient={patient}&code={code}&_total=accurate&_count=5", &[C::Patient, C::Code], 5, Any)),
    shape("code+day", Observation, "code={code}&date={day}&_count=20", &[C::Code, C::SameDay], 20, Any),
    with(Extra::Pages, shape("paging by next", Observation, "patient={patient}&_count=25", &[C::Patient], 25, Any)),
    shape("family prefix", Patient, "family={fam}&_count=20", &[C::FamilyStarts], 20, Any),
    shape("family :exact", Patient, "family:exact={family}&_count=20", &[C::Family], 20, Any),
    shape("family :contains", Patient, "family:contains={ami}&_count=20", &[C::FamilyContains], 20, Any),
    shape("family+given", Patient, "family:exact={family}&given={given}&_count=20", &[C::Family, C::Given], 20, Any),
    shape("identifier", Patient, "identifier={identifier}", &[C::Itself], 1, Any),
    shape("birthdate range", Patient, "birthdate=ge{day}&birthdate=lt{+3y}&_count=20", &[C::From, C::Before3Years], 20, Any),
    shape("gender, youngest", Patient, "gender={code}&birthdate=ge{day}&_sort=-birthdate&_count=20", &[C::Code, C::From], 20, Newest),
    shape("_id OR", Patient, "_id={patient-1},{patient},{patient+1}", &[C::Neighbour], 3, Any),
    with(Extra::Conditions, shape("_revinclude conditions", Patient, "_id={patient}&_revinclude=Condition:subject", &[C::Itself], 1, Any)),
    shape("organization, by family", Patient, "organization={organization}&_sort=family&_count=20", &[C::Organization], 20, ByFamily),
    shape("practitioner, _lastUpdated", Patient, "general-practitioner={practitioner}&_lastUpdated=ge2020-01-01&_count=10", &[C::Practitioner], 10, Any),
    shape("condition status", Problem, "patient={patient}&clinical-status={status}", &[C::Patient, C::Status], 5, Any),
    shape("condition code+onset", Problem, "code={code}&onset-date=ge{instant}&_sort=onset-date&_count=20", &[C::Code, C::From], 20, Oldest),
    shape("encounters from day", Encounter, "patient={patient}&date=ge{day}&_sort=-date", &[C::Patient, C::From], 6, Newest),
    shape("active orders", MedicationRequest, "patient={patient}&status={status}&intent=order", &[C::Patient, C::Status], 8, Any),
    shape("order code+date", MedicationRequest, "code={code}&authoredon=ge{day}&_sort=-authoredon&_count=20", &[C::Code, C::From], 20, Newest),
];

/// The shape's search for a witness, to be sent below the base.
pub(crate) fn query(shape: &Shape, population: &Population, witness: usize) -> String {
    let mut path = format!("{}?", shape.kind.name());
    let mut rest = shape.query;
    while let Some((text, tail)) = rest.split_once('{') {
        let (placeholder, tail) = tail.split_once('}').unwrap_or((tail, ""));
        path.push_str(text);
        path.push_str(&escaped(&fill(placeholder, population, witness)));
        rest = tail;
    }
    path + rest
}

fn fill(placeholder: &str, population: &Population, witness: usize) -> String {
    let facts = &population.facts[witness];
    let id = |position: usize| population.stored[position].id.to_string();
    let code = |next: u8| {
        Facts {
            code: (facts.code + next) % 8,
            ..*facts
        }
        .token()
    };
    let patient = patient_of(witness);
    match placeholder {
        "patient" => id(patient),
        "patient-1" => id(neighbours(population, witness).0),
        "patient+1" => id(neighbours(population, witness).1),
        "encounter" => id(encounter_of(witness)),
        "code" => facts.token(),
        "code1" => code(1),
        "code2" => code(2),
        "status" => facts.status().to_owned(),
        "day" => day(facts.date),
        "instant" => instant(floor(facts.date)),
        "+90d" => day(facts.date + 90 * DAY),
        "+3y" => day(facts.date + 1_095 * DAY),
        "-400d" => day(facts.date - 400 * DAY),
        "value" => format!("{}.{}", facts.value / 10, facts.value % 10),
        "family" => facts.family(),
        "fam" => facts.family()[..3].to_owned(),
        "ami" => facts.family()[1..4].to_owned(),
        "given" => facts.given().to_owned(),
        "identifier" => format!("{IDENTIFIERS}|{}", facts.identifier()),
        "organization" => population.links(witness, |_| String::new()).organization,
        "practitioner" => population.links(witness, |_| String::new()).practitioner,
        _ => String::new(),
    }
}

fn escaped(value: &str) -> String {
    value.replace('|', "%7C").replace('+', "%2B")
}

fn neighbours(population: &Population, witness: usize) -> (usize, usize) {
    use crate::population::PER_PATIENT;
    let patient = patient_of(witness);
    let last = population.facts.len() - PER_PATIENT;
    (
        patient.saturating_sub(PER_PATIENT),
        (patient + PER_PATIENT).min(last),
    )
}

/// Whether the candidate must be found by the search for the witness.
pub(crate) fn matches(
    shape: &Shape,
    population: &Population,
    witness: usize,
    candidate: usize,
) -> bool {
    let (w, c) = (&population.facts[witness], &population.facts[candidate]);
    let holds = |condition: &Condition| match condition {
        C::Patient => patient_of(witness) == patient_of(candidate),
        C::Encounter => encounter_of(witness) == encounter_of(candidate),
        C::Code => w.code == c.code,
        C::CodeOfThree => (c.code + 8 - w.code) % 8 < 3,
        C::Status => w.status() == c.status(),
        C::From => c.date >= floor(w.date),
        C::Before90 => c.date < floor(w.date) + 90 * DAY,
        C::Before3Years => c.date < floor(w.date) + 1_095 * DAY,
        C::SameDay => floor(w.date) == floor(c.date),
        C::After400 => c.date >= floor(w.date) - 400 * DAY,
        C::AtLeast => c.value >= w.value,
        C::SameValue => c.value == w.value,
        C::FamilyStarts => c.family()[..3] == w.family()[..3],
        C::Family => c.family == w.family,
        C::FamilyContains => c.family().to_lowercase().contains(&w.family()[1..4]),
        C::Given => c.given().starts_with(w.given()),
        C::Organization => shared(population, witness, candidate, |links| links.organization),
        C::Practitioner => shared(population, witness, candidate, |links| links.practitioner),
        C::Itself => witness == candidate,
        C::Neighbour => {
            let (before, after) = neighbours(population, witness);
            [before, witness, after].contains(&candidate)
        }
    };
    c.kind == shape.kind && shape.conditions.iter().all(holds)
}

/// Whether only our own resources can match, whatever else the server holds.
pub(crate) fn is_ours(shape: &Shape) -> bool {
    let own = [
        C::Patient,
        C::Encounter,
        C::Organization,
        C::Practitioner,
        C::Itself,
        C::Neighbour,
    ];
    shape
        .conditions
        .iter()
        .any(|condition| own.contains(condition))
}

fn shared(
    population: &Population,
    witness: usize,
    candidate: usize,
    of: impl Fn(crate::resource::Links) -> String,
) -> bool {
    let links = |position| of(population.links(position, |_| String::new()));
    links(witness) == links(candidate)
}

fn floor(seconds: i64) -> i64 {
    seconds - seconds.rem_euclid(DAY)
}
