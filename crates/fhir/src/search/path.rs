//! The shapes of FHIRPath that search parameters are made of.
//!
//! Nearly all of R4's expressions are paths with a choice of type or a simple
//! condition. Recognising them lets one walk over a resource find the values
//! of all its parameters; whatever is not recognised is left to the FHIRPath
//! engine, which gives the same answers more slowly.

/// One path of an expression, `Type.a.b`, without the type it begins with.
// No PHI: names of elements, of search parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path<'e> {
    /// The type that it begins with.
    pub(crate) root: &'e str,
    /// The way from there.
    pub(crate) steps: Vec<Step<'e>>,
    /// Only references to this type: `.where(resolve() is Patient)` at the end.
    pub(crate) target: Option<&'e str>,
}

/// One step of a path.
// No PHI: names of elements, of search parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step<'e> {
    /// The element.
    pub(crate) name: &'e str,
    /// Only values of this type: `as(Quantity)`.
    pub(crate) ty: Option<&'e str>,
    /// Only those with a member of this text: `.where(system='email')`.
    pub(crate) guard: Option<(&'e str, &'e str)>,
    /// Only the one at this place: `[0]`.
    pub(crate) index: Option<usize>,
}

/// The paths of an expression that is a union of them; `None` when any part
/// is something else.
pub(crate) fn paths(expression: &str) -> Option<Vec<Path<'_>>> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quoted) = (0, 0_usize, false);
    for (at, b) in expression.bytes().enumerate() {
        match b {
            b'\'' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.checked_sub(1)?,
            b'|' if !quoted && depth == 0 => {
                parts.push(path(expression.get(start..at)?.trim())?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(path(expression.get(start..)?.trim())?);
    Some(parts)
}

fn path(text: &str) -> Option<Path<'_>> {
    let Some(rest) = text.strip_prefix('(') else {
        return dotted(text);
    };
    let (inner, rest) = rest.split_once(')')?;
    let mut path = match inner.split_once(" as ") {
        Some((inner, ty)) => {
            let mut path = dotted(inner.trim())?;
            path.steps.last_mut()?.ty = Some(identifier(ty.trim())?);
            path
        }
        None => dotted(inner.trim())?,
    };
    if !rest.is_empty() {
        extend(&mut path, rest.strip_prefix('.')?)?;
    }
    Some(path)
}

fn dotted(text: &str) -> Option<Path<'_>> {
    let relative = text.starts_with(|c: char| c.is_ascii_lowercase());
    let (root, rest) = match text.split_once('.') {
        // `InsurancePlan` has a path that leaves out the type.
        _ if relative => ("Resource", Some(text)),
        Some((root, rest)) => (root, Some(rest)),
        None => (text, None),
    };
    let mut path = Path {
        root: identifier(root)?,
        steps: Vec::new(),
        target: None,
    };
    if let Some(rest) = rest {
        extend(&mut path, rest)?;
    }
    Some(path)
}

fn extend<'e>(path: &mut Path<'e>, mut rest: &'e str) -> Option<()> {
    loop {
        // A condition on the target is only understood at the very end.
        if path.target.is_some() {
            return None;
        }
        let end = step_end(rest);
        add(path, rest.get(..end)?)?;
        if end == rest.len() {
            return Some(());
        }
        rest = rest.get(end + 1..)?;
    }
}

/// Where the next `.` outside of parentheses stands, or the end.
fn step_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'.' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn add<'e>(path: &mut Path<'e>, step: &'e str) -> Option<()> {
    if let Some(ty) = argument(step, "as") {
        path.steps.last_mut()?.ty = Some(identifier(ty)?);
    } else if let Some(condition) = argument(step, "where") {
        condition_of(path, condition)?;
    } else {
        let (name, index) = match step.split_once('[') {
            Some((name, index)) => (name, Some(index.strip_suffix(']')?.parse().ok()?)),
            None => (step, None),
        };
        path.steps.push(Step {
            name: identifier(name)?,
            ty: None,
            guard: None,
            index,
        });
    }
    Some(())
}

fn condition_of<'e>(path: &mut Path<'e>, condition: &'e str) -> Option<()> {
    if let Some(ty) = condition.strip_prefix("resolve() is ") {
        path.target = Some(identifier(ty.trim())?);
        return Some(());
    }
    let (name, value) = condition.split_once('=')?;
    let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    if value.contains(['\'', '\\']) {
        return None;
    }
    let step = path.steps.last_mut()?;
    if step.guard.is_some() {
        return None;
    }
    step.guard = Some((identifier(name.trim())?, value));
    Some(())
}

fn argument<'e>(step: &'e str, function: &str) -> Option<&'e str> {
    step.strip_prefix(function)?
        .strip_prefix('(')?
        .strip_suffix(')')
}

fn identifier(text: &str) -> Option<&str> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain && text.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A path as text, one form for each way of writing it.
    fn show(path: &Path<'_>) -> String {
        let mut out = path.root.to_owned();
        for step in &path.steps {
            out.push_str(&format!(".{}", step.name));
            if let Some(index) = step.index {
                out.push_str(&format!("[{index}]"));
            }
            if let Some(ty) = step.ty {
                out.push_str(&format!(":{ty}"));
            }
            if let Some((name, value)) = step.guard {
                out.push_str(&format!("{{{name}={value}}}"));
            }
        }
        if let Some(target) = path.target {
            out.push_str(&format!("->{target}"));
        }
        out
    }

    #[track_caller]
    fn check(expression: &str, expected: Option<&[&str]>) {
        let found = paths(expression).map(|paths| paths.iter().map(show).collect::<Vec<_>>());
        let expected = expected.map(|e| e.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expected, "{expression}");
    }

    #[test]
    fn unions_of_paths() {
        check("Patient.name.family", Some(&["Patient.name.family"]));
        check("A.b | C.d", Some(&["A.b", "C.d"]));
        check("Resource", Some(&["Resource"]));
        check("name | alias", Some(&["Resource.name", "Resource.alias"]));
        check(
            "Bundle.entry[0].resource",
            Some(&["Bundle.entry[0].resource"]),
        );
    }

    #[test]
    fn choices_of_type() {
        check("(A.b as Quantity)", Some(&["A.b:Quantity"]));
        check(
            "A.b.as(Age) | (A.c as Range)",
            Some(&["A.b:Age", "A.c:Range"]),
        );
        check(
            "(A.value as CodeableConcept).text",
            Some(&["A.value:CodeableConcept.text"]),
        );
    }

    #[test]
    fn simple_conditions() {
        check(
            "A.telecom.where(system='email')",
            Some(&["A.telecom{system=email}"]),
        );
        check(
            "A.relatedArtifact.where(type='composed-of').resource",
            Some(&["A.relatedArtifact{type=composed-of}.resource"]),
        );
        check(
            "A.subject.where(resolve() is Patient)",
            Some(&["A.subject->Patient"]),
        );
    }

    #[test]
    fn everything_else_is_left_to_fhirpath() {
        for expression in [
            "",
            "A.",
            "A.b |",
            "A.b.exists()",
            "A.b.exists() and A.b != false",
            "A.b.where(c='x' and d='y')",
            "A.b.where(resolve() is Patient).c",
            "A.extension('http://x').value",
            "A.b.where(c='x').where(d='y')",
            "(A.b as Quantity",
            "A.b as Quantity",
            "A.b)",
            "A.b[x]",
            "A.b + 1",
        ] {
            check(expression, None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_never_panics(text in "[A-Za-z().|'=\\[\\]0-9 é]{0,40}") {
            let _ = paths(&text);
        }
    }
}
