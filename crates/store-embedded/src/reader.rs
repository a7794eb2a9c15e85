//! One scope at one point: records, versions and histories.

use std::collections::BinaryHeap;
use std::sync::Arc;

use parking_lot::Mutex;
use salus_store::{
    AuditQuery, AuditRecord, Content, Error, Filter, Found, History, HistoryOf, Hit, Kind, Param,
    Plan, Position, Query, Record, Reply, Scope, Seq, Snapshot, Superseded,
};

use crate::cache::Era;
use crate::core::Core;
use crate::kv::{Cursor, View};
use crate::newest::Newest;
use crate::superseded::Watch;
use crate::{body, keys, row};

/// Bytes of bodies after which a walk stops.
const WALK_BYTES: usize = 8 << 20;

/// A view of one scope.
pub(crate) struct Reader {
    pub(crate) core: Arc<Core>,
    pub(crate) view: View,
    pub(crate) scope: Scope,
    pub(crate) at: u64,
    pub(crate) era: Era,
    /// The record that was looked up last: who asks whether one may be seen asks for it next.
    last: Mutex<Option<LookedUp>>,
    _watch: Watch,
}

/// What was found under an id.
struct LookedUp {
    kind: Kind,
    id: Box<str>,
    newest: Option<Newest>,
}

impl Reader {
    /// All that was committed until now.
    pub(crate) fn now(core: &Arc<Core>, scope: Scope) -> Result<Self, Error> {
        // First the point, then the view, which may show more: points decide.
        Self::open(core, scope, core.visible())
    }

    /// All that was committed up to a point, if it is still kept.
    pub(crate) fn at(core: &Arc<Core>, scope: Scope, seq: Seq) -> Result<Self, Error> {
        if seq.0 > core.visible() {
            return Err(Error::SnapshotGone(seq));
        }
        let reader = Self::open(core, scope, seq.0)?;
        // Looked at when the view is open: what is removed from now on, it still sees.
        if seq.0 < core.superseded.floor() {
            return Err(Error::SnapshotGone(seq));
        }
        Ok(reader)
    }

    fn open(core: &Arc<Core>, scope: Scope, at: u64) -> Result<Self, Error> {
        let watch = core.superseded.watch();
        let era = core.cache.era();
        Ok(Self {
            view: core.kv.view()?,
            core: Arc::clone(core),
            scope,
            at,
            era,
            last: Mutex::new(None),
            _watch: watch,
        })
    }

    /// The version of this seq.
    pub(crate) fn load(&self, seq: u64) -> Result<Record, Error> {
        self.opened(seq)?.record(&self.core.codec)
    }

    fn opened(&self, seq: u64) -> Result<Arc<body::Opened>, Error> {
        let opened = self.core.cache.body(seq, self.era, || {
            let bytes = self.body(seq)?;
            let opened = body::Stored::read(&bytes)?.unseal(seq, &self.core.keyring);
            opened.map_err(|error| self.gone(error))
        })?;
        if opened.scope != self.scope {
            return Err(Error::Damaged(format!("version {seq} is of another scope")));
        }
        Ok(opened)
    }

    /// What is kept beside a version of a kind, if it shows.
    pub(crate) fn entry(&self, kind: Kind, seq: u64) -> Result<Arc<[u8]>, Error> {
        self.core.cache.rows(seq, self.era, || {
            let key = keys::of_kind_at(keys::CURRENT, self.scope, kind, seq);
            let entry = self.view.get(&key)?;
            entry.ok_or_else(|| Error::Damaged(format!("the rows of version {seq} are missing")))
        })
    }

    /// Whether index entries of a version count at this point.
    pub(crate) fn shows(&self, seq: u64) -> bool {
        self.core.superseded.shows(seq, self.at)
    }

    /// A point that shows what was purged since cannot be read any more.
    fn gone(&self, error: Error) -> Error {
        if let Error::Purged = error {
            return Error::SnapshotGone(Seq(self.at));
        }
        error
    }

    pub(crate) fn body(&self, seq: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.view.get(&keys::at(keys::BODY, seq))?;
        bytes.ok_or_else(|| Error::Damaged(format!("version {seq} is missing")))
    }

    /// The newest version of a record at this point.
    pub(crate) fn newest(&self, kind: Kind, id: &str) -> Result<Option<Newest>, Error> {
        if let Some(last) = &*self.last.lock()
            && (last.kind, &*last.id) == (kind, id)
        {
            return Ok(last.newest);
        }
        let newest = self.newest_anew(kind, id)?;
        *self.last.lock() = Some(LookedUp {
            kind,
            id: id.into(),
            newest,
        });
        Ok(newest)
    }

    fn newest_anew(&self, kind: Kind, id: &str) -> Result<Option<Newest>, Error> {
        let key = keys::record(keys::NEWEST, self.scope, kind, id);
        let Some(bytes) = self.view.get(&key)? else {
            return Ok(None);
        };
        let newest = Newest::read(&bytes)?;
        if newest.seq <= self.at {
            return Ok(Some(newest));
        }
        let mut older = self.older(kind, id)?;
        let mut newer = newest.version;
        while let Some((key, value)) = older.next()? {
            let seq = keys::last_number(&value);
            let version = keys::last_number(key);
            if version + 1 != newer {
                break;
            }
            newer = version;
            if seq <= self.at {
                let bytes = self.body(seq)?;
                let deleted = body::Stored::read(&bytes)?.is_deleted();
                return Ok(Some(Newest {
                    seq,
                    version,
                    deleted,
                }));
            }
        }
        match newer {
            1 => Ok(None),
            // One that was purged may have been the newest.
            _ => Err(Error::SnapshotGone(Seq(self.at))),
        }
    }

    /// Older versions of a record and their seqs, newest first.
    fn older(&self, kind: Kind, id: &str) -> Result<Cursor<'_>, Error> {
        let start = keys::record(keys::VERSION, self.scope, kind, id);
        self.view.backward(&start, &keys::after_prefix(&start))
    }

    fn get_now(&self, kind: Kind, id: &str) -> Result<Option<Record>, Error> {
        let newest = self.newest(kind, id)?;
        newest.map(|newest| self.load(newest.seq)).transpose()
    }

    fn head_now(&self, kind: Kind, id: &str) -> Result<Option<Record>, Error> {
        let newest = self.newest(kind, id)?;
        let opened = newest.map(|newest| self.opened(newest.seq)).transpose()?;
        Ok(opened.map(|opened| opened.head()))
    }

    fn version_now(&self, kind: Kind, id: &str, version: u64) -> Result<Option<Record>, Error> {
        match self.seq_of(kind, id, version)? {
            Some(seq) if self.is_shredded(seq)? => Err(Error::Purged),
            Some(seq) => self.load(seq).map(Some),
            None if self.is_purged(kind, id, version)? => Err(Error::Purged),
            None => Ok(None),
        }
    }

    /// When a version was written.
    pub(crate) fn time_of(&self, kind: Kind, id: &str, version: u64) -> Result<Option<i64>, Error> {
        let Some(seq) = self.seq_of(kind, id, version)? else {
            return Ok(None);
        };
        let bytes = self.body(seq)?;
        Ok(Some(body::Stored::read(&bytes)?.time_ms))
    }

    fn seq_of(&self, kind: Kind, id: &str, version: u64) -> Result<Option<u64>, Error> {
        let key = keys::record(keys::NEWEST, self.scope, kind, id);
        let Some(bytes) = self.view.get(&key)? else {
            return Ok(None);
        };
        let newest = Newest::read(&bytes)?;
        let seq = if newest.version == version {
            newest.seq
        } else {
            let key = keys::record_at(keys::VERSION, self.scope, kind, id, version);
            match self.view.get(&key)? {
                Some(bytes) => keys::last_number(&bytes),
                None => return Ok(None),
            }
        };
        Ok((seq <= self.at).then_some(seq))
    }

    fn history_now(&self, query: &History) -> Result<Found, Error> {
        let beside = query.after.and_then(Position::seq);
        let backward = query.after.is_some_and(Position::is_backward);
        let beside_seq = match beside {
            Some(Seq(seq)) => Some(self.history_position(seq)?),
            None => None,
        };
        let newest = self.at.saturating_add(1);
        let span = match (beside_seq, backward) {
            (Some(seq), true) => (seq, newest),
            (None, _) => (0, newest),
            (Some(seq), false) => (0, seq),
        };
        let mut page = Page {
            reader: self,
            since_ms: query.since_ms.unwrap_or(i64::MIN),
            current_ms: query.current_ms,
            passed: 0,
            wanted: query.limit,
            backward,
            hits: Vec::new(),
            further: None,
        };
        match &query.of {
            HistoryOf::Record(kind, id) => self.record_history(*kind, id, span, &mut page)?,
            // Many may be passed over.
            HistoryOf::Kinds(kinds) if query.current_ms.is_some() => {
                let core = &self.core;
                core.aside
                    .run(|| self.kinds_history(kinds, span, &mut page))?;
            }
            HistoryOf::Kinds(kinds) => self.kinds_history(kinds, span, &mut page)?,
        }
        Ok(page.found(beside))
    }

    fn history_position(&self, seq: u64) -> Result<u64, Error> {
        let stored = self.view.get(&keys::at(keys::BODY, seq))?;
        let of_scope = match &stored {
            Some(bytes) => body::Stored::read(bytes)?.scope == self.scope,
            None => false,
        };
        if of_scope && seq <= self.at {
            Ok(seq)
        } else {
            Err(Error::Misuse("not a position of this history"))
        }
    }

    fn record_history(
        &self,
        kind: Kind,
        id: &str,
        (from, to): (u64, u64),
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let key = keys::record(keys::NEWEST, self.scope, kind, id);
        let Some(bytes) = self.view.get(&key)? else {
            return Ok(());
        };
        let newest = Newest::read(&bytes)?.seq;
        let is_wanted = |seq: u64| from <= seq && seq < to;
        if !page.backward && is_wanted(newest) && !page.add(newest)? {
            return Ok(());
        }
        let start = keys::record(keys::VERSION, self.scope, kind, id);
        let end = keys::after_prefix(&start);
        let mut older = self.view.toward(&start, &end, !page.backward)?;
        while let Some((_, value)) = older.next()? {
            let seq = keys::last_number(&value);
            if is_wanted(seq) && !page.add(seq)? {
                return Ok(());
            }
        }
        if page.backward && is_wanted(newest) {
            page.add(newest)?;
        }
        Ok(())
    }

    /// Merges the lists of current and past versions of each kind.
    fn kinds_history(
        &self,
        kinds: &[Kind],
        (from, to): (u64, u64),
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let mut kinds = kinds.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        let mut lists = Vec::with_capacity(kinds.len() * 2);
        let mut heads = BinaryHeap::new();
        for kind in kinds {
            for space in [keys::CURRENT, keys::PAST] {
                let start = keys::of_kind_at(space, self.scope, kind, from);
                let end = keys::of_kind_at(space, self.scope, kind, to);
                let mut list = self.view.toward(&start, &end, !page.backward)?;
                if let Some(key) = list.next_key()? {
                    heads.push((page.rank(keys::last_number(key)), lists.len()));
                    lists.push(list);
                }
            }
        }
        let mut before = None;
        while let Some((rank, list)) = heads.pop() {
            // A version whose rows are not removed yet is in both lists.
            if Some(rank) != before && !page.add(page.rank(rank))? {
                break;
            }
            before = Some(rank);
            let next = lists.get_mut(list).map(Cursor::next_key).transpose()?;
            if let Some(key) = next.flatten() {
                heads.push((page.rank(keys::last_number(key)), list));
            }
        }
        Ok(())
    }

    /// Every version is in the list of current or of past ones, or in both.
    fn changed_now(&self, kinds: &[Kind]) -> Result<Option<Seq>, Error> {
        let mut newest = None;
        for kind in kinds {
            for space in [keys::CURRENT, keys::PAST] {
                let start = keys::of_kind(space, self.scope, *kind);
                let end = keys::of_kind_at(space, self.scope, *kind, self.at.saturating_add(1));
                let mut list = self.view.backward(&start, &end)?;
                newest = newest.max(list.next_key()?.map(keys::last_number));
            }
        }
        Ok(newest.map(Seq))
    }

    /// Bodies are not taken from the cache nor put there: each is read once.
    fn walk_now(
        &self,
        kind: Kind,
        before: Seq,
        limit: usize,
        rows: &[Param],
    ) -> Result<Vec<Hit>, Error> {
        let start = keys::of_kind(keys::CURRENT, self.scope, kind);
        let end = keys::of_kind_at(keys::CURRENT, self.scope, kind, before.0);
        let mut list = self.view.backward(&start, &end)?;
        let (mut hits, mut bytes) = (Vec::new(), 0);
        while hits.len() < limit
            && bytes < WALK_BYTES
            && let Some((key, entry)) = list.next()?
        {
            let seq = keys::last_number(key);
            if self.shows(seq) {
                let body = self.body(seq)?;
                let stored = body::Stored::read(&body)?;
                let record = stored.open(seq, &self.core.codec, &self.core.keyring);
                let record = record.map_err(|error| self.gone(error))?;
                if let Content::Body(body) = &record.content {
                    bytes += body.len();
                }
                hits.push(Hit {
                    record,
                    rows: row::Entry::read(&entry)?.pick(rows)?,
                });
            }
        }
        Ok(hits)
    }

    fn audit_now(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, Error> {
        crate::audit_log::page(self, query)
    }
}

/// A page of versions, newest first; backward, oldest first until it is whole.
struct Page<'a> {
    reader: &'a Reader,
    since_ms: i64,
    current_ms: Option<(i64, i64)>,
    /// How many versions were passed over.
    passed: u64,
    wanted: usize,
    backward: bool,
    hits: Vec<Hit>,
    /// The version that comes first behind the page.
    further: Option<Seq>,
}

impl Page<'_> {
    /// What is greatest for the version that comes first, of a seq; and back.
    fn rank(&self, seq: u64) -> u64 {
        if self.backward { !seq } else { seq }
    }

    fn found(mut self, beside: Option<Seq>) -> Found {
        if self.wanted == 0 {
            return Found::default();
        }
        let (next, previous) = match self.backward {
            true => (beside, self.further),
            false => {
                let last = self.hits.last().map(|hit| hit.record.seq);
                (last.filter(|_| self.further.is_some()), beside)
            }
        };
        if self.backward {
            self.hits.reverse();
        }
        Found {
            hits: self.hits,
            next: next.map(Position::After),
            previous: previous.map(Position::UpTo),
        }
    }

    /// Adds the next version if it is wanted; says whether to go on.
    fn add(&mut self, seq: u64) -> Result<bool, Error> {
        let bytes = self.reader.body(seq)?;
        let stored = body::Stored::read(&bytes)?;
        if !self.backward && stored.latest_ms < self.since_ms {
            // Neither this one nor any before it.
            return Ok(false);
        }
        if stored.purged().is_some() {
            // Its rows are there for a while yet.
            return Ok(true);
        }
        if stored.time_ms < self.since_ms || !self.is_current(&stored)? {
            self.passed += 1;
            let rows_max = self.reader.core.rows_max;
            return match self.passed > rows_max {
                true => Err(Error::TooCostly { rows_max }),
                false => Ok(true),
            };
        }
        if self.hits.len() >= self.wanted {
            self.further = Some(Seq(seq));
            return Ok(false);
        }
        let core = &self.reader.core;
        let record = match stored.open(seq, &core.codec, &core.keyring) {
            // About to be removed, or in a copy from before: as if it had been.
            Err(Error::KeyDestroyed) => return Ok(true),
            record => record?,
        };
        self.hits.push(Hit {
            record,
            rows: Vec::new(),
        });
        Ok(true)
    }
}

impl Page<'_> {
    /// Whether a version was current at some moment of the span asked for.
    fn is_current(&self, stored: &body::Stored<'_>) -> Result<bool, Error> {
        let Some((from_ms, to_ms)) = self.current_ms else {
            return Ok(true);
        };
        if stored.time_ms >= from_ms || stored.is_deleted() {
            return Ok((from_ms..to_ms).contains(&stored.time_ms));
        }
        let next = stored.version.saturating_add(1);
        let next_ms = self.reader.time_of(stored.kind, stored.id, next)?;
        Ok(stored.time_ms < to_ms && next_ms.is_none_or(|next_ms| next_ms > from_ms))
    }
}

impl Snapshot for Reader {
    fn seq(&self) -> Seq {
        Seq(self.at)
    }

    fn get<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>> {
        ready(self.get_now(kind, id))
    }

    fn head<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>> {
        ready(self.head_now(kind, id))
    }

    fn version<'a>(&'a self, kind: Kind, id: &'a str, version: u64) -> Reply<'a, Option<Record>> {
        ready(self.version_now(kind, id, version))
    }

    fn superseded<'a>(
        &'a self,
        kind: Kind,
        id: Option<&'a str>,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, Superseded> {
        ready(self.superseded_now((kind, id), after, limit))
    }

    fn history<'a>(&'a self, query: &'a History) -> Reply<'a, Found> {
        ready(self.history_now(query))
    }

    fn find<'a>(&'a self, query: &'a Query) -> Reply<'a, Found> {
        ready(self.find_now(query))
    }

    fn holds<'a>(&'a self, kind: Kind, id: &'a str, filter: &'a Filter) -> Reply<'a, bool> {
        ready(self.holds_now(kind, id, filter))
    }

    fn explain<'a>(&'a self, query: &'a Query) -> Reply<'a, (Found, Plan)> {
        ready(self.explain_now(query))
    }

    fn estimate<'a>(&'a self, query: &'a Query) -> Reply<'a, Option<u64>> {
        ready(self.estimate_now(query))
    }

    fn walk<'a>(
        &'a self,
        kind: Kind,
        before: Seq,
        limit: usize,
        rows: &'a [Param],
    ) -> Reply<'a, Vec<Hit>> {
        ready(self.walk_now(kind, before, limit, rows))
    }

    fn count<'a>(&'a self, query: &'a Query) -> Reply<'a, u64> {
        ready(self.count_now(query))
    }

    fn changed<'a>(&'a self, kinds: &'a [Kind]) -> Reply<'a, Option<Seq>> {
        ready(self.changed_now(kinds))
    }

    fn audit<'a>(&'a self, query: &'a AuditQuery) -> Reply<'a, Vec<AuditRecord>> {
        ready(self.audit_now(query))
    }
}

/// Reads answer at once: the disk is read on the caller's thread, most often from memory.
pub(crate) fn ready<'a, T: Send + 'a>(result: Result<T, Error>) -> Reply<'a, T> {
    Box::pin(std::future::ready(result))
}
