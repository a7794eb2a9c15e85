//! Which records somebody gains and loses by other policies, and which elements.

use salus_auth::policy::Mask;
use salus_fhir::mask::{Path, Paths};
use salus_store::{Filter, Query, Snapshot, Sort};
use serde_json::{Value, json};

use super::{About, Judged};
use crate::error::Error;
use crate::fhir::types::ResourceType;

/// Records of one side that are not on the other.
#[derive(Default)]
pub(super) struct Side {
    count: u64,
    ids: Vec<Box<str>>,
}

/// What is gained, and what is lost.
pub(super) async fn between(
    snapshot: &dyn Snapshot,
    ty: ResourceType,
    (before, after): &(Filter, Filter),
    ids_max: usize,
) -> Result<[Side; 2], Error> {
    let gained = side(snapshot, ty, (after, before), ids_max).await?;
    let lost = side(snapshot, ty, (before, after), ids_max).await?;
    Ok([gained, lost])
}

/// Adds it to an answer.
pub(super) fn tell(answer: &mut Value, sides: &[Side; 2]) {
    for (side, (number, ids)) in sides
        .iter()
        .zip([("gained", "gainedIds"), ("lost", "lostIds")])
    {
        answer[number] = side.count.into();
        if !side.ids.is_empty() {
            answer[ids] = json!(side.ids);
        }
    }
}

/// Adds which elements are hidden, or fixed, of some records under one set of
/// policies and of none under the other.
pub(super) fn tell_elements(answer: &mut Value, about: About<'_>, now: &Judged, asked: &Judged) {
    let kind = about.ty.kind;
    let of = |one: &Judged| {
        let masks = one.subject.masks();
        let mask = match about.deed.writes() {
            false => masks.and_then(|masks| masks.on(kind)),
            true => masks.and_then(|masks| masks.fixed(kind, about.deed)),
        };
        mask.map(Mask::most).cloned().unwrap_or_default()
    };
    let (before, after) = (of(now), of(asked));
    let only = |one: &Paths, other: &Paths| {
        let own = one
            .iter()
            .filter(|path| !other.iter().any(|it| it == *path));
        own.map(Path::to_string).collect::<Vec<_>>()
    };
    for (member, paths) in [
        ("elementsLost", only(&after, &before)),
        ("elementsGained", only(&before, &after)),
    ] {
        if !paths.is_empty() {
            answer[member] = paths.into();
        }
    }
}

/// The records that one filter finds and another does not.
async fn side(
    snapshot: &dyn Snapshot,
    ty: ResourceType,
    (one, other): (&Filter, &Filter),
    ids_max: usize,
) -> Result<Side, Error> {
    let is_none = *one == Filter::Nothing || *other == Filter::Everything || one == other;
    if is_none || ty.name == ResourceType::AUDIT_EVENT {
        return Ok(Side::default());
    }
    let mut all = Vec::new();
    if *one != Filter::Everything {
        all.push(one.clone());
    }
    if *other != Filter::Nothing {
        all.push(Filter::Not(other.clone().into()));
    }
    let query = Query {
        kind: ty.kind,
        filter: match all.is_empty() {
            true => Filter::Everything,
            false => Filter::All(all),
        },
        sort: vec![Sort::Id { descending: false }],
        limit: ids_max,
        after: None,
        rows: Vec::new(),
    };
    let count = snapshot.count(&query).await?;
    let mut ids = Vec::new();
    if count > 0 && ids_max > 0 {
        let found = snapshot.find(&query).await?.hits.into_iter();
        ids = found.map(|hit| hit.record.id).collect();
    }
    Ok(Side { count, ids })
}
