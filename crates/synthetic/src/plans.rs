//! Plans of care with their goals and diets, made when a chronic illness is found:
//! <https://hl7.org/fhir/R4/careplan.html>, <https://hl7.org/fhir/R4/goal.html>,
//! <https://hl7.org/fhir/R4/nutritionorder.html>.

use crate::chart::Target;
use crate::codes::{Code, MILLIMETRE_OF_MERCURY, PERCENT, Unit, code, hl7, loinc, snomed, unit};
use crate::illnesses::Disease;
use crate::life::{Problem, Scene};
use crate::write::{Decimal, Id, Writer};

/// What is aimed at, and how.
struct Guide {
    disease: Disease,
    title: &'static str,
    aim: &'static str,
    measure: Code,
    below: f64,
    unit: Unit,
    activity: Code,
    diet: Option<Diet>,
}

struct Diet {
    kind: Code,
    instruction: &'static str,
    nutrient: Code,
    grams: f64,
}

const GUIDES: &[Guide] = &[
    Guide {
        disease: Disease::Diabetes,
        title: "Living with diabetes",
        aim: "Hemoglobin A1c below 7 percent",
        measure: loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
        below: 7.0,
        unit: PERCENT,
        activity: snomed("304507003", "Exercise education"),
        diet: Some(Diet {
            kind: snomed("160670007", "Diabetic diet"),
            instruction: "Spread carbohydrates evenly over three meals.",
            nutrient: snomed("2331003", "Carbohydrate"),
            grams: 180.0,
        }),
    },
    Guide {
        disease: Disease::Hypertension,
        title: "Lowering blood pressure",
        aim: "Systolic blood pressure below 130 mmHg",
        measure: loinc("8480-6", "Systolic blood pressure"),
        below: 130.0,
        unit: MILLIMETRE_OF_MERCURY,
        activity: snomed("304507003", "Exercise education"),
        diet: Some(Diet {
            kind: snomed("386619000", "Low sodium diet"),
            instruction: "Cook without added salt.",
            nutrient: snomed("39972003", "Sodium"),
            grams: 2.0,
        }),
    },
    Guide {
        disease: Disease::Obesity,
        title: "Losing weight",
        aim: "Body mass index below 30",
        measure: loinc("39156-5", "Body mass index (BMI) [Ratio]"),
        below: 30.0,
        unit: unit("kg/m2", "kg/m2"),
        activity: snomed("304507003", "Exercise education"),
        diet: None,
    },
    Guide {
        disease: Disease::Copd,
        title: "Breathing easier",
        aim: "Six-minute walk without a pause",
        measure: loinc(
            "59408-5",
            "Oxygen saturation in Arterial blood by Pulse oximetry",
        ),
        below: 100.0,
        unit: PERCENT,
        activity: snomed("225323000", "Smoking cessation education"),
        diet: None,
    },
];

pub(crate) fn record(scene: &mut Scene) {
    let story = scene.story;
    for problem in story.problems_of(scene.visit_number) {
        let guide = GUIDES
            .iter()
            .find(|guide| guide.disease == problem.illness.disease);
        let Some(guide) = guide.filter(|_| scene.age >= 18.0) else {
            continue;
        };
        let goal = goal(scene, guide, problem);
        care_plan(scene, guide, problem, goal);
        if let Some(diet) = &guide.diet {
            nutrition_order(scene, diet);
        }
    }
}

fn goal(scene: &mut Scene, guide: &'static Guide, problem: &Problem) -> Id {
    let (subject, date) = (scene.story.subject(), scene.date());
    scene.chart.add("Goal", |w| {
        w.profile("us-core-goal");
        w.string("lifecycleStatus", "active");
        w.concept(
            "achievementStatus",
            hl7!("goal-achievement", "in-progress", "In Progress"),
        );
        w.concept_text("description", guide.aim);
        w.reference("subject", subject);
        w.date("startDate", date);
        w.list("target", |w| {
            w.element(|w| {
                w.concept("measure", guide.measure);
                w.object("detailRange", |w| {
                    w.quantity("high", Decimal::rounded(guide.below, 1), guide.unit);
                });
            });
        });
        w.references("addresses", &[Target::Own("Condition", problem.id)]);
    })
}

fn care_plan(scene: &mut Scene, guide: &'static Guide, problem: &Problem, goal: Id) {
    let (story, visit) = (scene.story, scene.visit);
    let is_alive = story.person.died.is_none();
    scene.chart.add("CarePlan", |w| {
        w.profile("us-core-careplan");
        w.narrative(guide.title);
        w.string("status", if is_alive { "active" } else { "completed" });
        w.string("intent", "plan");
        let system = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category";
        w.concepts(
            "category",
            code(system, "assess-plan", "Assessment and Plan of Treatment"),
        );
        w.string("title", guide.title);
        w.reference("subject", story.subject());
        w.reference("encounter", visit.target());
        w.object("period", |w| {
            w.moment("start", visit.start);
            if let Some(died) = story.person.died {
                w.moment("end", died);
            }
        });
        w.moment("created", visit.during(20));
        w.reference_named(
            "author",
            visit.clinician.practitioner(),
            visit.clinician.display,
        );
        w.references("addresses", &[Target::Own("Condition", problem.id)]);
        w.references("goal", &[Target::Own("Goal", goal)]);
        w.list("activity", |w| {
            w.element(|w| {
                w.object("detail", |w| {
                    w.concept("code", guide.activity);
                    w.string("status", if is_alive { "in-progress" } else { "completed" });
                });
            });
        });
    });
}

fn nutrition_order(scene: &mut Scene, diet: &'static Diet) {
    let (subject, encounter) = (scene.story.subject(), scene.visit.target());
    let (at, clinician) = (scene.visit.during(22), scene.visit.clinician);
    let is_alive = scene.story.person.died.is_none();
    scene.chart.add("NutritionOrder", |w| {
        w.string("status", if is_alive { "active" } else { "completed" });
        w.string("intent", "order");
        w.reference("patient", subject);
        w.reference("encounter", encounter);
        w.moment("dateTime", at);
        w.reference_named("orderer", clinician.practitioner(), clinician.display);
        w.object("oralDiet", |w| oral_diet(w, diet));
    });
}

fn oral_diet(w: &mut Writer, diet: &Diet) {
    w.concepts("type", diet.kind);
    w.list("nutrient", |w| {
        w.element(|w| {
            w.concept("modifier", diet.nutrient);
            w.quantity("amount", Decimal::rounded(diet.grams, 1), unit("g", "g"));
        });
    });
    w.string("instruction", diet.instruction);
}
