//! Which search parameters tell of elements: by their FHIRPath, before any
//! data. What cannot be made out reads everything.

use super::{Hidden, Path, Paths};
use crate::definitions::{self, SearchKind, SearchParameter};
use crate::issue::{Issue, IssueType};
use crate::search::Parameters;
use crate::search::path::{self, Step};

impl Hidden {
    /// Refuses a search parameter of a type that tells of something hidden.
    /// Whatever finds, orders, counts, follows or filters resources by a
    /// parameter asks here first; the refusal depends on no data.
    ///
    /// # Errors
    /// That it is barred, at this location of the request.
    pub fn check(
        &self,
        ty: &str,
        parameter: &SearchParameter,
        location: impl FnOnce() -> String,
    ) -> Result<(), Issue> {
        match self.is_read_by(ty, parameter) {
            false => Ok(()),
            true => Err(barred(location(), format!("{} of {ty}", parameter.code))),
        }
    }

    /// The same of all references of a type, or of any.
    ///
    /// # Errors
    /// That one of them is barred.
    pub fn check_references(
        &self,
        known: &Parameters,
        ty: Option<&str>,
        location: impl Fn() -> String,
    ) -> Result<(), Issue> {
        for own in self.types().filter(|own| ty.is_none_or(|ty| ty == *own)) {
            let all = known.of(own).filter(|it| it.kind == SearchKind::Reference);
            for parameter in all {
                self.check(own, parameter, &location)?;
            }
        }
        Ok(())
    }

    /// Refuses what would look at everything in resources, while something is hidden.
    ///
    /// # Errors
    /// That it is barred.
    pub fn check_all(&self, location: impl FnOnce() -> String) -> Result<(), Issue> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(barred(location(), "that".to_owned())),
        }
    }

    /// Whether a search parameter of a type tells of something hidden.
    #[must_use]
    pub fn is_read_by(&self, ty: &str, parameter: &SearchParameter) -> bool {
        let paths = self.on(ty);
        !paths.is_empty() && paths.are_read_by(ty, parameter)
    }
}

impl Paths {
    /// Whether a search parameter of a type reads some of these elements, all
    /// of one around them, or a part of one.
    fn are_read_by(&self, ty: &str, parameter: &SearchParameter) -> bool {
        if parameter.expression.is_empty() {
            // Words of the whole resource, or what we do not know.
            return true;
        }
        parts(parameter.expression).any(|part| {
            if is_of_another_type(part, ty) {
                return false;
            }
            let Some(found) = path::paths(part) else {
                return true;
            };
            found.iter().any(|base| {
                if parameter.components.is_empty() {
                    return self.overlap(&base.steps);
                }
                parameter.components.iter().any(|component| {
                    let Some(found) = path::paths(component.expression) else {
                        return true;
                    };
                    found.iter().any(|below| {
                        let steps = [&base.steps[..], &below.steps[..]].concat();
                        self.overlap(&steps)
                    })
                })
            })
        })
    }

    /// Whether what is on this way, and what its conditions look at, is among these.
    fn overlap(&self, read: &[Step<'_>]) -> bool {
        let looked_at = read.iter().enumerate().filter_map(|(at, step)| {
            let (member, _) = step.guard?;
            let mut way = names(read.get(..=at)?);
            way.push(member);
            Some(way)
        });
        looked_at.chain([names(read)]).any(|way| self.meet(&way))
    }

    fn meet(&self, way: &[&str]) -> bool {
        let is_met = |path: &Path| {
            let mut pairs = path.steps().iter().zip(way);
            pairs.all(|(own, name)| own.name == *name)
        };
        self.iter().any(is_met)
    }
}

fn barred(location: String, what: String) -> Issue {
    let details = format!("{what} tells of elements that are hidden from you");
    Issue::error(IssueType::Forbidden, location, details)
}

fn names<'e>(steps: &[Step<'e>]) -> Vec<&'e str> {
    steps.iter().map(|step| step.name).collect()
}

/// The alternatives of an expression.
fn parts(expression: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut quoted) = (0_usize, false);
    expression
        .split(move |c| {
            match c {
                '\'' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == '|' && !quoted && depth == 0
        })
        .map(str::trim)
}

/// Whether an alternative begins with a type of resource that others are.
fn is_of_another_type(part: &str, ty: &str) -> bool {
    let begins = part.trim_start_matches('(').trim_start();
    let end = begins.find(|c: char| !c.is_ascii_alphanumeric());
    let (name, _) = begins.split_at(end.unwrap_or(begins.len()));
    let is_base = matches!(name, "Resource" | "DomainResource");
    name != ty && !is_base && definitions::r4().resource_named(name).is_some()
}
