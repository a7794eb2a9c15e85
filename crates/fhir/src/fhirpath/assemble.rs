//! Putting compiled parts together, simpler where they allow it.

use super::ast::Operator;
use super::function::{Function, Resource};
use super::op::{Chain, Expr, Path, Step};

pub(super) fn with_step(expr: Expr, step: Step) -> Expr {
    if let Expr::Empty = expr {
        return expr;
    }
    if let Expr::Path(mut path) = expr {
        push_step(&mut path.steps, step);
        return Expr::Path(path);
    }
    Expr::Path(Box::new(Path {
        base: Some(expr),
        steps: vec![step],
    }))
}

/// Appends a step; a reference whose target is only asked for its type needs no reading.
pub(super) fn push_step(steps: &mut Vec<Step>, step: Step) {
    let resolve = Function::Resource(Resource::Resolve);
    if let Some(Step::Call(call)) = steps.last_mut()
        && call.function == resolve
    {
        if let Step::Is(test) = step {
            steps.pop();
            steps.push(Step::TargetIs(test));
            return;
        }
        call.type_only = matches!(step, Step::OfType(_) | Step::As(_));
    }
    steps.push(step);
}

pub(super) fn union(first: Expr, rest: impl Iterator<Item = Expr>) -> Expr {
    let mut parts: Vec<Expr> = std::iter::once(first)
        .chain(rest)
        .filter(|part| !matches!(part, Expr::Empty))
        .collect();
    match parts.len() {
        0 => Expr::Empty,
        // One part alone still loses its duplicates.
        1 if is_plain_path(&parts[0]) => parts.remove(0),
        _ => Expr::Union(parts),
    }
}

/// Gives this expression each element of the document at most once?
fn is_plain_path(expr: &Expr) -> bool {
    let Expr::Path(path) = expr else {
        return false;
    };
    let distinct = |step: &Step| match step {
        Step::Member(_) | Step::Start(_) | Step::OfType(_) | Step::Where(_) => true,
        Step::As(_) | Step::Index(_) => true,
        Step::Is(_) | Step::TargetIs(_) | Step::Call(_) => false,
    };
    path.base.is_none() && path.steps.iter().all(distinct)
}

/// Operators of one level: logic on its own, or any others.
pub(super) fn chained(first: Expr, parts: Vec<(Operator, Expr)>) -> Expr {
    let logic = |operator: &Operator| {
        if let Operator::Logic(logic) = operator {
            return Some(*logic);
        }
        None
    };
    if !parts.iter().all(|(operator, _)| logic(operator).is_some()) {
        return Expr::Chain(Box::new(Chain { first, rest: parts }));
    }
    let rest = parts
        .into_iter()
        .filter_map(|(operator, part)| Some((logic(&operator)?, part)));
    let rest = rest.collect();
    Expr::Logic(Box::new(Chain { first, rest }))
}
