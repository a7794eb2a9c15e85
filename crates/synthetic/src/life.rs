//! One life: planned from birth to its end, then written down visit by visit.

use jiff::civil::Date;

use crate::chart::{Chart, Form, Target};
use crate::codes::Code;
use crate::conditions::{self, Found};
use crate::draw::Draw;
use crate::encounters::{self, Calendar, Setting, Visit};
use crate::finance::{self, Bill, Cover};
use crate::illnesses::{Course, Disease, Illness};
use crate::medications::{self, Order};
use crate::person::Person;
use crate::time::{Moment, months_between, plus_days, plus_months};
use crate::write::{Id, Writer};
use crate::{
    allergies, genetics, immunizations, laboratory, lifestyle, notes, plans, procedures, vitals,
};

/// An illness of this person, and the visit that recorded it.
pub(crate) struct Problem {
    pub(crate) id: Id,
    pub(crate) illness: &'static Illness,
    pub(crate) onset: Date,
    pub(crate) abatement: Option<Date>,
    /// Its visit's place in `Story::visits`.
    pub(crate) visit: usize,
}

/// Everything that happens, before a resource is written.
pub(crate) struct Story {
    pub(crate) person: Person,
    pub(crate) problems: Vec<Problem>,
    pub(crate) visits: Vec<Visit>,
    pub(crate) orders: Vec<Order>,
    pub(crate) covers: Vec<Cover>,
    /// The last day of the records: today, or the day of death.
    pub(crate) last: Date,
}

/// One visit being written.
pub(crate) struct Scene<'a> {
    pub(crate) story: &'a Story,
    pub(crate) visit: &'a Visit,
    pub(crate) visit_number: usize,
    pub(crate) age: f64,
    pub(crate) chart: &'a mut Chart,
    pub(crate) draw: &'a mut Draw,
    pub(crate) bill: &'a mut Bill,
}

/// Four independent sequences of chance for each patient: one measurement more or less changes
/// neither the course of the life nor any id of the plan.
const STREAMS: u64 = 4;

/// The chart of patient `index`: its id, text and count of resources.
pub(crate) fn write(
    seed: u64,
    index: u64,
    today: Date,
    history_years: i64,
    form: Form,
) -> (Id, String, usize) {
    let mut ids = Draw::new(seed, index * STREAMS);
    let mut events = Draw::new(seed, index * STREAMS + 1);
    let mut values = Draw::new(seed, index * STREAMS + 2);
    let patient = ids.id();
    let person = Person::new(patient, today, history_years, &mut events);
    let story = Story::plan(person, today, history_years, &mut ids, &mut events);
    let mut chart = Chart::new(form, Draw::new(seed, index * STREAMS + 3));
    story.write(&mut chart, &mut values);
    let (text, resources) = chart.finish();
    (patient, text, resources)
}

impl Story {
    fn plan(
        person: Person,
        today: Date,
        history_years: i64,
        ids: &mut Draw,
        draw: &mut Draw,
    ) -> Story {
        let last = person.died.map_or(today, |at| at.date);
        let first = plus_months(last, -12 * history_years).max(person.born);
        let mut new_id = || ids.id();
        let mut calendar = Calendar::new(&person, first, last);
        let mut found = conditions::chronic(&person, last, draw);
        let mut acute = Vec::new();
        if let Some(died) = person.died {
            let visit = new_id();
            let onset = calendar.add_last(visit, died, draw);
            acute.extend(conditions::last_illness(onset, visit, draw));
        }
        acute.extend(conditions::acute(&person, &mut calendar, &mut new_id, draw));
        conditions::diagnose(&mut found, &mut calendar, &mut new_id, draw);
        found.extend(acute);
        wellness(&person, &mut calendar, &mut new_id, draw);
        let mut visits = calendar.visits;
        visits.sort_by_key(|visit| visit.start);
        let problems = settle(found, &visits, &mut new_id);
        let orders = medications::plan(&person, last, &problems, &visits, draw);
        let covers = finance::covers(&person, first, last, &mut new_id, draw);
        Story {
            person,
            problems,
            visits,
            orders,
            covers,
            last,
        }
    }

    fn write(&self, chart: &mut Chart, draw: &mut Draw) {
        self.person.write(chart);
        finance::write_covers(self, chart);
        let mut shots = immunizations::Record::default();
        let mut panels = laboratory::Record::default();
        for (visit_number, visit) in self.visits.iter().enumerate() {
            let mut bill = Bill::default();
            let age = self.person.age(visit.start.date);
            let mut scene = Scene {
                story: self,
                visit,
                visit_number,
                age,
                chart,
                draw,
                bill: &mut bill,
            };
            encounters::record(&mut scene);
            conditions::record(&mut scene);
            allergies::record(&mut scene);
            let readings = vitals::record(&mut scene);
            laboratory::record(&mut scene, &mut panels);
            procedures::record(&mut scene);
            immunizations::record(&mut scene, &mut shots);
            medications::record(&mut scene);
            plans::record(&mut scene);
            lifestyle::record(&mut scene);
            genetics::record(&mut scene);
            notes::record(&mut scene, &readings);
            finance::record(&mut scene);
        }
    }

    pub(crate) fn subject(&self) -> Target {
        self.person.target()
    }

    /// The problems recorded at a visit.
    pub(crate) fn problems_of(&self, visit: usize) -> Vec<&Problem> {
        self.problems
            .iter()
            .filter(|problem| problem.visit == visit)
            .collect()
    }

    /// The problem a person has on a day, if it does.
    pub(crate) fn problem(&self, disease: Disease, date: Date) -> Option<&Problem> {
        self.problems
            .iter()
            .find(|problem| problem.illness.disease == disease && problem.lasts_on(date))
    }

    pub(crate) fn has(&self, disease: Disease, date: Date) -> bool {
        self.problem(disease, date).is_some()
    }

    /// Whether a drug against the disease has begun to work.
    pub(crate) fn is_treated(&self, disease: Disease, date: Date) -> bool {
        medications::treats(&self.orders, &self.problems, disease, date)
    }
}

impl Scene<'_> {
    pub(crate) fn date(&self) -> Date {
        self.visit.start.date
    }

    pub(crate) fn is(&self, setting: Setting) -> bool {
        self.visit.setting == setting
    }

    pub(crate) fn has(&self, disease: Disease) -> bool {
        self.story.has(disease, self.date())
    }

    /// The first visit of the records, where what came before is taken down.
    pub(crate) fn is_first(&self) -> bool {
        self.visit_number == 0
    }

    /// Adds an Observation of this visit; `value` writes what was found.
    pub(crate) fn observe(
        &mut self,
        category: Code,
        code: Code,
        at: Moment,
        value: impl FnOnce(&mut Writer),
    ) -> Id {
        let (subject, encounter) = (self.story.subject(), self.visit.target());
        let clinician = self.visit.clinician;
        self.chart.add("Observation", |w| {
            w.string("status", "final");
            w.concepts("category", category);
            w.concept_of("code", &[code]);
            w.reference("subject", subject);
            w.reference("encounter", encounter);
            w.moment("effectiveDateTime", at);
            w.moment("issued", at);
            w.references("performer", &[clinician.practitioner()]);
            value(w);
        })
    }
}

/// Yearly visits, and for children those of the first years, months after birth.
fn wellness(
    person: &Person,
    calendar: &mut Calendar,
    new_id: &mut impl FnMut() -> Id,
    draw: &mut Draw,
) {
    const CHILD_MONTHS: [i64; 11] = [0, 1, 2, 4, 6, 9, 12, 15, 18, 24, 30];
    let child = CHILD_MONTHS
        .iter()
        .map(|month| plus_days(plus_months(person.born, *month), 3));
    let habit = draw.between(0, 300);
    let yearly = (3..120).map(|year| plus_days(plus_months(person.born, year * 12), habit));
    let days: Vec<Date> = child.chain(yearly).collect();
    let (records, mut is_first) = (calendar.first..calendar.last, true);
    for day in days.into_iter().filter(|day| records.contains(day)) {
        let goes = is_first || months_between(person.born, day) < 72 || draw.chance(0.82);
        let wanted = plus_days(day, draw.between(0, 12));
        if goes && let Some(date) = calendar.take(wanted, 0) {
            calendar.add(new_id(), Setting::Wellness, date, 0, draw);
            is_first = false;
        }
    }
}

/// Gives every problem its visit: the one that found it, or the first that comes after its onset.
fn settle(found: Vec<Found>, visits: &[Visit], new_id: &mut impl FnMut() -> Id) -> Vec<Problem> {
    let mut problems = Vec::with_capacity(found.len());
    for Found {
        illness,
        onset,
        abatement,
        visit,
    } in found
    {
        let own = |id| visits.iter().position(|candidate| candidate.id == id);
        let later = || {
            visits.iter().position(|candidate| {
                candidate.start.date >= onset && matches!(illness.course, Course::Chronic { .. })
            })
        };
        if let Some(visit) = visit.and_then(own).or_else(later) {
            problems.push(Problem {
                id: new_id(),
                illness,
                onset,
                abatement,
                visit,
            });
        }
    }
    problems
}
