//! Bulk export: <https://hl7.org/fhir/uv/bulkdata/STU2/export.html>.
//!
//! What is given out is the state at one point, the version that each record
//! had then, though records change while the export runs: `walk.rs` reads what
//! is current, in views that are renewed now and then, and `changes.rs` adds
//! what changed before the walk came to it.

mod asked;
mod associated;
mod changes;
mod choice;
mod few;
mod group;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashSet;
use std::sync::Arc;

use salus_auth::{Action, Target};
use salus_store::{At, Record, SealKey};
use serde::{Deserialize, Serialize};

use super::Halt;
use super::files;
use super::record::Work;
use super::run::Running;
use crate::audit::entry::{Entity, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::search;
use crate::fhir::types::ResourceType;
use choice::Members;
use walk::Output;

/// An export: what was asked, and how far it is.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Export {
    pub(crate) level: Level,
    /// The types that were named; none is all.
    pub(crate) types: Option<Vec<String>>,
    pub(crate) since_ms: Option<i64>,
    pub(crate) until_ms: Option<i64>,
    /// Searches, each with its type.
    pub(crate) filters: Vec<(String, String)>,
    /// `Patient.name`, or `name` of all types.
    pub(crate) elements: Vec<String>,
    /// Only of these patients.
    pub(crate) patients: Option<Vec<String>>,
    /// Whether Provenance of what is exported is, and whether only the latest.
    pub(crate) provenance: Option<Provenance>,
    point: Option<Point>,
}
salus_phi::guard!(Export);

/// Of what the export is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    #[default]
    System,
    Patient,
    Group(String),
}
salus_phi::guard!(Level);

/// <https://hl7.org/fhir/uv/bulkdata/STU2/ValueSet-include-associated-data.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provenance {
    Latest,
    Relevant,
}

/// How far an export is.
#[derive(Clone, Serialize, Deserialize)]
struct Point {
    /// The point whose state is given out.
    seq: u64,
    /// The `transactionTime`.
    time_ms: i64,
    /// The groups whose members are given out, in the versions that count.
    #[serde(default)]
    groups: Vec<group::Version>,
    /// The types, in the order in which they are written.
    types: Vec<String>,
    /// Which of them is being written.
    at: usize,
    /// Of that type the versions from this point on are in files.
    before: u64,
    views: Vec<View>,
    /// Of that type, lines in files.
    lines: u64,
    /// What is told of the types before it.
    told: Vec<String>,
}
salus_phi::guard!(Point);

/// A part of the walk over a type: versions before a point, as they were current at another.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct View {
    before: u64,
    seen: u64,
}

/// Where a walk begins.
const TOP: u64 = u64::MAX;
/// Records named in one entry of the audit.
const NOTED_MAX: usize = 1000;

impl Export {
    /// The time whose state is given out, once that is known.
    pub(crate) fn time_ms(&self) -> Option<i64> {
        self.point.as_ref().map(|point| point.time_ms)
    }
}

/// Records that were put into a file, and that the audit is to be told of.
#[derive(Default)]
struct Noted(Vec<(Entity, SealKey)>);

impl Noted {
    fn add(&mut self, ty: ResourceType, record: &Record) {
        let entity = Entity {
            ty: ty.name.into(),
            id: record.id.clone(),
            version: record.version,
        };
        self.0.push((entity, record.seal.clone()));
    }
}

impl Running<'_> {
    /// Writes every file that is not written yet; what the audit is told.
    pub(super) async fn export(&mut self) -> Result<String, Halt> {
        if self.asked()?.point.is_none() {
            let point = self.begin_export().await?;
            self.asked_mut()?.point = Some(point);
            self.keep().await?;
        }
        let members = self.members().await?;
        let mut noted = Noted::default();
        loop {
            let point = self.point()?;
            let Some(ty) = point.types.get(point.at).cloned() else {
                break;
            };
            let ty = ResourceType::named(&ty).ok_or_else(fault)?;
            self.export_type(ty, members.clone(), &mut noted).await?;
        }
        Ok(format!("$export done: {}", self.point()?.told.join(" ")))
    }

    /// What was asked.
    fn asked(&self) -> Result<&Export, Error> {
        match &self.job.value.work {
            Work::Export(export) => Ok(export),
            Work::Import(_) | Work::Request(_) => Err(fault()),
        }
    }

    fn asked_mut(&mut self) -> Result<&mut Export, Error> {
        match &mut self.job.value.work {
            Work::Export(export) => Ok(export),
            Work::Import(_) | Work::Request(_) => Err(fault()),
        }
    }

    fn point(&self) -> Result<&Point, Error> {
        self.asked()?.point.as_ref().ok_or_else(fault)
    }

    fn point_mut(&mut self) -> Result<&mut Point, Error> {
        self.asked_mut()?.point.as_mut().ok_or_else(fault)
    }

    /// Decides what is written: of which point, and which types.
    async fn begin_export(&self) -> Result<Point, Error> {
        // In this order, and before there is a context that may be written with.
        let time_ms = self.service.eras.settled_ms(&*self.service.world);
        let snapshot = self.service.store.snapshot(self.scope, At::Now).await?;
        let cx = &self.context().await?;
        let asked = self.asked()?;
        let groups = match &asked.level {
            Level::System | Level::Patient => Vec::new(),
            Level::Group(id) => self.service.groups(cx, id).await?,
        };
        let types = self.service.export_types(cx, asked).await?;
        Ok(Point {
            seq: snapshot.seq().0,
            time_ms,
            groups,
            types: types.into_iter().map(|ty| ty.name.to_owned()).collect(),
            at: 0,
            before: TOP,
            views: Vec::new(),
            lines: 0,
            told: Vec::new(),
        })
    }

    /// Whose records are wanted; `None` is all records.
    async fn members(&self) -> Result<Option<Arc<Members>>, Error> {
        let (asked, point) = (self.asked()?, self.point()?);
        let named = asked.patients.as_ref();
        let named: Option<HashSet<Box<str>>> =
            named.map(|ids| ids.iter().map(|id| id.as_str().into()).collect());
        let members = match (&asked.level, named) {
            (Level::System, _) => return Ok(None),
            (Level::Patient, None) => Members::Any,
            (Level::Patient, Some(named)) => Members::These(named),
            // One that was begun before it was known of which groups.
            (Level::Group(_), _) if point.groups.is_empty() => return Err(fault()),
            (Level::Group(_), named) => {
                let when = (&*self.job.value.base, point.time_ms);
                let all = self.service.patients_of(self.scope, &point.groups, when);
                let mut all = all.await?;
                if let Some(named) = named {
                    all.retain(|id| named.contains(id));
                }
                Members::These(all)
            }
        };
        Ok(Some(Arc::new(members)))
    }

    /// Adds a record that was written, and tells the audit when there are many.
    async fn noted(&self, output: &mut Output<'_>, record: &Record) -> Result<(), Error> {
        output.noted.add(output.choice.ty, record);
        match output.noted.0.len() < NOTED_MAX {
            true => Ok(()),
            false => self.note_records(output).await,
        }
    }

    /// Tells the audit which records are in the file that is being written.
    async fn note_records(&self, output: &mut Output<'_>) -> Result<(), Error> {
        let about = std::mem::take(&mut output.noted.0);
        if about.is_empty() {
            return Ok(());
        }
        let cx = self.context().await?;
        let number = self.next_number();
        let file = files::id(&self.job.id, self.job.value.attempts, number);
        self.note(&cx, What::Export, &exported(&file), about).await
    }
}

/// What the audit has of a file of an export, by the id of its blob.
pub(super) fn exported(file: &str) -> String {
    format!("$export {file}")
}

impl crate::Service {
    /// The types that an export gives out, in their order. One that was named
    /// and may not be searched is a refusal.
    async fn export_types(&self, cx: &Context, asked: &Export) -> Result<Vec<ResourceType>, Error> {
        let mut types = Vec::new();
        match &asked.types {
            Some(named) => {
                for name in named {
                    let ty = ResourceType::named(name).ok_or_else(fault)?;
                    let target = Target::Type(ty.name);
                    self.authorize(cx, What::Operation, Action::Search, target)
                        .await?;
                    types.push(ty);
                }
                if asked.associated().is_some() {
                    let ty = ResourceType::named(associated::PROVENANCE).ok_or_else(fault)?;
                    let target = Target::Type(ty.name);
                    self.authorize(cx, What::Operation, Action::Search, target)
                        .await?;
                    types.push(ty);
                }
            }
            None => {
                let subject = &cx.subject;
                let may = |ty: &ResourceType| {
                    let target = Target::Type(ty.name);
                    salus_auth::authorize(subject, cx.scope, Action::Search, target).is_ok()
                };
                types = asked.level.types();
                types.retain(may);
            }
        }
        if !matches!(asked.level, Level::System) {
            let hidden = cx.subject.hidden();
            // A patient is in the export whatever links to it.
            let hides = |ty| search::hides_compartment(hidden, "Patient", ty);
            types.retain(|ty| ty.name == "Patient" || !hides(*ty));
        }
        if types.is_empty() {
            return Err(Error::new(Kind::Forbidden, crate::pipeline::FORBIDDEN));
        }
        types.sort_by_key(|ty| (ty.name != "Patient", ty.name));
        types.dedup();
        Ok(types)
    }
}

impl Level {
    /// On what the export is called.
    pub(crate) fn target(&self) -> Target<'static> {
        match self {
            Self::System => Target::System,
            Self::Patient => Target::Type("Patient"),
            Self::Group(_) => Target::Type("Group"),
        }
    }

    /// The types that an export of this kind may give out.
    fn types(&self) -> Vec<ResourceType> {
        let definitions = salus_fhir::definitions::r4();
        let mut types = ResourceType::all();
        types.retain(|ty| ty.name != ResourceType::AUDIT_EVENT);
        if *self != Self::System {
            let within = |ty: &ResourceType| {
                ty.name == "Patient" || !definitions.compartment("Patient", ty.name).is_empty()
            };
            types.retain(within);
        }
        types
    }
}

pub(super) fn fault() -> Error {
    Error::new(Kind::Internal, "the server cannot read the job")
}
