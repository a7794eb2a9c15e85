//! Code systems and expansions that were needed lately.
//!
//! An answer is kept with the point of the newest change of any code system or
//! value set of the project. A later change gives another point, so nothing has
//! to be taken back; what is not asked for again makes room.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache as Kept;
use salus_store::{Scope, Seq};
use salus_terminology::CodeSystem;

use super::{Codes, Wanted};

/// Memory for each of the two, about.
const BYTES_MAX: u64 = 32 << 20;
/// What a code and a concept occupy, about.
const CODE_BYTES: u64 = 64;
const CONCEPT_BYTES: u64 = 256;
const ENTRY_BYTES: u64 = 512;
const ENTRIES: usize = 1024;

/// Kept for all projects.
pub(crate) struct Cache {
    answers: Kept<Question, Arc<Codes>, Weight>,
    systems: Kept<Origin, Arc<CodeSystem>, Weight>,
}

/// What an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) scope: Scope,
    /// The newest change of a code system or value set.
    pub(super) changed: Option<Seq>,
    /// May the one asking read value sets, and code systems?
    pub(super) may_read: (bool, bool),
    pub(super) wanted: Wanted,
}

/// Where a code system is from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// A version of a resource.
    Version(Seq),
    /// The definitions, by canonical URL.
    Definitions(Box<str>),
}
salus_phi::guard!(Origin);

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            answers: Kept::with_weighter(ENTRIES, BYTES_MAX, Weight),
            systems: Kept::with_weighter(ENTRIES, BYTES_MAX, Weight),
        }
    }

    pub(super) fn answer(&self, question: &Question) -> Option<Arc<Codes>> {
        self.answers.get(question)
    }

    pub(super) fn keep_answer(&self, question: Question, codes: &Arc<Codes>) {
        self.answers.insert(question, Arc::clone(codes));
    }

    pub(super) fn system(&self, origin: &Origin) -> Option<Arc<CodeSystem>> {
        self.systems.get(origin)
    }

    pub(super) fn keep_system(&self, origin: Origin, system: &Arc<CodeSystem>) {
        self.systems.insert(origin, Arc::clone(system));
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Question, Arc<Codes>> for Weight {
    fn weight(&self, _: &Question, codes: &Arc<Codes>) -> u64 {
        ENTRY_BYTES + CODE_BYTES * codes.tokens.len() as u64
    }
}

impl Weighter<Origin, Arc<CodeSystem>> for Weight {
    fn weight(&self, _: &Origin, system: &Arc<CodeSystem>) -> u64 {
        ENTRY_BYTES + CONCEPT_BYTES * system.len() as u64
    }
}
