//! Until when a record is kept, and what is due.
//!
//! What cannot be found out, as when a patient died, keeps a record: nothing is disposed of
//! on a guess. A date that is a month or a year counts as its end.

use std::collections::HashMap;

use salus_auth::Action;
use salus_auth::policy::compartment;
use salus_auth::record::{Cold, Disposal, KeptFrom, RetentionClass, Saved, Then};
use salus_fhir::compartment::patients;
use salus_fhir::json::{Document, Limits};
use salus_fhir::primitive::DateTime;
use salus_store::{At, Content, Param, Query, Record, SealKey, Seq, Snapshot, Sort, ValueRef};

use super::classes::is_of_audit;
use crate::Service;
use crate::audit::entry::What;
use crate::cold;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::policy::relations::PATIENT;
use crate::records::all;

/// Records read at a time.
const STEP: usize = 200;
/// After this many a report ends,
const RECORDS_MAX: usize = 500_000;
/// or after this time.
const TIME_MAX_MS: i64 = 30_000;
/// Disposals that a report lists.
const LISTED_MAX: usize = 1000;

/// What is kept, and what is due.
#[derive(Clone, Debug)]
pub struct RetentionReport {
    /// The classes of the project.
    pub classes: Vec<ClassReport>,
    /// Whether all records were looked at.
    pub complete: bool,
    /// What was disposed of until now.
    pub disposals: Vec<Saved<Disposal>>,
}

/// One class in a report.
#[derive(Clone)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// What happens to what is due.
    pub then: Then,
    /// Each of its types.
    pub types: Vec<TypeReport>,
}
salus_phi::guard!(ClassReport);

/// Numbers of records of a type.
#[derive(Clone, Debug)]
pub struct TypeReport {
    /// The type.
    pub ty: &'static str,
    /// Kept until a day to come.
    pub kept: u64,
    /// Kept since nobody knows until when.
    pub unknown: u64,
    /// Due, and under no hold.
    pub due: u64,
    /// Due, and under legal hold.
    pub held: u64,
    /// In cold storage, whether due or not.
    pub cold: u64,
    /// Here, and may be moved to cold storage.
    pub cold_due: u64,
}

/// Until when something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// This time, in milliseconds since 1970 UTC.
    Ms(i64),
    /// Nobody knows.
    Unknown,
}

impl Until {
    pub(crate) fn is_over(self, now_ms: i64) -> bool {
        matches!(self, Self::Ms(ms) if ms <= now_ms)
    }
}

/// What is known of patients, as far as somebody asked.
#[derive(Default)]
pub(crate) struct Patients(HashMap<Box<str>, Facts>);

#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    birth_ms: Option<i64>,
    death_ms: Option<i64>,
    encounter_ms: Option<i64>,
}

/// Of how many patients facts are remembered at a time.
const PATIENTS_MAX: usize = 10_000;

impl Service {
    /// What is kept, what is due, and what was disposed of.
    pub async fn report_retention(&self, cx: &Context) -> Result<RetentionReport, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let setting = self.saved_retention(cx).await?.value;
        let mut report = RetentionReport {
            classes: Vec::new(),
            complete: true,
            disposals: all(&*self.store, cx.scope, LISTED_MAX).await?,
        };
        let (mut patients, mut left) = (Patients::default(), RECORDS_MAX);
        let classes = setting.classes.iter();
        for class in classes.filter(|class| !is_of_audit(class)) {
            let mut types = Vec::new();
            for ty in class.types.iter().filter_map(|ty| ResourceType::named(ty)) {
                let counted = self.count_due(cx, (class, ty), &mut patients, &mut left);
                types.push(counted.await?);
                report.complete &= left > 0;
            }
            report.classes.push(ClassReport {
                name: class.name.clone(),
                then: class.then,
                types,
            });
        }
        report
            .disposals
            .sort_by_key(|disposal| disposal.value.at_ms);
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(report)
    }

    async fn count_due(
        &self,
        cx: &Context,
        (class, ty): (&RetentionClass, ResourceType),
        patients: &mut Patients,
        left: &mut usize,
    ) -> Result<TypeReport, Error> {
        let mut report = TypeReport {
            ty: ty.name,
            kept: 0,
            unknown: 0,
            due: 0,
            held: 0,
            cold: 0,
            cold_due: 0,
        };
        let end_ms = self.now_ms().saturating_add(TIME_MAX_MS);
        let held = self.held(cx).await?;
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        report.cold = snapshot.count(&Cold::of_type(ty.name)).await?;
        let mut before = Seq(u64::MAX);
        while *left > 0 {
            let hits = snapshot.walk(ty.kind, before, STEP, &[]).await?;
            let Some(last) = hits.last() else { break };
            before = last.record.seq;
            *left = match self.now_ms() < end_ms {
                true => left.saturating_sub(hits.len()),
                false => 0,
            };
            let mut due = Vec::new();
            for hit in &hits {
                let Some(counted) = Counted::of(cx, ty, &hit.record) else {
                    report.unknown += 1;
                    continue;
                };
                if class.cold_after_years.is_some() {
                    let from = counted.cold_from(&*snapshot, class, patients).await?;
                    report.cold_due += u64::from(from.is_over(cx.now_ms));
                }
                match counted.kept_until(&*snapshot, class, patients).await? {
                    Until::Unknown => report.unknown += 1,
                    until if until.is_over(cx.now_ms) => due.push(&hit.record),
                    Until::Ms(_) => report.kept += 1,
                }
            }
            let named: Vec<_> = due.iter().map(|one| (&*one.id, &one.seal)).collect();
            let held = held.among(cx, &*snapshot, ty.kind, &named).await?;
            report.held += held.len() as u64;
            report.due += (due.len() - held.len()) as u64;
            tokio::task::yield_now().await;
        }
        Ok(report)
    }
}

/// Until when a record of a class is kept.
pub(crate) async fn kept_until(
    cx: &Context,
    snapshot: &dyn Snapshot,
    (class, ty): (&RetentionClass, ResourceType),
    record: &Record,
    known: &mut Patients,
) -> Result<Until, Error> {
    if record.content == Content::Deleted {
        return Ok(Until::Ms(i64::MIN));
    }
    match Counted::of(cx, ty, record) {
        Some(counted) => counted.kept_until(snapshot, class, known).await,
        None => Ok(Until::Unknown),
    }
}

/// What the time of a record is counted by.
#[derive(Clone)]
pub(crate) struct Counted {
    /// The end of the date of what it is about, if it says one.
    pub(crate) main_ms: Option<i64>,
    /// Its last update.
    pub(crate) updated_ms: i64,
    /// Whose compartments it is in.
    pub(crate) patients: Vec<Box<str>>,
}
salus_phi::guard!(Counted);

impl Counted {
    /// That of a resource; `None` if it cannot be read.
    pub(crate) fn of(cx: &Context, ty: ResourceType, record: &Record) -> Option<Self> {
        let Content::Body(body) = &record.content else {
            return None;
        };
        let limits = Limits {
            bytes_max: usize::MAX,
            ..Limits::default()
        };
        let document = Document::parse(body.clone().into(), &limits).ok()?;
        let extractor = cx.parameters.extractor(ty.name)?;
        let entries = extractor.extract(document.root(), &[&*cx.base]).ok()?;
        let of: Vec<&str> = patients(ty.name, &record.id, &entries);
        let mut patients: Vec<Box<str>> = of.into_iter().map(Into::into).collect();
        if let SealKey::Patient(patient) = &record.seal
            && !patients.contains(patient)
        {
            patients.push(patient.clone());
        }
        Some(Self {
            main_ms: extractor.main_date(&entries).map(|span| span.to_ms),
            updated_ms: record.time_ms,
            patients,
        })
    }

    /// Until when it is kept.
    pub(crate) async fn kept_until(
        &self,
        snapshot: &dyn Snapshot,
        class: &RetentionClass,
        known: &mut Patients,
    ) -> Result<Until, Error> {
        let until = |dates: &Dates, facts| dates.until(class, facts);
        self.latest(snapshot, known, until).await
    }

    /// From when on it may be in cold storage.
    pub(crate) async fn cold_from(
        &self,
        snapshot: &dyn Snapshot,
        class: &RetentionClass,
        known: &mut Patients,
    ) -> Result<Until, Error> {
        let from = |dates: &Dates, facts| dates.cold_from(class, facts);
        self.latest(snapshot, known, from).await
    }

    /// The latest of all its patients'.
    async fn latest(
        &self,
        snapshot: &dyn Snapshot,
        known: &mut Patients,
        until: impl Fn(&Dates, Facts) -> Until,
    ) -> Result<Until, Error> {
        let dates = Dates {
            main_ms: self.main_ms.unwrap_or(self.updated_ms),
            updated_ms: self.updated_ms,
        };
        if self.patients.is_empty() {
            return Ok(until(&dates, Facts::default()));
        }
        let mut latest = Until::Ms(i64::MIN);
        for patient in &self.patients {
            let facts = known.facts(snapshot, patient).await?;
            latest = match (latest, until(&dates, facts)) {
                (Until::Ms(one), Until::Ms(other)) => Until::Ms(one.max(other)),
                (Until::Unknown, _) | (_, Until::Unknown) => Until::Unknown,
            };
        }
        Ok(latest)
    }
}

/// The dates of a record itself.
struct Dates {
    main_ms: i64,
    updated_ms: i64,
}

impl Dates {
    fn from(&self, class: &RetentionClass, facts: Facts) -> Option<i64> {
        match class.from {
            KeptFrom::MainDate => Some(self.main_ms),
            KeptFrom::LastUpdate => Some(self.updated_ms),
            KeptFrom::Death => facts.death_ms,
            KeptFrom::LastEncounter => Some(facts.encounter_ms.unwrap_or(self.updated_ms)),
        }
    }

    fn until(&self, class: &RetentionClass, facts: Facts) -> Until {
        let from = self.from(class, facts);
        let until = from.and_then(|from| years_after(from, class.years));
        let minor = class.minors.map(|minors| {
            let years = minors.until_age.saturating_add(minors.years);
            facts.birth_ms.and_then(|birth| years_after(birth, years))
        });
        match (until, minor) {
            (None, _) | (_, Some(None)) => Until::Unknown,
            (Some(until), None) => Until::Ms(until),
            (Some(until), Some(Some(minor))) => Until::Ms(until.max(minor)),
        }
    }

    /// That of minors is kept longer, and as far away as that of others.
    fn cold_from(&self, class: &RetentionClass, facts: Facts) -> Until {
        let from = self.from(class, facts);
        let from = from.and_then(|from| years_after(from, class.cold_after_years?));
        from.map_or(Until::Unknown, Until::Ms)
    }
}

impl Patients {
    async fn facts(&mut self, snapshot: &dyn Snapshot, id: &str) -> Result<Facts, Error> {
        if let Some(facts) = self.0.get(id) {
            return Ok(*facts);
        }
        let facts = read_facts(snapshot, id).await?;
        if self.0.len() >= PATIENTS_MAX {
            self.0.clear();
        }
        self.0.insert(id.into(), facts);
        Ok(facts)
    }
}

async fn read_facts(snapshot: &dyn Snapshot, id: &str) -> Result<Facts, Error> {
    let mut facts = Facts {
        encounter_ms: last_encounter(snapshot, id).await?,
        ..Facts::default()
    };
    let record = snapshot.get(PATIENT, id).await?;
    if let Some(Content::Body(body)) = record.map(|record| record.content) {
        let patient: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let end = |name: &str| {
            let text = patient.get(name)?.as_str()?;
            Some(DateTime::parse(text)?.bounds(0).end)
        };
        facts.birth_ms = end("birthDate");
        facts.death_ms = end("deceasedDateTime");
    }
    Ok(facts)
}

/// When the last encounter of a patient ended, or ends.
async fn last_encounter(snapshot: &dyn Snapshot, id: &str) -> Result<Option<i64>, Error> {
    const DATE: Param = Param::named("Encounter", "date");
    let Some(filter) = compartment::of_patients("Encounter", &[id]) else {
        return Ok(None);
    };
    let query = Query {
        kind: salus_store::Kind::named("Encounter"),
        filter,
        sort: vec![Sort::Value {
            param: DATE,
            descending: true,
        }],
        limit: 1,
        after: None,
        rows: vec![DATE],
    };
    let found = snapshot.find(&query).await?;
    let rows = found.hits.iter().flat_map(|hit| &hit.rows);
    let live = rows
        .filter_map(|row| {
            let ValueRef::Date { to_ms, .. } = row.value.borrow() else {
                return None;
            };
            Some(to_ms)
        })
        .max();
    Ok(live.max(cold::last_encounter(snapshot, id).await?))
}

/// So many years later, on the same day; `None` beyond all calendars.
fn years_after(ms: i64, years: u32) -> Option<i64> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let span = jiff::Span::new().try_years(i64::from(years)).ok()?;
    let later = time.checked_add(span).ok()?;
    Some(later.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use salus_auth::record::Minors;

    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn at(text: &str) -> i64 {
        DateTime::parse(text).unwrap().bounds(0).start
    }

    fn class(from: KeptFrom, years: u32, minors: Option<Minors>) -> RetentionClass {
        RetentionClass {
            name: "a".to_owned(),
            types: Vec::new(),
            years,
            from,
            minors,
            then: Then::Report,
            cold_after_years: None,
        }
    }

    #[track_caller]
    fn until(class: &RetentionClass, facts: Facts, expected: Option<&str>) {
        let dates = Dates {
            main_ms: at("2020-02-29"),
            updated_ms: at("2021-01-01"),
        };
        let expected = expected.map_or(Until::Unknown, |text| Until::Ms(at(text)));
        assert_eq!(dates.until(class, facts), expected);
    }

    #[test]
    fn records_are_kept_from_the_date_that_the_class_names() {
        let none = Facts::default();
        until(
            &class(KeptFrom::MainDate, 1, None),
            none,
            Some("2021-02-28"),
        );
        until(
            &class(KeptFrom::LastUpdate, 10, None),
            none,
            Some("2031-01-01"),
        );
        until(&class(KeptFrom::Death, 10, None), none, None);
        until(
            &class(KeptFrom::LastEncounter, 1, None),
            none,
            Some("2022-01-01"),
        );
        let facts = Facts {
            birth_ms: Some(at("2010-05-05")),
            death_ms: Some(at("2022-03-03")),
            encounter_ms: Some(at("2022-02-02")),
        };
        until(&class(KeptFrom::Death, 10, None), facts, Some("2032-03-03"));
        until(
            &class(KeptFrom::LastEncounter, 1, None),
            facts,
            Some("2023-02-02"),
        );
        let minors = Some(Minors {
            until_age: 18,
            years: 3,
        });
        until(
            &class(KeptFrom::MainDate, 1, minors),
            facts,
            Some("2031-05-05"),
        );
        until(
            &class(KeptFrom::MainDate, 20, minors),
            facts,
            Some("2040-02-29"),
        );
        // Who has no date of birth may be a minor.
        until(&class(KeptFrom::MainDate, 1, minors), none, None);
        assert_eq!(years_after(i64::MAX, 1), None);
        assert!(!Until::Ms(DAY_MS).is_over(DAY_MS - 1) && Until::Ms(DAY_MS).is_over(DAY_MS));
        assert!(!Until::Unknown.is_over(i64::MAX));
    }
}
