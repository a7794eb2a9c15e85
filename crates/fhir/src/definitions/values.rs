//! Value sets (<https://hl7.org/fhir/R4/valueset.html>): which codes are in.
//!
//! A set is expanded when it is first asked for. What the definitions alone
//! cannot enumerate (all MIME types, all of UCUM, filters on systems that are
//! not published here) makes the answer "cannot decide", never a guess.

use std::sync::OnceLock;

use super::codes::{CodeSystem, CodeSystems, Content};
use super::index::{ENTRIES_MAX, Index};

/// A value set of the definitions, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueSetId(u16);

/// A value set.
#[derive(Clone, Copy)]
pub struct ValueSet<'d> {
    values: &'d ValueSets,
    codes: &'d CodeSystems,
    id: ValueSetId,
}

impl<'d> ValueSet<'d> {
    pub(super) fn new(
        values: &'d ValueSets,
        codes: &'d CodeSystems,
        id: ValueSetId,
    ) -> ValueSet<'d> {
        ValueSet { values, codes, id }
    }

    /// Its canonical URL.
    #[must_use]
    pub fn url(self) -> &'static str {
        self.values.definition(self.id).map_or("", |set| set.url)
    }

    /// Its business version; empty when it has none.
    #[must_use]
    pub fn version(self) -> &'static str {
        let definition = self.values.definition(self.id);
        definition.map_or("", |set| set.version)
    }

    /// What it is composed of, excluded parts last.
    #[must_use]
    pub fn parts(self) -> &'d [Part] {
        let definition = self.values.definition(self.id);
        definition.map_or(&[], |set| &set.parts)
    }

    /// Is the code in? Without a system a code of any system counts, as for
    /// elements of type code. `None`: the definitions alone cannot decide.
    #[must_use]
    pub fn contains(self, system: Option<&str>, code: &str) -> Option<bool> {
        let expansion = self.values.expansion(self.codes, self.id, 0)?;
        let listed = expansion.contains(system, code);
        (listed || expansion.complete).then_some(listed)
    }

    /// All its codes with their systems, when the definitions can enumerate
    /// them.
    #[must_use]
    pub fn codes(self) -> Option<&'d [(&'static str, &'static str)]> {
        let expansion = self.values.expansion(self.codes, self.id, 0)?;
        expansion.complete.then_some(expansion.entries.as_slice())
    }
}

pub(super) struct ValueSets {
    sets: Vec<Definition>,
    by_url: Index,
}

struct Definition {
    url: &'static str,
    version: &'static str,
    parts: Vec<Part>,
    expansion: OnceLock<Expansion>,
}

/// An include or an exclude.
#[derive(Default)]
pub struct Part {
    /// Is it an exclude?
    pub excludes: bool,
    /// The code system; empty when it has none.
    pub system: &'static str,
    /// Only these, if there are any.
    pub codes: Vec<&'static str>,
    /// Only what passes all of them.
    pub filters: Vec<Filter>,
    /// Only what is in all of these value sets, by canonical URL.
    pub sets: Vec<&'static str>,
}

/// A filter of a part: <https://hl7.org/fhir/R4/valueset-filter-operator.html>.
pub struct Filter {
    /// The property of a concept.
    pub property: &'static str,
    /// Such as `is-a`.
    pub operator: &'static str,
    /// What the property is compared with.
    pub value: &'static str,
}

struct Expansion {
    /// Are these all?
    complete: bool,
    /// System and code.
    entries: Vec<(&'static str, &'static str)>,
    by_code: Index,
}

impl Expansion {
    fn new(complete: bool, entries: Vec<(&'static str, &'static str)>) -> Expansion {
        Expansion {
            complete: complete && entries.len() < ENTRIES_MAX,
            by_code: Index::new(entries.iter().map(|(_, code)| *code)),
            entries,
        }
    }

    fn contains(&self, system: Option<&str>, code: &str) -> bool {
        let is = |at: usize| {
            self.entries
                .get(at)
                .is_some_and(|(s, c)| *c == code && system.is_none_or(|system| system == *s))
        };
        self.by_code.find(code, is).is_some()
    }
}

/// Value sets that build on each other deeper than this are not expanded.
const DEPTH_MAX: usize = 16;

impl ValueSets {
    /// Reads `values.tsv`.
    pub(super) fn read(table: &'static str) -> ValueSets {
        let mut sets: Vec<Definition> = Vec::with_capacity(1400);
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            if let Some(line) = line.strip_prefix("\t\t") {
                let part = sets.last_mut().and_then(|set| set.parts.last_mut());
                if let Some(part) = part {
                    detail(part, line);
                }
            } else if let Some(line) = line.strip_prefix('\t') {
                let (sign, system) = line.split_once('\t').unwrap_or((line, ""));
                if let Some(set) = sets.last_mut() {
                    set.parts.push(Part {
                        excludes: sign == "-",
                        system,
                        ..Part::default()
                    });
                }
            } else {
                let (url, version) = line.split_once('\t').unwrap_or((line, ""));
                sets.push(Definition {
                    url,
                    version,
                    parts: Vec::new(),
                    expansion: OnceLock::new(),
                });
            }
        }
        ValueSets {
            by_url: Index::new(sets.iter().map(|set| set.url)),
            sets,
        }
    }

    pub(super) fn named(&self, canonical: &str) -> Option<ValueSetId> {
        let url = canonical.split('|').next().unwrap_or(canonical);
        let is = |at: usize| self.sets.get(at).is_some_and(|set| set.url == url);
        let found = self.by_url.find(url, is)?;
        u16::try_from(found).ok().map(ValueSetId)
    }

    fn definition(&self, id: ValueSetId) -> Option<&Definition> {
        self.sets.get(usize::from(id.0))
    }

    /// The expansion of a set; `None` when it builds on itself.
    fn expansion(&self, codes: &CodeSystems, id: ValueSetId, depth: usize) -> Option<&Expansion> {
        let set = self.definition(id)?;
        if depth > DEPTH_MAX {
            return None;
        }
        if let Some(expansion) = set.expansion.get() {
            return Some(expansion);
        }
        // Not inside get_or_init, which must not be entered again from within.
        let expansion = self.expand(codes, set, depth + 1);
        Some(set.expansion.get_or_init(|| expansion))
    }

    fn expand(&self, codes: &CodeSystems, set: &Definition, depth: usize) -> Expansion {
        let (mut complete, mut entries) = (true, Vec::new());
        for part in set.parts.iter().filter(|part| !part.excludes) {
            let (all, mut codes) = self.part(codes, part, depth);
            complete &= all;
            entries.append(&mut codes);
        }
        for part in set.parts.iter().filter(|part| part.excludes) {
            let (all, codes) = self.part(codes, part, depth);
            if !all {
                // Any code might be excluded.
                return Expansion::new(false, Vec::new());
            }
            entries.retain(|entry| !codes.contains(entry));
        }
        Expansion::new(complete, entries)
    }

    /// The codes of a part, and whether these are all.
    fn part(
        &self,
        codes: &CodeSystems,
        part: &Part,
        depth: usize,
    ) -> (bool, Vec<(&'static str, &'static str)>) {
        let mut result = match part.system {
            "" => None,
            system => Some(of_system(codes.get(system), part)),
        };
        for url in &part.sets {
            let other = self
                .named(url)
                .and_then(|id| self.expansion(codes, id, depth));
            let (all, entries) = match other {
                Some(other) => (other.complete, other.entries.clone()),
                None => (false, Vec::new()),
            };
            result = Some(match result {
                None => (all, entries),
                Some((also, mut kept)) => {
                    kept.retain(|entry| entries.contains(entry));
                    (all && also, kept)
                }
            });
        }
        result.unwrap_or((true, Vec::new()))
    }
}

fn of_system(
    system: Option<&CodeSystem>,
    part: &Part,
) -> (bool, Vec<(&'static str, &'static str)>) {
    if !part.codes.is_empty() {
        let listed = part.codes.iter().map(|code| (part.system, *code));
        return (part.filters.is_empty(), listed.collect());
    }
    let Some(system) = system else {
        return (false, Vec::new());
    };
    let mut complete = system.content == Content::Complete;
    let mut entries = Vec::new();
    for concept in system.concepts() {
        let passes: Vec<Option<bool>> = part
            .filters
            .iter()
            .map(|filter| filter.passes(system, concept.code))
            .collect();
        complete &= !passes.contains(&None);
        if passes.iter().all(|passes| *passes == Some(true)) {
            entries.push((part.system, concept.code));
        }
    }
    (complete, entries)
}

impl Filter {
    /// `None`: only a terminology server knows.
    fn passes(&self, system: &CodeSystem, code: &str) -> Option<bool> {
        match (self.property, self.operator) {
            ("concept", "is-a") => Some(system.is_a(code, self.value)),
            ("concept", "is-not-a") => Some(!system.is_a(code, self.value)),
            ("concept", "descendent-of") => {
                Some(code != self.value && system.is_a(code, self.value))
            }
            _ => None,
        }
    }
}

fn detail(part: &mut Part, line: &'static str) {
    let mut columns = line.split('\t');
    let sign = columns.next();
    let mut next = || columns.next().unwrap_or_default();
    match sign {
        Some("=") => part.codes = columns.collect(),
        Some("?") => part.filters.push(Filter {
            property: next(),
            operator: next(),
            value: next(),
        }),
        Some("@") => part.sets.push(next()),
        _ => {}
    }
}
