//! Binaries on their way into the store: who may put them there, whose key
//! seals them, and where their content goes.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::{Document, Limits, Node};
use salus_store::{BlobWriter, Content as Body, NewBlob, Put, SealKey, Snapshot};

use super::context::{Belongs, reference};
use super::mark::{shortened, unmarked};
use super::{BLOB_PREFIX, Content, Fresh, INLINE_BYTES_MAX, Link, is_binary, link_of, missing};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

/// Bytes of Base64 decoded at once.
const DECODED_AT_ONCE: usize = 64 << 10;

/// Content that is a blob already, and what keeps it until it is committed.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(super) blob: Box<str>,
    pub(super) bytes: u64,
    pub(super) seal: SealKey,
    /// None if a version names the blob already.
    pub(super) _fresh: Option<Arc<Fresh>>,
}

impl Service {
    /// Checks and completes the Binaries among some writes. What it gives back
    /// has to be kept until they are committed.
    pub(in crate::fhir) fn place_binaries<'a>(
        &'a self,
        cx: &'a Context,
        writes: &'a mut [Write],
    ) -> BoxFuture<'a, Result<Vec<Placed>, Error>> {
        Box::pin(async move {
            let mut all = Vec::new();
            for write in writes.iter_mut().filter(|w| is_binary(w.put().kind)) {
                let snapshot = self.snapshot(cx).await?;
                if write.put().version > 1 {
                    let id = &write.put().id;
                    self.check_changeable(cx, &*snapshot, id).await?;
                }
                let Body::Body(body) = write.put().content.clone() else {
                    continue;
                };
                let placed = self.place_binary(cx, &*snapshot, write, body).await?;
                if let Some(placed) = placed {
                    let Put { id, version, .. } = write.put();
                    let link = link_of(id, *version, &placed);
                    write.beside(link);
                    all.push(placed);
                }
            }
            Ok(all)
        })
    }

    async fn place_binary(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        write: &mut Write,
        body: Bytes,
    ) -> Result<Option<Placed>, Error> {
        let limits = Limits {
            bytes_max: usize::MAX,
            ..self.settings.json
        };
        let document = Document::parse(body.into(), &limits).map_err(|_| missing())?;
        let binary = document.root();
        let context = reference(binary);
        let belongs = context
            .as_deref()
            .map_or(Belongs::Alone, |text| Belongs::of(text, &[&*cx.base]));
        let seal = self.belongs(cx, snapshot, belongs).await?;
        let data = binary.get("data").and_then(Node::str);
        let placed = match (write.take_placed(), &data) {
            (Some(placed), _) => Some(placed),
            (None, None) => self.kept(snapshot, write.put()).await?,
            (None, Some(data)) if data.len() / 4 * 3 <= INLINE_BYTES_MAX => {
                check_base64(data)?;
                None
            }
            (None, Some(data)) => Some(self.decoded(cx, &seal, data).await?),
        };
        match &placed {
            Some(placed) if placed.bytes > 0 => write.set_text(shortened(binary).into()),
            // A patch put `data` to what was marked.
            None if data.is_some() && self.kept(snapshot, write.put()).await?.is_some() => {
                if let Some(text) = unmarked(binary) {
                    write.set_text(text.into());
                }
            }
            Some(_) | None => {}
        }
        write.set_seal(seal.clone());
        match placed {
            Some(placed) if placed.seal != seal => {
                self.sealed_anew(cx, placed, seal).await.map(Some)
            }
            placed => Ok(placed),
        }
    }

    /// A Binary without `data` keeps the blob that the version before has:
    /// whoever changes what a search shows has not seen the content.
    async fn kept(&self, snapshot: &dyn Snapshot, put: &Put) -> Result<Option<Placed>, Error> {
        let Some(before) = put.version.checked_sub(1).filter(|version| *version > 0) else {
            return Ok(None);
        };
        let Some(link) = Link::of(snapshot, &put.id, before).await? else {
            return Ok(None);
        };
        let record = match snapshot.version(put.kind, &put.id, before).await {
            // Another came after it, or it would be there: the commit finds that out.
            Err(salus_store::Error::Purged) => None,
            record => record?,
        };
        Ok(record.map(|record| Placed {
            blob: link.blob,
            bytes: link.bytes,
            seal: record.seal,
            _fresh: None,
        }))
    }

    async fn decoded(&self, cx: &Context, seal: &SealKey, data: &str) -> Result<Placed, Error> {
        let (mut writer, fresh) = self.begin_content(cx, seal).await?;
        let mut group = Vec::with_capacity(DECODED_AT_ONCE);
        let mut bytes = data.bytes().filter(|byte| !byte.is_ascii_whitespace());
        let mut ended = false;
        loop {
            group.clear();
            group.extend(bytes.by_ref().take(DECODED_AT_ONCE));
            if group.is_empty() {
                break;
            }
            // Padding ends the text.
            if ended {
                return Err(not_base64());
            }
            let plain = decode(&group)?;
            ended = plain.len() != group.len() / 4 * 3;
            writer.write(plain.into()).await?;
        }
        self.end_content(writer, fresh, seal).await
    }

    /// The same content under another key.
    async fn sealed_anew(
        &self,
        cx: &Context,
        placed: Placed,
        seal: SealKey,
    ) -> Result<Placed, Error> {
        let blob = self.blobs.open(cx.scope, &placed.blob).await?;
        let content = Content(blob.ok_or_else(missing)?.into());
        let (mut writer, fresh) = self.begin_content(cx, &seal).await?;
        let mut at = 0;
        while at < content.bytes() {
            let some = content.read(at, usize::MAX).await?;
            at += some.len() as u64;
            writer.write(some).await?;
        }
        self.end_content(writer, fresh, &seal).await
    }

    pub(crate) async fn begin_content(
        &self,
        cx: &Context,
        seal: &SealKey,
    ) -> Result<(Box<dyn BlobWriter>, Arc<Fresh>), Error> {
        let id: Box<str> = format!("{BLOB_PREFIX}{}", self.new_id(cx)).into();
        let fresh = self.fresh_blobs.add(id.clone());
        let new = NewBlob {
            scope: cx.scope,
            id,
            seal: seal.clone(),
            time_ms: self.now_ms(),
        };
        Ok((self.blobs.create(new).await?, fresh))
    }

    pub(crate) async fn end_content(
        &self,
        writer: Box<dyn BlobWriter>,
        fresh: Arc<Fresh>,
        seal: &SealKey,
    ) -> Result<Placed, Error> {
        Ok(Placed {
            blob: fresh.id().into(),
            bytes: writer.finish().await?,
            seal: seal.clone(),
            _fresh: Some(fresh),
        })
    }
}

fn check_base64(data: &str) -> Result<(), Error> {
    let text: Vec<u8> = data
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    decode(&text).map(|_| ())
}

fn decode(text: &[u8]) -> Result<Vec<u8>, Error> {
    let text = std::str::from_utf8(text).map_err(|_| not_base64())?;
    Base64::decode_vec(text).map_err(|_| not_base64())
}

fn not_base64() -> Error {
    let details = "data is not Base64 (RFC 4648, section 4)";
    let issue = Issue::error(
        IssueType::Value,
        "Binary.data".to_owned(),
        details.to_owned(),
    );
    Error::with_issues(Kind::Unprocessable, vec![issue])
}
