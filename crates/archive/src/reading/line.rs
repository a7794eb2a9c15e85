//! One way through an archive: the segments of a base, and those of the line behind it; or those of
//! the line from its beginning.

use salus_crypto::merkle::Frontier;
use salus_store::LogBatch;

use super::Reached;
use crate::plan::Piece;
use crate::segment::Opening;
use crate::{Archive, Base, BaseName, Contents, Error, Fault, Form, What, Whole};

/// A way through an archive, and how far along it somebody is.
pub(crate) struct Line {
    pieces: Vec<Piece>,
    /// The base that it begins with.
    pub(super) base: Option<(Base, Whole)>,
    next: usize,
    opening: Option<(Piece, Opening)>,
    pub(crate) reached: Reached,
}

impl Line {
    /// From the beginning of the log.
    pub(crate) fn new(contents: &Contents, base: Option<(Base, Whole)>) -> Self {
        Self {
            pieces: contents.pieces(base.as_ref().map(|(base, _)| base)),
            base,
            next: 0,
            opening: None,
            reached: Reached::default(),
        }
    }

    /// A base alone.
    pub(crate) fn of_base(base: &Base, whole: &Whole) -> Self {
        let way = Some((base.clone(), whole.clone()));
        Self::new(&Contents::default(), way)
    }

    /// What is behind a base, without it.
    pub(crate) fn behind_base(contents: &Contents, name: BaseName, whole: &Whole) -> Self {
        let mut line = Self::new(contents, None);
        line.pieces.retain(|piece| piece.name.first.0 > name.number);
        line.reached = Reached {
            seq: name.seq,
            number: name.number,
            hash: whole.ends,
            chain: whole.chain,
            frontier: whole.frontier.clone(),
            ..Reached::default()
        };
        line
    }

    /// Whether a fault now would be one of the base's.
    pub(super) fn is_in_base(&self) -> bool {
        match &self.opening {
            Some((piece, _)) => piece.base.is_some(),
            None => self
                .pieces
                .get(self.next)
                .is_some_and(|piece| piece.base.is_some()),
        }
    }

    pub(crate) fn progress(&self) -> (usize, usize) {
        (self.next, self.pieces.len())
    }

    /// The next batches, often none; `None` at the end.
    pub(crate) async fn step(&mut self, archive: &Archive) -> Result<Option<Vec<LogBatch>>, Error> {
        let Some((piece, opening)) = &mut self.opening else {
            return self.begin(archive).await;
        };
        let fault = |what| Error::Fault(Fault::new(&*piece, what));
        if let Some(batches) = opening.next(&archive.keys).map_err(fault)? {
            batches.iter().for_each(|batch| self.reached.follow(batch));
            return Ok(Some(batches));
        }
        self.end()?;
        Ok(Some(Vec::new()))
    }

    /// Opens the next segment; `None` if there is none.
    async fn begin(&mut self, archive: &Archive) -> Result<Option<Vec<LogBatch>>, Error> {
        let Some(piece) = self.pieces.get(self.next).cloned() else {
            return Ok(None);
        };
        let expected = self.reached.number + 1;
        let first = piece.name.first.0;
        if first != expected {
            let object = format!("segment {expected}, from seq {}", self.reached.seq.0 + 1);
            let until = (first > expected + 1).then_some(first);
            return Err(Fault::new(object, What::Missing { until }).into());
        }
        let before = self.reached.frontier.clone();
        let opening = archive.open_piece(&piece, Some(before)).await?;
        self.check(&opening)
            .map_err(|what| Fault::new(&piece, what))?;
        self.next += 1;
        self.opening = Some((piece, opening));
        Ok(Some(Vec::new()))
    }

    fn check(&self, opening: &Opening) -> Result<(), What> {
        let header = opening.header();
        if let (Form::Base(ends), Some((_, whole))) = (header.form, &self.base)
            && ends != whole.ends
        {
            return Err(What::Unchained("it is of another base"));
        }
        if header.before != self.reached.hash {
            return Err(What::Unchained("its predecessor had another hash"));
        }
        if header.seqs.0 != self.reached.next() {
            return Err(What::Unchained("a seq is missing between them"));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some((piece, opening)) = self.opening.take() else {
            return Ok(());
        };
        let footer = opening.footer();
        let same = footer.chain == self.reached.chain && footer.frontier == self.reached.frontier;
        if !same {
            let what = What::Unchained("the changes before it are of another history");
            return Err(Fault::new(&piece, what).into());
        }
        self.reached.key_slots = footer.key_slots;
        self.reached.segments += 1;
        self.reached.number = opening.header().numbers.1;
        self.reached.hash = opening.closes();
        let base_ends = piece.base.is_some()
            && self
                .pieces
                .get(self.next)
                .is_none_or(|next| next.base.is_none());
        match base_ends {
            true => self.end_base(),
            false => Ok(()),
        }
    }

    /// Goes over from the base to the line behind it.
    fn end_base(&mut self) -> Result<(), Error> {
        let Some((base, whole)) = &self.base else {
            return Ok(());
        };
        let is = (
            self.reached.seq,
            self.reached.hash,
            self.reached.chain,
            &self.reached.frontier,
        );
        if is != (base.name.seq, whole.hash, whole.chain, &whole.frontier) {
            let what = What::Damaged("its end is not the one that it says");
            return Err(Fault::new(base.name, what).into());
        }
        self.reached.number = base.name.number;
        self.reached.hash = whole.ends;
        Ok(())
    }
}

impl Archive {
    /// Opens a segment that lies where its head says; the hash tree before it is compared if it is
    /// known.
    pub(crate) async fn open_piece(
        &self,
        piece: &Piece,
        before: Option<Frontier>,
    ) -> Result<Opening, Error> {
        let fault = |what| Error::Fault(Fault::new(piece, what));
        let bytes = self.get(&piece.to_string()).await?;
        let opening = Opening::new(&self.keys, &bytes, before).map_err(fault)?;
        let header = opening.header();
        let is_of_base = matches!(header.form, Form::Base(_));
        if header.name() != piece.name || is_of_base != piece.base.is_some() {
            return Err(fault(What::Misplaced(header.name())));
        }
        Ok(opening)
    }
}
