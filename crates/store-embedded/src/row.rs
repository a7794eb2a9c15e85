//! What is kept beside a current version to filter and sort it without its
//! body. Format 1, a stored format:
//!
//! 1 byte format, 1 byte flags (1: there is a main date), version in 8 bytes,
//! time in 8, main date in 8 if there is one, 1 byte length of the id, the id,
//! and the rows as `salus_store::Rows` keeps them.

use salus_store::{Error, Param, Row, Rows};

const FORMAT: u8 = 1;
const HAS_MAIN_DATE: u8 = 1;

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
            id: str::from_utf8(id).ok()?,
            version: u64::from_be_bytes(*version),
            time_ms: i64::from_be_bytes(*time),
            main_date_ms,
            stored,
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
