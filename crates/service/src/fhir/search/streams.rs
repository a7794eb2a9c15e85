//! Pages of several types: one type after the other, or all in one order.
//!
//! Both go forward from a place and backward up to one. A place is the last
//! match before it of each type that has any; in one order of all types these
//! are compared by their sort values, so that no type is read further than a
//! page.

use std::collections::VecDeque;

use salus_auth::Grant;
use salus_fhir::search::Total;
use salus_store::{
    Candidate, Filter, Found, Hit, Kind, Param, Position, Query, Rows, Seq, Snapshot, Sort, Value,
};

use super::{Asked, include, last_page};
use crate::context::Context;
use crate::cursor::{self, Beside};
use crate::error::Error;
use crate::fhir::contained;
use crate::fhir::types::ResourceType;

/// One type of a search over several.
pub(super) struct Stream {
    pub(super) asked: Asked,
    /// What lets it be searched.
    rule: Box<str>,
    /// What of it may be seen.
    visible: Filter,
    /// The values to be given with each hit: to sort by, and to follow.
    rows: Vec<Param>,
}

/// A page of several types.
#[derive(Default)]
pub(super) struct Page {
    /// With each hit, the number of its type's stream.
    pub(super) hits: Vec<(usize, Hit)>,
    pub(super) previous: Option<Place>,
    pub(super) next: Option<Place>,
    /// How many matches there are, when that was asked for or one page shows it.
    pub(super) total: Option<u64>,
}

/// Where a page of several types lies.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// Behind these.
    After(Marks),
    /// Up to these.
    UpTo(Marks),
    /// At the end of all.
    End,
}

/// The last match before a place, of each type that has one there.
pub(super) type Marks = Vec<(Kind, Seq)>;

impl Page {
    /// Where the pages beside it are, as cursors hold it.
    pub(super) fn beside(&self) -> Beside {
        Beside {
            previous: self.previous.as_ref().map(Place::encode),
            next: self.next.as_ref().map(Place::encode),
            last: None,
        }
    }
}

impl Stream {
    /// What a grant lets see of a type.
    pub(super) fn new(cx: &Context, asked: Asked, grant: &Grant) -> Self {
        Self::within(cx, asked, grant, grant.filter().clone())
    }

    /// The same where something else says what may be seen.
    pub(super) fn within(cx: &Context, asked: Asked, grant: &Grant, visible: Filter) -> Self {
        let mut rows = include::rows(cx, &asked);
        let sort = asked.sort();
        rows.extend(sort.iter().filter_map(|key| match key {
            Sort::Value { param, .. } => Some(*param),
            Sort::Updated { .. } | Sort::Id { .. } | Sort::Relevance(_) => None,
        }));
        rows.extend(asked.words());
        rows.sort_unstable();
        rows.dedup();
        Self {
            asked,
            rule: grant.rule().into(),
            visible,
            rows,
        }
    }

    /// What lets this type be searched.
    pub(super) fn rule(&self) -> &str {
        &self.rule
    }

    fn query(&self, limit: usize, at: Option<Position>) -> Query {
        Query {
            after: at,
            rows: self.rows.clone(),
            ..self.asked.query_within(&self.visible, limit)
        }
    }

    fn kind(&self) -> Kind {
        self.asked.ty.kind
    }

    fn mark(&self, marks: &Marks) -> Option<Seq> {
        let own = marks.iter().find(|(kind, _)| *kind == self.kind());
        own.map(|(_, seq)| *seq)
    }
}

/// The page that begins at the position of a cursor.
pub(super) async fn page_at(
    streams: &[Stream],
    snapshot: &dyn Snapshot,
    asked: &Asked,
    position: &[u8],
) -> Result<Page, Error> {
    let place = Place::decode(position)?;
    let limit = match place {
        Some(Place::End) => last_page(count(streams, snapshot).await?, asked.count()),
        _ => asked.count(),
    };
    let mut found = page(streams, snapshot, limit, place.as_ref()).await?;
    let whole = place.is_none() && limit > 0 && found.next.is_none();
    found.total = match asked.control.total {
        Some(Total::Accurate) => Some(count(streams, snapshot).await?),
        Some(Total::Estimate) if whole => Some(found.hits.len() as u64),
        Some(Total::Estimate) => estimate(streams, snapshot).await?,
        _ if asked.count() == 0 => Some(count(streams, snapshot).await?),
        Some(Total::None) => None,
        None => whole.then_some(found.hits.len() as u64),
    };
    Ok(found)
}

async fn count(streams: &[Stream], snapshot: &dyn Snapshot) -> Result<u64, Error> {
    let mut total = 0;
    for stream in streams {
        total += snapshot.count(&stream.query(0, None)).await?;
    }
    Ok(total)
}

/// About how many match, the estimates of all types together; `None` if there
/// is none for one of them.
async fn estimate(streams: &[Stream], snapshot: &dyn Snapshot) -> Result<Option<u64>, Error> {
    let mut total = 0;
    for stream in streams {
        let query = stream.query(0, None);
        match super::estimate(snapshot, &query, &stream.visible).await? {
            Some(count) => total += count,
            None => return Ok(None),
        }
    }
    Ok(Some(total))
}

/// A page in the order asked for; without one, type after type.
pub(super) async fn page(
    streams: &[Stream],
    snapshot: &dyn Snapshot,
    limit: usize,
    place: Option<&Place>,
) -> Result<Page, Error> {
    if limit == 0 {
        return Ok(Page::default());
    }
    let sorted = streams
        .first()
        .is_some_and(|it| !it.asked.sort().is_empty());
    match sorted {
        true => merged(streams, snapshot, limit, place).await,
        false => in_turn(streams, snapshot, limit, place).await,
    }
}

/// A page that is being filled, type by type.
struct Turn<'s> {
    streams: &'s [Stream],
    snapshot: &'s dyn Snapshot,
    /// The place where it begins: only one type has a mark.
    marks: Option<&'s Marks>,
    backward: bool,
    limit: usize,
    /// Those that come first, first.
    hits: Vec<(usize, Hit)>,
}

/// One type after the other, or the opposite way.
async fn in_turn(
    streams: &[Stream],
    snapshot: &dyn Snapshot,
    limit: usize,
    place: Option<&Place>,
) -> Result<Page, Error> {
    let (marks, backward) = match place {
        None => (None, false),
        Some(Place::After(marks)) => (Some(marks), false),
        Some(Place::UpTo(marks)) => (Some(marks), true),
        Some(Place::End) => (None, true),
    };
    let mut turn = Turn {
        streams,
        snapshot,
        marks,
        backward,
        limit,
        hits: Vec::new(),
    };
    let mut further = None;
    for (number, stream) in turn.order() {
        further = turn.take(number, stream).await?;
        if further.is_some() {
            break;
        }
    }
    Ok(turn.page(further))
}

impl<'s> Turn<'s> {
    fn marked(&self, stream: &Stream) -> Option<Seq> {
        self.marks.and_then(|marks| stream.mark(marks))
    }

    /// The types from the one where the page begins.
    fn order(&self) -> Vec<(usize, &'s Stream)> {
        let all = self.streams.iter().enumerate();
        let mut order: Vec<_> = all.collect();
        if self.backward {
            order.reverse();
        }
        let mut begin = order.iter();
        let begin = begin.position(|(_, stream)| self.marked(stream).is_some());
        order.split_off(begin.unwrap_or(0))
    }

    /// Adds what there is of a type; gives what lies behind the page, if that
    /// is of this type.
    async fn take(&mut self, number: usize, stream: &Stream) -> Result<Option<(Kind, Seq)>, Error> {
        let at = match (self.marked(stream), self.backward) {
            (Some(seq), true) => Some(Position::UpTo(seq)),
            (Some(seq), false) => Some(Position::After(seq)),
            (None, true) => Some(Position::End),
            (None, false) => None,
        };
        let room = self.limit - self.hits.len();
        // Is there anything more? A link to an empty page would be a lie.
        let found = self.snapshot.find(&stream.query(room.max(1), at)).await?;
        let further = match (room, self.backward) {
            (0, _) => found.hits.last().map(|hit| hit.record.seq),
            (_, true) => found.previous.and_then(Position::seq),
            (_, false) => found.next.and_then(Position::seq),
        };
        if room > 0 {
            let mut hits = found.hits;
            if self.backward {
                hits.reverse();
            }
            self.hits.extend(hits.into_iter().map(|hit| (number, hit)));
        }
        Ok(further.map(|seq| (stream.kind(), seq)))
    }

    fn page(self, further: Option<(Kind, Seq)>) -> Page {
        let mut hits = self.hits;
        let beside = self.marks.cloned();
        if self.backward {
            hits.reverse();
            return Page {
                hits,
                next: beside.map(Place::After),
                previous: further.map(|mark| Place::UpTo(vec![mark])),
                total: None,
            };
        }
        let last = hits.last().filter(|_| further.is_some());
        let last = last.and_then(|(at, hit)| Some((self.streams.get(*at)?.kind(), hit.record.seq)));
        Page {
            next: last.map(|mark| Place::After(vec![mark])),
            previous: beside.map(Place::UpTo),
            total: None,
            hits,
        }
    }
}

/// A type on the way through a merged search.
struct Head {
    kind: Kind,
    /// What is not taken yet, each with its place in the order of all types;
    /// what comes next is in front.
    hits: VecDeque<(Vec<u8>, Hit)>,
    /// The last one that lies before the page that is being made, or was taken.
    mark: Option<Seq>,
    /// The next one behind all hits, in the direction of the search.
    beyond: Option<Seq>,
}

/// The pages of all types as one.
async fn merged(
    streams: &[Stream],
    snapshot: &dyn Snapshot,
    limit: usize,
    place: Option<&Place>,
) -> Result<Page, Error> {
    let backward = matches!(place, Some(Place::UpTo(_) | Place::End));
    let mut heads = Vec::with_capacity(streams.len());
    for stream in streams {
        heads.push(Head::begin(stream, snapshot, limit, place).await?);
    }
    let mut hits = Vec::new();
    while hits.len() < limit
        && let Some((number, head)) = next(&mut heads, backward)
    {
        if let Some((_, hit)) = head.hits.pop_front() {
            head.mark = Some(hit.record.seq);
            hits.push((number, hit));
        }
    }
    if backward {
        hits.reverse();
    }
    Ok(Page {
        previous: match place {
            None => None,
            Some(Place::After(marks)) => Some(Place::UpTo(marks.clone())),
            Some(Place::UpTo(_) | Place::End) => before(&heads),
        },
        next: match place {
            None | Some(Place::After(_)) => behind(&heads),
            Some(Place::UpTo(marks)) => Some(Place::After(marks.clone())),
            Some(Place::End) => None,
        },
        total: None,
        hits,
    })
}

/// The type whose next hit comes first, or last.
fn next(heads: &mut [Head], backward: bool) -> Option<(usize, &mut Head)> {
    let heads = heads.iter_mut().enumerate();
    let heads = heads.filter(|(_, head)| !head.hits.is_empty());
    let order = |a: &Head, b: &Head| {
        let key = |head: &Head| head.hits.front().map(|(key, _)| key.clone());
        key(a).cmp(&key(b))
    };
    match backward {
        true => heads.max_by(|(_, a), (_, b)| order(a, b)),
        false => heads.min_by(|(_, a), (_, b)| order(a, b)),
    }
}

/// What lies behind a page that was taken forward.
fn behind(heads: &[Head]) -> Option<Place> {
    let more = |head: &Head| !head.hits.is_empty() || head.beyond.is_some();
    let marks = heads
        .iter()
        .filter_map(|head| Some((head.kind, head.mark?)));
    heads
        .iter()
        .any(more)
        .then(|| Place::After(marks.collect()))
}

/// What lies before a page that was taken backward.
fn before(heads: &[Head]) -> Option<Place> {
    let marks = heads.iter().filter_map(|head| {
        let left = head.hits.front().map(|(_, hit)| hit.record.seq);
        Some((head.kind, left.or(head.beyond)?))
    });
    let marks: Marks = marks.collect();
    (!marks.is_empty()).then_some(Place::UpTo(marks))
}

impl Head {
    async fn begin(
        stream: &Stream,
        snapshot: &dyn Snapshot,
        limit: usize,
        place: Option<&Place>,
    ) -> Result<Self, Error> {
        let (mark, at) = match place {
            None => (None, None),
            Some(Place::After(marks)) => {
                let mark = stream.mark(marks);
                (mark, mark.map(Position::After))
            }
            Some(Place::UpTo(marks)) => match stream.mark(marks) {
                Some(mark) => (None, Some(Position::UpTo(mark))),
                // Nothing of this type comes before.
                None => return Ok(Self::of(stream, Found::default(), None, false)),
            },
            Some(Place::End) => (None, Some(Position::End)),
        };
        let found = snapshot.find(&stream.query(limit, at)).await?;
        let backward = at.is_some_and(Position::is_backward);
        Ok(Self::of(stream, found, mark, backward))
    }

    fn of(stream: &Stream, found: Found, mark: Option<Seq>, backward: bool) -> Self {
        let (ty, sort) = (stream.asked.ty, stream.asked.sort());
        let keyed = |hit: Hit| (key(ty, &sort, &hit), hit);
        let mut hits: VecDeque<_> = found.hits.into_iter().map(keyed).collect();
        if backward {
            hits.make_contiguous().reverse();
        }
        let beyond = if backward { found.previous } else { found.next };
        Self {
            kind: stream.kind(),
            hits,
            mark,
            beyond: beyond.and_then(Position::seq),
        }
    }
}

/// The place of a hit in the order of all types. What is contained has its own
/// id there, among those of others.
fn key(ty: ResourceType, sort: &[Sort], hit: &Hit) -> Vec<u8> {
    let id_within = contained::id_param(ty);
    let within = hit.rows.iter().find(|row| row.param == id_within);
    let id = if let Some(Value::Token { code, .. }) = within.map(|row| &row.value) {
        code
    } else {
        &hit.record.id
    };
    let candidate = Candidate {
        id,
        time_ms: hit.record.time_ms,
        seq: hit.record.seq,
        rows: Rows::of(&hit.rows),
    };
    let by_id = |key: &Sort| {
        if let Sort::Value { param, descending } = *key
            && param == id_within
        {
            return Sort::Id { descending };
        }
        key.clone()
    };
    let sort: Vec<Sort> = sort.iter().map(by_id).collect();
    let mut key = Vec::with_capacity(32);
    Sort::put_key(&sort, &candidate, &mut key);
    key
}

impl Place {
    /// For a cursor: 0, 1 or 2 as the variants stand, then the kind and the
    /// place of each mark, in 4 and 8 bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (tag, marks) = match self {
            Self::After(marks) => (0, marks.as_slice()),
            Self::UpTo(marks) => (1, marks.as_slice()),
            Self::End => (2, &[][..]),
        };
        let mut bytes = vec![tag];
        for (kind, seq) in marks {
            bytes.extend_from_slice(&kind.0.to_be_bytes());
            bytes.extend_from_slice(&seq.0.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote; nothing is no place.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some((tag, bytes)) = bytes.split_first() else {
            return Ok(None);
        };
        let (marks, rest) = bytes.as_chunks::<12>();
        let mark = |[a, b, c, d, seq @ ..]: &[u8; 12]| {
            let kind = Kind(u32::from_be_bytes([*a, *b, *c, *d]));
            (kind, Seq(u64::from_be_bytes(*seq)))
        };
        let marks: Marks = marks.iter().map(mark).collect();
        match tag {
            0 if rest.is_empty() && !marks.is_empty() => Ok(Some(Self::After(marks))),
            1 if rest.is_empty() && !marks.is_empty() => Ok(Some(Self::UpTo(marks))),
            2 if bytes.is_empty() => Ok(Some(Self::End)),
            _ => Err(cursor::unfit()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_were_written() {
        let marks = vec![(Kind(7), Seq(1)), (Kind(u32::MAX), Seq(u64::MAX))];
        for place in [Place::After(marks.clone()), Place::UpTo(marks), Place::End] {
            let bytes = place.encode();
            assert_eq!(Place::decode(&bytes).unwrap().as_ref(), Some(&place));
            for end in 1..bytes.len() {
                let cut = Place::decode(&bytes[..end]);
                assert!(cut.is_err() || end == 13, "{place:?} {end}");
            }
        }
        assert_eq!(Place::decode(&[]).unwrap(), None);
        assert!(Place::decode(&[3]).is_err());
    }
}
