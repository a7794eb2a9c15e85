//! A Binary as what it holds: its type, its context and its bytes.

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use salus_fhir::json::{Document, Limits, Node};

use super::context::reference;
use super::{Content, missing};
use crate::error::Error;
use crate::fhir::reply::Reply;

/// A Binary as what it holds.
#[derive(Clone)]
pub struct Raw {
    /// Its media type.
    pub content_type: String,
    /// The reference of its security context.
    pub context: Option<String>,
    /// Its content.
    pub content: RawContent,
}
salus_phi::guard!(Raw);

/// The content of a Binary.
#[derive(Clone)]
pub enum RawContent {
    /// All of it.
    Whole(Bytes),
    /// What is read piece by piece.
    Stream(Content),
}
salus_phi::guard!(RawContent);

impl RawContent {
    /// How long it is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stream(content) => content.bytes(),
        }
    }

    /// Some bytes from a place on, at most `max`; none only at the end.
    pub async fn read(&self, at: u64, max: usize) -> Result<Bytes, Error> {
        match self {
            Self::Stream(content) => content.read(at, max).await,
            Self::Whole(bytes) => {
                let start = usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
                let end = start.saturating_add(max).min(bytes.len());
                Ok(bytes.slice(start..end))
            }
        }
    }
}

impl Raw {
    /// What the Binary of a reply holds.
    pub fn of(reply: &Reply) -> Result<Self, Error> {
        let body = reply.body.clone().ok_or_else(missing)?;
        let limits = Limits {
            bytes_max: usize::MAX,
            ..Limits::default()
        };
        let document = Document::parse(body.into(), &limits).map_err(|_| missing())?;
        let binary = document.root();
        let text = |name: &str| binary.get(name).and_then(Node::str);
        let content = match (&reply.content, text("data")) {
            (Some(content), _) => RawContent::Stream(content.clone()),
            (None, None) => RawContent::Whole(Bytes::new()),
            (None, Some(data)) => {
                let data: String = data.split_ascii_whitespace().collect();
                let data = Base64::decode_vec(&data).map_err(|_| missing())?;
                RawContent::Whole(data.into())
            }
        };
        Ok(Self {
            content_type: text("contentType").unwrap_or_default().into_owned(),
            context: reference(binary).filter(|text| !text.is_empty()),
            content,
        })
    }
}
