//! Which illnesses a life has, and their Conditions: <https://hl7.org/fhir/R4/condition.html>.

use jiff::civil::Date;

use crate::codes::{ACTIVE, CONFIRMED, ENCOUNTER_DIAGNOSIS, PROBLEM_LIST, RESOLVED};
use crate::draw::Draw;
use crate::encounters::{Calendar, Setting, setting_of};
use crate::illnesses::{ACUTE, CHRONIC, Course, Disease, Illness, is_fatal};
use crate::life::{Problem, Scene};
use crate::person::{Person, Smoking};
use crate::time::{days_between, plus_days, plus_months};
use crate::write::Id;

/// A problem before its visit has a place in the sorted list.
pub(crate) struct Found {
    pub(crate) illness: &'static Illness,
    pub(crate) onset: Date,
    pub(crate) abatement: Option<Date>,
    /// The visit that found it, or the first of all for older problems.
    pub(crate) visit: Option<Id>,
}

/// Chronic illnesses that began on or before `last`, causes before consequences.
pub(crate) fn chronic(person: &Person, last: Date, draw: &mut Draw) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for illness in CHRONIC {
        let (from, to) = illness.ages;
        let onset_age = draw.between(i64::from(from), i64::from(to));
        let onset_day = draw.between(0, 364);
        let risk = f64::from(illness.frequency) / 1000.0 * factor(illness.disease, person, &found);
        let is_obesity = illness.disease == Disease::Obesity;
        let happens = if is_obesity {
            person.body.is_obese_as_adult()
        } else {
            draw.chance(risk)
        };
        let onset = plus_days(plus_months(person.born, onset_age * 12), onset_day);
        if happens && onset < last {
            found.push(Found {
                illness,
                onset,
                abatement: None,
                visit: None,
            });
        }
    }
    end_prediabetes(&mut found);
    found
}

/// (illness, what makes it likelier, how many times)
const CAUSES: &[(Disease, &[Disease], f64)] = &[
    (Disease::Prediabetes, &[Disease::Obesity], 1.6),
    (Disease::Osteoarthritis, &[Disease::Obesity], 1.6),
    (Disease::Reflux, &[Disease::Obesity], 1.6),
    (Disease::Diabetes, &[Disease::Obesity], 1.8),
    (Disease::Diabetes, &[Disease::Prediabetes], 2.2),
    (
        Disease::Hypertension,
        &[Disease::Obesity, Disease::Diabetes],
        1.6,
    ),
    (Disease::Hyperlipidemia, &[Disease::Diabetes], 1.7),
    (
        Disease::RenalInsufficiency,
        &[Disease::Diabetes, Disease::Hypertension],
        4.0,
    ),
    (
        Disease::Arteriosclerosis,
        &[Disease::Hypertension, Disease::Hyperlipidemia],
        2.5,
    ),
    (
        Disease::HeartFailure,
        &[Disease::Arteriosclerosis, Disease::Hypertension],
        3.0,
    ),
    (Disease::Anxiety, &[Disease::Depression], 3.0),
];

/// How much likelier an illness is after what came before.
fn factor(disease: Disease, person: &Person, found: &[Found]) -> f64 {
    let has = |cause: &Disease| {
        found
            .iter()
            .any(|earlier| earlier.illness.disease == *cause)
    };
    let after = CAUSES
        .iter()
        .filter(|(effect, causes, _)| *effect == disease && causes.iter().any(has))
        .map(|(_, _, factor)| factor);
    let smoked = disease == Disease::Copd && person.smoking != Smoking::Never;
    after.product::<f64>() * if smoked { 12.0 } else { 1.0 }
}

/// Prediabetes is over when diabetes begins, and cannot begin after it.
fn end_prediabetes(found: &mut Vec<Found>) {
    let onset_of = |found: &[Found], disease| {
        found
            .iter()
            .find(|problem| problem.illness.disease == disease)
            .map(|problem| problem.onset)
    };
    let Some(diabetes) = onset_of(found, Disease::Diabetes) else {
        return;
    };
    found.retain(|problem| {
        problem.illness.disease != Disease::Prediabetes || problem.onset < diabetes
    });
    for problem in found.iter_mut() {
        if problem.illness.disease == Disease::Prediabetes {
            problem.abatement = Some(diabetes);
        }
    }
}

/// Acute illnesses within the records, each with its visit added to the calendar.
pub(crate) fn acute(
    person: &Person,
    calendar: &mut Calendar,
    new_id: &mut impl FnMut() -> Id,
    draw: &mut Draw,
) -> Vec<Found> {
    let mut found = Vec::new();
    let mut year_start = calendar.first;
    while year_start < calendar.last {
        let age = person.age(year_start);
        // Small children and the old are ill more often.
        let often = if age < 6.0 { 2 } else { i64::from(age > 70.0) };
        for _ in 0..draw.between(0, 1 + often) {
            let onset = plus_days(year_start, draw.between(1, 360));
            found.extend(fall_ill(person, calendar, onset, new_id, draw));
        }
        year_start = plus_days(year_start, 365);
    }
    found
}

fn fall_ill(
    person: &Person,
    calendar: &mut Calendar,
    onset: Date,
    new_id: &mut impl FnMut() -> Id,
    draw: &mut Draw,
) -> Option<Found> {
    let age = person.age(onset).max(0.0) as u8;
    let fitting: Vec<(u32, &Illness)> = ACUTE
        .iter()
        .filter(|illness| (illness.ages.0..=illness.ages.1).contains(&age))
        .map(|illness| (illness.frequency, illness))
        .collect();
    let illness = *draw.weighted(&fitting);
    let Course::Acute { days, place, .. } = illness.course else {
        return None;
    };
    let (setting, nights) = setting_of(place);
    let wait = if setting == Setting::Illness {
        draw.between(0, 3)
    } else {
        0
    };
    let lasts = days + draw.between(0, days / 2);
    let seen = calendar.take(plus_days(onset, wait), nights)?;
    let visit = new_id();
    calendar.add(visit, setting, seen, nights, draw);
    // The calendar may have had no room sooner: people then come while it lasts, or fell ill later.
    let onset = onset.max(plus_days(seen, -3));
    let over = plus_days(onset, lasts).max(plus_days(seen, nights + 1));
    let abatement = (over < calendar.last).then_some(over);
    Some(Found {
        illness,
        onset,
        abatement,
        visit: Some(visit),
    })
}

/// The illness somebody died of, found at the last stay.
pub(crate) fn last_illness(onset: Date, visit: Id, draw: &mut Draw) -> Option<Found> {
    let fatal: Vec<&Illness> = ACUTE
        .iter()
        .filter(|illness| is_fatal(illness.disease))
        .collect();
    let illness = fatal.get(draw.below(fatal.len().max(1) as u64) as usize)?;
    Some(Found {
        illness,
        onset,
        abatement: None,
        visit: Some(visit),
    })
}

/// Finds the chronic problems at visits of their own, and follows them up until the end.
pub(crate) fn diagnose(
    found: &mut [Found],
    calendar: &mut Calendar,
    new_id: &mut impl FnMut() -> Id,
    draw: &mut Draw,
) {
    let first = calendar.first;
    for problem in found.iter_mut().filter(|problem| problem.onset >= first) {
        // Some chronic problems are only found at the next yearly visit.
        let wanted = plus_days(problem.onset, draw.between(2, 40));
        if problem.illness.disease != Disease::Obesity
            && let Some(date) = calendar.take(wanted, 0)
        {
            let visit = new_id();
            calendar.add(visit, Setting::Illness, date, 0, draw);
            problem.visit = Some(visit);
        }
    }
    follow_up(found, calendar, new_id, draw);
}

/// One follow-up visit serves all chronic problems: the most demanding of them sets the pace.
fn follow_up(
    found: &[Found],
    calendar: &mut Calendar,
    new_id: &mut impl FnMut() -> Id,
    draw: &mut Draw,
) {
    let mut day = plus_days(calendar.first, draw.between(20, 120));
    while day < calendar.last {
        let pace = |problem: &Found| match problem.illness.course {
            Course::Chronic { follow_up_months } if problem.onset < day => follow_up_months,
            Course::Chronic { .. } | Course::Acute { .. } => 0,
        };
        let months = found.iter().map(pace).filter(|months| *months > 0).min();
        if months.is_some()
            && draw.chance(0.9)
            && let Some(date) = calendar.take(day, 0)
        {
            calendar.add(new_id(), Setting::FollowUp, date, 0, draw);
        }
        day = plus_days(plus_months(day, months.unwrap_or(6)), draw.between(-6, 6));
    }
}

/// Writes the conditions found at this visit.
pub(crate) fn record(scene: &mut Scene) {
    let story = scene.story;
    let (encounter, at) = (scene.visit.target(), scene.visit.during(10));
    let clinician = scene.visit.clinician;
    for problem in story.problems_of(scene.visit_number) {
        scene.chart.add_as("Condition", problem.id, |w| {
            w.profile("us-core-condition-problems-health-concerns");
            let is_over = problem.abatement.is_some();
            w.concept("clinicalStatus", if is_over { RESOLVED } else { ACTIVE });
            w.concept("verificationStatus", CONFIRMED);
            let is_chronic = matches!(problem.illness.course, Course::Chronic { .. });
            w.concepts(
                "category",
                if is_chronic {
                    PROBLEM_LIST
                } else {
                    ENCOUNTER_DIAGNOSIS
                },
            );
            w.concept_of("code", &[problem.illness.snomed, problem.illness.icd]);
            w.reference("subject", story.subject());
            w.reference("encounter", encounter);
            w.date("onsetDateTime", problem.onset);
            if let Some(date) = problem.abatement {
                w.date("abatementDateTime", date);
            }
            w.moment("recordedDate", at);
            w.reference_named("recorder", clinician.practitioner(), clinician.display);
        });
    }
}

impl Problem {
    /// Whether the illness is there on a day.
    pub(crate) fn lasts_on(&self, date: Date) -> bool {
        self.onset <= date && self.abatement.is_none_or(|end| date < end)
    }

    pub(crate) fn is_chronic(&self) -> bool {
        matches!(self.illness.course, Course::Chronic { .. })
    }

    /// Days from the onset.
    pub(crate) fn days_old(&self, date: Date) -> i64 {
        days_between(self.onset, date)
    }
}
