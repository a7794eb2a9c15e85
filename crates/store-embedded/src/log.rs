//! The log as it leaves the store, whole batches in the order of their seqs.
//!
//! Versions lie in that order under `b`, audit entries scope by scope under
//! `w`, what is left of cleared ones under `y`, what was purged under `q`: one walk forward merges them. Nothing is
//! opened. What tells where a batch ends is in its parts: the flag of its last
//! version, the flags of its entries, and what it purged, which stands at its end.

use bytes::Bytes;
use salus_crypto::merkle::Frontier;
use salus_store::{Error, LogBatch, LogHead, LogPart, Scope, Seq};

use crate::chain::Link;
use crate::core::{Core, META_FRONTIER, State};
use crate::kv::{Cursor, View};
use crate::purge::Logged;
use crate::{audit, audit_tree, body, keys};

/// How far the log is, all of it durable.
pub(crate) fn head(core: &Core) -> Result<LogHead, Error> {
    let view = core.kv.view()?;
    let state = State::load(&view)?;
    let frontier = match view.get(&keys::meta(META_FRONTIER))? {
        Some(bytes) => Frontier::from_bytes(&bytes)
            .ok_or_else(|| Error::Damaged("the frontier of the audit log".into()))?,
        None => Frontier::default(),
    };
    Ok(LogHead {
        seq: Seq(state.seq),
        chain: state.chain,
        audit_size: frontier.size(),
        audit_root: frontier.root(),
        key_slots: state.slots,
    })
}

/// Whole batches behind a point, of about so many bytes together.
pub(crate) fn batches(core: &Core, after: Seq, bytes: usize) -> Result<Vec<LogBatch>, Error> {
    let view = core.kv.view()?;
    let upto = State::load(&view)?.seq;
    if after.0 >= upto {
        return Ok(Vec::new());
    }
    let mut walk = Walk::new(&view, after.0 + 1, upto)?;
    let mut batches = Batches::new(chain_until(&view, after.0)?, bytes);
    while let Some(part) = walk.next()? {
        if !batches.take(part)? {
            return Ok(batches.whole);
        }
    }
    batches.end();
    Ok(batches.whole)
}

/// The end of the chain of changes at a point.
pub(crate) fn chain_until(view: &View, seq: u64) -> Result<[u8; 32], Error> {
    let end = keys::at(keys::CHAIN, seq.saturating_add(1));
    let mut links = view.backward(&[keys::CHAIN], &end)?;
    match links.next()? {
        Some((_, link)) => read_link(&link, seq).map(|link| link.hash),
        None => Ok([0; 32]),
    }
}

fn read_link(bytes: &[u8], seq: u64) -> Result<Link, Error> {
    Link::read(bytes).ok_or_else(|| Error::Damaged(format!("the chain of changes at {seq}")))
}

/// What lies at a seq.
enum Part {
    /// With the link of the chain, if its batch begins there.
    Version(u64, Vec<u8>, Option<Link>),
    Audit(u64, Scope, Vec<u8>),
    Purges(u64, Logged),
}

/// A space of keys whose last part is a seq, and where the walk is in it.
struct Lane<'v> {
    cursor: Cursor<'v>,
    next: Option<(u64, Vec<u8>)>,
}

impl<'v> Lane<'v> {
    fn new(view: &'v View, start: &[u8], end: &[u8]) -> Result<Self, Error> {
        let mut lane = Self {
            cursor: view.forward(start, end)?,
            next: None,
        };
        lane.step()?;
        Ok(lane)
    }

    fn step(&mut self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let next = self.cursor.next()?;
        let next = next.map(|(key, value)| (keys::last_number(key), value.into_owned()));
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn seq(&self) -> u64 {
        self.next.as_ref().map_or(u64::MAX, |(seq, _)| *seq)
    }
}

/// The walk through all spaces at once.
struct Walk<'v> {
    versions: Lane<'v>,
    links: Lane<'v>,
    purges: Lane<'v>,
    audit: Vec<(Scope, Lane<'v>)>,
}

impl<'v> Walk<'v> {
    fn new(view: &'v View, from: u64, upto: u64) -> Result<Self, Error> {
        let lane = |space| {
            let end = keys::at(space, upto.saturating_add(1));
            Lane::new(view, &keys::at(space, from), &end)
        };
        Ok(Self {
            versions: lane(keys::BODY)?,
            links: lane(keys::CHAIN)?,
            purges: lane(keys::PURGES)?,
            audit: audit_lanes(view, from, upto)?,
        })
    }

    /// The part that comes next: what was purged comes behind the part that has its seq.
    fn next(&mut self) -> Result<Option<Part>, Error> {
        let version = self.versions.seq();
        let entries = self.audit.iter_mut().min_by_key(|(_, lane)| lane.seq());
        let entry = entries.as_ref().map_or(u64::MAX, |(_, lane)| lane.seq());
        if self.purges.seq() < version.min(entry) {
            let purges = self.purges.step()?;
            let read = |(seq, bytes): (u64, Vec<u8>)| Ok(Part::Purges(seq, Logged::read(&bytes)?));
            return purges.map(read).transpose();
        }
        if version < entry {
            let link = match self.links.seq() == version {
                true => self.links.step()?,
                false => None,
            };
            let link = link
                .map(|(seq, bytes)| read_link(&bytes, seq))
                .transpose()?;
            let version = self.versions.step()?;
            return Ok(version.map(|(seq, bytes)| Part::Version(seq, bytes, link)));
        }
        match entries {
            Some((scope, lane)) => {
                let entry = lane.step()?;
                Ok(entry.map(|(seq, bytes)| Part::Audit(seq, *scope, bytes)))
            }
            None => Ok(None),
        }
    }
}

/// Of each scope that has entries from a seq on, where they begin.
fn audit_lanes(view: &View, from: u64, upto: u64) -> Result<Vec<(Scope, Lane<'_>)>, Error> {
    let mut lanes = Vec::new();
    for (space, scope) in audit_tree::lanes(view)? {
        let start = keys::entry(space, scope, from);
        let end = keys::entry(space, scope, upto.saturating_add(1));
        let lane = Lane::new(view, &start, &end)?;
        if lane.next.is_some() {
            lanes.push((scope, lane));
        }
    }
    Ok(lanes)
}

/// Parts put together again.
struct Batches {
    whole: Vec<LogBatch>,
    /// The batch that the last part was of.
    current: Option<LogBatch>,
    /// Its last version did not end its versions.
    open: bool,
    chain: [u8; 32],
    bytes: usize,
    bytes_wanted: usize,
}

impl Batches {
    fn new(chain: [u8; 32], bytes_wanted: usize) -> Self {
        Self {
            whole: Vec::new(),
            current: None,
            open: false,
            chain,
            bytes: 0,
            bytes_wanted,
        }
    }

    /// Takes the next part; false if there is enough without it.
    fn take(&mut self, part: Part) -> Result<bool, Error> {
        let begins = self.begins(&part)?;
        if begins.is_some() && self.current.is_some() {
            self.end();
            if self.bytes >= self.bytes_wanted {
                return Ok(false);
            }
        }
        if let Some((scope, time_ms)) = begins {
            self.begin(&part, scope, time_ms)?;
        }
        self.put(part).map(|()| true)
    }

    /// Scope and time, if a batch begins with the part.
    fn begins(&self, part: &Part) -> Result<Option<(Scope, i64)>, Error> {
        Ok(match part {
            Part::Version(_, bytes, _) => {
                let stored = body::Stored::read(bytes)?;
                (!self.open).then_some((stored.scope, stored.time_ms))
            }
            Part::Audit(_, scope, bytes) => {
                let time_ms = audit::Stored::read(bytes)?.time_ms;
                let first = audit::Stored::read(bytes)?.is_first();
                // Of what was written before the place was kept, that which goes
                // together has one time.
                let apart = self
                    .current
                    .as_ref()
                    .is_none_or(|batch| (batch.scope, batch.time_ms) != (*scope, time_ms));
                first.unwrap_or(apart).then_some((*scope, time_ms))
            }
            Part::Purges(_, logged) => logged.alone.then_some((logged.scope, logged.time_ms)),
        })
    }

    fn begin(&mut self, part: &Part, scope: Scope, time_ms: i64) -> Result<(), Error> {
        let (Part::Version(seq, ..) | Part::Audit(seq, ..) | Part::Purges(seq, _)) = part;
        if let Part::Version(seq, _, link) = part {
            let missing = || Error::Damaged(format!("the chain of changes at {seq}"));
            self.chain = link.ok_or_else(missing)?.hash;
        }
        self.current = Some(LogBatch {
            first: Seq(*seq),
            last: Seq(*seq),
            time_ms,
            scope,
            chain: self.chain,
            parts: Vec::new(),
        });
        Ok(())
    }

    fn put(&mut self, part: Part) -> Result<(), Error> {
        let Some(batch) = &mut self.current else {
            return Err(Error::Damaged("a batch without a beginning".into()));
        };
        match part {
            Part::Version(seq, bytes, _) => {
                self.open = !body::Stored::read(&bytes)?.ends_batch();
                self.bytes += bytes.len();
                batch.last = Seq(seq);
                batch.parts.push(LogPart::Version(bytes.into()));
            }
            Part::Audit(seq, _, bytes) => {
                let stored = audit::Stored::read(&bytes)?;
                let (leaf, (entry, about)) = (stored.leaf, stored.parts(&bytes)?);
                let entry = Bytes::copy_from_slice(entry);
                self.bytes += bytes.len();
                batch.last = Seq(seq);
                batch.parts.push(LogPart::Audit { leaf, entry, about });
            }
            Part::Purges(_, logged) => {
                self.bytes += 32 * logged.purges.len();
                batch
                    .parts
                    .extend(logged.purges.into_iter().map(LogPart::Purged));
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.whole.extend(self.current.take());
    }
}
