//! Pages of several types: one type after the other, or all in one order.

use std::cmp::Ordering;
use std::collections::VecDeque;

use salus_auth::Grant;
use salus_store::{Hit, Kind, Position, Query, Record, Snapshot, Sort};

use super::Asked;
use crate::error::Error;

/// One type of a search over several.
pub(super) struct Stream {
    pub(super) asked: Asked,
    pub(super) grant: Grant,
}

/// A page of several types.
#[derive(Default)]
pub(super) struct Page {
    /// With each record, the number of its type's stream.
    pub(super) records: Vec<(usize, Record)>,
    pub(super) next: Option<Position>,
}

impl Stream {
    fn query(&self, limit: usize, after: Option<Position>) -> Query {
        Query {
            after,
            ..self.asked.query(&self.grant, limit)
        }
    }

    fn kind(&self) -> Kind {
        self.asked.ty.kind
    }
}

pub(super) async fn count(streams: &[Stream], snapshot: &dyn Snapshot) -> Result<u64, Error> {
    let mut total = 0;
    for stream in streams {
        total += snapshot.count(&stream.query(0, None)).await?;
    }
    Ok(total)
}

/// One type after the other. The position names the type where the next page
/// begins, and the place in it.
pub(super) async fn in_turn(
    streams: &[Stream],
    snapshot: &dyn Snapshot,
    limit: usize,
    after: Option<Position>,
) -> Result<Page, Error> {
    let mut begin = match after {
        Some(position) => States::decode(&position)?.0.into_iter().next(),
        None => None,
    };
    let mut page = Page::default();
    for (number, stream) in streams.iter().enumerate() {
        let after = match begin.take() {
            Some((kind, place)) if kind == stream.kind() => place.flatten(),
            // The types before that one are done with.
            other @ Some(_) => {
                begin = other;
                continue;
            }
            None => None,
        };
        let room = limit - page.records.len();
        // Is there anything more? A link to an empty page would be a lie.
        let found = snapshot.find(&stream.query(room.max(1), after)).await?;
        if room == 0 && !found.hits.is_empty() {
            page.next = Some(States(vec![(stream.kind(), Some(None))]).encode());
            break;
        }
        let records = found.hits.into_iter().map(|hit| (number, hit.record));
        page.records.extend(records);
        if found.next.is_some() {
            page.next = Some(States(vec![(stream.kind(), Some(found.next))]).encode());
            break;
        }
    }
    Ok(page)
}

/// A type on the way through a merged search.
struct Head {
    /// Where its part of this page began; `None` when it was done before.
    began: Option<Option<Position>>,
    hits: VecDeque<Hit>,
    next: Option<Position>,
    taken: usize,
}

/// The pages of all types as one. The position has the place in each type
/// that has been begun.
pub(super) async fn merged(
    streams: &[Stream],
    snapshot: &dyn Snapshot,
    limit: usize,
    after: Option<Position>,
) -> Result<Page, Error> {
    let states = match after {
        Some(position) => States::decode(&position)?,
        None => States::default(),
    };
    let mut heads = Vec::with_capacity(streams.len());
    for stream in streams {
        heads.push(states.head(stream, snapshot, limit).await?);
    }
    let sort = streams.first().map(|it| it.query(0, None).sort);
    let mut page = Page::default();
    while page.records.len() < limit {
        let Some((number, head)) = least(&mut heads, sort.as_deref().unwrap_or_default()) else {
            break;
        };
        if let Some(hit) = head.hits.pop_front() {
            head.taken += 1;
            page.records.push((number, hit.record));
        }
    }
    let more = |head: &Head| !head.hits.is_empty() || head.next.is_some();
    if heads.iter().any(more) {
        let mut states = States::default();
        for (stream, head) in streams.iter().zip(heads) {
            states.0.extend(head.state(stream, snapshot).await?);
        }
        page.next = Some(states.encode());
    }
    Ok(page)
}

/// The type whose next record comes first; of equal ones the first type.
fn least<'h>(heads: &'h mut [Head], sort: &[Sort]) -> Option<(usize, &'h mut Head)> {
    let heads = heads.iter_mut().enumerate();
    heads
        .filter(|(_, head)| !head.hits.is_empty())
        .min_by(|(_, a), (_, b)| match (a.hits.front(), b.hits.front()) {
            (Some(a), Some(b)) => compare(sort, &a.record, &b.record),
            (a, b) => b.is_some().cmp(&a.is_some()),
        })
}

fn compare(sort: &[Sort], a: &Record, b: &Record) -> Ordering {
    let one = |key: &Sort| match key {
        Sort::Updated { descending: true } => b.time_ms.cmp(&a.time_ms),
        Sort::Updated { descending: false } => a.time_ms.cmp(&b.time_ms),
        Sort::Id { descending: true } => b.id.cmp(&a.id),
        Sort::Id { descending: false } => a.id.cmp(&b.id),
        // No such order gets here.
        Sort::Value { .. } => Ordering::Equal,
    };
    let keys = sort.iter().map(one).find(|order| order.is_ne());
    keys.unwrap_or(Ordering::Equal)
}

impl Head {
    /// Where its part of the next page begins.
    async fn state(self, stream: &Stream, snapshot: &dyn Snapshot) -> Result<Option<State>, Error> {
        let kind = stream.kind();
        let Some(began) = self.began else {
            return Ok(Some((kind, None)));
        };
        if self.hits.is_empty() {
            return Ok(Some((kind, self.next.map(Some))));
        }
        if self.taken == 0 {
            return Ok(began.map(|position| (kind, Some(Some(position)))));
        }
        // Positions are known at the ends of pages only.
        let found = snapshot.find(&stream.query(self.taken, began)).await?;
        Ok(Some((kind, Some(found.next))))
    }
}

/// A type and where its next page begins: `None` if it is done, `Some(None)`
/// at its beginning.
type State = (Kind, Option<Option<Position>>);

/// Where each type has got to; one that is not named has not begun.
#[derive(Debug, Default, PartialEq)]
struct States(Vec<State>);

impl States {
    async fn head(
        &self,
        stream: &Stream,
        snapshot: &dyn Snapshot,
        limit: usize,
    ) -> Result<Head, Error> {
        let state = self.0.iter().find(|(kind, _)| *kind == stream.kind());
        let began = state.map_or(Some(None), |(_, state)| state.clone());
        let mut head = Head {
            began: began.clone(),
            hits: VecDeque::new(),
            next: None,
            taken: 0,
        };
        if let Some(after) = began {
            let found = snapshot.find(&stream.query(limit, after)).await?;
            head.hits = found.hits.into();
            head.next = found.next;
        }
        Ok(head)
    }

    /// For each: its kind, 0 when done or 1 more than the length of the
    /// position, the position.
    fn encode(&self) -> Position {
        let mut bytes = Vec::new();
        for (kind, state) in &self.0 {
            bytes.extend_from_slice(&kind.0.to_be_bytes());
            let position = match state {
                None => None,
                Some(None) => Some(&[][..]),
                Some(Some(position)) => Some(&position.0[..]),
            };
            let length = position.map_or(0, |position| position.len() as u32 + 1);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(position.unwrap_or_default());
        }
        Position(bytes)
    }

    fn decode(position: &Position) -> Result<Self, Error> {
        let mut rest = &position.0[..];
        let mut states = Self::default();
        while !rest.is_empty() {
            let state = take(&mut rest)
                .ok_or_else(|| Error::invalid("the cursor does not fit this search"))?;
            states.0.push(state);
        }
        Ok(states)
    }
}

fn take(rest: &mut &[u8]) -> Option<State> {
    let (kind, after) = rest.split_first_chunk::<4>()?;
    let (length, after) = after.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let (position, after) = after.split_at_checked(length.saturating_sub(1))?;
    *rest = after;
    let place = (!position.is_empty()).then(|| Position(position.to_vec()));
    let state = (length > 0).then_some(place);
    Some((Kind(u32::from_be_bytes(*kind)), state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_were_written() {
        let states = States(vec![
            (Kind(7), None),
            (Kind(8), Some(None)),
            (Kind(9), Some(Some(Position(vec![1, 2, 3])))),
        ]);
        let bytes = states.encode();
        assert_eq!(States::decode(&bytes).unwrap(), states);
        for end in 1..bytes.0.len() {
            let cut = Position(bytes.0[..end].to_vec());
            assert!(States::decode(&cut).map_or(true, |cut| cut.0.len() < 3));
        }
    }
}
