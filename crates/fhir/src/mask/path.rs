//! The path of an element as policies write it.

use crate::definitions::{self, Definitions, Parent};

/// Bytes of a path at most.
const BYTES_MAX: usize = 300;
/// Steps of a path at most.
const STEPS_MAX: usize = 10;

/// The way to elements of a type of resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    ty: &'static str,
    steps: Vec<Step>,
}

/// One element on the way.
// No PHI: names of elements, of policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Step {
    /// Its name in FHIRPath: `value` for a choice of types.
    pub(super) name: &'static str,
    /// Only those whose member of this name has this text.
    pub(super) guard: Option<(Box<str>, Box<str>)>,
}

impl Path {
    /// Reads `Type.element.element`, of which any element may be followed by
    /// `.where(member='text')`.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence about it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "must be Type.element, with .where(member='text') behind an element perhaps";
        if text.len() > BYTES_MAX {
            return Err("must have 300 bytes at most");
        }
        let (ty, mut rest) = text.split_once('.').ok_or(FORM)?;
        let definitions = definitions::r4();
        let id = definitions
            .resource_named(ty)
            .ok_or("names no type of resource")?;
        let mut path = Self {
            ty: definitions.ty(id).name,
            steps: Vec::new(),
        };
        let mut parents = vec![Parent::Type(id)];
        loop {
            if let Some(condition) = rest.strip_prefix("where(") {
                let step = path.steps.last_mut().filter(|step| step.guard.is_none());
                let (guard, behind) = guard(condition).ok_or(FORM)?;
                step.ok_or(FORM)?.guard = Some(guard);
                match behind.strip_prefix('.') {
                    Some(behind) => rest = behind,
                    None if behind.is_empty() => break,
                    None => return Err(FORM),
                }
                continue;
            }
            let (name, behind) = rest.split_once('.').unwrap_or((rest, ""));
            let has_more = name.len() < rest.len();
            let (name, below) = element(definitions, &parents, name)?;
            path.steps.push(Step { name, guard: None });
            parents = below;
            if path.steps.len() > STEPS_MAX {
                return Err("must have ten elements at most");
            }
            if !has_more {
                break;
            }
            rest = behind;
        }
        path.check()?;
        Ok(path)
    }

    /// The type of resource.
    #[must_use]
    pub fn ty(&self) -> &'static str {
        self.ty
    }

    /// The first element.
    #[must_use]
    pub fn element(&self) -> &'static str {
        self.steps.first().map_or("", |step| step.name)
    }

    /// Whether it is just an element of the resource itself, and all of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(&*self.steps, [step] if step.guard.is_none())
    }

    /// Whether some step has a condition.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.steps.iter().any(|step| step.guard.is_some())
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether all that another names lies within what this one does.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let mut pairs = self.steps.iter().zip(&other.steps);
        self.ty == other.ty
            && self.steps.len() <= other.steps.len()
            && pairs.all(|(own, other)| {
                own.name == other.name && (own.guard.is_none() || own.guard == other.guard)
            })
    }

    /// Adds what both name; both of them where that is no path.
    pub(super) fn meet(&self, other: &Self, both: &mut Vec<Self>) {
        let (long, short) = match self.steps.len() >= other.steps.len() {
            true => (self, other),
            false => (other, self),
        };
        let mut path = long.clone();
        for (step, other) in path.steps.iter_mut().zip(&short.steps) {
            if step.name != other.name {
                return;
            }
            match (&step.guard, &other.guard) {
                (_, None) => {}
                (None, Some(_)) => step.guard.clone_from(&other.guard),
                (Some(own), Some(other)) if own == other => {}
                // One member has one text.
                (Some((own, _)), Some((other, _))) if own == other => return,
                (Some(_), Some(_)) => {
                    both.extend([self.clone(), other_of(self, long, short)]);
                    return;
                }
            }
        }
        both.push(path);
    }

    fn check(&self) -> Result<(), &'static str> {
        match self.element() {
            "id" | "meta" | "implicitRules" => {
                Err("names id, meta or implicitRules, which are there for everyone")
            }
            _ if matches!(self.ty, "AuditEvent" | "Binary") => {
                Err("names an element of AuditEvent or Binary, which are shown whole or not at all")
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.ty)?;
        for step in &self.steps {
            write!(f, ".{}", step.name)?;
            if let Some((member, text)) = &step.guard {
                write!(f, ".where({member}='{text}')")?;
            }
        }
        Ok(())
    }
}

/// Of two paths the one that is not this.
fn other_of(this: &Path, long: &Path, short: &Path) -> Path {
    match std::ptr::eq(this, long) {
        true => short.clone(),
        false => long.clone(),
    }
}

/// An element that some of these have, and what it has itself.
fn element(
    definitions: &'static Definitions,
    parents: &[Parent],
    name: &str,
) -> Result<(&'static str, Vec<Parent>), &'static str> {
    let name = name.strip_suffix("[x]").unwrap_or(name);
    let (mut known, mut below) = (None, Vec::new());
    for parent in parents {
        for key in definitions.named(*parent, name) {
            known = Some(definitions.element(key.element).name);
            below.extend(
                definitions
                    .child(*parent, key.json)
                    .map(|child| child.parent),
            );
        }
    }
    below.sort_by_key(|parent| format!("{parent:?}"));
    below.dedup();
    Ok((known.ok_or("names no element of the type")?, below))
}

type Guard = (Box<str>, Box<str>);

/// `member='text')` and what stands behind it.
fn guard(text: &str) -> Option<(Guard, &str)> {
    let (member, rest) = text.split_once('=')?;
    let member = member.trim();
    let plain = !member.is_empty() && member.bytes().all(|b| b.is_ascii_alphanumeric());
    let (value, rest) = rest.trim_start().strip_prefix('\'')?.split_once('\'')?;
    let behind = rest.trim_start().strip_prefix(')')?;
    let is_text = !value.is_empty() && !value.contains(['\\', '"']);
    (plain && is_text).then(|| ((member.into(), value.into()), behind))
}
