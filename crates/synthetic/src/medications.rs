//! Prescriptions: <https://hl7.org/fhir/R4/medicationrequest.html>.
//!
//! An order belongs to a problem and to the visit that made it. Orders against chronic problems
//! are renewed each year; now and then one is stopped and taken up again at a later visit.

use jiff::civil::Date;

use crate::allergies;
use crate::chart::Target;
use crate::codes::{Code, DAY, hl7, rxnorm, snomed};
use crate::draw::Draw;
use crate::encounters::{Setting, Visit};
use crate::illnesses::{Course, Disease};
use crate::life::{Problem, Scene};
use crate::person::Person;
use crate::time::{days_between, plus_days};
use crate::write::{Decimal, Writer};

/// A drug as it is usually ordered for adults.
pub(crate) struct Drug {
    code: Code,
    /// What is taken: tablets, capsules, puffs.
    form: Code,
    dose: i64,
    times_a_day: i64,
    as_needed: bool,
    /// Days that an order against an acute illness lasts; orders against chronic ones last a year.
    days: i64,
    minimum_age: i64,
    cents_a_unit: i64,
}

const TABLET: Code = hl7!("v3-orderableDrugForm", "TAB", "Tablet");
const CAPSULE: Code = hl7!("v3-orderableDrugForm", "CAP", "Capsule");
const PUFF: Code = hl7!("v3-orderableDrugForm", "PUFF", "Puff");

macro_rules! drugs {
    ($($name:ident = $code:expr, $form:expr, $dose:literal x $times:literal, $needed:literal, $days:literal, $age:literal, $cents:literal;)*) => {
        $(pub(crate) const $name: Drug = Drug {
            code: $code, form: $form, dose: $dose, times_a_day: $times, as_needed: $needed,
            days: $days, minimum_age: $age, cents_a_unit: $cents,
        };)*
    };
}

// name, code, form, dose x times a day, only when needed, days, from age, cents for each unit
#[rustfmt::skip]
drugs! {
    ACETAMINOPHEN = rxnorm("313782", "Acetaminophen 325 MG Oral Tablet"), TABLET, 2 x 3, true, 7, 12, 4;
    ALBUTEROL = rxnorm("745679", "200 ACTUAT Albuterol 0.09 MG/ACTUAT Metered Dose Inhaler"), PUFF, 2 x 2, true, 30, 3, 15;
    ALENDRONATE = rxnorm("46041", "Alendronate"), TABLET, 1 x 1, false, 90, 18, 45;
    ALLOPURINOL = rxnorm("519", "Allopurinol"), TABLET, 1 x 1, false, 90, 18, 12;
    AMLODIPINE = rxnorm("197361", "amlodipine 5 MG Oral Tablet"), TABLET, 1 x 1, false, 90, 18, 9;
    AMOXICILLIN = rxnorm("308182", "Amoxicillin 250 MG Oral Capsule"), CAPSULE, 1 x 3, false, 10, 2, 18;
    AMOXICILLIN_CLAVULANATE = rxnorm("562251", "Amoxicillin 250 MG / Clavulanate 125 MG Oral Tablet"), TABLET, 1 x 3, false, 7, 6, 42;
    APIXABAN = rxnorm("1364430", "apixaban"), TABLET, 1 x 2, false, 90, 18, 480;
    ASPIRIN = rxnorm("243670", "aspirin 81 MG Oral Tablet"), TABLET, 1 x 1, false, 90, 18, 3;
    ATORVASTATIN = rxnorm("617310", "atorvastatin 20 MG Oral Tablet"), TABLET, 1 x 1, false, 90, 18, 11;
    CLOPIDOGREL = rxnorm("309362", "clopidogrel 75 MG Oral Tablet"), TABLET, 1 x 1, false, 90, 18, 22;
    ESCITALOPRAM = rxnorm("321988", "Escitalopram"), TABLET, 1 x 1, false, 90, 12, 14;
    FERROUS_SULFATE = rxnorm("24947", "ferrous sulfate"), TABLET, 1 x 1, false, 90, 6, 6;
    FLUTICASONE = rxnorm("41126", "fluticasone"), PUFF, 1 x 2, false, 60, 4, 30;
    FUROSEMIDE = rxnorm("313988", "furosemide 40 MG Oral Tablet"), TABLET, 1 x 1, false, 90, 18, 8;
    HYDROCHLOROTHIAZIDE = rxnorm("310798", "hydrochlorothiazide 25 MG Oral Tablet"), TABLET, 1 x 1, false, 90, 18, 6;
    IBUPROFEN = rxnorm("310965", "Ibuprofen 200 MG Oral Tablet"), TABLET, 2 x 3, true, 10, 12, 5;
    LEVOTHYROXINE = rxnorm("10582", "levothyroxine"), TABLET, 1 x 1, false, 90, 1, 13;
    LISINOPRIL = rxnorm("314076", "lisinopril 10 MG Oral Tablet"), TABLET, 1 x 1, false, 90, 18, 7;
    METFORMIN = rxnorm("861007", "metformin hydrochloride 500 MG Oral Tablet"), TABLET, 1 x 2, false, 90, 10, 5;
    METOPROLOL = rxnorm("6918", "Metoprolol"), TABLET, 1 x 2, false, 90, 18, 9;
    NAPROXEN = rxnorm("849574", "Naproxen sodium 220 MG Oral Tablet"), TABLET, 1 x 2, true, 14, 12, 8;
    NITROFURANTOIN = rxnorm("7454", "Nitrofurantoin"), CAPSULE, 1 x 2, false, 5, 12, 95;
    OMEPRAZOLE = rxnorm("7646", "Omeprazole"), CAPSULE, 1 x 1, false, 90, 1, 16;
    PENICILLIN_V = rxnorm("834061", "Penicillin V Potassium 250 MG Oral Tablet"), TABLET, 1 x 3, false, 10, 2, 21;
    SERTRALINE = rxnorm("36437", "Sertraline"), TABLET, 1 x 1, false, 90, 6, 10;
    SUMATRIPTAN = rxnorm("313161", "sumatriptan 50 MG Oral Tablet"), TABLET, 1 x 1, true, 9, 12, 120;
    TIOTROPIUM = rxnorm("69120", "tiotropium"), PUFF, 1 x 1, false, 30, 18, 390;
}

impl Drug {
    pub(crate) fn is(&self, other: &Drug) -> bool {
        self.code.code == other.code.code
    }
}

/// An order for a drug, from its visit until a day.
pub(crate) struct Order {
    drug: &'static Drug,
    problem: usize,
    pub(crate) visit: usize,
    start: Date,
    until: Date,
    end: End,
    is_renewal: bool,
}

/// How an order ended, seen from the day the population was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Active,
    Completed,
    Stopped,
}

impl Order {
    /// Whether the patient takes the drug, and long enough for it to work.
    pub(crate) fn is_working(&self, problem: usize, date: Date) -> bool {
        self.problem == problem && (plus_days(self.start, 30)..=self.until).contains(&date)
    }
}

/// All orders of a life; those still running on the `last` day of a living person are active.
pub(crate) fn plan(
    person: &Person,
    last: Date,
    problems: &[Problem],
    visits: &[Visit],
    draw: &mut Draw,
) -> Vec<Order> {
    let mut orders = Vec::new();
    let is_alive = person.died.is_none();
    for (number, problem) in problems.iter().enumerate() {
        let age = person.age(visits[problem.visit].start.date) as i64;
        for (step, drug) in problem.illness.drugs.iter().enumerate() {
            // The first drug always; each further one is added for some.
            let is_chosen = step == 0 || draw.chance(0.4);
            if !is_chosen || age < drug.minimum_age || allergies::forbid(&person.allergies, drug) {
                continue;
            }
            let plan = Plan {
                drug,
                number,
                problem,
                end: last,
                is_alive,
            };
            match problem.illness.course {
                Course::Acute { .. } => orders.push(plan.once(visits)),
                Course::Chronic { .. } => plan.renew(visits, draw, &mut orders),
            }
        }
    }
    orders.sort_by_key(|order| order.visit);
    orders
}

/// One drug against one problem.
struct Plan<'a> {
    drug: &'static Drug,
    number: usize,
    problem: &'a Problem,
    end: Date,
    is_alive: bool,
}

impl Plan<'_> {
    fn once(&self, visits: &[Visit]) -> Order {
        let start = visits[self.problem.visit].start.date;
        let until = plus_days(start, self.drug.days - 1);
        let is_over = until < self.end || !self.is_alive;
        let end = if is_over { End::Completed } else { End::Active };
        self.order(self.problem.visit, start, until.min(self.end), end, false)
    }

    /// A new order when the last is about to run out, at whichever visit comes next.
    fn renew(&self, visits: &[Visit], draw: &mut Draw, orders: &mut Vec<Order>) {
        let first = orders.len();
        for (visit, seen) in visits.iter().enumerate().skip(self.problem.visit) {
            let (date, is_first) = (seen.start.date, orders.len() == first);
            let renews = matches!(seen.setting, Setting::Wellness | Setting::FollowUp);
            if !is_first && !renews {
                continue;
            }
            if let Some(last) = orders[first..].last_mut() {
                if days_between(last.start, date) < 300 && last.end != End::Stopped {
                    if days_between(last.start, date) > 60 && draw.chance(0.05) {
                        (last.end, last.until) = (End::Stopped, date);
                    }
                    continue;
                }
                if last.end != End::Stopped {
                    (last.end, last.until) = (End::Completed, plus_days(date, -1));
                }
            }
            orders.push(self.order(visit, date, self.end, End::Active, !is_first));
        }
        if let Some(last) = orders[first..]
            .last_mut()
            .filter(|last| last.end == End::Active)
        {
            let lasts_until = plus_days(last.start, 365);
            if !self.is_alive || lasts_until < self.end {
                last.end = End::Completed;
            }
            last.until = lasts_until.min(self.end);
        }
    }

    fn order(&self, visit: usize, start: Date, until: Date, end: End, is_renewal: bool) -> Order {
        Order {
            drug: self.drug,
            problem: self.number,
            visit,
            start,
            until,
            end,
            is_renewal,
        }
    }
}

/// Whether a drug against `disease` has begun to work.
pub(crate) fn treats(orders: &[Order], problems: &[Problem], disease: Disease, date: Date) -> bool {
    let mut of_disease = problems
        .iter()
        .enumerate()
        .filter(|(_, p)| p.illness.disease == disease);
    of_disease.any(|(number, _)| orders.iter().any(|order| order.is_working(number, date)))
}

/// Writes the orders made at this visit, and bills the first fill.
pub(crate) fn record(scene: &mut Scene) {
    let story = scene.story;
    for order in story
        .orders
        .iter()
        .filter(|order| order.visit == scene.visit_number)
    {
        let drug = order.drug;
        let supply = supply_days(order, &story.problems[order.problem]);
        let quantity = drug.dose * drug.times_a_day * supply;
        scene.bill.add(drug.code, quantity * drug.cents_a_unit);
        let at = scene.visit.during(15);
        let (subject, encounter) = (story.subject(), scene.visit.target());
        let clinician = scene.visit.clinician;
        scene.chart.add("MedicationRequest", |w| {
            w.profile("us-core-medicationrequest");
            w.string(
                "status",
                match order.end {
                    End::Active => "active",
                    End::Completed => "completed",
                    End::Stopped => "stopped",
                },
            );
            if order.end == End::Stopped {
                w.concept_text(
                    "statusReason",
                    "Stopped by the patient because of side effects",
                );
            }
            w.string("intent", "order");
            w.concepts(
                "category",
                hl7!("medicationrequest-category", "outpatient", "Outpatient"),
            );
            w.concept_of("medicationCodeableConcept", &[drug.code]);
            w.reference("subject", subject);
            w.reference("encounter", encounter);
            w.moment("authoredOn", at);
            w.reference_named("requester", clinician.practitioner(), clinician.display);
            let problem = story.problems[order.problem].id;
            w.references("reasonReference", &[Target::Own("Condition", problem)]);
            if order.is_renewal {
                w.list("note", |w| {
                    w.element(|w| w.string("text", "Renewal of a running order."))
                });
            }
            w.list("dosageInstruction", |w| w.element(|w| dosage(w, drug)));
            w.object("dispenseRequest", |w| dispense(w, order, supply, quantity));
        });
    }
}

fn supply_days(order: &Order, problem: &Problem) -> i64 {
    match problem.illness.course {
        Course::Acute { .. } => order.drug.days,
        Course::Chronic { .. } => order.drug.days.max(30),
    }
}

fn dosage(w: &mut Writer, drug: &Drug) {
    let (dose, times) = (drug.dose.to_string(), drug.times_a_day.to_string());
    let form = drug.form.display.to_lowercase();
    let often = if drug.times_a_day == 1 {
        " time a day"
    } else {
        " times a day"
    };
    let needed = if drug.as_needed { " when needed" } else { "" };
    w.integer("sequence", 1);
    w.joined("text", &[&dose, " ", &form, ", ", &times, often, needed]);
    w.object("timing", |w| {
        w.object("repeat", |w| {
            w.integer("frequency", drug.times_a_day);
            w.integer("period", 1);
            w.string("periodUnit", "d");
        });
    });
    w.boolean("asNeededBoolean", drug.as_needed);
    if drug.form.code != PUFF.code {
        w.concept("route", snomed("26643006", "Oral route"));
    }
    w.list("doseAndRate", |w| {
        w.element(|w| {
            w.concept("type", hl7!("dose-rate-type", "ordered", "Ordered"));
            w.object("doseQuantity", |w| form_quantity(w, drug, drug.dose));
        });
    });
}

fn dispense(w: &mut Writer, order: &Order, supply: i64, quantity: i64) {
    w.object("validityPeriod", |w| {
        w.date("start", order.start);
        w.date("end", order.until.max(order.start));
    });
    w.integer("numberOfRepeatsAllowed", if supply >= 30 { 3 } else { 0 });
    w.object("quantity", |w| form_quantity(w, order.drug, quantity));
    let days = Decimal::rounded(supply as f64, 0);
    w.quantity("expectedSupplyDuration", days, DAY);
}

fn form_quantity(w: &mut Writer, drug: &Drug, count: i64) {
    w.integer("value", count);
    w.string("unit", drug.form.display);
    w.string("system", drug.form.system);
    w.string("code", drug.form.code);
}
