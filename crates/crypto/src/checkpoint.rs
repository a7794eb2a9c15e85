//! Checkpoints: what a log says of itself, signed, in a form that others read too.
//!
//! A [`Checkpoint`] is the text (C2SP tlog-checkpoint: <https://c2sp.org/tlog-checkpoint>),
//! a [`Note`] the text with signatures (C2SP signed-note: <https://c2sp.org/signed-note>),
//! a [`VerifierKey`] what a signature is checked with. The log signs with Ed25519 (type 1);
//! witnesses that have seen that it only grew add cosignatures, which say when (type 4, C2SP
//! tlog-cosignature: <https://c2sp.org/tlog-cosignature>). All are read strictly and are bounded.

mod key;
mod note;

pub use key::{KeyKind, Signer, VerifierKey};
pub use note::{Malformed, NOTE_BYTES_MAX, Note, Signature, Verdict};

use base64ct::{Base64, Encoding};

use crate::merkle::Hash;

/// How a log stands: so many leaves, and the hash of the tree over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log, as `log.example.org/name`.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The hash of the tree.
    pub root: Hash,
    /// Further lines, none of them empty.
    pub extensions: Vec<String>,
}

/// The extension line in which a log says when it signed, in seconds since 1970 UTC.
const TIME: &str = "time ";

impl Checkpoint {
    /// A checkpoint that says when it was made.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash, time_s: u64) -> Self {
        Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: vec![format!("{TIME}{time_s}")],
        }
    }

    /// When it was made, in seconds since 1970 UTC, if it says so.
    #[must_use]
    pub fn time_s(&self) -> Option<u64> {
        let mut extensions = self.extensions.iter();
        extensions.find_map(|line| number(line.strip_prefix(TIME)?))
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let root = Base64::encode_string(&self.root);
        let mut text = format!("{}\n{}\n{root}\n", self.origin, self.size);
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// Says which line is not as it should be.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text
            .strip_suffix('\n')
            .ok_or(Malformed("the text does not end with a line"))?;
        let mut lines = text.split('\n');
        let mut line = |what| lines.next().filter(|line| !line.is_empty()).ok_or(what);
        let origin = line(Malformed("there is no origin"))?;
        let size = line(Malformed("there is no size"))?;
        let root = line(Malformed("there is no root"))?;
        let mut bytes = [0; 32];
        let decoded = Base64::decode(root, &mut bytes);
        if !decoded.is_ok_and(|decoded| decoded.len() == 32) {
            return Err(Malformed("the root is not a hash in base64"));
        }
        let extensions: Vec<_> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(Malformed("there is an empty line in the text"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: number(size).ok_or(Malformed("the size is not a number"))?,
            root: bytes,
            extensions,
        })
    }
}

/// A number in decimal, without zeros in front.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = text.len() > 1 && text.starts_with('0');
    (digits && !zeros).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
