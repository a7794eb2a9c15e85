//! Filters on the concepts of a code system
//! (<https://hl7.org/fhir/R4/valueset-filter-operator.html>).

use regex_lite::{Regex, RegexBuilder};
use salus_fhir::definitions;
use salus_fhir::json::Node;

use crate::Error;
use crate::code_system::{CodeSystem, Concept, Direction};
use crate::read::text;

/// A pattern that compiles to more bytes than this is refused; matching is
/// linear in the length of the text.
const PATTERN_BYTES_MAX: usize = 1 << 18;

/// A filter as it was written.
pub(crate) struct Filter {
    property: Box<str>,
    operator: Box<str>,
    value: Box<str>,
}
salus_phi::guard!(Filter);

impl Filter {
    pub(crate) fn read(node: Node<'_>) -> Result<Self, Error> {
        let member = |key| Some(text(node, key)?.into());
        let (Some(property), Some(operator), Some(value)) =
            (member("property"), member("op"), member("value"))
        else {
            return Err(Error::Unsupported("a filter without property, op or value"));
        };
        Ok(Self {
            property,
            operator,
            value,
        })
    }

    pub(crate) fn defined(filter: &definitions::Filter) -> Self {
        Self {
            property: filter.property.into(),
            operator: filter.operator.into(),
            value: filter.value.into(),
        }
    }

    /// Leaves the places of concepts that pass.
    pub(crate) fn retain(&self, system: &CodeSystem, places: &mut Vec<u32>) -> Result<(), Error> {
        let is_code = matches!(&*self.property, "concept" | "code");
        match &*self.operator {
            "is-a" | "descendent-of" | "is-not-a" | "generalizes" => {
                if !is_code {
                    return Err(Error::Unsupported(
                        "a filter on the hierarchy by another property than concept or code",
                    ));
                }
                self.by_hierarchy(system, places)
            }
            "=" => self.by_values(system, places, |value| *value == *self.value),
            "in" => {
                let wanted: Vec<&str> = self.value.split(',').map(str::trim).collect();
                self.by_values(system, places, |value| wanted.contains(&value))
            }
            "not-in" => {
                let wanted: Vec<&str> = self.value.split(',').map(str::trim).collect();
                let mut found = places.clone();
                self.by_values(system, &mut found, |value| wanted.contains(&value))?;
                places.retain(|place| found.binary_search(place).is_err());
                Ok(())
            }
            "regex" => {
                let pattern = pattern(&self.value)?;
                self.by_values(system, places, |value| pattern.is_match(value))
            }
            "exists" => {
                let wanted = match &*self.value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(Error::Unsupported("a filter exists without true or false")),
                };
                let mut found = places.clone();
                self.by_values(system, &mut found, |_| true)?;
                places.retain(|place| found.binary_search(place).is_ok() == wanted);
                Ok(())
            }
            _ => Err(Error::Unsupported(
                "a filter with an operator that is not known",
            )),
        }
    }

    fn by_hierarchy(&self, system: &CodeSystem, places: &mut Vec<u32>) -> Result<(), Error> {
        let is_negated = &*self.operator == "is-not-a";
        let Some(start) = system.place(&self.value) else {
            // Nothing is below, or above, what is not there.
            if !is_negated {
                places.clear();
            }
            return Ok(());
        };
        let direction = match &*self.operator {
            "generalizes" => Direction::Above,
            _ => Direction::Below,
        };
        let mut reached = system.closure(start, direction);
        reached.sort_unstable();
        let itself = &*self.operator != "descendent-of";
        places.retain(|place| {
            let is_in = reached.binary_search(place).is_ok() && (itself || *place != start);
            is_in != is_negated
        });
        Ok(())
    }

    /// Leaves the concepts of which a value of the property passes.
    fn by_values(
        &self,
        system: &CodeSystem,
        places: &mut Vec<u32>,
        passes: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let concepts = system.concepts();
        let of = |place: u32| concepts.get(place as usize);
        places.retain(|place| {
            of(*place).is_some_and(|concept| match &*self.property {
                "concept" | "code" => passes(&concept.code),
                "display" => !concept.display.is_empty() && passes(&concept.display),
                "parent" => any_code(system, *place, Direction::Above, &passes),
                "child" => any_code(system, *place, Direction::Below, &passes),
                "inactive" => passes(if concept.is_inactive { "true" } else { "false" }),
                property => concept.values(property).any(&passes),
            })
        });
        Ok(())
    }
}

fn any_code(
    system: &CodeSystem,
    place: u32,
    direction: Direction,
    passes: impl Fn(&str) -> bool,
) -> bool {
    let concepts = system.concepts();
    let next = system.next(place, direction).iter();
    let mut next = next.filter_map(|place| concepts.get(*place as usize));
    next.any(|concept: &Concept| passes(&concept.code))
}

/// The pattern has to match all of a value.
fn pattern(text: &str) -> Result<Regex, Error> {
    let whole = format!("^(?:{text})$");
    let mut builder = RegexBuilder::new(&whole);
    builder.size_limit(PATTERN_BYTES_MAX);
    let built = builder.build();
    built.map_err(|_| Error::Unsupported("a pattern that is too large or not understood"))
}
