//! Where the root key comes from: a file that holds it, or somebody who wraps it.
//!
//! Who wraps (a KMS, a token, a passphrase) is asked once, at the opening; the
//! wrapped key lies beside the keyring in `root.wrapped`, a text of four lines:
//!
//! ```text
//! salus-root-wrapped 1
//! by aws-kms:arn:aws:kms:eu-central-1:111122223333:key/1234
//! id 0a1b2c3d
//! key <base64url of what the wrapping gave>
//! ```

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::file::sync_folder;
use super::root::{self, Root, io};
use crate::{Error, base64url, from_base64url, random};

const FIRST_LINE: &str = "salus-root-wrapped 1";
const NAME: &str = "root.wrapped";
const BYTES_MAX: u64 = 16 << 10;

/// Bytes of a wrapped root key, at most; AWS KMS gives about 200.
const WRAPPED_MAX: usize = 8 << 10;

/// Somebody who wraps the root key and never shows with what.
pub trait WrapsRoot: Send + Sync {
    /// Who it is, for messages and beside the wrapped key: nothing secret.
    fn name(&self) -> &str;

    /// Wraps the root key. `id` names it, and is to be authenticated with it.
    ///
    /// # Errors
    /// As each says; see [`RootFault`].
    fn wrap(&self, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault>;

    /// Gives back what [`Self::wrap`] wrapped under this id.
    ///
    /// # Errors
    /// As there.
    fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, RootFault>;
}

/// Why somebody did not wrap or unwrap the root key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootFault {
    /// It cannot be reached, or does not answer in time.
    #[error("it cannot be reached ({0}); nothing was changed, try again when it can")]
    Unreachable(&'static str),
    /// It refuses us.
    #[error("it does not allow it ({0}); let this server use the key")]
    NotAllowed(&'static str),
    /// It has the key no more, or has disabled it.
    #[error("the key is not there ({0}); without it nothing can be read, so bring it back")]
    Lost(&'static str),
    /// The wrapped key is not of this key.
    #[error("what is wrapped was wrapped by another key, or changed ({0})")]
    WrongKey(&'static str),
    /// Its answer is not one.
    #[error("its answer cannot be understood ({0})")]
    Garbled(&'static str),
    /// What it needs to be asked is not there: a passphrase, a token, a module.
    #[error("it cannot be asked: {0}")]
    NotReady(String),
}

/// Who keeps the root key.
#[derive(Clone)]
pub enum RootSource {
    /// A file that holds the key.
    File(PathBuf),
    /// Somebody who wraps it.
    Wrapped(Arc<dyn WrapsRoot>),
}

impl std::fmt::Debug for RootSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// A root key, and whether it lies in the file of one that is still to take its place.
pub(super) struct Opened {
    pub(super) root: Root,
    pub(super) from_next: bool,
}

impl RootSource {
    /// Who it is, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => format!("file:{}", path.display()),
            Self::Wrapped(by) => by.name().to_owned(),
        }
    }

    /// Whether there is a root key from here, for a keyring in this folder.
    pub(super) fn is_there(&self, dir: &Path) -> Result<bool, Error> {
        super::file::exists(&self.path(dir))
    }

    /// Makes the first root key.
    pub(super) fn create(&self, dir: &Path) -> Result<Root, Error> {
        match self {
            Self::File(path) => Root::create(path),
            Self::Wrapped(by) => {
                let key = Zeroizing::new(random::bytes::<32>()?);
                let (root, text) = wrap(&**by, &key)?;
                place(dir, &text)?;
                Ok(root)
            }
        }
    }

    /// The root key that a keyring wants, or whatever is there for one that is to be founded.
    /// `decided` is the text of a wrapped key that a rotation has decided on already.
    pub(super) fn read(
        &self,
        dir: &Path,
        wanted: Option<u32>,
        decided: Option<&str>,
    ) -> Result<Opened, Error> {
        match self {
            Self::File(path) => from_file(path, wanted).map_err(|error| {
                // A key file that is missing or foreign: perhaps somebody else keeps the key.
                let kept = written(dir, decided).ok().flatten();
                let kept = kept.filter(|kept| wanted.is_none_or(|wanted| wanted == kept.id));
                kept.map_or(error, |kept| self.elsewhere(kept.by))
            }),
            Self::Wrapped(by) => self.unwrapped(&**by, dir, wanted, decided),
        }
    }

    fn unwrapped(
        &self,
        by: &dyn WrapsRoot,
        dir: &Path,
        wanted: Option<u32>,
        decided: Option<&str>,
    ) -> Result<Opened, Error> {
        let path = self.path(dir);
        let written = written(dir, decided)?.ok_or_else(|| Error::RootMissing(path.clone()))?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != written.id) {
            let found = written.id;
            return Err(Error::RootForeign {
                path,
                found,
                wanted,
            });
        }
        let id = hex(written.id);
        let key = by.unwrap(&id, &written.wrapped).map_err(|fault| {
            // Who was reached and could not, and is not who wrapped it, is the wrong one to ask.
            let asked = matches!(
                fault,
                RootFault::WrongKey(_) | RootFault::NotAllowed(_) | RootFault::Lost(_)
            );
            match asked && written.by != by.name() {
                true => self.elsewhere(written.by.clone()),
                false => self.fault(fault),
            }
        })?;
        let root = Root::new(&key)?;
        if root.id != written.id {
            return Err(self.fault(RootFault::WrongKey("it unwrapped to another key")));
        }
        Ok(Opened {
            root,
            from_next: false,
        })
    }

    fn elsewhere(&self, kept: String) -> Error {
        let asked = self.name();
        Error::RootElsewhere { kept, asked }
    }

    fn fault(&self, fault: RootFault) -> Error {
        let by = self.name();
        Error::Root { by, fault }
    }

    fn path(&self, dir: &Path) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Wrapped(_) => dir.join(NAME),
        }
    }
}

/// Where a new key waits that is to take the place of the one in a file.
pub(super) fn next(path: &Path) -> PathBuf {
    beside(path, "next")
}

/// A file beside another.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// An id as files and messages show it.
pub(super) fn hex(id: u32) -> String {
    format!("{id:08x}")
}

/// The root key in a file, or in the one that is to take its place.
fn from_file(path: &Path, wanted: Option<u32>) -> Result<Opened, Error> {
    let here = Root::read(path);
    let right = |root: &Root| wanted.is_none_or(|wanted| wanted == root.id);
    let from = |root, from_next| Ok(Opened { root, from_next });
    match here {
        Ok(root) if right(&root) => from(root, false),
        Ok(_) | Err(Error::RootMissing(_)) => match (Root::read(&next(path)), here, wanted) {
            (Ok(root), _, Some(_)) if right(&root) => from(root, true),
            (_, Ok(root), Some(wanted)) => Err(Error::RootForeign {
                path: path.into(),
                found: root.id,
                wanted,
            }),
            (_, Ok(root), None) => from(root, false),
            (_, Err(error), _) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Wraps a root key, and sees that it comes back.
pub(super) fn wrap(by: &dyn WrapsRoot, key: &[u8; 32]) -> Result<(Root, String), Error> {
    let root = Root::new(key)?;
    let id = hex(root.id);
    let failed = |fault| Error::Root {
        by: by.name().to_owned(),
        fault,
    };
    let wrapped = by.wrap(&id, key).map_err(failed)?;
    // Who may wrap and not unwrap would lock us out.
    let back = by.unwrap(&id, &wrapped).map_err(failed)?;
    if !crate::same(&*back, key) || wrapped.len() > WRAPPED_MAX {
        let fault = RootFault::Garbled("what was wrapped does not come back");
        return Err(failed(fault));
    }
    let key = base64url(&wrapped);
    let text = format!("{FIRST_LINE}\nby {}\nid {id}\nkey {key}\n", by.name());
    Ok((root, text))
}

/// Writes the text of a wrapped root key, whole or not at all.
pub(super) fn place(dir: &Path, text: &str) -> Result<(), Error> {
    let path = dir.join(NAME);
    let aside = path.with_extension("new");
    root::write_private(&aside, text.as_bytes())?;
    std::fs::rename(&aside, &path)
        .and_then(|()| sync_folder(dir))
        .map_err(|source| io("name", &path, source))
}

/// Removes a wrapped root key whose place another has taken.
pub(super) fn remove(dir: &Path) -> Result<(), Error> {
    let path = dir.join(NAME);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(io("remove", &path, source)),
        _ => Ok(()),
    }
}

/// What `root.wrapped` says.
pub(super) struct Written {
    pub(super) by: String,
    pub(super) id: u32,
    wrapped: Vec<u8>,
}

fn written(dir: &Path, decided: Option<&str>) -> Result<Option<Written>, Error> {
    let path = dir.join(NAME);
    let text = match decided {
        Some(text) => text.to_owned(),
        None => {
            let file = match std::fs::File::open(&path) {
                Ok(file) => file,
                Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(io("open", &path, source)),
            };
            let mut bytes = Vec::new();
            let read = file.take(BYTES_MAX).read_to_end(&mut bytes);
            read.map_err(|source| io("read", &path, source))?;
            String::from_utf8(bytes).unwrap_or_default()
        }
    };
    let parsed = Written::parse(&text);
    parsed.map(Some).ok_or(Error::WrappedMalformed(path))
}

impl Written {
    /// Reads the four lines; `None` if they are not that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let by = lines.next()?.strip_prefix("by ")?;
        let id = lines.next()?.strip_prefix("id ")?;
        let key = lines.next()?.strip_prefix("key ")?;
        if lines.next().is_some() || id.len() != 8 || by.chars().any(char::is_control) {
            return None;
        }
        Some(Self {
            by: by.to_owned(),
            id: u32::from_str_radix(id, 16).ok()?,
            wrapped: from_base64url(key).filter(|key| key.len() <= WRAPPED_MAX)?,
        })
    }
}
