//! The search parameters of a project: those of R4 and, beside them, its own
//! (<https://hl7.org/fhir/R4/searchparameter.html>).
//!
//! All that asks which parameters there are asks here. A type without own
//! parameters has the extractor that all projects share. A parameter whose
//! index is still being built is refused wherever it is used: part of an
//! answer would look like all of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::define::Own;
use super::extract::Extractor;
use super::name::{Criterion, Modifier, is_text};
use super::operand::Operand;
use crate::definitions::{self, SearchKind, SearchParameter};
use crate::issue::{Issue, IssueType};

/// Which search parameters there are.
#[derive(Debug, Default)]
pub struct Parameters {
    own: BTreeMap<&'static str, OfType>,
    /// While rows are missing that older versions of the server did not make.
    behind: Option<Behind>,
}

/// Which rows there are, while those of newer revisions are being made.
// No PHI: names of search parameters.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The [`super::REVISION`] of extraction that has made all rows.
    pub revision: u32,
    /// How far the newest is, on the types that it has not made all rows of.
    pub types: BTreeMap<Box<str>, Arc<Building>>,
}

/// The own parameters of one type of resource.
#[derive(Debug, Default)]
struct OfType {
    own: Vec<Defined>,
    /// Of R4's parameters and these.
    extractor: OnceLock<Extractor>,
}

/// An own parameter.
// No PHI: names of search parameters.
#[derive(Debug)]
struct Defined {
    parameter: &'static SearchParameter,
    /// The id of the resource that defines it.
    source: Arc<str>,
    building: Option<Arc<Building>>,
}

/// How far an index is built.
#[derive(Debug, Default)]
pub struct Building {
    /// Records that are indexed.
    pub done: AtomicU64,
    /// All there were when it was begun, about.
    pub total: AtomicU64,
    /// Records that cannot be indexed.
    pub failed: AtomicU64,
    /// All others are indexed.
    pub ended: AtomicBool,
}

pub(super) static R4: Parameters = Parameters {
    own: BTreeMap::new(),
    behind: None,
};

impl Parameters {
    /// Those of R4 alone.
    #[must_use]
    pub fn r4() -> &'static Self {
        &R4
    }

    /// Those of R4 and these, each with the id of the resource that defines it;
    /// of two with one code on a type the first counts.
    /// What is told to be building may not be used yet; `behind` says the same
    /// of what only newer versions of the server index of R4's own.
    #[must_use]
    pub fn with(
        all: impl IntoIterator<Item = (Own, Arc<str>, Option<Arc<Building>>)>,
        behind: Option<Behind>,
    ) -> Self {
        let mut own: BTreeMap<&'static str, OfType> = BTreeMap::new();
        for (one, source, building) in all {
            let of = &mut own.entry(one.ty).or_default().own;
            let code = one.parameter.code;
            if !of.iter().any(|known| known.parameter.code == code) {
                of.push(Defined {
                    parameter: one.parameter,
                    source,
                    building,
                });
            }
        }
        for of in own.values_mut() {
            of.own.sort_by_key(|defined| defined.parameter.code);
        }
        Self { own, behind }
    }

    /// Those of R4 among these, no more ready than they are here.
    #[must_use]
    pub fn without_own(&self) -> Self {
        Self {
            own: BTreeMap::new(),
            behind: self.behind.clone(),
        }
    }

    /// The parameters of a type: R4's, then its own.
    pub fn of(&self, ty: &str) -> impl Iterator<Item = &'static SearchParameter> {
        let all = definitions::r4().search_parameters(ty).iter();
        all.chain(self.own_of(ty))
    }

    /// The own parameters of a type.
    pub fn own_of(&self, ty: &str) -> impl Iterator<Item = &'static SearchParameter> {
        self.defined(ty).iter().map(|defined| defined.parameter)
    }

    fn defined(&self, ty: &str) -> &[Defined] {
        self.own.get(ty).map_or(&[], |of| &of.own)
    }

    /// The id of the resource that defines an own parameter.
    #[must_use]
    pub fn source(&self, ty: &str, code: &str) -> Option<&str> {
        let mut all = self.defined(ty).iter();
        let found = all.find(|defined| defined.parameter.code == code);
        found.map(|defined| &*defined.source)
    }

    /// The types that have own parameters.
    pub fn own_types(&self) -> impl Iterator<Item = &'static str> {
        self.own.keys().copied()
    }

    /// A parameter of a type, whether or not it may be used yet.
    #[must_use]
    pub fn find(&self, ty: &str, code: &str) -> Option<&'static SearchParameter> {
        let known = definitions::r4().search_parameter(ty, code);
        known.or_else(|| self.own_of(ty).find(|parameter| parameter.code == code))
    }

    /// The extractor of a type, made on first use; `None` if it is no type of
    /// resource.
    #[must_use]
    pub fn extractor(&self, ty: &str) -> Option<&Extractor> {
        let Some(of) = self.own.get(ty) else {
            return Extractor::for_type(ty);
        };
        let definitions = definitions::r4();
        let name = definitions.ty(definitions.resource_named(ty)?).name;
        let own = || of.own.iter().map(|defined| defined.parameter);
        let make = || Extractor::build(definitions, name, &own().collect::<Vec<_>>());
        Some(of.extractor.get_or_init(make))
    }

    /// Refuses a parameter whose index is being built.
    pub(super) fn check_ready(
        &self,
        ty: &str,
        parameter: &SearchParameter,
    ) -> Result<(), NotReady> {
        if parameter.limits.is_none() {
            return Ok(());
        }
        let mut all = self.defined(ty).iter();
        let found = all.find(|defined| defined.parameter.code == parameter.code);
        match found.and_then(|defined| defined.building.as_deref()) {
            Some(building) => Err(building.not_ready(&format!("{} of {ty}", parameter.code))),
            None => Ok(()),
        }
    }

    /// Refuses what looks at all references of a type, while one is being built.
    pub(super) fn check_references(&self, ty: Option<&str>) -> Result<(), NotReady> {
        for (own_ty, of) in &self.own {
            if ty.is_some_and(|ty| ty != *own_ty) {
                continue;
            }
            for defined in &of.own {
                if defined.parameter.kind == SearchKind::Reference {
                    self.check_ready(own_ty, defined.parameter)?;
                }
            }
        }
        Ok(())
    }

    /// Refuses what an older version of the server made no rows for, while
    /// they are being made. Whoever lets extraction find more raises
    /// [`super::REVISION`], and names here what needs it.
    pub(super) fn check_current(&self, ty: &str, criterion: &Criterion) -> Result<(), NotReady> {
        let of_reference = criterion.parameter.kind == SearchKind::Reference;
        let is_number =
            |operand: &Operand| matches!(operand, Operand::Number(..) | Operand::Quantity { .. });
        let is_new = |operand: &Operand| of_reference && matches!(operand, Operand::Uri(_));
        let code = criterion.parameter.code;
        let modifier = criterion.modifier;
        let is_special = criterion.parameter.kind == SearchKind::Special;
        let revision = if modifier == Some(Modifier::Text) {
            4
        } else if criterion.values.iter().any(is_number) {
            3
        } else if is_special || is_text(criterion.parameter) {
            2
        } else if criterion.parameter.kind == SearchKind::Composite
            || modifier == Some(Modifier::OfType)
            || criterion.values.iter().any(is_new)
        {
            1
        } else {
            return Ok(());
        };
        self.check_revision(revision, ty, || format!("{code} of {ty}"))
    }

    /// Refuses `_list` while members of lists are being indexed.
    pub(super) fn check_lists(&self) -> Result<(), NotReady> {
        self.check_revision(2, "List", || "_list".to_owned())
    }

    /// Refuses `_contained` while contained resources are being indexed.
    pub(super) fn check_contained(&self) -> Result<(), NotReady> {
        let mut types = self.behind.iter().flat_map(|behind| behind.types.keys());
        types.try_for_each(|ty| self.check_revision(2, ty, || "_contained".to_owned()))
    }

    fn check_revision(
        &self,
        revision: u32,
        ty: &str,
        what: impl Fn() -> String,
    ) -> Result<(), NotReady> {
        let behind = self.behind.as_ref();
        let behind = behind.filter(|behind| behind.revision < revision);
        match behind.and_then(|behind| behind.types.get(ty)) {
            Some(building) => Err(building.not_ready(&what())),
            None => Ok(()),
        }
    }
}

impl Building {
    /// Done of all, in percent.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let done = self.done.load(Ordering::Relaxed);
        let total = self.total.load(Ordering::Relaxed);
        // Records are written meanwhile, so there may be more than there were.
        (done.saturating_mul(100) / total.max(1)).min(99)
    }

    fn not_ready(&self, what: &str) -> NotReady {
        if self.ended.load(Ordering::Relaxed) {
            let failed = self.failed.load(Ordering::Relaxed);
            return NotReady(format!(
                "{what} is not ready: {failed} records have more values than can be indexed; \
                 an administrator can have it built again when they have fewer"
            ));
        }
        let percent = self.percent();
        NotReady(format!(
            "{what} is not ready: it is being built, {percent} % done; try again later"
        ))
    }
}

/// Something that may not be used yet: what, and how far it is.
pub(super) struct NotReady(String);

impl NotReady {
    /// Of a parameter in a request.
    pub(super) fn at(self, location: String) -> Issue {
        Issue::error(IssueType::Transient, location, self.0)
    }
}
