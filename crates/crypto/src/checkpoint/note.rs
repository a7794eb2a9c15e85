//! Notes: a text, an empty line, a line for each signature.

use std::fmt;

use base64ct::{Base64, Encoding};

use super::Checkpoint;
use super::key::{KeyKind, VerifierKey, cosigned, is_name};

/// The longest note that is read.
pub const NOTE_BYTES_MAX: usize = 16 << 10;
/// The most signatures of one.
const SIGNATURES_MAX: usize = 32;
/// What the line of a signature begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";
/// Bytes of the longest signature that is read; unknown types may be longer than ours.
const SIGNATURE_BYTES_MAX: usize = 4096;

/// Why a text is no note, checkpoint or key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// A text with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub(super) name: String,
    pub(super) key_hash: [u8; 4],
    pub(super) bytes: Vec<u8>,
}

/// What a key says of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was signed with it; a witness says when, in seconds since 1970 UTC.
    Signed(Option<u64>),
    /// It has a signature that claims to be of this key, and is not.
    Forged,
    /// It has none of this key.
    NotSigned,
}

impl Note {
    /// A text with its first signature.
    #[must_use]
    pub fn new(text: String, signature: Signature) -> Self {
        Self {
            text,
            signatures: vec![signature],
        }
    }

    /// Reads one note, and nothing behind it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > NOTE_BYTES_MAX {
            return Err(Malformed("the note is too long"));
        }
        let allowed = |c: char| c == '\n' || !c.is_control();
        if !text.chars().all(allowed) {
            return Err(Malformed("there is a control character in the note"));
        }
        // The last empty line parts them: the text of a note may have some, too.
        let parts = text.rsplit_once("\n\n");
        let (body, lines) = parts.ok_or(Malformed("there is no empty line before signatures"))?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or(Malformed("the last line does not end"))?;
        Ok(Self {
            text: format!("{body}\n"),
            signatures: read_signatures(lines)?,
        })
    }

    /// Takes the next checkpoint from the front of a file that holds one behind the other;
    /// `None` at its end. What is none is taken away, too, as far as its first empty line, so
    /// that one that was cut short does not hide those behind it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn take(rest: &mut &str) -> Result<Option<Self>, Malformed> {
        *rest = rest.trim_start_matches('\n');
        if rest.is_empty() {
            return Ok(None);
        }
        // No checkpoint has an empty line in its text.
        let mut end = rest.find("\n\n").map_or(rest.len(), |body| body + 2);
        while let Some(line) = rest.get(end..).filter(|rest| rest.starts_with(DASH)) {
            end += line.find('\n').map_or(line.len(), |length| length + 1);
        }
        let (note, behind) = rest.split_at(end);
        *rest = behind;
        Self::parse(note).map(Some)
    }

    /// What is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says of a log.
    ///
    /// # Errors
    /// When it says something else.
    pub fn checkpoint(&self) -> Result<Checkpoint, Malformed> {
        Checkpoint::parse(&self.text)
    }

    /// Whose signatures there are, by name.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|one| &*one.name)
    }

    /// Adds signatures that are not there yet, as lines of them say.
    ///
    /// # Errors
    /// When the lines are not signatures, or too many.
    pub fn add(&mut self, lines: &str) -> Result<(), Malformed> {
        let lines = lines.strip_suffix('\n').unwrap_or(lines);
        for signature in read_signatures(lines)? {
            if !self.signatures.contains(&signature) {
                self.signatures.push(signature);
            }
        }
        match self.signatures.len() > SIGNATURES_MAX {
            true => Err(Malformed("there are too many signatures")),
            false => Ok(()),
        }
    }

    /// What a key says of it.
    #[must_use]
    pub fn verify(&self, key: &VerifierKey) -> Verdict {
        let mut verdict = Verdict::NotSigned;
        for signature in self.signatures.iter().filter(|one| key.is_named_by(one)) {
            match checked(key, &self.text, &signature.bytes) {
                Some(time_s) => return Verdict::Signed(time_s),
                None => verdict = Verdict::Forged,
            }
        }
        verdict
    }
}

/// When it was signed, if it was.
fn checked(key: &VerifierKey, text: &str, signature: &[u8]) -> Option<Option<u64>> {
    match key.kind() {
        KeyKind::Log => key.checks(text.as_bytes(), signature).then_some(None),
        KeyKind::Witness => {
            let (time, signature) = signature.split_first_chunk()?;
            let time_s = u64::from_be_bytes(*time);
            let message = cosigned(text, time_s);
            let checks = key.checks(message.as_bytes(), signature);
            checks.then_some(Some(time_s))
        }
    }
}

fn read_signatures(lines: &str) -> Result<Vec<Signature>, Malformed> {
    let signatures: Vec<_> = lines
        .split('\n')
        .take(SIGNATURES_MAX + 1)
        .map(|line| Signature::read(line).ok_or(Malformed("a line is not a signature")))
        .collect::<Result<_, _>>()?;
    match signatures.len() > SIGNATURES_MAX {
        true => Err(Malformed("there are too many signatures")),
        false => Ok(signatures),
    }
}

impl Signature {
    fn read(line: &str) -> Option<Self> {
        let (name, coded) = line.strip_prefix(DASH)?.split_once(' ')?;
        if !is_name(name) || coded.len() > SIGNATURE_BYTES_MAX * 4 / 3 {
            return None;
        }
        let bytes = Base64::decode_vec(coded).ok()?;
        let (key_hash, bytes) = bytes.split_first_chunk()?;
        Some(Self {
            name: name.to_owned(),
            key_hash: *key_hash,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coded = Base64::encode_string(&[&self.key_hash[..], &self.bytes].concat());
        write!(f, "{DASH}{} {coded}", self.name)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|one| writeln!(f, "{one}"))
    }
}
