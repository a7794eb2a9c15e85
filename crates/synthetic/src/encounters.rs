//! Visits, and the calendar that makes them: <https://hl7.org/fhir/R4/encounter.html>.
//!
//! Illness comes first and takes its days; yearly and follow-up visits are fitted around it, so
//! that no two encounters of a patient overlap.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::chart::Target;
use crate::codes::{Code, code, hl7, icd, snomed};
use crate::directory::{
    CLINICIANS, CLINICIANS_PER_CLINIC, Clinician, HOSPITAL, HOSPITAL_CLINICIANS, SITES, Site,
};
use crate::draw::Draw;
use crate::illnesses::Place;
use crate::life::Scene;
use crate::person::Person;
use crate::time::{Moment, plus_days};
use crate::write::{Id, Writer};

/// The five kinds of encounters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    Wellness,
    Illness,
    FollowUp,
    Emergency,
    Inpatient,
}

/// One encounter.
pub(crate) struct Visit {
    pub(crate) id: Id,
    pub(crate) setting: Setting,
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    pub(crate) clinician: &'static Clinician,
    pub(crate) site: &'static Site,
    pub(crate) ends_life: bool,
}

impl Visit {
    pub(crate) fn target(&self) -> Target {
        Target::Own("Encounter", self.id)
    }

    /// A moment so many minutes into the visit, but never after its end.
    pub(crate) fn during(&self, minutes: i64) -> Moment {
        self.start.plus_minutes(minutes).min(self.end)
    }

    /// What the visit is called, and what a payer calls it.
    pub(crate) fn kind(&self, age: f64) -> (Code, Code) {
        match self.setting {
            Setting::Wellness if age < 18.0 => (
                snomed("410620009", "Well child visit"),
                icd(
                    "Z00.129",
                    "Encounter for routine child health examination without abnormal findings",
                ),
            ),
            Setting::Wellness => (
                snomed("162673000", "General examination of patient"),
                icd(
                    "Z00.00",
                    "Encounter for general adult medical examination without abnormal findings",
                ),
            ),
            Setting::Illness => (snomed("185345009", "Encounter for symptom"), ILLNESS),
            Setting::FollowUp => (snomed("390906007", "Follow-up encounter"), FOLLOW_UP),
            Setting::Emergency => (snomed("50849002", "Emergency room admission"), ILLNESS),
            Setting::Inpatient => (snomed("32485007", "Hospital admission"), ILLNESS),
        }
    }
}

const ILLNESS: Code = icd("R69", "Illness, unspecified");
const FOLLOW_UP: Code = icd(
    "Z09",
    "Encounter for follow-up examination after completed treatment for conditions other than malignant neoplasm",
);

/// The days of a patient's records, from the first to the last.
pub(crate) struct Calendar<'a> {
    person: &'a Person,
    pub(crate) first: Date,
    pub(crate) last: Date,
    taken: BTreeSet<Date>,
    pub(crate) visits: Vec<Visit>,
}

impl<'a> Calendar<'a> {
    pub(crate) fn new(person: &'a Person, first: Date, last: Date) -> Calendar<'a> {
        Calendar {
            person,
            first,
            last,
            taken: BTreeSet::new(),
            visits: Vec::new(),
        }
    }

    /// Takes the first day free for so many nights, on the day asked for or within three weeks;
    /// nothing if that would leave the records.
    pub(crate) fn take(&mut self, wanted: Date, nights: i64) -> Option<Date> {
        let days = |start: Date| (0..=nights).map(move |night| plus_days(start, night));
        let start = (0..21)
            .map(|delay| plus_days(wanted, delay))
            .find(|start| {
                *start >= self.first
                    && plus_days(*start, nights) < self.last
                    && days(*start).all(|day| !self.taken.contains(&day))
            })?;
        self.taken.extend(days(start));
        Some(start)
    }

    /// Adds a visit on a day taken before.
    pub(crate) fn add(
        &mut self,
        id: Id,
        setting: Setting,
        date: Date,
        nights: i64,
        draw: &mut Draw,
    ) {
        let (start, minutes) = match setting {
            Setting::Wellness => (clinic_hours(draw), draw.between(30, 60)),
            Setting::Illness | Setting::FollowUp => (clinic_hours(draw), draw.between(15, 35)),
            Setting::Emergency => (draw.between(0, 18 * 60), draw.between(60, 300)),
            Setting::Inpatient => (draw.between(0, 18 * 60), draw.between(60, 300)),
        };
        let start = Moment::new(date, start);
        let end = match nights {
            0 => start.plus_minutes(minutes),
            _ => Moment::new(plus_days(date, nights), draw.between(9 * 60, 16 * 60)),
        };
        let in_hospital = matches!(setting, Setting::Emergency | Setting::Inpatient);
        let clinician = if in_hospital {
            hospital_clinician(draw)
        } else {
            self.doctor(draw)
        };
        let site = if in_hospital {
            HOSPITAL
        } else {
            &SITES[clinician.site]
        };
        self.visits.push(Visit {
            id,
            setting,
            start,
            end,
            clinician,
            site,
            ends_life: false,
        });
    }

    /// The stay that ends with the patient's death; it takes its days first.
    pub(crate) fn add_last(&mut self, id: Id, died: Moment, draw: &mut Draw) -> Date {
        let date = plus_days(died.date, -draw.between(1, 6)).max(self.first);
        let mut day = date;
        while day <= died.date {
            self.taken.insert(day);
            day = plus_days(day, 1);
        }
        let start = Moment::new(date, draw.between(0, 29));
        let clinician = hospital_clinician(draw);
        let setting = Setting::Inpatient;
        let site = HOSPITAL;
        self.visits.push(Visit {
            id,
            setting,
            start,
            end: died,
            clinician,
            site,
            ends_life: true,
        });
        date
    }

    /// Mostly one's own doctor, sometimes a colleague.
    fn doctor(&self, draw: &mut Draw) -> &'static Clinician {
        let colleagues = self.person.doctor.site * CLINICIANS_PER_CLINIC;
        if draw.chance(0.85) {
            return self.person.doctor;
        }
        draw.pick(&CLINICIANS[colleagues..colleagues + CLINICIANS_PER_CLINIC])
    }
}

/// The setting and the nights of an acute illness.
pub(crate) fn setting_of(place: Place) -> (Setting, i64) {
    match place {
        Place::Clinic => (Setting::Illness, 0),
        Place::Emergency => (Setting::Emergency, 0),
        Place::Ward(nights) => (Setting::Inpatient, nights),
    }
}

fn clinic_hours(draw: &mut Draw) -> i64 {
    // Appointments begin on the quarter hour.
    draw.between(8 * 4, 16 * 4) * 15
}

fn hospital_clinician(draw: &mut Draw) -> &'static Clinician {
    draw.pick(&CLINICIANS[HOSPITAL_CLINICIANS..])
}

/// Writes the visit itself.
pub(crate) fn record(scene: &mut Scene) {
    let (story, visit) = (scene.story, scene.visit);
    let (kind, reason) = visit.kind(scene.age);
    let diagnoses = story.problems_of(scene.visit_number);
    scene.bill.add(kind, fee(visit));
    scene.chart.add_as("Encounter", visit.id, |w| {
        w.profile("us-core-encounter");
        w.string("status", "finished");
        w.coding("class", class(visit.setting));
        w.list("type", |w| w.concept_element(kind));
        w.reference_named("subject", story.subject(), &story.person.display());
        w.list("participant", |w| w.element(|w| participant(w, visit)));
        w.period("period", visit.start, visit.end);
        w.list("reasonCode", |w| match diagnoses.first() {
            Some(problem) => w.concept_element(problem.illness.icd),
            None => w.concept_element(reason),
        });
        if !diagnoses.is_empty() {
            w.list("diagnosis", |w| {
                for (rank, problem) in diagnoses.iter().enumerate() {
                    w.element(|w| {
                        w.reference("condition", Target::Own("Condition", problem.id));
                        w.integer("rank", rank as i64 + 1);
                    });
                }
            });
        }
        if visit.setting == Setting::Inpatient {
            w.object("hospitalization", |w| hospitalization(w, visit));
        }
        w.list("location", |w| {
            w.element(|w| w.reference_named("location", visit.site.location(), visit.site.name));
        });
        w.reference_named(
            "serviceProvider",
            visit.site.organization(),
            visit.site.name,
        );
    });
}

fn participant(w: &mut Writer, visit: &Visit) {
    w.concepts(
        "type",
        hl7!("v3-ParticipationType", "PPRF", "primary performer"),
    );
    w.period("period", visit.start, visit.end);
    w.reference_named(
        "individual",
        visit.clinician.practitioner(),
        visit.clinician.display,
    );
}

fn hospitalization(w: &mut Writer, visit: &Visit) {
    w.concept(
        "admitSource",
        hl7!("admit-source", "emd", "From accident/emergency department"),
    );
    w.concept(
        "dischargeDisposition",
        match visit.ends_life {
            true => hl7!("discharge-disposition", "exp", "Expired"),
            false => hl7!("discharge-disposition", "home", "Home"),
        },
    );
}

fn class(setting: Setting) -> Code {
    const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    match setting {
        Setting::Wellness | Setting::Illness | Setting::FollowUp => {
            code(SYSTEM, "AMB", "ambulatory")
        }
        Setting::Emergency => code(SYSTEM, "EMER", "emergency"),
        Setting::Inpatient => code(SYSTEM, "IMP", "inpatient encounter"),
    }
}

/// Cents for the visit without what was done during it.
fn fee(visit: &Visit) -> i64 {
    match visit.setting {
        Setting::Wellness => 16_800,
        Setting::Illness => 11_250,
        Setting::FollowUp => 9_675,
        Setting::Emergency => 64_000,
        Setting::Inpatient => {
            let nights = crate::time::days_between(visit.start.date, visit.end.date);
            120_000 + nights * 185_000
        }
    }
}
