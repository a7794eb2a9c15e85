//! A file that is read line by line, wherever it comes from.

use bytes::{Buf, Bytes};
use salus_store::BlobReader;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::fetch::{Fetched, Unfetched};
use crate::error::Error;
use crate::jobs::{Halt, Stop};

/// The longest line.
const LINE_BYTES_MAX: usize = 32 << 20;
/// Bytes of a blob that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Which file, from 0.
    #[serde(default)]
    pub(super) file: usize,
    pub(super) offset: u64,
    /// Lines before it.
    pub(super) lines: u64,
}

/// Why reading ended before the end.
pub(super) enum Broken {
    /// Nothing can go on.
    Halted(Halt),
    /// This file cannot.
    Unfetched(Unfetched),
}

impl From<Halt> for Broken {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Halted(Halt::Failed(error))
    }
}

impl From<Unfetched> for Broken {
    fn from(unfetched: Unfetched) -> Self {
        Self::Unfetched(unfetched)
    }
}

/// Where bytes come from.
pub(super) enum Source<'r> {
    /// An upload.
    Blob(Box<dyn BlobReader>),
    /// Another server; nobody waits for it when the job is to stop.
    Fetched(Box<dyn Fetched>, &'r watch::Sender<Stop>),
}

impl Source<'_> {
    /// The bytes from a place on, all before which were taken; none behind the last.
    async fn next(&mut self, at: u64) -> Result<Bytes, Broken> {
        match self {
            Self::Blob(blob) => Ok(blob.read(at, PIECE_BYTES).await.map_err(Error::from)?),
            Self::Fetched(fetched, stop) => Ok(unless_stopped(stop, fetched.next()).await??),
        }
    }
}

/// Waits for the network, but not when the job is to stop.
pub(super) async fn unless_stopped<T>(
    stop: &watch::Sender<Stop>,
    work: impl Future<Output = T>,
) -> Result<T, Halt> {
    let mut stop = stop.subscribe();
    tokio::select! {
        done = work => Ok(done),
        _ = stop.wait_for(|stop| *stop != Stop::No) => Err(Halt::Stopped),
    }
}

/// A file under way.
pub(super) struct Reading<'r> {
    source: Source<'r>,
    /// Behind the last line.
    pub(super) at: Place,
    piece: Bytes,
    bytes_max: u64,
}

/// A line.
pub(super) enum Line {
    Text(Vec<u8>),
    TooLong,
}

impl<'r> Reading<'r> {
    /// Reads from a place on. An upload is read there at once, a file that is
    /// fetched is read up to it.
    pub(super) async fn begin(
        source: Source<'r>,
        at: Place,
        bytes_max: u64,
    ) -> Result<Self, Broken> {
        let mut reading = Self {
            source,
            at,
            piece: Bytes::new(),
            bytes_max,
        };
        if let Source::Fetched(..) = reading.source {
            reading.skip(at.offset).await?;
        }
        Ok(reading)
    }

    async fn skip(&mut self, mut left: u64) -> Result<(), Broken> {
        while left > 0 {
            self.piece = self.source.next(0).await?;
            if self.piece.is_empty() {
                let reason = "it has become shorter since it was read";
                return Err(Unfetched::for_good(reason).into());
            }
            let skipped = left.min(self.piece.len() as u64);
            self.piece.advance(skipped as usize);
            left -= skipped;
        }
        Ok(())
    }

    /// The next line, without its end and white space around it.
    pub(super) async fn line(&mut self) -> Result<Option<Line>, Broken> {
        let (mut line, mut read, mut too_long) = (Vec::new(), 0, false);
        loop {
            if self.piece.is_empty() {
                self.piece = self.source.next(self.at.offset + read).await?;
            }
            let last = self.piece.is_empty();
            let end = memchr::memchr(b'\n', &self.piece);
            let length = end.map_or(self.piece.len(), |end| end + 1);
            let part = self.piece.split_to(length);
            read += length as u64;
            if self.at.offset + read > self.bytes_max {
                let reason = format!("it is longer than {} bytes", self.bytes_max);
                return Err(Unfetched::for_good(reason).into());
            }
            too_long |= line.len() + part.len() > LINE_BYTES_MAX;
            if !too_long {
                line.extend_from_slice(&part);
            }
            if end.is_some() || last {
                self.at.offset += read;
                self.at.lines += 1;
                return Ok(match (too_long, read) {
                    (_, 0) => None,
                    (true, _) => Some(Line::TooLong),
                    (false, _) => Some(Line::Text(line.trim_ascii().to_vec())),
                });
            }
        }
    }
}
