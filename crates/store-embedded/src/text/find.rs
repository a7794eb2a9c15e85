//! Which versions have the words that a test wants, from postings alone.
//!
//! Postings know no places: those of phrases are a little too many, and the
//! rows of each record decide. Where one of several words is rare, the rows
//! decide about the common ones too, which then need not be read.

use salus_store::{Error, Kind, PREFIX_IMPACT, Param, Piece, Scope, TextTest, Wanted};

use super::{Postings, of_term, of_terms};
use crate::keys;
use crate::reader::Reader;

/// Postings of further words that are read for each version found so far.
const WORTH: usize = 8;
/// Postings of a further word that are read at least.
const WORTH_MIN: usize = 1024;

/// Versions that show, in the order of their seqs, each with its points.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) found: Vec<(u64, u32)>,
    /// All of them pass the test.
    pub(crate) exact: bool,
    /// The points are right for those that pass.
    pub(crate) scored: bool,
}

/// Lists versions by a text of one parameter.
pub(crate) struct Lister<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) kind: Kind,
    /// Postings read so far.
    pub(crate) read: u64,
    /// No more than so many may be read in all.
    pub(crate) read_max: u64,
}

impl Lister<'_> {
    /// The versions that pass a test, and some more if the list is not exact;
    /// `None` if more than so many postings have to be read to know them.
    pub(crate) fn list(
        &mut self,
        param: Param,
        test: &TextTest,
        most: usize,
    ) -> Result<Option<List>, Error> {
        let of = (self.reader.scope, self.kind, param);
        self.wanted(of, test.lead, &test.wanted, most)
    }

    fn wanted(
        &mut self,
        of: (Scope, Kind, Param),
        lead: bool,
        wanted: &Wanted,
        most: usize,
    ) -> Result<Option<List>, Error> {
        match wanted {
            Wanted::One(piece) => self.one(of, lead, piece, most),
            Wanted::Phrase(pieces) => {
                let pieces: Vec<_> = pieces.iter().cloned().map(Wanted::One).collect();
                let all = self.all(of, lead, &pieces, most, u32::min)?;
                Ok(all.map(|all| List {
                    exact: all.exact && pieces.len() == 1,
                    ..all
                }))
            }
            Wanted::All(all) => self.all(of, lead, all, most, |a, b| a + b),
            Wanted::Any(any) => {
                let mut list = List::default();
                for one in any {
                    match self.wanted(of, lead, one, most)? {
                        Some(one) => list = list.or(one),
                        None => return Ok(None),
                    }
                }
                Ok(Some(list))
            }
            Wanted::Without(one, other) => {
                let Some(mut list) = self.wanted(of, lead, one, most)? else {
                    return Ok(None);
                };
                let worth = worth(&list, most);
                match self.wanted(of, lead, other, worth)? {
                    Some(other) if other.exact => list.remove(&other),
                    _ => list.exact = false,
                }
                Ok(Some(list))
            }
        }
    }

    fn one(
        &mut self,
        of: (Scope, Kind, Param),
        lead: bool,
        piece: &Piece,
        most: usize,
    ) -> Result<Option<List>, Error> {
        let (start, is_prefix) = match piece {
            Piece::Stem(stem) => (of_term(of, stem), false),
            Piece::Prefix(start) => (of_terms(of, start), true),
        };
        let reader = self.reader;
        let end = keys::after_prefix(&start);
        let mut cursor = reader.view.forward(&start, &end)?;
        let (mut found, mut left) = (Vec::new(), most);
        while let Some((key, value)) = cursor.next()? {
            // Blocks may have nothing that counts, but they are read.
            left = match left.checked_sub(1) {
                Some(left) => left,
                None => return Ok(None),
            };
            for placed in Postings::read(keys::last_number(key), &value)? {
                let placed = placed?;
                self.count()?;
                let points = match is_prefix {
                    true => placed.is_word(lead).then_some(PREFIX_IMPACT),
                    false => placed.stem(lead),
                };
                if let Some(points) = points
                    && reader.shows(placed.seq)
                {
                    if found.len() > most {
                        return Ok(None);
                    }
                    found.push((placed.seq, u32::from(points)));
                }
            }
        }
        if is_prefix {
            found.sort_unstable();
            found.dedup();
        }
        Ok(Some(List {
            found,
            exact: true,
            scored: true,
        }))
    }

    /// Those that are in all. The first list that ends is the one to begin
    /// with; others are read only as far as that is worth it.
    fn all(
        &mut self,
        of: (Scope, Kind, Param),
        lead: bool,
        all: &[Wanted],
        most: usize,
        points: impl Fn(u32, u32) -> u32,
    ) -> Result<Option<List>, Error> {
        let Some((first, mut list)) = self.shortest(of, lead, all, most)? else {
            return match all {
                [] => Ok(Some(List::default())),
                _ => Ok(None),
            };
        };
        for (at, other) in all.iter().enumerate() {
            if at == first {
                continue;
            }
            let worth = worth(&list, most);
            match self.wanted(of, lead, other, worth)? {
                Some(other) => list.keep(&other, &points),
                None => (list.exact, list.scored) = (false, false),
            }
        }
        Ok(Some(list))
    }

    fn shortest(
        &mut self,
        of: (Scope, Kind, Param),
        lead: bool,
        all: &[Wanted],
        most: usize,
    ) -> Result<Option<(usize, List)>, Error> {
        let mut round = WORTH_MIN.min(most);
        loop {
            for (at, one) in all.iter().enumerate() {
                if let Some(list) = self.wanted(of, lead, one, round)? {
                    return Ok(Some((at, list)));
                }
            }
            if round >= most {
                return Ok(None);
            }
            round = round.saturating_mul(8).min(most);
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.read += 1;
        if self.read > self.read_max {
            let rows_max = self.reader.core.rows_max;
            return Err(Error::TooCostly { rows_max });
        }
        Ok(())
    }
}

fn worth(list: &List, most: usize) -> usize {
    let worth = list.found.len().saturating_mul(WORTH);
    worth.clamp(WORTH_MIN, most.max(WORTH_MIN))
}

impl Default for List {
    fn default() -> Self {
        Self {
            found: Vec::new(),
            exact: true,
            scored: true,
        }
    }
}

impl List {
    /// Those that are in this or the other.
    fn or(self, other: Self) -> Self {
        let mut found = self.found;
        found.extend_from_slice(&other.found);
        found.sort_unstable();
        found.dedup_by(|next, one| {
            let same = next.0 == one.0;
            if same {
                one.1 += next.1;
            }
            same
        });
        let exact = self.exact && other.exact;
        Self {
            found,
            exact,
            // One that has only the words of a phrase is found by another
            // word, and has not earned the phrase's points.
            scored: exact && self.scored && other.scored,
        }
    }

    /// Leaves those that are in the other too.
    pub(crate) fn keep(&mut self, other: &Self, points: impl Fn(u32, u32) -> u32) {
        let mut others = other.found.iter().peekable();
        self.found.retain_mut(|(seq, own)| {
            while others.next_if(|(other, _)| other < seq).is_some() {}
            match others.next_if(|(other, _)| other == seq) {
                Some((_, more)) => {
                    *own = points(*own, *more);
                    true
                }
                None => false,
            }
        });
        self.exact &= other.exact;
        self.scored &= other.scored;
    }

    fn remove(&mut self, other: &Self) {
        let mut others = other.found.iter().peekable();
        self.found.retain(|(seq, _)| {
            while others.next_if(|(other, _)| other < seq).is_some() {}
            others.next_if(|(other, _)| other == seq).is_none()
        });
    }
}
