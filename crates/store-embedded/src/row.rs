//! What is kept beside a current version to filter and sort it without its
//! body. Format 1, a stored format:
//!
//! 1 byte format, 1 byte flags (1: there is a main date), the latest time of
//! any version up to this one in 8 bytes (filled in by the commit), version in
//! 8, time in 8, main date in 8 if there is one, 1 byte length of the id, the
//! id, and the rows as `salus_store::Rows` keeps them.

use salus_store::{Candidate, Error, Param, Row, Rows, Seq};

const FORMAT: u8 = 1;
const HAS_MAIN_DATE: u8 = 1;
const LATEST_AT: usize = 2;

/// Fills in the latest time of any version so far.
pub(crate) fn set_latest(bytes: &mut [u8], latest_ms: i64) {
    if let Some(place) = bytes.get_mut(LATEST_AT..LATEST_AT + 8) {
        place.copy_from_slice(&latest_ms.to_be_bytes());
    }
}

/// The entry of a version, to be written.
pub(crate) struct NewEntry<'a> {
    pub(crate) id: &'a str,
    pub(crate) version: u64,
    pub(crate) time_ms: i64,
    pub(crate) main_date_ms: Option<i64>,
    /// In the order of parameters.
    pub(crate) rows: &'a [Row],
}

impl NewEntry<'_> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.rows.len() * 40);
        let flags = match self.main_date_ms {
            Some(_) => HAS_MAIN_DATE,
            None => 0,
        };
        bytes.extend_from_slice(&[FORMAT, flags]);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.time_ms.to_be_bytes());
        if let Some(date) = self.main_date_ms {
            bytes.extend_from_slice(&date.to_be_bytes());
        }
        bytes.push(self.id.len() as u8);
        bytes.extend_from_slice(self.id.as_bytes());
        for row in self.rows {
            row.write(&mut bytes);
        }
        bytes
    }
}

/// The entry of a version, as it was read.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// No version up to this one was written later.
    pub(crate) latest_ms: i64,
    pub(crate) id: &'a str,
    pub(crate) version: u64,
    pub(crate) time_ms: i64,
    pub(crate) main_date_ms: Option<i64>,
    stored: &'a [u8],
}

impl<'a> Entry<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::take(bytes).ok_or_else(|| Error::Damaged("the rows of a version".into()))
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let ([format, flags], rest) = bytes.split_first_chunk()?;
        if *format != FORMAT {
            return None;
        }
        let (latest, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (main_date_ms, rest) = match flags & HAS_MAIN_DATE {
            0 => (None, rest),
            _ => {
                let (date, rest) = rest.split_first_chunk()?;
                (Some(i64::from_be_bytes(*date)), rest)
            }
        };
        let (length, rest) = rest.split_first()?;
        let (id, stored) = rest.split_at_checked(usize::from(*length))?;
        Some(Self {
            latest_ms: i64::from_be_bytes(*latest),
            id: str::from_utf8(id).ok()?,
            version: u64::from_be_bytes(*version),
            time_ms: i64::from_be_bytes(*time),
            main_date_ms,
            stored,
        })
    }

    /// What filters and sorts look at.
    pub(crate) fn candidate(&self, seq: u64) -> Result<Candidate<'a>, Error> {
        Ok(Candidate {
            id: self.id,
            time_ms: self.time_ms,
            seq: Seq(seq),
            rows: self.rows()?,
        })
    }

    /// The rows, to be filtered by.
    pub(crate) fn rows(&self) -> Result<Rows<'a>, Error> {
        Rows::stored(self.stored)
    }

    /// Every row.
    pub(crate) fn all_rows(&self) -> Result<Vec<Row>, Error> {
        let mut rest = self.stored;
        let mut rows = Vec::new();
        while !rest.is_empty() {
            rows.push(Row::read(&mut rest)?);
        }
        Ok(rows)
    }

    /// The rows of some parameters.
    pub(crate) fn pick(&self, params: &[Param]) -> Result<Vec<Row>, Error> {
        if params.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.rows()?.pick(params))
    }
}
