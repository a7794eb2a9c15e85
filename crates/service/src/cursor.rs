//! Where the next page begins, as a text that only this server can read.
//!
//! A cursor holds the whole request and its snapshot, sealed, so that links
//! hold no search values and pages survive a restart. It works only for the
//! one it was given to.

use salus_crypto::SecretKey;
use salus_store::{Position, Seq};

use crate::context::Context;
use crate::error::Error;

const VERSION: u8 = 1;

/// A page's successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The state of the store that all pages show.
    pub(crate) seq: Seq,
    /// The request, in the form that its use case reads back.
    pub(crate) request: String,
    /// Where the page before ended.
    pub(crate) position: Position,
}

impl Cursor {
    /// The text for a link.
    pub(crate) fn seal(
        &self,
        key: &SecretKey,
        cx: &Context,
        purpose: &str,
    ) -> Result<String, Error> {
        let mut plain = vec![VERSION];
        plain.extend_from_slice(&self.seq.0.to_be_bytes());
        plain.extend_from_slice(&(self.request.len() as u32).to_be_bytes());
        plain.extend_from_slice(self.request.as_bytes());
        plain.extend_from_slice(&self.position.0);
        key.seal_text(&aad(cx, purpose), &plain).map_err(|error| {
            Error::new(crate::error::Kind::Internal, "the server failed").caused_by(error)
        })
    }

    /// Reads a text that [`Self::seal`] made for the same caller and purpose.
    pub(crate) fn open(
        key: &SecretKey,
        cx: &Context,
        purpose: &str,
        text: &str,
    ) -> Result<Self, Error> {
        key.open_text(&aad(cx, purpose), text)
            .ok()
            .and_then(|plain| Self::decode(&plain))
            .ok_or_else(|| {
                Error::invalid("the cursor is not one that you were given here; search again")
            })
    }

    fn decode(plain: &[u8]) -> Option<Self> {
        let (&[VERSION], rest) = plain.split_first_chunk::<1>()? else {
            return None;
        };
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (request, position) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Some(Self {
            seq: Seq(u64::from_be_bytes(*seq)),
            request: String::from_utf8(request.to_vec()).ok()?,
            position: Position(position.to_vec()),
        })
    }
}

fn aad(cx: &Context, purpose: &str) -> Vec<u8> {
    format!("{purpose} {} {}", cx.scope.0, cx.subject.label()).into_bytes()
}
