//! Reading a blob, any part of it.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::frames::{FRAME_BYTES, Frames, Header, Layout};
use salus_store::{BlobReader, Error, Reply, Scope};

use super::{PIECE_BYTES, aside, damaged, header, trouble};
use crate::core::Core;

/// An open blob: a handle of its file, and no content.
pub(super) struct Reader(Arc<Opened>);

pub(super) struct Opened {
    core: Arc<Core>,
    file: File,
    header: Header,
    pub(super) layout: Layout,
}

impl Reader {
    /// Waits for the disk.
    pub(super) fn open(core: Arc<Core>, scope: Scope, id: &str) -> Result<Option<Self>, Error> {
        let opened = Opened::open(core, scope, id)?;
        Ok(opened.map(|opened| Self(Arc::new(opened))))
    }
}

impl Opened {
    pub(super) fn open(core: Arc<Core>, scope: Scope, id: &str) -> Result<Option<Self>, Error> {
        let file = match File::open(core.blobs.finished(scope, id)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(trouble(error)),
        };
        let header = header(&file)?;
        if header.scope != scope.0 || *header.id != *id {
            return Err(Error::Damaged("a blob in the place of another".into()));
        }
        let length = file.metadata().map_err(trouble)?.len();
        let layout = header
            .layout(length)
            .ok_or_else(|| Error::Damaged("the length of a blob".into()))?;
        let opened = Self {
            core,
            file,
            header,
            layout,
        };
        // That this frame is the last one proves the length.
        opened.frames(layout.last(), 1)?;
        Ok(Some(opened))
    }

    /// The content of some frames.
    pub(super) fn frames(&self, first: u64, count: u64) -> Result<Vec<u8>, Error> {
        let layout = &self.layout;
        let numbers = first..layout.frames.min(first.saturating_add(count));
        let length: usize = numbers.clone().map(|number| layout.sealed(number)).sum();
        let mut sealed = vec![0; length];
        let read = self.file.read_exact_at(&mut sealed, layout.start(first));
        read.map_err(trouble)?;
        let mut frames = Frames::new(&self.header);
        let (mut plain, mut rest) = (Vec::with_capacity(length), &sealed[..]);
        for number in numbers {
            let (frame, others) = rest.split_at(layout.sealed(number));
            let which = (number, number == layout.last());
            frames
                .open(&self.core.keyring, which, frame, &mut plain)
                .map_err(damaged)?;
            rest = others;
        }
        Ok(plain)
    }

    fn part(&self, at: u64, max: usize) -> Result<Bytes, Error> {
        let left = self.layout.bytes.saturating_sub(at);
        let wanted = left.min(max as u64);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let first = at / FRAME_BYTES as u64;
        let skipped = (at % FRAME_BYTES as u64) as usize;
        let wanted = wanted.min((PIECE_BYTES - skipped) as u64) as usize;
        let count = (skipped + wanted).div_ceil(FRAME_BYTES) as u64;
        let plain = Bytes::from(self.frames(first, count)?);
        Ok(plain.slice(skipped..skipped + wanted))
    }
}

impl BlobReader for Reader {
    fn bytes(&self) -> u64 {
        self.0.layout.bytes
    }

    fn read(&self, at: u64, max: usize) -> Reply<'_, Bytes> {
        let opened = Arc::clone(&self.0);
        Box::pin(aside(move || opened.part(at, max)))
    }
}
