//! Putting a record with all its versions into a bundle.

use std::collections::HashMap;

use salus_auth::record::{Cold, ColdBlob, ColdState, ColdVersion, RetentionClass};
use salus_crypto::{SecretKey, Sha256, base64url};
use salus_store::{Content, Error as StoreError, Record, Row, SealKey, Snapshot, Value};

use super::bundle::{Bundle, Mark};
use super::object::{Head, digest};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;
use crate::fhir::{anew, binary};
use crate::retention::Counted;

/// Versions of a record that is moved, at most.
const VERSIONS_MAX: u64 = 1000;
/// The content of a Binary goes in pieces of so many bytes.
const PIECE_BYTES: usize = 4 << 20;

/// A record on its way.
pub(super) struct Gathered {
    pub(super) record: Record,
    pub(super) cold: Cold,
    pub(super) from: Mark,
    pub(super) to: Mark,
}

/// For whom and why it is moved.
pub(super) struct Because<'a> {
    pub(super) class: &'a RetentionClass,
    pub(super) by: &'a str,
    pub(super) reason: &'a str,
    pub(super) before: Option<Cold>,
}

impl Service {
    /// Puts a record into a bundle; `None` if it cannot be moved as it is: versions of it are sealed with
    /// several keys, there are too many, or it cannot be read.
    pub(super) async fn gather(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (ty, record): (ResourceType, Record),
        because: Because<'_>,
        bundle: &mut Bundle<'_>,
    ) -> Result<Option<Gathered>, Error> {
        let Some(counted) = Counted::of(cx, ty, &record) else {
            return Ok(None);
        };
        let Some(rows) = self.cold_rows(cx, ty, &record).await? else {
            return Ok(None);
        };
        // What was moved before is there.
        let known = because.before.as_ref();
        let known = known.and_then(|before| before.versions.last());
        let known = known.map_or(0, |version| version.version);
        let Some(versions) = versions(snapshot, &record, known).await? else {
            return Ok(None);
        };
        let key = match &because.before {
            Some(before) => own_key(before)?,
            None => SecretKey::random().map_err(|error| {
                Error::new(Kind::Unavailable, "no key can be made").caused_by(error)
            })?,
        };
        let from = bundle.mark();
        let mut kept = Vec::with_capacity(versions.len());
        let mut blobs = HashMap::new();
        for version in &versions {
            let put = self.put_version(cx, snapshot, (ty, version), &key, (bundle, &mut blobs));
            kept.push(put.await?);
        }
        let cold = Cold {
            ty: ty.name.into(),
            id: record.id.clone(),
            state: ColdState::Cold,
            key: base64url(key.as_bytes()),
            patient: match &record.seal {
                SealKey::Patient(patient) => Some(patient.clone()),
                SealKey::Scope => None,
            },
            class: because.class.name.clone(),
            moved_ms: cx.now_ms,
            by: because.by.into(),
            reason: because.reason.to_owned(),
            objects: Vec::new(),
            versions: kept,
            main_ms: counted.main_ms,
            updated_ms: counted.updated_ms,
            patients: counted.patients,
            rows,
            back: None,
        };
        let to = bundle.mark();
        Ok(Some(Gathered {
            record,
            cold: after(because.before, cold),
            from,
            to,
        }))
    }

    async fn put_version(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (ty, record): (ResourceType, &Record),
        key: &SecretKey,
        (bundle, blobs): (&mut Bundle<'_>, &mut HashMap<Box<str>, ColdBlob>),
    ) -> Result<ColdVersion, Error> {
        let mut head = Head {
            ty: ty.name.into(),
            id: record.id.clone(),
            version: record.version,
            time_ms: record.time_ms,
            deleted: record.content == Content::Deleted,
            blob_at: None,
        };
        let content = match &record.content {
            Content::Body(body) => body.clone(),
            Content::Deleted => bytes::Bytes::new(),
        };
        bundle.add(key, &head, &content).await?;
        let mut version = ColdVersion {
            version: record.version,
            time_ms: record.time_ms,
            deleted: head.deleted,
            bytes: content.len() as u64,
            sha256: digest(&content),
            blob: None,
        };
        if head.deleted || !binary::is_binary(ty.kind) {
            return Ok(version);
        }
        let at = (&*record.id, record.version);
        let Some((blob, content)) = self.linked_content(cx, snapshot, at).await? else {
            return Ok(version);
        };
        if let Some(known) = blobs.get(&blob) {
            version.blob = Some(known.clone());
            return Ok(version);
        }
        let (mut place, mut hash) = (0, Sha256::new());
        while place < content.bytes() {
            let piece = content.read(place, PIECE_BYTES).await?;
            head.blob_at = Some(place);
            bundle.add(key, &head, &piece).await?;
            hash.update(&piece);
            place += piece.len() as u64;
        }
        let known = ColdBlob {
            bytes: place,
            sha256: base64url(&hash.finish()),
            of: record.version,
        };
        blobs.insert(blob, known.clone());
        version.blob = Some(known);
        Ok(version)
    }

    /// The codes and references of a record, as rows.
    async fn cold_rows(
        &self,
        cx: &Context,
        ty: ResourceType,
        record: &Record,
    ) -> Result<Option<String>, Error> {
        let Some(mut made) = self.made_anew(cx, ty, record).await? else {
            return Ok(None);
        };
        let plain = |row: &Row| matches!(row.value, Value::Token { .. } | Value::Reference { .. });
        made.rows.retain(plain);
        Row::sort(&mut made.rows);
        let mut bytes = Vec::new();
        made.rows.iter().for_each(|row| row.write(&mut bytes));
        Ok(Some(base64url(&bytes)))
    }

    /// What a writer makes of a record for searches.
    pub(super) async fn made_anew(
        &self,
        cx: &Context,
        ty: ResourceType,
        record: &Record,
    ) -> Result<Option<anew::Made>, Error> {
        let mut bases = vec![cx.base.to_string()];
        bases.extend(crate::parameters::bases(&*self.store, cx.scope).await?);
        let made = || {
            let extractor = cx.parameters.extractor(ty.name)?;
            let document = anew::parsed(record)?;
            let entries = extractor.extract(document.root(), &bases).ok()?;
            let by = (&*cx.parameters, extractor);
            anew::made(by, record, (document.root(), &*entries), &bases)
        };
        Ok(made())
    }
}

/// All versions behind one that have not been purged, the oldest first.
async fn versions(
    snapshot: &dyn Snapshot,
    record: &Record,
    known: u64,
) -> Result<Option<Vec<Record>>, Error> {
    if record.version > VERSIONS_MAX {
        return Ok(None);
    }
    let mut versions = Vec::new();
    for version in known + 1..=record.version {
        match snapshot.version(record.kind, &record.id, version).await {
            Err(StoreError::Purged) | Ok(None) => {}
            Ok(Some(one)) => {
                // A deletion has no content, so whatever its key is.
                if one.content != Content::Deleted && one.seal != record.seal {
                    return Ok(None);
                }
                versions.push(one);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(versions))
}

/// What was there from an earlier move stays there, before what is moved now.
fn after(before: Option<Cold>, mut cold: Cold) -> Cold {
    if let Some(before) = before {
        cold.versions.splice(0..0, before.versions);
        cold.objects = before.objects;
    }
    cold
}

/// The key of a record itself.
pub(super) fn own_key(cold: &Cold) -> Result<SecretKey, Error> {
    let key = salus_crypto::from_base64url(&cold.key).and_then(|key| key.try_into().ok());
    let broken = || {
        Error::new(
            Kind::Internal,
            "what is left of a cold record cannot be read",
        )
    };
    key.map(SecretKey::from_bytes).ok_or_else(broken)
}
