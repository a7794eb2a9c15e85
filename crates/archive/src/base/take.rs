//! Taking a base: the log is read from the store anew, in small reads with rests between them, and
//! sealed as a line of its own, up to where the last segment ends that was shipped. What was put is
//! read back before the base counts. One that was cut off is gone on with, or begun anew.

use std::time::Duration;

use futures_util::future::BoxFuture;
use salus_store::{Log, LogBatch, Seq};
use tokio::time::{Instant, sleep};

use crate::plan::Piece;
use crate::segment::room;
use crate::shipper::End;
use crate::verify::{Follows, Progress};
use crate::{
    Archive, Base, BaseName, BasePart, Contents, Error, Fault, Form, Put, Segment, Start, What,
    Whole,
};

/// One that was begun so long ago is not gone on with: much may have been purged since.
const RESUME_MS: i64 = 24 * 60 * 60 * 1000;
/// For so long it waits for what was committed meanwhile to be shipped.
const SHIPPED_MAX: Duration = Duration::from_secs(10 * 60);
const SHIPPED_WAIT: Duration = Duration::from_millis(20);
const SHIPPED_WAIT_MAX: Duration = Duration::from_secs(10);

/// How much a base is taken at once, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// About how many bytes of the log are in a segment: a few times so much is in memory.
    pub bytes: usize,
    /// Bytes of the log that are read at once, about.
    pub read_bytes: usize,
    /// After each read it rests so many times as long as the read took.
    pub rest: u32,
}

impl Pace {
    /// In nobody's way.
    pub const GENTLE: Self = Self {
        bytes: 8 << 20,
        read_bytes: 512 << 10,
        rest: 4,
    };
    /// As when somebody waits for it.
    pub const BRISK: Self = Self {
        rest: 1,
        ..Self::GENTLE
    };
}

/// What came of taking a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There is a new one.
    Made(BaseName, Whole),
    /// There is one already that ends where the archive does.
    There(BaseName),
    /// Nothing was shipped yet.
    Empty,
}

impl Archive {
    /// Takes a base of the store that ships into the archive. Only one may be taken at a time, and
    /// what is shipped has to go on being shipped: the base counts when all that was committed
    /// while it was taken is in the archive.
    ///
    /// # Errors
    /// [`Error::Elsewhere`] for a store that does not belong to the archive; a [`Fault`] if what
    /// was read back is not what was written; others when store or destination cannot be reached.
    pub fn take_base<'a>(
        &'a self,
        log: &'a dyn Log,
        pace: Pace,
        now_ms: fn() -> i64,
        follows: &'a Follows<'a>,
        progress: &'a Progress<'a>,
    ) -> BoxFuture<'a, Result<Taken, Error>> {
        Box::pin(async move {
            let contents = self.contents().await?;
            let end = End::of(self).await?;
            if let Some(reason) = end.foreign(log).await? {
                return Err(Error::Elsewhere(reason));
            }
            if end.number == 0 {
                return Ok(Taken::Empty);
            }
            let last = contents.bases.iter().rfind(|base| base.whole);
            if let Some(base) = last.filter(|base| base.name.number == end.number) {
                return Ok(Taken::There(base.name));
            }
            let mut taking = match self.begun(&contents, now_ms()).await? {
                Some(taking) => taking,
                None => Taking {
                    name: BaseName {
                        number: end.number,
                        seq: end.seq,
                    },
                    begun_ms: now_ms(),
                    own: End::default(),
                    main: end,
                },
            };
            let others = contents.bases.iter().filter(|base| !base.whole);
            for base in others.filter(|base| base.name != taking.name || taking.own.number == 0) {
                self.remove_base(base).await?;
            }
            self.fill(&mut taking, log, pace, progress).await?;
            let done = self.finish(&taking, log, now_ms, follows).await;
            if let Err(Error::Fault(_)) = &done {
                self.discard(taking.name).await;
            }
            done.map(|whole| Taken::Made(taking.name, whole))
        })
    }

    /// Removes a base; what says that it is whole goes first.
    pub(crate) async fn remove_base(&self, base: &Base) -> Result<(), Error> {
        for object in base.objects() {
            self.destination.remove(&object).await?;
        }
        Ok(())
    }

    /// The newest base that was cut off, if it can be gone on with.
    async fn begun(&self, contents: &Contents, now_ms: i64) -> Result<Option<Taking>, Error> {
        let Some(base) = contents.bases.last().filter(|base| !base.whole) else {
            return Ok(None);
        };
        match self.begun_base(contents, base).await {
            Ok(Some(taking)) if now_ms.saturating_sub(taking.begun_ms) < RESUME_MS => {
                Ok(Some(taking))
            }
            Ok(_) | Err(Error::Fault(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn begun_base(&self, contents: &Contents, base: &Base) -> Result<Option<Taking>, Error> {
        let pieces: Vec<_> = base.pieces().collect();
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
            return Ok(None);
        };
        let Some(main) = contents.ending(base.name.number) else {
            return Ok(None);
        };
        let main = Piece {
            name: main.clone(),
            base: None,
        };
        let main = End::of_piece(self, &main).await?;
        let header = self.open_piece(first, None).await?.header().clone();
        let goes_on = header.form == Form::Base(main.hash)
            && pieces.len() as u64 == last.name.first.0
            && main.seq == base.name.seq;
        Ok(match goes_on {
            true => Some(Taking {
                name: base.name,
                begun_ms: header.made_ms,
                own: End::of_piece(self, last).await?,
                main,
            }),
            false => None,
        })
    }

    /// Reads the log behind what is there, and puts it.
    async fn fill(
        &self,
        taking: &mut Taking,
        log: &dyn Log,
        pace: Pace,
        progress: &Progress<'_>,
    ) -> Result<(), Error> {
        let until = taking.name.seq;
        let (mut gathered, mut length) = (Vec::new(), 0);
        while taking.own.seq < until {
            let begun = Instant::now();
            let after = gathered
                .last()
                .map_or(taking.own.seq, |one: &LogBatch| one.last);
            let mut some = log.batches(after, pace.read_bytes).await?;
            some.retain(|batch| batch.first <= until);
            length += some.iter().map(room).sum::<usize>();
            gathered.append(&mut some);
            let last = gathered.last().map_or(after, |one| one.last);
            if last == after || last > until {
                return Err(Error::Elsewhere(
                    "the store's log is not the one that was shipped",
                ));
            }
            if length >= pace.bytes || last == until {
                self.put_next(taking, std::mem::take(&mut gathered), log)
                    .await?;
                length = 0;
                progress(taking.own.seq.0, until.0);
            }
            sleep(begun.elapsed() * pace.rest).await;
        }
        Ok(())
    }

    async fn put_next(
        &self,
        taking: &mut Taking,
        batches: Vec<LogBatch>,
        log: &dyn Log,
    ) -> Result<(), Error> {
        let number = taking.own.number + 1;
        let start = Start {
            form: Form::Base(taking.main.hash),
            numbers: (number, number),
            before: taking.own.hash,
            frontier: taking.own.frontier.clone(),
            key_slots: log.head().await?.key_slots,
            made_ms: taking.begun_ms,
        };
        let keys = self.keys.clone();
        let sealed = tokio::task::spawn_blocking(move || Segment::seal(&keys, start, &batches));
        let ended = || salus_store::Error::Unavailable("its work was ended".into());
        let sealed = sealed.await.map_err(|_| ended())??;
        let segment = sealed.ok_or_else(ended)?;
        let (number, seq) = segment.name.first;
        let object = taking.name.object(BasePart::Segment(number, seq));
        match self.destination.put(&object, segment.bytes.clone()).await? {
            Put::Made => {}
            // An earlier try may have been ours, and its answer lost.
            Put::Taken if self.get(&object).await? == segment.bytes => {}
            Put::Taken => {
                let what = "another took it meanwhile, or it could not be removed";
                return Err(Fault::damaged(object, what).into());
            }
        }
        taking.own = End::behind(&segment);
        Ok(())
    }

    /// Reads back what was put, and says that it is whole.
    async fn finish(
        &self,
        taking: &Taking,
        log: &dyn Log,
        now_ms: fn() -> i64,
        follows: &Follows<'_>,
    ) -> Result<Whole, Error> {
        let (own, main, name) = (&taking.own, &taking.main, taking.name);
        if (own.seq, own.chain, &own.frontier) != (main.seq, main.chain, &main.frontier) {
            let what = "its end is not that of the segment where it ends";
            return Err(Fault::damaged(name, what).into());
        }
        // What was purged until now may be missing from it.
        let valid = log.head().await?.seq;
        let (contents, base) = self.shipped(valid, name).await?;
        let mut whole = Whole {
            segments: own.number,
            hash: own.hash,
            ends: main.hash,
            chain: own.chain,
            valid: (valid, i64::MAX),
            made_ms: (taking.begun_ms, now_ms()),
            bytes: self.bytes_of(name).await?,
            frontier: own.frontier.clone(),
        };
        let latest = self.check_line(&base, &whole, follows, &|_, _| {}).await?;
        let behind = self.check_behind(&contents, name, &whole, follows).await?;
        whole.valid.1 = latest.max(behind);
        let object = name.object(BasePart::Whole);
        let mut sealed = Vec::new();
        self.keys
            .seal(object.as_bytes(), &whole.to_bytes(), &mut sealed)?;
        self.destination.put(&object, sealed.into()).await?;
        let there = self.whole(&base).await?;
        match there == whole {
            true => Ok(whole),
            false => Err(Fault::damaged(object, "it is not what was written").into()),
        }
    }

    /// Waits until all up to a seq is in the archive, and a base still ends where a segment does.
    async fn shipped(&self, seq: Seq, name: BaseName) -> Result<(Contents, Base), Error> {
        let begun = Instant::now();
        let mut wait = SHIPPED_WAIT;
        loop {
            let contents = self.contents().await?;
            if self.last_seq(&contents).await? >= seq {
                let base = contents.bases.iter().find(|base| base.name == name);
                let base = base.filter(|_| contents.ends_at(name)).cloned();
                let gone = || Fault::new(name, What::Missing { until: None });
                return Ok((contents, base.ok_or_else(gone)?));
            }
            if begun.elapsed() > SHIPPED_MAX {
                return Err(Error::Elsewhere(
                    "the archive is behind the store: a base counts when what was committed \
                     while it was taken is shipped; it is gone on with the next time",
                ));
            }
            sleep(wait).await;
            wait = (wait * 2).min(SHIPPED_WAIT_MAX);
        }
    }

    async fn bytes_of(&self, name: BaseName) -> Result<u64, Error> {
        let objects = self.destination.list(&format!("{name}/")).await?;
        Ok(objects.iter().map(|object| object.bytes).sum())
    }

    /// Removes what turned out not to be what was written.
    async fn discard(&self, name: BaseName) {
        let removed = async {
            let contents = self.contents().await?;
            let base = contents.bases.iter().find(|base| base.name == name);
            match base {
                Some(base) => self.remove_base(base).await,
                None => Ok(()),
            }
        };
        if let Err(error) = removed.await {
            tracing::warn!(archive = self.label(), %error, "a damaged base could not be removed");
        }
    }
}

/// A base that is being taken.
struct Taking {
    name: BaseName,
    begun_ms: i64,
    /// Where it ends so far.
    own: End,
    /// Where it is to end.
    main: End,
}
