//! The resources of a compartment, page by page, in both directions.

use salus_store::{Filter, Position, Query, Record, Seq, Snapshot};

use crate::error::Error;
use crate::fhir::types::ResourceType;

/// The resources of a compartment of one type.
pub(super) struct Range {
    pub(super) ty: ResourceType,
    pub(super) filter: Filter,
}

/// A place between two resources of a compartment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// In which range what is behind it begins.
    pub(super) range: usize,
    /// Behind which resource there; `None` is before all.
    pub(super) after: Option<Seq>,
}

impl Start {
    pub(super) const FIRST: Self = Self {
        range: 0,
        after: None,
    };

    pub(super) fn is_first(self) -> bool {
        self == Self::FIRST
    }
}

/// So many resources behind a place, and where the next begin, if there are any.
pub(super) async fn forward(
    snapshot: &dyn Snapshot,
    ranges: &[Range],
    start: Start,
    limit: usize,
) -> Result<(Vec<Record>, Option<Start>), Error> {
    let mut records = Vec::new();
    for (at, range) in ranges.iter().enumerate().skip(start.range) {
        let after = start.after.filter(|_| at == start.range);
        let room = limit - records.len();
        let query = query(range, room, after.map(Position::After));
        let found = snapshot.find(&query).await?;
        if room == 0 {
            match found.hits.is_empty() {
                true => continue,
                false => return Ok((records, Some(before(at)))),
            }
        }
        let seq = found.next.and_then(Position::seq);
        records.extend(found.hits.into_iter().map(|hit| hit.record));
        if seq.is_some() {
            let next = Start {
                range: at,
                after: seq,
            };
            return Ok((records, Some(next)));
        }
    }
    Ok((records, None))
}

/// So many resources before a place, in the same order, and the place before
/// them, if there are any before it.
pub(super) async fn backward(
    snapshot: &dyn Snapshot,
    ranges: &[Range],
    end: Start,
    limit: usize,
) -> Result<(Vec<Record>, Option<Start>), Error> {
    let (mut pieces, mut room, mut start) = (Vec::new(), limit, None);
    let until = ranges.len().min(end.range + 1);
    for (at, range) in ranges.iter().enumerate().take(until).rev() {
        let up_to = match end.after {
            Some(seq) if at == end.range => Position::UpTo(seq),
            None if at == end.range => continue,
            _ => Position::End,
        };
        let found = snapshot.find(&query(range, room, Some(up_to))).await?;
        if room == 0 {
            match found.hits.is_empty() {
                true => continue,
                false => start = Some(before(at + 1)),
            }
            break;
        }
        room -= found.hits.len().min(room);
        let seq = found.previous.and_then(Position::seq);
        pieces.push(found.hits);
        if seq.is_some() {
            start = Some(Start {
                range: at,
                after: seq,
            });
            break;
        }
    }
    let hits = pieces.into_iter().rev().flatten();
    Ok((hits.map(|hit| hit.record).collect(), start))
}

/// The place before all of a range.
fn before(range: usize) -> Start {
    Start { range, after: None }
}

fn query(range: &Range, room: usize, position: Option<Position>) -> Query {
    Query {
        kind: range.ty.kind,
        filter: range.filter.clone(),
        sort: Vec::new(),
        // Where a page is full, one says that there is another.
        limit: room.max(1),
        after: position,
        rows: Vec::new(),
    }
}
