//! Long content, sealed in frames, so that any part is opened without the rest.
//!
//! A header and frames follow each other, format 1, a stored format:
//!
//! | bytes | |
//! |---|---|
//! | 1 | format |
//! | 3 | zero |
//! | 4 | scope |
//! | 4 | slot of the key |
//! | 8 | when it was begun, in milliseconds since 1970 UTC |
//! | 16 | salt, new for each |
//! | 1 + n | id |
//! | rest | frames, each a sealed text |
//!
//! A frame holds 65,536 bytes, the last one the rest: at least one byte, unless
//! there is no content at all. Authenticated with each are a word, the whole
//! header, the frame's number (8) and whether it is the last (1). So a frame
//! that is missing, in another place, or of another content is noticed, and
//! the salt tells apart what one id had at different times.

use crate::{Error, Keyring, OVERHEAD, Slot, random};

/// Bytes of content in each frame but the last.
pub const FRAME_BYTES: usize = 64 << 10;

/// Bytes of a whole frame when it is sealed.
pub const SEALED_BYTES: usize = FRAME_BYTES + OVERHEAD;

/// The longest header.
pub const HEADER_BYTES_MAX: usize = FIXED_BYTES + 255;

const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 37;
const WORD: &[u8] = b"salus frame";

/// What stands before the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The scope it belongs to.
    pub scope: u32,
    /// The key that seals it.
    pub slot: Slot,
    /// When it was begun, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Its id in the scope, at most 255 bytes.
    pub id: Box<str>,
    salt: [u8; 16],
}

/// Where content lies that is as long as a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the header.
    pub header: u64,
    /// How many frames there are, one at least.
    pub frames: u64,
    /// Bytes of content in all of them.
    pub bytes: u64,
}

/// Seals and opens the frames behind a header.
pub struct Frames {
    slot: Slot,
    /// What is authenticated with a frame; its last nine bytes say which it is.
    about: Vec<u8>,
}

impl Header {
    /// The header of new content.
    ///
    /// # Errors
    /// When there is no randomness, or the id is longer than 255 bytes.
    pub fn new(scope: u32, slot: Slot, time_ms: i64, id: &str) -> Result<Self, Error> {
        if id.len() > 255 {
            return Err(Error::Unsupported { what: "id" });
        }
        Ok(Self {
            scope,
            slot,
            time_ms,
            id: id.into(),
            salt: random::bytes()?,
        })
    }

    /// Its stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.id.len());
        bytes.extend_from_slice(&[FORMAT, 0, 0, 0]);
        bytes.extend_from_slice(&self.scope.to_be_bytes());
        bytes.extend_from_slice(&self.slot.number().to_be_bytes());
        bytes.extend_from_slice(&self.time_ms.to_be_bytes());
        bytes.extend_from_slice(&self.salt);
        bytes.push(self.id.len() as u8);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes
    }

    /// Reads the header at the start of some bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none of format 1.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::take(bytes).ok_or(Error::Unsupported { what: "header" })
    }

    fn take(bytes: &[u8]) -> Option<Self> {
        let ([FORMAT, 0, 0, 0], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (scope, rest) = rest.split_first_chunk()?;
        let (slot, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let id = rest.get(..usize::from(*length))?;
        Some(Self {
            scope: u32::from_be_bytes(*scope),
            slot: Slot::from_number(u32::from_be_bytes(*slot)),
            time_ms: i64::from_be_bytes(*time),
            id: std::str::from_utf8(id).ok()?.into(),
            salt: *salt,
        })
    }

    /// Where the content lies, if header and frames are so many bytes
    /// together; `None` if they cannot be.
    #[must_use]
    pub fn layout(&self, bytes: u64) -> Option<Layout> {
        let header = (FIXED_BYTES + self.id.len()) as u64;
        let sealed = bytes.checked_sub(header)?;
        let frames = sealed.div_ceil(SEALED_BYTES as u64);
        let bytes = sealed.checked_sub(frames.checked_mul(OVERHEAD as u64)?)?;
        let full = frames.checked_sub(1)?.checked_mul(FRAME_BYTES as u64)?;
        // A last frame has something in it, unless it is the only one.
        (bytes > full || (frames, bytes) == (1, 0)).then_some(Layout {
            header,
            frames,
            bytes,
        })
    }
}

impl Layout {
    /// The number of the last frame.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.frames.saturating_sub(1)
    }

    /// Where the sealed form of a frame starts.
    #[must_use]
    pub fn start(&self, frame: u64) -> u64 {
        self.header
            .saturating_add(frame.saturating_mul(SEALED_BYTES as u64))
    }

    /// How long the sealed form of a frame is.
    #[must_use]
    pub fn sealed(&self, frame: u64) -> usize {
        if frame < self.last() {
            return SEALED_BYTES;
        }
        let before = self.last().saturating_mul(FRAME_BYTES as u64);
        // The layout says that this is one frame at most.
        self.bytes.saturating_sub(before) as usize + OVERHEAD
    }
}

impl Frames {
    /// The frames behind a header.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut about = WORD.to_vec();
        about.extend_from_slice(&header.to_bytes());
        about.extend_from_slice(&[0; 9]);
        Self {
            slot: header.slot,
            about,
        }
    }

    /// Appends a sealed frame: its number counts from zero.
    ///
    /// # Errors
    /// When the key is unknown or was destroyed.
    pub fn seal(
        &mut self,
        keyring: &Keyring,
        (number, last): (u64, bool),
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.say(number, last);
        keyring.seal(self.slot, &self.about, plain, out)
    }

    /// Appends what a frame holds.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] when it is not this frame; when the key is
    /// unknown or was destroyed.
    pub fn open(
        &mut self,
        keyring: &Keyring,
        (number, last): (u64, bool),
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.say(number, last);
        keyring.open_onto(self.slot, &self.about, sealed, out)
    }

    fn say(&mut self, number: u64, last: bool) {
        if let Some(place) = self.about.last_chunk_mut::<9>() {
            place[..8].copy_from_slice(&number.to_be_bytes());
            place[8] = u8::from(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Founding;

    fn header(id: &str) -> Header {
        Header::new(7, Slot::from_number(3), 1_000, id).unwrap()
    }

    #[test]
    fn headers_read_back() {
        for id in ["", "a", &"x".repeat(255)] {
            let header = header(id);
            let mut bytes = header.to_bytes();
            bytes.extend_from_slice(b"frames");
            assert_eq!(Header::read(&bytes).unwrap(), header);
            for cut in 0..bytes.len() - 6 {
                assert!(Header::read(&bytes[..cut]).is_err(), "cut at {cut}");
            }
        }
        assert!(Header::new(7, Slot::from_number(3), 0, &"x".repeat(256)).is_err());
    }

    #[track_caller]
    fn lies(content: usize, frames: u64) {
        let header = header("id");
        let start = header.to_bytes().len();
        let bytes = (start + content + frames as usize * OVERHEAD) as u64;
        let layout = header.layout(bytes).unwrap();
        assert_eq!((layout.frames, layout.bytes), (frames, content as u64));
        let end = layout.start(layout.last()) + layout.sealed(layout.last()) as u64;
        assert_eq!(end, bytes);
    }

    #[test]
    fn lengths_say_where_frames_lie() {
        lies(0, 1);
        lies(1, 1);
        lies(FRAME_BYTES, 1);
        lies(FRAME_BYTES + 1, 2);
        lies(3 * FRAME_BYTES, 3);
        let header = header("id");
        let start = header.to_bytes().len() as u64;
        for impossible in [0, start, start + 1, start + OVERHEAD as u64 - 1] {
            assert_eq!(header.layout(impossible), None, "{impossible}");
        }
        let empty_last = start + (SEALED_BYTES + OVERHEAD) as u64;
        assert_eq!(header.layout(empty_last), None);
    }

    #[test]
    fn frames_open_in_their_place_only() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Keyring::open(&folder.path().join("keys"), Founding::New, 0).unwrap();
        let slot = ring.slot(7, None, 0).unwrap();
        let header = Header::new(7, slot, 0, "id").unwrap();
        let again = Header::new(7, slot, 0, "id").unwrap();
        let mut frames = Frames::new(&header);
        let mut sealed = Vec::new();
        frames
            .seal(&ring, (4, false), b"text", &mut sealed)
            .unwrap();
        let mut out = b"before ".to_vec();
        frames.open(&ring, (4, false), &sealed, &mut out).unwrap();
        assert_eq!(out, b"before text");
        for elsewhere in [(4, true), (3, false), (5, false)] {
            assert!(frames.open(&ring, elsewhere, &sealed, &mut out).is_err());
        }
        let mut others = Frames::new(&again);
        assert!(others.open(&ring, (4, false), &sealed, &mut out).is_err());
        assert_eq!(out, b"before text", "what does not open leaves nothing");
    }
}
