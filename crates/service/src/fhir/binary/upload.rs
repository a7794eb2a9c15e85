//! Content sent as it is: `POST` and `PUT` of a Binary whose body is no resource
//! (<https://hl7.org/fhir/R4/binary.html#rest>).

use std::pin::Pin;

use base64ct::{Base64, Encoding};
use bytes::{Bytes, BytesMut};
use salus_auth::{Action, Grant, Target};
use salus_store::SealKey;
use serde_json::json;

use super::context::Belongs;
use super::{BINARY, INLINE_BYTES_MAX, Placed, marked};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::incoming;
use crate::fhir::reply::Reply;
use crate::fhir::which::Which;
use crate::fhir::{CreateOptions, WriteOptions};

/// What a client says of the content it sends.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    /// Its media type (`Content-Type`).
    pub content_type: &'a str,
    /// What the Binary belongs to (`X-Security-Context`).
    pub context: Option<&'a str>,
}
salus_phi::guard!(Sent<'_>);

/// Where content comes from, piece by piece.
pub trait Source: Send {
    /// The next piece; `None` at the end.
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Interrupted>> + Send + '_>>;
}

/// The content did not come whole; whoever made the source knows why.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

/// The options of an upload.
enum Upload<'a> {
    Create(&'a CreateOptions),
    Update(&'a str, &'a WriteOptions),
}

impl Service {
    /// Stores content as a new Binary.
    pub async fn create_binary(
        &self,
        cx: &Context,
        sent: Sent<'_>,
        source: &mut dyn Source,
        options: &CreateOptions,
    ) -> Result<Reply, Error> {
        let target = Target::Type(BINARY);
        let grant = self.authorize(cx, What::Create, Action::Create, target);
        let grant = grant.await?;
        let work = self.upload(cx, &grant, sent, source, Upload::Create(options));
        self.attempt(cx, &grant, What::Create, BINARY, work).await
    }

    /// Stores content as the next version of a Binary, or its first.
    pub async fn update_binary(
        &self,
        cx: &Context,
        id: &str,
        sent: Sent<'_>,
        source: &mut dyn Source,
        options: &WriteOptions,
    ) -> Result<Reply, Error> {
        let target = Target::Type(BINARY);
        let grant = self.authorize_on(cx, What::Update, Action::Update, target, id);
        let grant = grant.await?;
        let work = self.upload(cx, &grant, sent, source, Upload::Update(id, options));
        self.attempt_on(cx, &grant, What::Update, (BINARY, id), work)
            .await
    }

    async fn upload(
        &self,
        cx: &Context,
        grant: &Grant,
        sent: Sent<'_>,
        source: &mut dyn Source,
        upload: Upload<'_>,
    ) -> Result<Reply, Error> {
        let ty = super::ty()?;
        if let Upload::Update(id, _) = upload {
            crate::fhir::check_id(id)?;
        }
        let snapshot = self.snapshot(cx).await?;
        let belongs = sent
            .context
            .map_or(Belongs::Alone, |text| Belongs::of(text, &[&*cx.base]));
        let seal = self.belongs(cx, &*snapshot, belongs).await?;
        let id = match upload {
            Upload::Create(_) => None,
            Upload::Update(id, _) => Some(id),
        };
        // What is wrong already is told before the content comes.
        let without = incoming::parse(text(id, sent, None), &self.settings.json)?;
        incoming::check(without.root(), ty)?;
        // It may take long to come.
        drop(snapshot);
        let received = self.receive(cx, &seal, source).await?;
        let (now_ms, era) = self.enter();
        let cx = &Context {
            now_ms,
            era,
            parameters: self.parameters(cx.scope),
            ..cx.clone()
        };
        let text = text(id, sent, received.whole());
        let is_part = matches!(&received.kept, Kept::Blob(placed) if placed.bytes > 0);
        let (blob, placed) = match received.kept {
            Kept::Whole(_) => (None, None),
            Kept::Blob(placed) => (Some(placed.blob.clone()), Some((placed, received.hash))),
        };
        let stored = match upload {
            Upload::Create(options) => {
                self.create_granted(cx, grant, ty, (text, placed), options)
                    .await
            }
            Upload::Update(id, options) => {
                let which = Which::Id(id);
                self.update_granted(cx, grant, (ty, which), (text, placed), options)
                    .await
            }
        };
        if let (Err(error), Some(blob)) = (&stored, blob)
            && error.kind().status().0 < 500
        {
            // It is certain that nothing names it. If this fails, it is found later.
            drop(self.blobs.remove(cx.scope, &blob).await);
        }
        let mut reply = stored?;
        reply.body = reply.body.map(|text| match is_part {
            true => marked(text),
            false => text,
        });
        Ok(reply)
    }

    async fn receive(
        &self,
        cx: &Context,
        seal: &SealKey,
        source: &mut dyn Source,
    ) -> Result<Received, Error> {
        let mut first = BytesMut::new();
        let mut hash = salus_crypto::Sha256::new();
        let mut writer = None;
        while let Some(piece) = source.next().await.map_err(|_| interrupted())? {
            hash.update(&piece);
            if let Some((writer, _)) = &mut writer {
                send(writer, piece).await?;
                continue;
            }
            first.extend_from_slice(&piece);
            if first.len() > INLINE_BYTES_MAX {
                let (mut blob, fresh) = self.begin_content(cx, seal).await?;
                blob.write(std::mem::take(&mut first).freeze()).await?;
                writer = Some((blob, fresh));
            }
        }
        if writer.is_none() && first.is_empty() {
            // A text without data would keep what was there before.
            writer = Some(self.begin_content(cx, seal).await?);
        }
        let kept = match writer {
            None => Kept::Whole(first.freeze()),
            Some((writer, fresh)) => Kept::Blob(self.end_content(writer, fresh, seal).await?),
        };
        let hash = hash.finish();
        Ok(Received { kept, hash })
    }
}

async fn send(writer: &mut Box<dyn salus_store::BlobWriter>, piece: Bytes) -> Result<(), Error> {
    Ok(writer.write(piece).await?)
}

struct Received {
    kept: Kept,
    hash: [u8; 32],
}

impl Received {
    fn whole(&self) -> Option<&Bytes> {
        match &self.kept {
            Kept::Whole(content) => Some(content),
            Kept::Blob(_) => None,
        }
    }
}

enum Kept {
    Whole(Bytes),
    Blob(Placed),
}

/// The Binary that holds it, if it is short.
fn text(id: Option<&str>, sent: Sent<'_>, content: Option<&Bytes>) -> Bytes {
    let mut binary = json!({"resourceType": BINARY});
    if let Some(id) = id {
        binary["id"] = json!(id);
    }
    binary["contentType"] = json!(sent.content_type);
    if let Some(context) = sent.context {
        binary["securityContext"] = json!({"reference": context});
    }
    if let Some(content) = content {
        binary["data"] = json!(Base64::encode_string(content));
    }
    binary.to_string().into()
}

/// What is told only if the source has nothing better.
fn interrupted() -> Error {
    Error::invalid("the body ended before its end")
}
