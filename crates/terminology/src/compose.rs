//! Expanding value sets (<https://hl7.org/fhir/R4/valueset.html#expansion>).
//!
//! All of one part has to hold for a code; of the parts that are included one,
//! and none of those that are excluded.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::code_system::{CodeSystem, Content};
use crate::library::{CODES_MAX, Library};
use crate::value_set::Part;
use crate::{Error, Members, ValueSet};

/// Value sets that build on each other deeper than this are not expanded.
const DEPTH_MAX: usize = 16;

/// An expansion under way.
pub(crate) struct Expanding<'l> {
    library: &'l Library,
    /// What is being expanded, one for the other.
    within: Vec<*const ValueSet>,
    done: HashMap<*const ValueSet, Rc<Members>>,
}

impl<'l> Expanding<'l> {
    pub(crate) fn in_library(library: &'l Library) -> Self {
        Self {
            library,
            within: Vec::new(),
            done: HashMap::new(),
        }
    }

    /// The codes of a value set; where they cannot be found out, those of the
    /// expansion that it brings.
    pub(crate) fn expand(&mut self, set: &ValueSet) -> Result<Members, Error> {
        let composed = match set.parts.is_empty() {
            true => Err(Error::Unsupported("neither parts nor an expansion")),
            false => self.composed(set),
        };
        match (composed, &set.expansion) {
            (Err(error), Some(expansion)) if error.is_absence() || set.parts.is_empty() => {
                listed(expansion)
            }
            (composed, _) => composed,
        }
    }

    fn composed(&mut self, set: &ValueSet) -> Result<Members, Error> {
        let place = std::ptr::from_ref(set);
        if self.within.contains(&place) {
            return Err(Error::Circular);
        }
        if self.within.len() >= DEPTH_MAX {
            return Err(Error::TooManySets);
        }
        self.within.push(place);
        let members = self.of_parts(set);
        self.within.pop();
        members
    }

    fn of_parts(&mut self, set: &ValueSet) -> Result<Members, Error> {
        let mut members = Members::default();
        for part in set.parts.iter().filter(|part| !part.excludes) {
            members = bounded(members.or(self.part(set, part)?))?;
        }
        for part in set.parts.iter().filter(|part| part.excludes) {
            members = members.without(&self.part(set, part)?)?;
        }
        Ok(members)
    }

    fn part(&mut self, set: &ValueSet, part: &Part) -> Result<Members, Error> {
        let mut members = match &part.system {
            Some(system) => Some(self.of_system(set, part, system)?),
            None => None,
        };
        for canonical in &part.sets {
            let other = self.other(canonical)?;
            members = Some(match members {
                None => (*other).clone(),
                Some(members) => members.and(&other),
            });
        }
        bounded(members.unwrap_or_default())
    }

    /// What another value set has.
    fn other(&mut self, canonical: &str) -> Result<Rc<Members>, Error> {
        let set = self.library.set(canonical).ok_or(Error::UnknownPart)?;
        let place = std::ptr::from_ref(set);
        if let Some(done) = self.done.get(&place) {
            return Ok(Rc::clone(done));
        }
        let members = Rc::new(self.expand(set)?);
        self.done.insert(place, Rc::clone(&members));
        Ok(members)
    }

    fn of_system(&self, set: &ValueSet, part: &Part, name: &str) -> Result<Members, Error> {
        let canonical = part.canonical().unwrap_or_default();
        let system = self.library.system(&canonical);
        let url: Arc<str> = name.into();
        let is_active = |code: &str| {
            let concept = system.and_then(|system| system.concept(code));
            set.with_inactive || concept.is_none_or(|concept| !concept.is_inactive)
        };
        if !part.codes.is_empty() {
            let codes = part.codes.iter().filter(|code| is_active(code));
            let codes = codes.map(|code| (Arc::clone(&url), code.clone()));
            return Ok(Members::of(codes.collect()));
        }
        let whole = system.filter(|system| system.content() == Content::Complete);
        let Some(whole) = whole else {
            return match part.filters.is_empty() && set.with_inactive {
                true => Ok(Members::system(name)),
                false => Err(Error::UnknownSystemOfPart),
            };
        };
        let mut codes = Vec::new();
        for code in selected(whole, part)? {
            if is_active(code) {
                codes.push((Arc::clone(&url), code.into()));
            }
        }
        if codes.len() > CODES_MAX && part.filters.is_empty() && set.with_inactive {
            // It need not be listed: a code of it is in.
            return Ok(Members::system(name));
        }
        bounded(Members::of(codes))
    }
}

/// The codes of a system that pass the filters.
fn selected<'s>(
    system: &'s CodeSystem,
    part: &Part,
) -> Result<impl Iterator<Item = &'s str>, Error> {
    let mut places: Vec<u32> = (0..system.len() as u32).collect();
    for filter in &part.filters {
        filter.retain(system, &mut places)?;
    }
    let concepts = system.concepts();
    let of = move |place: u32| concepts.get(place as usize).map(|concept| &*concept.code);
    Ok(places.into_iter().filter_map(of))
}

fn listed(expansion: &[(Box<str>, Box<str>)]) -> Result<Members, Error> {
    let mut systems: HashMap<&str, Arc<str>> = HashMap::new();
    let codes = expansion.iter().map(|(system, code)| {
        let system = systems.entry(system).or_insert_with(|| (**system).into());
        (Arc::clone(system), code.clone())
    });
    bounded(Members::of(codes.collect()))
}

fn bounded(members: Members) -> Result<Members, Error> {
    match members.len() > CODES_MAX {
        true => Err(Error::TooManyCodes(CODES_MAX)),
        false => Ok(members),
    }
}
