//! Value sets: what they are composed of
//! (<https://hl7.org/fhir/R4/valueset.html>).

use salus_fhir::definitions;
use salus_fhir::json::Node;

use crate::Error;
use crate::filter::Filter;
use crate::library::defined_set;
use crate::read::{is_a, items, owned, some, text};

/// More parts than these are not read.
const PARTS_MAX: usize = 1_000;
/// More listed codes than these are not read.
const LISTED_MAX: usize = 200_000;

/// Systems and codes.
type Listed = Vec<(Box<str>, Box<str>)>;

/// A value set, not yet expanded.
pub struct ValueSet {
    url: Option<Box<str>>,
    version: Option<Box<str>>,
    /// Includes, then excludes; none when it says nothing of what it is composed of.
    pub(crate) parts: Vec<Part>,
    /// `false`: without the codes that are inactive.
    pub(crate) with_inactive: bool,
    /// An expansion that stands in the resource, if it is whole: systems and codes.
    pub(crate) expansion: Option<Listed>,
}
salus_phi::guard!(ValueSet);

/// An include or an exclude: all of it has to hold for a code.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) excludes: bool,
    pub(crate) system: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
    pub(crate) codes: Vec<Box<str>>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) sets: Vec<Box<str>>,
}
salus_phi::guard!(Part);

impl ValueSet {
    /// Reads a ValueSet resource.
    ///
    /// # Errors
    /// When it is none, is too large, or has filters that are not understood.
    pub fn read(resource: Node<'_>) -> Result<Self, Error> {
        if !is_a(resource, "ValueSet") {
            return Err(Error::NotA("ValueSet"));
        }
        let mut set = Self {
            url: owned(resource, "url"),
            version: owned(resource, "version"),
            parts: Vec::new(),
            with_inactive: true,
            expansion: None,
        };
        if let Some(compose) = resource.get("compose") {
            set.with_inactive = compose.get("inactive").and_then(Node::bool) != Some(false);
            let mut listed = 0;
            for (member, excludes) in [("include", false), ("exclude", true)] {
                for node in items(compose, member) {
                    let part = part(node, excludes)?;
                    listed += part.codes.len();
                    set.parts.push(part);
                    if set.parts.len() > PARTS_MAX || listed > LISTED_MAX {
                        return Err(Error::TooManyCodes(LISTED_MAX));
                    }
                }
            }
        }
        if let Some(expansion) = resource.get("expansion") {
            set.expansion = whole_expansion(expansion)?;
        }
        Ok(set)
    }

    /// The value set of the definitions under a canonical URL, if they have the
    /// version that it asks for.
    #[must_use]
    pub fn defined(canonical: &str) -> Option<Self> {
        defined_set(canonical).map(Self::of_definitions)
    }

    fn of_definitions(set: definitions::ValueSet<'_>) -> Self {
        let parts = set.parts().iter().map(|part| Part {
            excludes: part.excludes,
            system: some(part.system),
            version: None,
            codes: part.codes.iter().map(|code| (*code).into()).collect(),
            filters: part.filters.iter().map(Filter::defined).collect(),
            sets: part.sets.iter().map(|url| (*url).into()).collect(),
        });
        Self {
            url: Some(set.url().into()),
            version: some(set.version()),
            parts: parts.collect(),
            with_inactive: true,
            expansion: None,
        }
    }

    /// Its canonical URL.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Its business version.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The code systems whose concepts have to be known to expand it:
    /// canonical URLs, with a version if it asks for one.
    pub fn needs(&self) -> impl Iterator<Item = String> {
        let lists = |part: &&Part| part.codes.is_empty() || !self.with_inactive;
        self.parts.iter().filter(lists).filter_map(Part::canonical)
    }

    /// The value sets that it is composed of, by canonical URL.
    pub fn builds_on(&self) -> impl Iterator<Item = &str> {
        let sets = self.parts.iter().flat_map(|part| &part.sets);
        sets.map(|canonical| &**canonical)
    }
}

impl Part {
    /// The canonical URL of its code system, with the version asked for.
    pub(crate) fn canonical(&self) -> Option<String> {
        let system = self.system.as_ref()?;
        Some(match &self.version {
            Some(version) => format!("{system}|{version}"),
            None => system.to_string(),
        })
    }
}

fn part(node: Node<'_>, excludes: bool) -> Result<Part, Error> {
    let filters = items(node, "filter").map(Filter::read);
    let sets = items(node, "valueSet").filter_map(Node::str);
    let codes = items(node, "concept").filter_map(|concept| owned(concept, "code"));
    let part = Part {
        excludes,
        system: owned(node, "system"),
        version: owned(node, "version").filter(|version| **version != *"*"),
        codes: codes.collect(),
        filters: filters.collect::<Result<_, _>>()?,
        sets: sets.map(|canonical| canonical.into()).collect(),
    };
    if part.system.is_none() && (!part.codes.is_empty() || !part.filters.is_empty()) {
        return Err(Error::Unsupported("codes or filters without a code system"));
    }
    if !part.codes.is_empty() && !part.filters.is_empty() {
        return Err(Error::Unsupported("a part with both codes and filters"));
    }
    Ok(part)
}

/// The codes of an expansion; nothing if it is only a page, or has no end.
fn whole_expansion(node: Node<'_>) -> Result<Option<Listed>, Error> {
    let mut codes = Vec::new();
    let mut contains = 0;
    let mut within = vec![node];
    while let Some(node) = within.pop() {
        for entry in items(node, "contains") {
            contains += 1;
            if contains > LISTED_MAX {
                return Err(Error::TooManyCodes(LISTED_MAX));
            }
            within.push(entry);
            let is_abstract = entry.get("abstract").and_then(Node::bool) == Some(true);
            if let (Some(system), Some(code), false) =
                (owned(entry, "system"), owned(entry, "code"), is_abstract)
            {
                codes.push((system, code));
            }
        }
    }
    let number = |key| node.get(key)?.number()?.parse::<usize>().ok();
    let is_page = number("offset").is_some_and(|offset| offset > 0)
        || number("total").is_some_and(|total| total > contains)
        || items(node, "extension").any(|it| text(it, "url").is_some_and(|url| is_unclosed(&url)));
    Ok((!is_page).then_some(codes))
}

fn is_unclosed(url: &str) -> bool {
    url == "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
}
