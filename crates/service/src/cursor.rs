//! Where a page beside another one lies, as a text that only this server can read.
//!
//! A cursor holds the whole request and its snapshot, sealed, so that links
//! hold no search values and pages survive a restart. It works only for the
//! one it was given to.

use salus_crypto::SecretKey;
use salus_store::{Found, Position, Seq};

use crate::context::Context;
use crate::error::Error;

/// The parameter of links to other pages.
pub(crate) const CURSOR: &str = "_cursor";
const VERSION: u8 = 2;

/// A page of a request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The state of the store that all pages show.
    pub(crate) seq: Seq,
    /// The request, in the form that its use case reads back.
    pub(crate) request: String,
    /// Where it lies, as its use case reads back; nothing is the first page.
    pub(crate) position: Vec<u8>,
}
salus_phi::guard!(Cursor);

/// The positions of the pages beside one, for its links.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) previous: Option<Vec<u8>>,
    pub(crate) next: Option<Vec<u8>>,
    /// The last page of all, where it is known how many it has.
    pub(crate) last: Option<Vec<u8>>,
}

impl Beside {
    /// Those that the store found.
    pub(crate) fn of(found: &Found) -> Self {
        Self {
            previous: found.previous.map(put),
            next: found.next.map(put),
            last: None,
        }
    }

    /// Whether one page shows everything.
    pub(crate) fn is_none(&self) -> bool {
        self.previous.is_none() && self.next.is_none()
    }
}

/// A position of the store: 0, 1 or 2 for behind a place, up to it and at the
/// end; the place in 8 bytes.
pub(crate) fn put(position: Position) -> Vec<u8> {
    let tag = match position {
        Position::After(_) => 0,
        Position::UpTo(_) => 1,
        Position::End => 2,
    };
    let mut bytes = vec![tag];
    if let Some(seq) = position.seq() {
        bytes.extend_from_slice(&seq.0.to_be_bytes());
    }
    bytes
}

/// Reads what [`put`] wrote; nothing is no position.
pub(crate) fn take(bytes: &[u8]) -> Result<Option<Position>, Error> {
    let Some((tag, seq)) = bytes.split_first() else {
        return Ok(None);
    };
    let seq = seq.try_into().map(u64::from_be_bytes).map(Seq);
    match (tag, seq) {
        (0, Ok(seq)) => Ok(Some(Position::After(seq))),
        (1, Ok(seq)) => Ok(Some(Position::UpTo(seq))),
        (2, Err(_)) => Ok(Some(Position::End)),
        _ => Err(unfit()),
    }
}

pub(crate) fn unfit() -> Error {
    Error::invalid("the cursor does not fit this request")
}

/// The links from a page to those beside it: `first`, `previous`, `next` and
/// `last`, as far as they are others. All show the state of the page's snapshot.
pub(crate) fn links(
    key: &SecretKey,
    cx: &Context,
    purpose: &str,
    page: &Cursor,
    (url, beside): (&str, &Beside),
) -> Result<Vec<(&'static str, String)>, Error> {
    let first = (!beside.is_none()).then(Vec::new);
    let positions = [
        ("first", &first),
        ("previous", &beside.previous),
        ("next", &beside.next),
        ("last", &beside.last),
    ];
    let mut links = Vec::new();
    for (relation, position) in positions {
        if let Some(position) = position {
            let text = page.seal(position, key, cx, purpose)?;
            let mut link = format!("{url}?{CURSOR}={text}");
            if let Some(format) = cx.format {
                link.push_str("&_format=");
                link.push_str(format);
            }
            links.push((relation, link));
        }
    }
    Ok(links)
}

impl Cursor {
    /// The text for a link to another page.
    fn seal(
        &self,
        position: &[u8],
        key: &SecretKey,
        cx: &Context,
        purpose: &str,
    ) -> Result<String, Error> {
        let mut plain = vec![VERSION];
        plain.extend_from_slice(&self.seq.0.to_be_bytes());
        plain.extend_from_slice(&(self.request.len() as u32).to_be_bytes());
        plain.extend_from_slice(self.request.as_bytes());
        plain.extend_from_slice(position);
        key.seal_text(&aad(cx, purpose), &plain).map_err(|error| {
            Error::new(crate::error::Kind::Internal, "the server failed").caused_by(error)
        })
    }

    /// Reads a text that [`links`] made for the same caller and purpose.
    pub(crate) fn open(
        key: &SecretKey,
        cx: &Context,
        purpose: &str,
        text: &str,
    ) -> Result<Self, Error> {
        key.open_text(&aad(cx, purpose), text)
            .ok()
            .and_then(|plain| Self::decode(&plain))
            .ok_or_else(|| {
                Error::invalid("the cursor is not one that you were given here; search again")
            })
    }

    fn decode(plain: &[u8]) -> Option<Self> {
        let (&[VERSION], rest) = plain.split_first_chunk::<1>()? else {
            return None;
        };
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (request, position) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Some(Self {
            seq: Seq(u64::from_be_bytes(*seq)),
            request: String::from_utf8(request.to_vec()).ok()?,
            position: position.to_vec(),
        })
    }
}

fn aad(cx: &Context, purpose: &str) -> Vec<u8> {
    format!("{purpose} {} {}", cx.scope.0, cx.subject.label()).into_bytes()
}
