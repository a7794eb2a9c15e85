//! Coverage, claims and what was paid: <https://hl7.org/fhir/R4/financial-module.html>.
//!
//! Amounts are whole cents, so that they add up: the claim's total is the sum of its items, and of
//! each item the plan and the patient together pay exactly what was eligible.

use jiff::civil::Date;

use crate::chart::{Chart, Target};
use crate::codes::{Code, code, hl7};
use crate::directory::{COMMERCIAL_PLAN, PUBLIC_PLAN, SENIOR_PLAN, Site};
use crate::draw::Draw;
use crate::encounters::{Setting, Visit};
use crate::life::{Scene, Story};
use crate::person::Person;
use crate::time::{plus_days, plus_months};
use crate::write::{Id, Writer};

/// What a visit costs.
#[derive(Default)]
pub(crate) struct Bill {
    items: Vec<(Code, i64)>,
}

impl Bill {
    pub(crate) fn add(&mut self, what: Code, cents: i64) {
        self.items.push((what, cents));
    }
}

/// An insurance, for a while.
pub(crate) struct Cover {
    id: Id,
    payer: &'static Site,
    kind: Code,
    plan: &'static str,
    member: u64,
    start: Date,
    /// The last day, unless it still runs.
    end: Option<Date>,
    /// Percent of the eligible amount that the plan pays.
    share: i64,
}

const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// Insured throughout the records; from sixty-five on by the senior plan.
pub(crate) fn covers(
    person: &Person,
    first: Date,
    last: Date,
    new_id: &mut impl FnMut() -> Id,
    draw: &mut Draw,
) -> Vec<Cover> {
    let retirement = plus_months(person.born, 65 * 12);
    let member = draw.below(1_000_000_000);
    let mut covers = Vec::new();
    if first < retirement {
        let end = (retirement <= last).then(|| plus_days(retirement, -1));
        covers.push(if draw.chance(0.7) {
            let (payer, kind) = (COMMERCIAL_PLAN, code(ACT, "EHCPOL", "extended healthcare"));
            Cover {
                id: new_id(),
                payer,
                kind,
                plan: "Choice 80",
                member,
                start: first,
                end,
                share: 80,
            }
        } else {
            let (payer, kind) = (PUBLIC_PLAN, code(ACT, "PUBLICPOL", "public healthcare"));
            Cover {
                id: new_id(),
                payer,
                kind,
                plan: "Basic",
                member,
                start: first,
                end,
                share: 95,
            }
        });
    }
    if retirement <= last {
        let (payer, kind) = (SENIOR_PLAN, code(ACT, "RETIRE", "retiree health program"));
        let start = retirement.max(first);
        covers.push(Cover {
            id: new_id(),
            payer,
            kind,
            plan: "Senior 90",
            member,
            start,
            end: None,
            share: 90,
        });
    }
    covers
}

pub(crate) fn write_covers(story: &Story, chart: &mut Chart) {
    for cover in &story.covers {
        chart.add_as("Coverage", cover.id, |w| {
            w.profile("us-core-coverage");
            w.string(
                "status",
                if cover.end.is_none() {
                    "active"
                } else {
                    "cancelled"
                },
            );
            w.concept("type", cover.kind);
            w.reference("subscriber", story.subject());
            w.string("subscriberId", &format!("SUB-{:09}", cover.member));
            w.reference("beneficiary", story.subject());
            w.concept(
                "relationship",
                hl7!("subscriber-relationship", "self", "Self"),
            );
            w.object("period", |w| {
                w.date("start", cover.start);
                if let Some(end) = cover.end {
                    w.date("end", end);
                }
            });
            w.list("payor", |w| {
                w.element(|w| {
                    w.reference_members(cover.payer.organization());
                    w.string("display", cover.payer.name);
                });
            });
            w.list("class", |w| {
                w.element(|w| {
                    w.concept("type", hl7!("coverage-class", "plan", "Plan"));
                    w.string("value", cover.plan);
                    w.string("name", cover.plan);
                });
            });
        });
    }
}

/// How an item's cents are shared out.
struct Settled {
    what: Code,
    submitted: i64,
    eligible: i64,
    benefit: i64,
    copay: i64,
}

fn settle(cover: &Cover, (what, submitted): (Code, i64)) -> Settled {
    // Plans allow part of what is asked, and round their share down to the cent.
    let eligible = submitted * 92 / 100;
    let benefit = eligible * cover.share / 100;
    Settled {
        what,
        submitted,
        eligible,
        benefit,
        copay: eligible - benefit,
    }
}

/// Writes the visit's claim and its settlement.
pub(crate) fn record(scene: &mut Scene) {
    let date = scene.date();
    let (story, visit) = (scene.story, scene.visit);
    let running = |cover: &&Cover| cover.start <= date && cover.end.is_none_or(|end| date <= end);
    let Some(cover) = story.covers.iter().find(running) else {
        return;
    };
    let items: Vec<Settled> = scene
        .bill
        .items
        .iter()
        .map(|item| settle(cover, *item))
        .collect();
    let diagnoses: Vec<Target> = story
        .problems_of(scene.visit_number)
        .iter()
        .map(|problem| Target::Own("Condition", problem.id))
        .collect();
    let claim = scene.chart.add("Claim", |w| {
        header(w, scene.story, visit, cover);
        w.concept("priority", hl7!("processpriority", "normal", "Normal"));
        diagnosis(w, &diagnoses);
        insurance(w, cover, true);
        w.list("item", |w| {
            for (number, item) in items.iter().enumerate() {
                w.element(|w| {
                    item_head(w, number, item, visit, diagnoses.len());
                    w.money("unitPrice", item.submitted);
                    w.money("net", item.submitted);
                });
            }
        });
        w.money("total", items.iter().map(|item| item.submitted).sum());
    });
    scene.chart.add("ExplanationOfBenefit", |w| {
        header(w, scene.story, visit, cover);
        w.reference("claim", Target::Own("Claim", claim));
        w.string("outcome", "complete");
        diagnosis(w, &diagnoses);
        insurance(w, cover, false);
        w.list("item", |w| {
            for (number, item) in items.iter().enumerate() {
                w.element(|w| {
                    item_head(w, number, item, visit, diagnoses.len());
                    w.money("net", item.submitted);
                    w.list("adjudication", |w| adjudication(w, item));
                });
            }
        });
        w.list("total", |w| totals(w, &items));
        w.object("payment", |w| {
            w.concept("type", hl7!("ex-paymenttype", "complete", "Complete"));
            w.date("date", plus_days(visit.end.date, 14).min(story.last));
            w.money("amount", items.iter().map(|item| item.benefit).sum());
        });
    });
}

/// What Claim and ExplanationOfBenefit say alike.
fn header(w: &mut Writer, story: &Story, visit: &Visit, cover: &Cover) {
    let in_hospital = matches!(visit.setting, Setting::Emergency | Setting::Inpatient);
    w.string("status", "active");
    w.concept(
        "type",
        match in_hospital {
            true => hl7!("claim-type", "institutional", "Institutional"),
            false => hl7!("claim-type", "professional", "Professional"),
        },
    );
    w.string("use", "claim");
    w.reference("patient", story.subject());
    w.period("billablePeriod", visit.start, visit.end);
    w.moment("created", visit.end);
    w.reference_named("insurer", cover.payer.organization(), cover.payer.name);
    w.reference_named("provider", visit.site.organization(), visit.site.name);
}

fn diagnosis(w: &mut Writer, conditions: &[Target]) {
    if conditions.is_empty() {
        return;
    }
    w.list("diagnosis", |w| {
        for (number, condition) in conditions.iter().enumerate() {
            w.element(|w| {
                w.integer("sequence", number as i64 + 1);
                w.reference("diagnosisReference", *condition);
            });
        }
    });
}

fn insurance(w: &mut Writer, cover: &Cover, is_claim: bool) {
    w.list("insurance", |w| {
        w.element(|w| {
            if is_claim {
                w.integer("sequence", 1);
            }
            w.boolean("focal", true);
            w.reference("coverage", Target::Own("Coverage", cover.id));
        });
    });
}

fn item_head(w: &mut Writer, number: usize, item: &Settled, visit: &Visit, diagnoses: usize) {
    w.integer("sequence", number as i64 + 1);
    if number == 0 && diagnoses > 0 {
        w.integers("diagnosisSequence", &[1]);
    }
    w.concept_of("productOrService", &[item.what]);
    w.period("servicedPeriod", visit.start, visit.end);
    w.references("encounter", &[visit.target()]);
}

fn adjudication(w: &mut Writer, item: &Settled) {
    for (category, cents) in [
        (
            hl7!("adjudication", "submitted", "Submitted Amount"),
            item.submitted,
        ),
        (
            hl7!("adjudication", "eligible", "Eligible Amount"),
            item.eligible,
        ),
        (
            hl7!("adjudication", "benefit", "Benefit Amount"),
            item.benefit,
        ),
        (hl7!("adjudication", "copay", "CoPay"), item.copay),
    ] {
        amount(w, category, cents);
    }
}

fn totals(w: &mut Writer, items: &[Settled]) {
    let sum = |cents: fn(&Settled) -> i64| items.iter().map(cents).sum();
    amount(
        w,
        hl7!("adjudication", "submitted", "Submitted Amount"),
        sum(|item| item.submitted),
    );
    amount(
        w,
        hl7!("adjudication", "benefit", "Benefit Amount"),
        sum(|item| item.benefit),
    );
    amount(
        w,
        hl7!("adjudication", "copay", "CoPay"),
        sum(|item| item.copay),
    );
}

fn amount(w: &mut Writer, category: Code, cents: i64) {
    w.element(|w| {
        w.concept("category", category);
        w.money("amount", cents);
    });
}
