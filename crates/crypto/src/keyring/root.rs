//! The root key: it wraps and unwraps keys and does nothing else. Here is the file that may hold
//! it; others that may keep it are in `source.rs`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::file::{parent, sync_folder};
use super::key;
use super::record::WRAPPED_LEN;
use crate::sealing::SealingKey;
use crate::{Error, SecretKey, random};

const FIRST_LINE: &str = "salus-root-key 1";
const FILE_LEN_MAX: usize = 255;

pub(super) struct Root {
    key: SealingKey,
    /// Tells one root key from another; says nothing of the key.
    pub(super) id: u32,
}

impl Root {
    /// Makes a new root key and its file, which must not exist.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        Self::write(path, &Zeroizing::new(random::bytes::<32>()?))
    }

    /// Writes the file of a root key, durably.
    pub(super) fn write(path: &Path, key: &[u8; 32]) -> Result<Self, Error> {
        // Written aside and renamed, so that a crash leaves no half key.
        let aside = path.with_extension("new");
        write_private(&aside, text(key).as_bytes())?;
        std::fs::rename(&aside, path)
            .and_then(|()| sync_folder(&parent(path)))
            .map_err(|source| io("name", path, source))?;
        Self::new(key)
    }

    /// Reads the root key, which nobody but its owner may do.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| {
            if source.kind() == ErrorKind::NotFound {
                return Error::RootMissing(path.into());
            }
            io("open", path, source)
        })?;
        let mode = file
            .metadata()
            .map_err(|source| io("examine", path, source))?
            .permissions()
            .mode()
            & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::RootExposed {
                path: path.into(),
                mode,
            });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_LEN_MAX + 1));
        file.take(FILE_LEN_MAX as u64)
            .read_to_end(&mut bytes)
            .map_err(|source| io("read", path, source))?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let key = parse(text).ok_or_else(|| Error::RootMalformed(path.into()))?;
        Self::new(&key)
    }

    pub(super) fn new(key: &[u8; 32]) -> Result<Self, Error> {
        let id = SecretKey::from_bytes(*key).derive("root-key-id")?;
        let [a, b, c, d, ..] = *id.as_bytes();
        Ok(Self {
            key: SealingKey::new(key)?,
            id: u32::from_be_bytes([a, b, c, d]),
        })
    }

    pub(super) fn wrap(&self, aad: &[u8], key: &[u8; 32]) -> Result<[u8; WRAPPED_LEN], Error> {
        key::wrap(&self.key, aad, key)
    }

    pub(super) fn unwrap(
        &self,
        aad: &[u8],
        wrapped: &[u8; WRAPPED_LEN],
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        key::unwrap(&self.key, aad, wrapped)
    }
}

/// Writes a new file that only its owner may read, durably.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("replace", path, e)),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|source| io("write", path, source))
}

pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        doing,
        path: path.into(),
        source,
    }
}

fn text(key: &[u8; 32]) -> Zeroizing<String> {
    use std::fmt::Write;
    // Room for all of it at once: growing would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(FIRST_LINE.len() + 66));
    text.push_str(FIRST_LINE);
    text.push('\n');
    for byte in key {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}

fn parse(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut lines = text.lines();
    let digits = match (lines.next(), lines.next(), lines.next()) {
        (Some(FIRST_LINE), Some(digits), None) => digits.as_bytes(),
        _ => return None,
    };
    if digits.len() != 64 {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(key)
}
