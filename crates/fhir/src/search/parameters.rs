//! The search parameters of a project: those of R4 and, beside them, its own
//! (<https://hl7.org/fhir/R4/searchparameter.html>).
//!
//! All that asks which parameters there are asks here. A type without own
//! parameters has the extractor that all projects share. A parameter whose
//! index is still being built is refused wherever it is used: part of an
//! answer would look like all of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::define::Own;
use super::extract::Extractor;
use super::name::{Criterion, Modifier};
use super::operand::Operand;
use crate::definitions::{self, SearchKind, SearchParameter};
use crate::issue::{Issue, IssueType};

/// Which search parameters there are.
#[derive(Debug, Default)]
pub struct Parameters {
    own: BTreeMap<&'static str, OfType>,
    /// While rows are missing that older versions of the server did not make.
    behind: Option<Arc<Building>>,
}

/// The own parameters of one type of resource.
#[derive(Debug, Default)]
struct OfType {
    own: Vec<Defined>,
    /// Of R4's parameters and these.
    extractor: OnceLock<Extractor>,
}

/// An own parameter.
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
        behind: Option<Arc<Building>>,
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
    pub(super) fn check_current(&self, criterion: &Criterion) -> Result<(), NotReady> {
        let Some(building) = self.behind.as_deref() else {
            return Ok(());
        };
        let of_special_modifier =
            matches!(criterion.modifier, Some(Modifier::Text | Modifier::OfType));
        let of_reference = criterion.parameter.kind == SearchKind::Reference;
        let is_new = |operand: &Operand| {
            matches!(operand, Operand::Quantity { amount, .. } if amount.is_some())
                || of_reference && matches!(operand, Operand::Uri(_))
        };
        let special = matches!(
            criterion.parameter.kind,
            SearchKind::Composite | SearchKind::Special
        );
        if special || of_special_modifier || criterion.values.iter().any(is_new) {
            return Err(building.not_ready("the index for this"));
        }
        Ok(())
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
