//! Code systems (<https://hl7.org/fhir/R4/codesystem.html>).

use std::sync::OnceLock;

use super::index::Index;

/// A code system with the concepts that the release publishes.
pub struct CodeSystem {
    /// Its canonical URL.
    pub url: &'static str,
    /// How many of its concepts are here.
    pub content: Content,
    /// Its business version; empty when it has none.
    pub version: &'static str,
    /// Does letter case matter? `None`: it does not say.
    pub case_sensitive: Option<bool>,
    concepts: Vec<Concept>,
    /// Parent and child, for children nested below another parent.
    further: Vec<(&'static str, &'static str)>,
    retired: Vec<&'static str>,
    by_code: OnceLock<Index>,
}

/// How many of a code system's concepts are among the definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All.
    Complete,
    /// Some, or none.
    Partial,
}

/// A concept of a code system.
#[derive(Clone, Copy, Debug)]
pub struct Concept {
    /// Its code.
    pub code: &'static str,
    /// Its display; empty when it has none.
    pub display: &'static str,
    /// The place of the concept it is nested below.
    parent: u16,
}

const NO_PARENT: u16 = u16::MAX;

impl CodeSystem {
    /// All concepts in the publisher's order, a parent before its children.
    #[must_use]
    pub fn concepts(&self) -> &[Concept] {
        &self.concepts
    }

    /// The concept of a code, compared exactly.
    #[must_use]
    pub fn concept(&self, code: &str) -> Option<&Concept> {
        self.concepts.get(self.position(code)?)
    }

    /// The concept that another one is nested below.
    #[must_use]
    pub fn parent(&self, concept: &Concept) -> Option<&Concept> {
        self.concepts.get(usize::from(concept.parent))
    }

    /// Parents and children beside those that are nested.
    #[must_use]
    pub fn further(&self) -> &[(&'static str, &'static str)] {
        &self.further
    }

    /// The codes that should not be used any more.
    #[must_use]
    pub fn retired(&self) -> &[&'static str] {
        &self.retired
    }

    /// Is the code the same as, or below, the other one?
    #[must_use]
    pub fn is_a(&self, code: &str, ancestor: &str) -> bool {
        self.is_below(code, ancestor, LEVELS_MAX)
    }

    fn is_below(&self, code: &str, ancestor: &str, levels: usize) -> bool {
        if code == ancestor {
            return true;
        }
        let Some(levels) = levels.checked_sub(1) else {
            return false;
        };
        let nested = self.concept(code).and_then(|concept| self.parent(concept));
        nested.is_some_and(|parent| self.is_below(parent.code, ancestor, levels))
            || self
                .further
                .iter()
                .filter(|(_, child)| *child == code)
                .any(|(parent, _)| self.is_below(parent, ancestor, levels))
    }

    fn position(&self, code: &str) -> Option<usize> {
        self.by_code
            .get_or_init(|| Index::new(self.concepts.iter().map(|concept| concept.code)))
            .find(code, |at| {
                self.concepts.get(at).is_some_and(|c| c.code == code)
            })
    }
}

/// The deepest hierarchy of R4 has a dozen levels.
const LEVELS_MAX: usize = 32;

pub(super) struct CodeSystems {
    systems: Vec<CodeSystem>,
    by_url: Index,
}

impl CodeSystems {
    /// Reads `codes.tsv`.
    pub(super) fn read(table: &'static str) -> CodeSystems {
        let mut systems: Vec<CodeSystem> = Vec::with_capacity(1100);
        let mut nesting: Vec<u16> = Vec::new();
        for line in table.lines().filter(|line| !line.starts_with("# ")) {
            if let Some(further) = line.strip_prefix("^\t") {
                let mut codes = further.split('\t');
                if let (Some(parent), Some(system)) = (codes.next(), systems.last_mut()) {
                    system.further.extend(codes.map(|child| (parent, child)));
                }
            } else if let Some(retired) = line.strip_prefix("!\t") {
                if let Some(system) = systems.last_mut() {
                    system.retired.extend(retired.split('\t'));
                }
            } else if line.starts_with('\t') {
                if let Some(system) = systems.last_mut() {
                    concept(system, &mut nesting, line);
                }
            } else {
                systems.push(one(line));
            }
        }
        CodeSystems {
            by_url: Index::new(systems.iter().map(|system| system.url)),
            systems,
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &CodeSystem> {
        self.systems.iter()
    }

    pub(super) fn get(&self, url: &str) -> Option<&CodeSystem> {
        let is = |at: usize| self.systems.get(at).is_some_and(|s| s.url == url);
        self.systems.get(self.by_url.find(url, is)?)
    }
}

fn one(line: &'static str) -> CodeSystem {
    let mut columns = line.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    CodeSystem {
        url: next(),
        content: match next() {
            "complete" => Content::Complete,
            _ => Content::Partial,
        },
        case_sensitive: match next() {
            "=" => Some(true),
            "~" => Some(false),
            _ => None,
        },
        version: next(),
        concepts: Vec::new(),
        retired: Vec::new(),
        further: Vec::new(),
        by_code: OnceLock::new(),
    }
}

/// Adds a concept; `nesting` holds the places of the concepts it may be below.
fn concept(system: &mut CodeSystem, nesting: &mut Vec<u16>, line: &'static str) {
    let text = line.trim_start_matches('\t');
    let level = line.len() - text.len() - 1;
    nesting.truncate(level);
    let (code, display) = text.split_once('\t').unwrap_or((text, ""));
    let parent = match level {
        0 => NO_PARENT,
        _ => nesting.last().copied().unwrap_or(NO_PARENT),
    };
    nesting.push(u16::try_from(system.concepts.len()).unwrap_or(NO_PARENT));
    system.concepts.push(Concept {
        code,
        display,
        parent,
    });
}
