//! Vaccines by the schedule: <https://hl7.org/fhir/R4/immunization.html>.
//!
//! Simplified from the United States' schedule: a dose is given at the first routine visit after
//! its age, as long as it is not too late for it and four weeks lie after the dose before.

use jiff::civil::{Date, date};

use crate::codes::{Code, cvx, hl7, unit};
use crate::encounters::Setting;
use crate::life::Scene;
use crate::time::{days_between, months_between};
use crate::write::Decimal;

/// A vaccine and the ages, in months, of its doses.
struct Vaccine {
    code: Code,
    ages: &'static [i64],
    /// Months after the due age by which a dose is still given.
    grace: i64,
    /// Not before it existed.
    since: Date,
    cents: i64,
}

const fn vaccine(
    code: Code,
    ages: &'static [i64],
    grace: i64,
    since_year: i16,
    cents: i64,
) -> Vaccine {
    Vaccine {
        code,
        ages,
        grace,
        since: date(since_year, 1, 1),
        cents,
    }
}

#[rustfmt::skip]
const SCHEDULE: &[Vaccine] = &[
    vaccine(cvx("08", "Hep B, adolescent or pediatric"), &[0, 1, 6], 12, 1991, 2_800),
    vaccine(cvx("119", "rotavirus, monovalent"), &[2, 4], 3, 2008, 12_100),
    vaccine(cvx("20", "DTaP"), &[2, 4, 6, 15, 48], 14, 1997, 3_400),
    vaccine(cvx("49", "Hib (PRP-OMP)"), &[2, 4, 12], 14, 1990, 3_300),
    vaccine(cvx("133", "Pneumococcal conjugate PCV 13"), &[2, 4, 6, 12], 14, 2010, 21_400),
    vaccine(cvx("10", "IPV"), &[2, 4, 6, 48], 14, 1990, 4_100),
    vaccine(cvx("03", "MMR"), &[12, 48], 24, 1980, 8_900),
    vaccine(cvx("21", "varicella"), &[12, 48], 24, 1996, 15_500),
    vaccine(cvx("83", "Hep A, ped/adol, 2 dose"), &[12, 18], 24, 1998, 4_000),
    vaccine(cvx("115", "Tdap"), &[132], 36, 2006, 4_800),
    vaccine(cvx("114", "meningococcal MCV4P"), &[132, 192], 24, 2006, 14_000),
    vaccine(cvx("165", "HPV9"), &[132, 138], 60, 2015, 25_800),
    vaccine(cvx("113", "Td (adult), 5 Lf tetanus toxoid, preservative free, adsorbed"), &[252, 372, 492, 612, 732, 852, 972], 60, 2006, 3_800),
    vaccine(cvx("187", "zoster recombinant"), &[600, 602], 360, 2018, 18_300),
    vaccine(cvx("33", "pneumococcal polysaccharide PPV23"), &[780], 240, 1990, 13_200),
];

const INFLUENZA: Code = cvx("140", "Influenza, seasonal, injectable, preservative free");
const INFLUENZA_CENTS: i64 = 2_450;
const ROTAVIRUS: &str = "119";

/// Doses given so far, for each vaccine of the schedule.
#[derive(Default)]
pub(crate) struct Record {
    last: [Option<Date>; SCHEDULE.len()],
    next: [usize; SCHEDULE.len()],
}

/// Gives what is due at a routine visit, four injections at most.
pub(crate) fn record(scene: &mut Scene, record: &mut Record) {
    if !matches!(scene.visit.setting, Setting::Wellness) {
        return;
    }
    let date = scene.date();
    let months = months_between(scene.story.person.born, date);
    let mut given = 0;
    for (number, vaccine) in SCHEDULE.iter().enumerate() {
        // Doses of ages long past were given elsewhere, or never.
        let next = &mut record.next[number];
        while vaccine
            .ages
            .get(*next)
            .is_some_and(|age| months > age + vaccine.grace)
        {
            *next += 1;
        }
        let rested = record.last[number].is_none_or(|last| days_between(last, date) >= 28);
        let due = vaccine.ages.get(*next).is_some_and(|age| months >= *age);
        if due && rested && given < 6 && date >= vaccine.since {
            *next += 1;
            let dose = *next;
            record.last[number] = Some(date);
            given += 1;
            inject(
                scene,
                vaccine.code,
                Some((dose, vaccine.ages.len())),
                vaccine.cents,
            );
        }
    }
    let season = matches!(date.month(), 1 | 2 | 9..=12);
    if season && months >= 6 && scene.draw.chance(0.7) {
        inject(scene, INFLUENZA, None, INFLUENZA_CENTS);
    }
}

/// `dose` is its number and how many there are, for vaccines given in a series.
fn inject(scene: &mut Scene, code: Code, dose: Option<(usize, usize)>, cents: i64) {
    scene.bill.add(code, cents);
    let lot = format!("SYN{:05}", scene.draw.below(100_000));
    let (patient, encounter) = (scene.story.subject(), scene.visit.target());
    let (at, site) = (scene.visit.during(20), scene.visit.site);
    let clinician = scene.visit.clinician;
    let oral = code.code == ROTAVIRUS;
    scene.chart.add("Immunization", |w| {
        w.profile("us-core-immunization");
        w.string("status", "completed");
        w.concept_of("vaccineCode", &[code]);
        w.reference("patient", patient);
        w.reference("encounter", encounter);
        w.moment("occurrenceDateTime", at);
        w.boolean("primarySource", true);
        w.reference_named("location", site.location(), site.name);
        w.string("lotNumber", &lot);
        if oral {
            w.concept(
                "route",
                hl7!("v3-RouteOfAdministration", "PO", "Swallow, oral"),
            );
        } else {
            w.concept("site", hl7!("v3-ActSite", "LA", "left arm"));
            w.concept(
                "route",
                hl7!("v3-RouteOfAdministration", "IM", "Injection, intramuscular"),
            );
        }
        let amount = Decimal::rounded(if oral { 1.0 } else { 0.5 }, 1);
        w.quantity("doseQuantity", amount, unit("mL", "mL"));
        w.list("performer", |w| {
            w.element(|w| {
                w.reference_named("actor", clinician.practitioner(), clinician.display);
            });
        });
        if let Some((number, of)) = dose {
            w.list("protocolApplied", |w| {
                w.element(|w| {
                    w.integer("doseNumberPositiveInt", number as i64);
                    w.integer("seriesDosesPositiveInt", of as i64);
                });
            });
        }
    });
}
