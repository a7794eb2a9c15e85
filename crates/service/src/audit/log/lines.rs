//! The lines of an export of the audit log: docs/audit-export.md describes them, and they stay so.
//!
//! Every line is a JSON object with its members in one order and without spaces, so that
//! lines of leaves can be read without a JSON parser, which would take longer than hashing them.

use base64ct::{Base64, Encoding};
use salus_crypto::checkpoint::Note;
use salus_crypto::merkle::Hash;
use salus_store::{LeafForm, Scope, TreeLeaf};
use serde::{Deserialize, Serialize};

/// The first member of an export.
pub(in crate::audit) const WHAT: &str = "audit export";
/// The version of the form.
pub(in crate::audit) const VERSION: u32 = 1;
/// What the line of a checkpoint begins with.
pub const CHECKPOINT: &str = "{\"checkpoint\":";

/// The first line.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// `audit export`.
    pub salus: String,
    /// 1.
    pub version: u32,
    /// Which log.
    pub origin: String,
    /// How many leaves the log has.
    pub size: u64,
    /// How many of them are left out in front.
    pub after: u64,
    /// The roots of full subtrees of those, the largest first, in base64.
    pub frontier: Vec<String>,
    /// The projects whose entries are shown, by scope.
    pub projects: std::collections::BTreeMap<u32, String>,
}
salus_phi::guard!(Head);

impl Head {
    /// Reads the first line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let head: Self = serde_json::from_str(line).ok()?;
        let known = head.salus == WHAT && head.version == VERSION;
        (known && head.after <= head.size).then_some(head)
    }

    /// The roots in front.
    #[must_use]
    pub fn roots(&self) -> Option<Vec<Hash>> {
        let decode = |text: &String| {
            let mut hash = [0; 32];
            let decoded = Base64::decode(text, &mut hash).ok()?.len();
            (decoded == 32).then_some(hash)
        };
        self.frontier.iter().map(decode).collect()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointLine {
    checkpoint: String,
}

/// The line of a checkpoint.
#[must_use]
pub fn checkpoint_line(note: &Note) -> String {
    let text = serde_json::Value::String(note.to_string());
    format!("{CHECKPOINT}{text}}}\n")
}

/// A line behind the first.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A checkpoint.
    Checkpoint(Note),
    /// A leaf.
    Leaf(Leaf<'a>),
}

/// The line of a leaf, its texts still in base64.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// Its place in the tree.
    pub index: u64,
    /// The leaf.
    pub leaf: Hash,
    /// The entry that it stands for, if it is shown.
    pub entry: Option<LeafEntry<'a>>,
}

/// The entry of a leaf.
#[derive(PartialEq, Eq)]
pub struct LeafEntry<'a> {
    /// Its place in the order of commits.
    pub seq: u64,
    /// When it happened, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Its scope.
    pub scope: Scope,
    /// What is in the leaf.
    pub form: LeafForm,
    /// The salt.
    pub salt: [u8; 32],
    /// The entry, in base64.
    pub body: &'a [u8],
}
salus_phi::guard!(LeafEntry<'_>);

impl<'a> Line<'a> {
    /// Reads a line without its end; `None` if it is none of an export.
    #[must_use]
    pub fn read(line: &'a [u8]) -> Option<Self> {
        if line.starts_with(CHECKPOINT.as_bytes()) {
            let line: CheckpointLine = serde_json::from_slice(line).ok()?;
            return Some(Self::Checkpoint(Note::parse(&line.checkpoint).ok()?));
        }
        let mut rest = line.strip_prefix(b"{\"n\":")?;
        let index = number(&mut rest)?;
        rest = rest.strip_prefix(b",\"leaf\":\"")?;
        let leaf = hash(&mut rest)?;
        let entry = match rest {
            b"}" => None,
            shown => Some(LeafEntry::read(shown)?),
        };
        Some(Self::Leaf(Leaf { index, leaf, entry }))
    }
}

impl<'a> LeafEntry<'a> {
    fn read(mut rest: &'a [u8]) -> Option<Self> {
        rest = rest.strip_prefix(b",\"seq\":")?;
        let seq = number(&mut rest)?;
        rest = rest.strip_prefix(b",\"time\":")?;
        let negative = rest.first() == Some(&b'-');
        rest = rest.get(usize::from(negative)..)?;
        let time_ms = i64::try_from(number(&mut rest)?).ok()?;
        rest = rest.strip_prefix(b",\"scope\":")?;
        let scope = u32::try_from(number(&mut rest)?).ok()?;
        rest = rest.strip_prefix(b",\"form\":")?;
        let form = u8::try_from(number(&mut rest)?).ok()?;
        rest = rest.strip_prefix(b",\"salt\":\"")?;
        let salt = hash(&mut rest)?;
        rest = rest.strip_prefix(b",\"entry\":\"")?;
        Some(Self {
            seq,
            time_ms: if negative { -time_ms } else { time_ms },
            scope: Scope(scope),
            form: LeafForm::of_number(form)?,
            salt,
            body: rest.strip_suffix(b"\"}")?,
        })
    }
}

/// Takes a number from the front, without zeros before it.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, behind) = rest.split_at(digits);
    if digits == 0 || (digits > 1 && number.first() == Some(&b'0')) {
        return None;
    }
    *rest = behind;
    number.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// Takes 32 bytes in base64 and the quotation mark behind them from the front.
fn hash(rest: &mut &[u8]) -> Option<Hash> {
    const CODED: usize = 44;
    let (coded, behind) = rest.split_at_checked(CODED)?;
    *rest = behind.strip_prefix(b"\"")?;
    let mut hash = [0; 32];
    let decoded = Base64::decode(coded, &mut hash).ok()?.len();
    (decoded == 32).then_some(hash)
}

/// Adds the line of a leaf.
pub(in crate::audit) fn put_leaf(text: &mut String, index: u64, leaf: &TreeLeaf) {
    use std::fmt::Write;
    let coded = Base64::encode_string(&leaf.leaf);
    // Writing to a String cannot fail.
    let _ = write!(text, "{{\"n\":{index},\"leaf\":\"{coded}\"");
    if let Some(opened) = &leaf.opened {
        let (seq, time, scope) = (leaf.seq.0, leaf.time_ms, leaf.scope.0);
        let (form, salt) = (opened.form as u8, Base64::encode_string(&opened.salt));
        let body = Base64::encode_string(&opened.body);
        let _ = write!(
            text,
            ",\"seq\":{seq},\"time\":{time},\"scope\":{scope},\"form\":{form},\
             \"salt\":\"{salt}\",\"entry\":\"{body}\""
        );
    }
    text.push_str("}\n");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use salus_store::{OpenedLeaf, Seq};

    use super::*;

    fn leaf(opened: bool) -> TreeLeaf {
        TreeLeaf {
            scope: Scope(3),
            seq: Seq(9),
            time_ms: -5,
            leaf: [7; 32],
            opened: opened.then(|| OpenedLeaf {
                form: LeafForm::Placed,
                salt: [8; 32],
                body: Bytes::from_static(b"entry"),
            }),
            cleared: false,
        }
    }

    fn line(opened: bool) -> String {
        let mut text = String::new();
        put_leaf(&mut text, 4, &leaf(opened));
        text.trim_end().to_owned()
    }

    #[test]
    fn leaves_read_back() {
        let shown = line(true);
        let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&json["n"], &json["time"]), (&4.into(), &(-5).into()));
        let Some(Line::Leaf(read)) = Line::read(shown.as_bytes()) else {
            panic!("{shown}");
        };
        let entry = read.entry.unwrap();
        assert_eq!((read.index, read.leaf, entry.seq), (4, [7; 32], 9));
        assert_eq!(
            (entry.time_ms, entry.scope, entry.salt),
            (-5, Scope(3), [8; 32])
        );
        assert_eq!(entry.body, Base64::encode_string(b"entry").as_bytes());
        let hidden = line(false);
        let Some(Line::Leaf(read)) = Line::read(hidden.as_bytes()) else {
            panic!("{hidden}");
        };
        assert_eq!((read.index, read.entry), (4, None));
    }

    #[test]
    fn anything_else_is_refused() {
        let good = line(true);
        for bad in [
            good.replace(":4", ": 4"),
            good.replace(":4", ":04"),
            good.replace(":9", ":99999999999999999999"),
            good.replace("\"form\":2", "\"form\":3"),
            good.replace('}', ""),
            good.replace("\"seq\"", "\"sequence\""),
            good.replacen("B", "*", 1),
            format!("{good}}}"),
            format!("{CHECKPOINT}\"none\"}}"),
            String::new(),
        ] {
            assert!(Line::read(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
