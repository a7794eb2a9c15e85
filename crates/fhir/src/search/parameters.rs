//! The search parameters of a project: those of R4 and, beside them, its own
//! (<https://hl7.org/fhir/R4/searchparameter.html>).
//!
//! All that asks which parameters there are asks here. A type without own
//! parameters has the extractor that all projects share.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::extract::Extractor;
use crate::definitions::{self, SearchParameter};

/// Which search parameters there are.
#[derive(Debug, Default)]
pub struct Parameters {
    own: BTreeMap<&'static str, OfType>,
}

/// The own parameters of one type of resource.
#[derive(Debug, Default)]
struct OfType {
    own: Vec<&'static SearchParameter>,
    /// Of R4's parameters and these.
    extractor: OnceLock<Extractor>,
}

pub(super) static R4: Parameters = Parameters {
    own: BTreeMap::new(),
};

impl Parameters {
    /// Those of R4 alone.
    #[must_use]
    pub fn r4() -> &'static Self {
        &R4
    }

    /// The parameters of a type: R4's, then its own.
    pub fn of(&self, ty: &str) -> impl Iterator<Item = &'static SearchParameter> {
        let own = self.own.get(ty).map_or(&[][..], |of| &of.own);
        let all = definitions::r4().search_parameters(ty).iter();
        all.chain(own.iter().copied())
    }

    /// A parameter of a type.
    #[must_use]
    pub fn find(&self, ty: &str, code: &str) -> Option<&'static SearchParameter> {
        let known = definitions::r4().search_parameter(ty, code);
        known.or_else(|| {
            let own = &self.own.get(ty)?.own;
            own.iter().find(|parameter| parameter.code == code).copied()
        })
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
        let make = || Extractor::build(definitions, name, &of.own);
        Some(of.extractor.get_or_init(make))
    }
}
