//! Binary: content of any type and any length
//! (<https://hl7.org/fhir/R4/binary.html>).
//!
//! Up to 256 KiB, content stays in the record as `data`. What is longer is a
//! blob of the store, and the record's text has no `data` and is tagged as a part
//! (`mark`). Which blob it is says a record beside each such version, a `Link`,
//! committed with it: so no text that a client sends can name a blob. A version
//! never changes its blob, and versions may share one.

pub(crate) mod context;
mod mark;
mod place;
mod raw;
mod sweep;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use salus_store::{
    BlobReader, Content as Body, Kind as RecordKind, Param, Put, Record, Row, SealKey,
};
use salus_store::{Snapshot, Value};
use serde_json::json;

use super::types::ResourceType;
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};

pub(crate) use mark::{marked, whole};
pub(crate) use place::Placed;
pub use raw::{Raw, RawContent};
pub(crate) use sweep::{Fresh, FreshBlobs};
pub use upload::{Interrupted, Sent, Source};

/// The name of the type.
pub const BINARY: &str = "Binary";

/// Content up to this many bytes stays in the record.
pub const INLINE_BYTES_MAX: usize = 256 << 10;

/// Ids of blobs of Binaries begin so; others may keep blobs too.
const BLOB_PREFIX: &str = "binary-";
const LINK: RecordKind = RecordKind::named("salus:Blob");
const LINK_BLOB: Param = Param::named("salus:Blob", "blob");
const VERSION: u8 = 1;

/// Which blob a version of a Binary has for its content. The record's id is the
/// SHA-256, in hexadecimal, of the Binary's id, a slash and the version; its
/// content a byte of version and a JSON object of these members.
#[derive(Clone, PartialEq, Eq)]
struct Link {
    binary: Box<str>,
    version: u64,
    blob: Box<str>,
    bytes: u64,
}
salus_phi::guard!(Link);

/// Content that is read as a stream.
#[derive(Clone)]
pub struct Content(Arc<dyn BlobReader>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("bytes", &self.bytes())
            .finish()
    }
}

impl Content {
    /// How long it is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Some bytes from a place on, at most `max`; none only at the end.
    pub async fn read(&self, at: u64, max: usize) -> Result<Bytes, Error> {
        let read = self.0.read(at, max).await?;
        if read.is_empty() && at < self.bytes() && max > 0 {
            return Err(missing());
        }
        Ok(read)
    }
}

impl Link {
    fn id(binary: &str, version: u64) -> Box<str> {
        let hash = salus_crypto::sha256(format!("{binary}/{version}").as_bytes());
        salus_crypto::hex(&hash).into()
    }

    /// The record that says it.
    fn put(&self, seal: &SealKey) -> Put {
        let text = json!({
            "binary": &*self.binary,
            "version": self.version,
            "blob": &*self.blob,
            "bytes": self.bytes,
        });
        let mut body = vec![VERSION];
        body.extend_from_slice(text.to_string().as_bytes());
        Put {
            kind: LINK,
            id: Self::id(&self.binary, self.version),
            version: 1,
            content: Body::Body(body.into()),
            rows: self.rows(),
            main_date_ms: None,
            seal: seal.clone(),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let value = Value::Token {
            system: "".into(),
            code: self.blob.clone(),
        };
        let param = LINK_BLOB;
        vec![Row { param, value }]
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (&[VERSION], text) = body.split_first_chunk()? else {
            return None;
        };
        let link: serde_json::Value = serde_json::from_slice(text).ok()?;
        Some(Self {
            binary: link.get("binary")?.as_str()?.into(),
            version: link.get("version")?.as_u64()?,
            blob: link.get("blob")?.as_str()?.into(),
            bytes: link.get("bytes")?.as_u64()?,
        })
    }

    /// That of a version, if its content is a blob.
    async fn of(
        snapshot: &dyn Snapshot,
        binary: &str,
        version: u64,
    ) -> Result<Option<Self>, Error> {
        let record = snapshot.get(LINK, &Self::id(binary, version)).await?;
        match record.map(|record| record.content) {
            Some(Body::Body(body)) => Self::read(&body).map(Some).ok_or_else(missing),
            Some(Body::Deleted) | None => Ok(None),
        }
    }
}

impl Service {
    /// The content of a version of a Binary whose text has none.
    pub(super) async fn content(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (id, version): (&str, u64),
    ) -> Result<Option<Content>, Error> {
        // No content is no data: there is no empty text in FHIR.
        let found = self.linked_content(cx, snapshot, (id, version)).await?;
        Ok(found.map(|(_, content)| content))
    }

    /// The same, with the id of the blob.
    pub(crate) async fn linked_content(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (id, version): (&str, u64),
    ) -> Result<Option<(Box<str>, Content)>, Error> {
        let link = Link::of(snapshot, id, version).await?;
        let Some(link) = link.filter(|link| link.bytes > 0) else {
            return Ok(None);
        };
        let blob = self.blobs.open(cx.scope, &link.blob).await?;
        let blob = blob.filter(|blob| blob.bytes() == link.bytes);
        let blob = blob.ok_or_else(missing)?;
        Ok(Some((link.blob, Content(blob.into()))))
    }
}

/// The record beside a version of a Binary that says which blob it has.
pub(crate) fn link_of(id: &str, version: u64, placed: &Placed) -> Put {
    let link = Link {
        binary: id.into(),
        version,
        blob: placed.blob.clone(),
        bytes: placed.bytes,
    };
    link.put(&placed.seal)
}

fn missing() -> Error {
    Error::new(Kind::Internal, "the content is not what was stored")
}

/// The blob that a record beside a Binary names, and the rows of that; `None` if it is none.
pub(crate) fn link(record: &Record) -> Option<(Box<str>, Vec<Row>)> {
    match &record.content {
        Body::Body(body) if record.kind == LINK => {
            let link = Link::read(body)?;
            let rows = link.rows();
            Some((link.blob, rows))
        }
        Body::Body(_) | Body::Deleted => None,
    }
}

/// Whether the version that a record beside a Binary is of has its content yet, as far as is known.
pub(crate) async fn is_kept(snapshot: &dyn Snapshot, record: &Record) -> Result<bool, Error> {
    let Body::Body(body) = &record.content else {
        return Ok(false);
    };
    let link = Link::read(body).ok_or_else(missing)?;
    let ty = salus_auth::policy::BINARY;
    match snapshot.version(ty, &link.binary, link.version).await {
        Err(salus_store::Error::Purged) => Ok(false),
        Ok(_) | Err(salus_store::Error::KeyDestroyed) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether a record is one beside a Binary, that names its blob.
pub(crate) fn is_link(kind: RecordKind) -> bool {
    kind == LINK
}

/// Whether records of this kind are Binaries.
pub(crate) fn is_binary(kind: RecordKind) -> bool {
    kind == salus_auth::policy::BINARY
}

fn ty() -> Result<ResourceType, Error> {
    super::resource_type(BINARY)
}

#[cfg(test)]
mod tests;
