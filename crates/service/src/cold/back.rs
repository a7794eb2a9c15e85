//! Bringing a record back from cold storage, and showing the versions that stay there.

use bytes::Bytes;
use salus_auth::record::{Cold, ColdBack, ColdState, Saved, SystemRecord};
use salus_auth::{Action, Grant};
use salus_fhir::splice::{self, Stamp};
use salus_store::{At, Content, Put, Record, SealKey};
use serde_json::{Value, json};

use super::known;
use super::read::{Piece, Reader};
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::anew;
use crate::fhir::binary::{self, Placed};
use crate::fhir::types::ResourceType;
use crate::pipeline::Ended;
use crate::retention::said;
use crate::time::instant;

/// Bytes of versions that are shown at once.
const SHOWN_BYTES_MAX: u64 = 64 << 20;

/// Bringing back, as somebody asks for it.
#[derive(Clone)]
pub struct NewRetrieval {
    /// The type of the record,
    pub ty: String,
    /// and its id.
    pub id: String,
    /// Why.
    pub reason: String,
}
salus_phi::guard!(NewRetrieval);

impl Service {
    /// Brings a record back: read, compared, and put as its next version.
    pub async fn retrieve_cold(
        &self,
        cx: &Context,
        new: NewRetrieval,
    ) -> Result<Saved<Cold>, Error> {
        let what = What::ColdRetrieved;
        let grant = self.allow(cx, what, Action::WriteRetention).await?;
        let named = (new.ty.clone(), new.id.clone());
        let work = async {
            let reason = said(&new.reason, "reason")?;
            self.needs_step_up(cx)?;
            let (ty, mut saved) = self.left_cold(cx, &new.ty, &new.id).await?;
            if saved.value.state != ColdState::Cold {
                let details = "this record was brought back already";
                return Err(Error::new(Kind::Conflict, details));
            }
            let (text, placed) = self.read_current(cx, &saved.value).await?;
            saved.value.state = ColdState::Back;
            saved.value.back = Some(ColdBack {
                at_ms: cx.now_ms,
                by: cx.subject.label().into(),
                reason,
            });
            self.put_back(cx, &grant, (ty, text, placed), &saved)
                .await?;
            saved.version += 1;
            Ok(saved)
        };
        let named = (&*named.0, &*named.1);
        self.attempt_on(cx, &grant, what, named, work).await
    }

    /// The versions of a record that are in cold storage, read and compared, as a Bundle of
    /// history, the newest first.
    pub async fn cold_history(&self, cx: &Context, ty: &str, id: &str) -> Result<Value, Error> {
        let what = What::HistoryInstance;
        let grant = self.allow(cx, what, Action::WriteRetention).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let (ty, saved) = self.left_cold(cx, ty, id).await?;
            let cold = saved.value;
            let bytes: u64 = cold.versions.iter().map(|version| version.bytes).sum();
            if bytes > SHOWN_BYTES_MAX {
                let details = "the versions have more than 64 MiB together: bring the record back";
                return Err(Error::new(Kind::Unprocessable, details));
            }
            let storage = self.cold_storage()?;
            let mut entries = Vec::with_capacity(cold.versions.len());
            let mut reader = Reader::new(&storage, cx.scope);
            let mut reading = reader.begin(&cold)?;
            while let Some(piece) = reading.next().await? {
                if let Piece::Version(head, text) = piece {
                    entries.push(shown(&cold, &head, &text)?);
                }
            }
            entries.reverse();
            let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            entry.ty = ty.name.into();
            entry.query = "cold".into();
            for version in &cold.versions {
                let entity = Entity {
                    ty: ty.name.into(),
                    id: cold.id.clone(),
                    version: version.version,
                };
                entry.concerns(entity, ty.kind, &cold.seal());
            }
            self.record(cx, entry).await?;
            Ok(
                json!({"resourceType": "Bundle", "type": "history", "total": entries.len(),
                "entry": entries}),
            )
        };
        self.attempt_on(cx, &grant, what, (ty, id), work).await
    }

    /// What is left of a record that is, or has versions, in cold storage.
    pub(super) async fn left_cold(
        &self,
        cx: &Context,
        ty: &str,
        id: &str,
    ) -> Result<(ResourceType, Saved<Cold>), Error> {
        let absent = || Error::not_found("nothing of such a record is in cold storage");
        let ty = ResourceType::named(ty).ok_or_else(absent)?;
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let left = known::left(&*snapshot, ty, id).await?;
        Ok((ty, left.ok_or_else(absent)?))
    }

    /// The text of the last version, and the content of it if it is a blob; all of the record is
    /// read and compared.
    async fn read_current(
        &self,
        cx: &Context,
        cold: &Cold,
    ) -> Result<(Bytes, Option<Placed>), Error> {
        let storage = self.cold_storage()?;
        let broken = || {
            Error::new(
                Kind::Internal,
                "what is left of a cold record has no version",
            )
        };
        let last = cold.versions.last().ok_or_else(broken)?;
        let seal = cold.seal();
        let (mut text, mut writing) = (None, None);
        let mut reader = Reader::new(&storage, cx.scope);
        let blob = last.blob.as_ref().map(|blob| blob.of);
        if blob.is_some() {
            writing = Some(self.begin_content(cx, &seal).await?);
        }
        let mut reading = reader.begin(cold)?;
        while let Some(piece) = reading.next().await? {
            match piece {
                Piece::Version(head, content) if head.version == last.version => {
                    text = Some(content);
                }
                Piece::Blob(head, content) if blob == Some(head.version) => {
                    if let Some((writer, _)) = &mut writing {
                        writer.write(content).await?;
                    }
                }
                Piece::Version(..) | Piece::Blob(..) => {}
            }
        }
        let placed = match writing {
            Some((writer, fresh)) => Some(self.end_content(writer, fresh, &seal).await?),
            None => None,
        };
        Ok((text.ok_or_else(broken)?, placed))
    }

    /// Commits the record as it was, as its next version.
    async fn put_back(
        &self,
        cx: &Context,
        grant: &Grant,
        (ty, text, placed): (ResourceType, Bytes, Option<Placed>),
        saved: &Saved<Cold>,
    ) -> Result<(), Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let head = snapshot.head(ty.kind, &saved.value.id).await?;
        let version = head.map_or(0, |head| head.version) + 1;
        let seal = saved.value.seal();
        let record = Record {
            kind: ty.kind,
            id: saved.value.id.clone(),
            version,
            time_ms: cx.now_ms,
            seq: salus_store::Seq(0),
            seal: seal.clone(),
            content: Content::Body(stamped(&text, (&saved.value.id, version, cx.now_ms))?),
        };
        let made = self
            .made_anew(cx, ty, &record)
            .await?
            .ok_or_else(unreadable)?;
        let mut entry = Entry::new(cx, What::ColdRetrieved, Outcome::Success, grant.rule());
        let back = saved.value.back.as_ref();
        entry.query = back.map(|back| &*back.reason).unwrap_or_default().into();
        let entity = Entity {
            ty: ty.name.into(),
            id: record.id.clone(),
            version,
        };
        entry.concerns(entity, ty.kind, &seal);
        let put = put_of(record, made.rows, made.main_date_ms);
        let mut beside = made.contained;
        beside.extend(
            placed
                .as_ref()
                .map(|placed| binary::link_of(&put.id, version, placed)),
        );
        beside.push(saved.put_sealed()?);
        let under_way = self.shut.enter();
        if self.shut.holds(cx.scope, &beside) {
            return Err(salus_store::Error::KeyDestroyed.into());
        }
        let ended = Ended {
            // What follows from a record is read anew when it comes, as when it goes.
            deleted: vec![put],
            beside,
            ..Ended::default()
        };
        self.end_records(cx, grant, entry, ended).await?;
        drop((under_way, placed));
        Ok(())
    }
}

fn put_of(record: Record, rows: Vec<salus_store::Row>, main_date_ms: Option<i64>) -> Put {
    Put {
        kind: record.kind,
        id: record.id,
        version: record.version,
        content: record.content,
        rows,
        main_date_ms,
        seal: record.seal,
    }
}

/// The same text as another version.
fn stamped(text: &Bytes, (id, version, now_ms): (&str, u64, i64)) -> Result<Bytes, Error> {
    let record = Record {
        kind: Cold::KIND,
        id: id.into(),
        version,
        time_ms: now_ms,
        seq: salus_store::Seq(0),
        seal: SealKey::Scope,
        content: Content::Body(text.clone()),
    };
    // Of whatever kind: what it says is not asked, and what is marked stays so.
    let document = anew::parsed(&record).ok_or_else(unreadable)?;
    let stamp = Stamp {
        id,
        version: &version.to_string(),
        last_updated: &instant(now_ms),
    };
    Ok(splice::stamp(document.root(), &stamp).into())
}

/// A version as an entry of a history.
fn shown(cold: &Cold, head: &super::object::Head, text: &Bytes) -> Result<Value, Error> {
    let path = format!("{}/{}", cold.ty, cold.id);
    let (method, status) = match (head.deleted, head.version) {
        (true, _) => ("DELETE", "204"),
        (false, 1) => ("PUT", "201"),
        (false, _) => ("PUT", "200"),
    };
    let mut entry = json!({
        "request": {"method": method, "url": path},
        "response": {"status": status, "etag": format!("W/\"{}\"", head.version),
            "lastModified": instant(head.time_ms)},
    });
    if !head.deleted {
        entry["resource"] = serde_json::from_slice(text).map_err(|_| unreadable())?;
    }
    Ok(entry)
}

fn unreadable() -> Error {
    Error::new(Kind::Internal, "the record cannot be read as what it was")
}
