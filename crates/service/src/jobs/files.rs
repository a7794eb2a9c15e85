//! The files of a job: sealed blobs of lines.
//!
//! A blob's id has the job's, the number of the attempt that wrote it and its
//! own: no attempt writes what another has begun, and what an attempt that was
//! stopped has left is found without a list.

use bytes::{Bytes, BytesMut};
use salus_auth::record::Saved;
use salus_store::{BlobWriter, NewBlob, Scope, SealKey};

use super::record::{File, Job, Role};
use crate::Service;
use crate::error::Error;

/// Bytes handed on at a time.
const PIECE_BYTES: usize = 1 << 20;
/// By this, blobs of jobs are told from others.
const PREFIX: &str = "job-";
/// Blobs looked at at a time.
const LISTED: usize = 256;
/// Bytes of a file at most, about.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Files that one attempt may have under way beside those that are kept.
pub(super) const UNDER_WAY_MAX: u32 = 16;

/// A file that is being written.
pub(super) struct Lines {
    writer: Box<dyn BlobWriter>,
    piece: BytesMut,
    bytes: u64,
    file: File,
}

impl Lines {
    pub(super) async fn begin(
        service: &Service,
        scope: Scope,
        job: &Saved<Job>,
        (number, ty, role): (u32, &str, Role),
    ) -> Result<Self, Error> {
        let file = File {
            number,
            attempt: job.value.attempts,
            ty: ty.to_owned(),
            role,
            count: 0,
        };
        let new = NewBlob {
            scope,
            id: id(&job.id, file.attempt, number),
            seal: SealKey::Scope,
            time_ms: service.now_ms(),
        };
        Ok(Self {
            writer: service.blobs.create(new).await?,
            piece: BytesMut::new(),
            bytes: 0,
            file,
        })
    }

    /// Appends a resource. Those that were written over several lines become one.
    pub(super) async fn line(&mut self, text: &[u8]) -> Result<(), Error> {
        if self.piece.capacity() == 0 {
            self.piece.reserve(PIECE_BYTES + (64 << 10));
        }
        match memchr::memchr2(b'\n', b'\r', text) {
            None => self.piece.extend_from_slice(text),
            // In JSON they stand between tokens only, where they mean nothing.
            Some(_) => {
                let plain = text.split(|byte| matches!(byte, b'\n' | b'\r'));
                plain.for_each(|part| self.piece.extend_from_slice(part));
            }
        }
        self.piece.extend_from_slice(b"\n");
        self.file.count += 1;
        if self.piece.len() >= PIECE_BYTES {
            self.hand_on().await?;
        }
        Ok(())
    }

    /// Makes this the whole of the file.
    pub(super) async fn whole(&mut self, text: Bytes) -> Result<(), Error> {
        self.file.count = 1;
        Ok(self.writer.write(text).await?)
    }

    async fn hand_on(&mut self) -> Result<(), Error> {
        let piece: Bytes = std::mem::take(&mut self.piece).freeze();
        self.bytes += piece.len() as u64;
        Ok(self.writer.write(piece).await?)
    }

    pub(super) fn count(&self) -> u64 {
        self.file.count
    }

    pub(super) fn is_full(&self, records_max: u64) -> bool {
        self.file.count >= records_max || self.bytes >= FILE_BYTES_MAX
    }

    /// Makes the file durable.
    pub(super) async fn finish(mut self) -> Result<File, Error> {
        if !self.piece.is_empty() {
            self.hand_on().await?;
        }
        self.writer.finish().await?;
        Ok(self.file)
    }
}

/// Removes what was sent and never became a job, and what is left of jobs that are gone.
pub(super) async fn remove_orphans(
    service: &Service,
    scope: Scope,
    jobs: &[Saved<Job>],
) -> Result<(), Error> {
    let (start_ms, mut after) = (service.now_ms(), Box::<str>::from(""));
    loop {
        let page = service.blobs.list(scope, &after, LISTED).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.id.clone();
        for blob in page.iter().filter(|blob| blob.time_ms < start_ms) {
            let Some(id) = blob.id.strip_prefix(PREFIX) else {
                continue;
            };
            if !jobs.iter().any(|job| id.starts_with(&*job.id)) {
                service.blobs.remove(scope, &blob.id).await?;
            }
        }
    }
}

/// The id of a job's blob.
pub(super) fn id(job: &str, attempt: u32, number: u32) -> Box<str> {
    format!("{PREFIX}{job}-{attempt}-{number}").into()
}

/// Removes the files of a job, those that it was about to make too.
pub(super) async fn remove(service: &Service, scope: Scope, job: &Saved<Job>) -> Result<(), Error> {
    // What was sent with the request.
    service.blobs.remove(scope, &id(&job.id, 0, 0)).await?;
    for file in &job.value.files {
        let id = id(&job.id, file.attempt, file.number);
        service.blobs.remove(scope, &id).await?;
    }
    remove_unfinished(service, scope, job).await
}

/// Removes what attempts before this one have left.
pub(super) async fn remove_unfinished(
    service: &Service,
    scope: Scope,
    job: &Saved<Job>,
) -> Result<(), Error> {
    let kept = job.value.files.len() as u32;
    for attempt in 1..=job.value.attempts {
        for number in kept + 1..=kept + UNDER_WAY_MAX {
            let id = id(&job.id, attempt, number);
            service.blobs.remove(scope, &id).await?;
        }
    }
    Ok(())
}
