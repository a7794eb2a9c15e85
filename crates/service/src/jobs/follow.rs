//! What the owner of a job may ask about it: how far it is, what came of it,
//! its files, that it be cancelled. Others are told that there is no such job.

use bytes::Bytes;
use salus_auth::record::{Saved, SystemRecord};
use salus_auth::{Action, Grant, Target, Who};
use salus_store::{At, AuditQuery, Kind as RecordKind, Record, SealKey};
use serde_json::{Value, json};

use super::export::exported;
use super::record::{File, Job, Role, State, Work};
use super::{JOB, files};
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;
use crate::pipeline::Write;

/// How far a job is.
pub enum Followed {
    /// Not done; how far, in words.
    Open(String),
    /// Done: the manifest, and until when there are files.
    Manifest(Bytes, i64),
    /// Done: the bundle with the answer, and until when there is one.
    Answer(Bytes, i64),
    /// Failed: a status and an OperationOutcome, and until when this is kept.
    Failed(u16, Bytes, i64),
}
salus_phi::guard!(Followed);

/// A file of a job, to be read piece by piece.
pub struct Contents {
    /// Its bytes.
    pub reader: Box<dyn salus_store::BlobReader>,
    /// Until when it is there.
    pub expires_ms: i64,
}

impl Service {
    /// How far a job is, or what came of it.
    pub async fn follow_job(&self, cx: &Context, id: &str) -> Result<Followed, Error> {
        let grant = self.allow_job(cx, id).await?;
        let work = async {
            let job = self.own_job(cx, id).await?;
            let active = self.jobs.active(&(cx.scope, id.into()));
            if active.is_some_and(|active| !active.polled(cx.now_ms)) {
                let details = "you ask too often; Retry-After says how long to wait";
                return Err(Error::new(Kind::Throttled, details));
            }
            Ok(job)
        };
        let what = What::Operation;
        let job = self.attempt_on(cx, &grant, what, (JOB, id), work).await?;
        let followed = self.followed(cx, &job).await?;
        let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        entry.query = "$job".into();
        concern_job(&mut entry, &job);
        if let Followed::Answer(body, _) = &followed {
            entry.shows(&self.records_in(cx, body).await?);
        }
        self.record(cx, entry).await?;
        Ok(followed)
    }

    async fn followed(&self, cx: &Context, job: &Saved<Job>) -> Result<Followed, Error> {
        let expires_ms = self.expires_ms(&job.value);
        Ok(match &job.value.state {
            State::Accepted => {
                let active = self.jobs.active(&(cx.scope, job.id.clone()));
                let progress = active.map(|active| active.progress.lock().clone());
                Followed::Open(progress.unwrap_or_else(|| "waiting for its turn".to_owned()))
            }
            State::Failed(status, outcome) => {
                Followed::Failed(*status, outcome.clone().into(), expires_ms)
            }
            State::Done if matches!(job.value.work, Work::Request(_)) => {
                let file = job.value.files.first().ok_or_else(no_file)?;
                let id = files::id(&job.id, file.attempt, file.number);
                Followed::Answer(self.blob(cx.scope, &id).await?, expires_ms)
            }
            State::Done => {
                let manifest = self.manifest(cx, job).await?;
                Followed::Manifest(manifest.to_string().into(), expires_ms)
            }
        })
    }

    async fn manifest(&self, cx: &Context, job: &Saved<Job>) -> Result<Value, Error> {
        let mut manifest = manifest(job);
        if let Work::Import(import) = &job.value.work {
            manifest["output"] = self.import_report(cx.scope, job, import).await?.into();
        }
        Ok(manifest)
    }

    fn expires_ms(&self, job: &Job) -> i64 {
        let ended_ms = job.ended_ms.unwrap_or(job.created_ms);
        ended_ms.saturating_add(self.settings.jobs.kept_ms)
    }

    /// Cancels a job, or removes what is left of one that is over.
    pub async fn cancel_job(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let grant = self.allow_job(cx, id).await?;
        let work = async {
            self.own_job(cx, id).await?;
            let key = (cx.scope, id.into());
            if let Some(active) = self.jobs.cancel(&key) {
                active.ended().await;
            }
            // It may have come to its end meanwhile.
            let job = self.own_job(cx, id).await?;
            files::remove(self, cx.scope, &job).await?;
            let write = Write::system(&grant, JOB, job.delete());
            let mut entry = Entry::new(cx, What::Operation, Outcome::Success, grant.rule());
            entry.query = "$job cancelled".into();
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(())
        };
        let what = What::Operation;
        self.attempt_on(cx, &grant, what, (JOB, id), work).await
    }

    /// A file of a job that is done.
    pub async fn job_file(&self, cx: &Context, id: &str, name: &str) -> Result<Contents, Error> {
        let grant = self.allow_job(cx, id).await?;
        let work = async {
            let job = self.own_job(cx, id).await?;
            let done = job.value.state == State::Done;
            let mut named = job.value.files.iter().filter(|file| file.name() == name);
            let file = named.next().filter(|_| done).ok_or_else(no_file)?;
            let blob = files::id(&job.id, file.attempt, file.number);
            let reader = self.blobs.open(cx.scope, &blob).await?;
            Ok((reader.ok_or_else(no_file)?, job))
        };
        let what = What::Operation;
        let (reader, job) = self.attempt_on(cx, &grant, what, (JOB, id), work).await?;
        self.note_file(cx, &grant, (&job, name)).await?;
        Ok(Contents {
            reader,
            expires_ms: self.expires_ms(&job.value),
        })
    }

    async fn allow_job(&self, cx: &Context, id: &str) -> Result<Grant, Error> {
        let (what, action) = (What::Operation, Action::Job);
        self.authorize_on(cx, what, action, Target::System, id)
            .await
    }

    /// A job of the one who asks, or any if they administer the project.
    async fn own_job(&self, cx: &Context, id: &str) -> Result<Saved<Job>, Error> {
        let absent = || Error::not_found("there is no such job");
        if !salus_fhir::reference::is_id(id) {
            return Err(absent());
        }
        let job = self.job(cx.scope, id).await?.ok_or_else(absent)?;
        let all = match cx.subject.who() {
            Who::Administrator | Who::Operator => true,
            Who::User | Who::Client | Who::Anonymous => false,
        };
        let over = job.value.ended_ms.is_some() && self.expires_ms(&job.value) <= cx.now_ms;
        match (all || job.value.owner.is(&cx.subject)) && !over {
            true => Ok(job),
            false => Err(absent()),
        }
    }

    /// The records that an answer shows, as it shows them.
    async fn records_in(&self, cx: &Context, answer: &[u8]) -> Result<Vec<Record>, Error> {
        let mut shown = Vec::new();
        if let Ok(answer) = serde_json::from_slice::<Value>(answer) {
            resources(&answer, &mut shown);
        }
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let mut records = Vec::new();
        for (ty, id, version) in shown {
            match snapshot.version(ty.kind, &id, version).await {
                Ok(record) => records.extend(record),
                Err(salus_store::Error::Purged) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(records)
    }

    /// Tells the audit of a file that is taken away: of an export which records are in it,
    /// as the audit has them since it was made.
    async fn note_file(
        &self,
        cx: &Context,
        grant: &Grant,
        (job, name): (&Saved<Job>, &str),
    ) -> Result<(), Error> {
        let mut entry = Entry::new(cx, What::Operation, Outcome::Success, grant.rule());
        entry.query = format!("$job {name}").into();
        concern_job(&mut entry, job);
        self.record(cx, entry).await?;
        let mut named = job.value.files.iter().filter(|file| file.name() == name);
        let Some(file) = named.next() else {
            return Ok(());
        };
        let made = exported(&files::id(&job.id, file.attempt, file.number));
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let mut log = AuditQuery {
            about: Some((<Job as SystemRecord>::KIND, job.id.clone())),
            ascending: true,
            limit: MADE_AT_ONCE,
            ..AuditQuery::default()
        };
        loop {
            let page = snapshot.audit(&log).await?;
            for record in &page {
                log.after = Some(record.seq);
                let told = Entry::decode(&record.body).ok_or_else(no_file)?;
                if told.what == What::Export && *told.query == *made {
                    self.note_again(cx, grant, (job, name), told).await?;
                }
            }
            if page.len() < log.limit {
                return Ok(());
            }
        }
    }

    async fn note_again(
        &self,
        cx: &Context,
        grant: &Grant,
        (job, name): (&Saved<Job>, &str),
        told: Entry,
    ) -> Result<(), Error> {
        let mut entry = Entry::new(cx, What::Export, Outcome::Success, grant.rule());
        entry.query = format!("$job {name}").into();
        concern_job(&mut entry, job);
        for entity in told.entities.into_iter().filter(|one| one.ty != JOB) {
            let kind = RecordKind::named(&entity.ty);
            entry.concerns(entity, kind, &SealKey::Scope);
        }
        self.record(cx, entry).await
    }
}

/// Files of an export that the log is read for at once.
const MADE_AT_ONCE: usize = 20;

/// The audit names the job.
pub(super) fn concern_job(entry: &mut Entry, job: &Saved<Job>) {
    let entity = Entity {
        ty: JOB.into(),
        id: job.id.clone(),
        version: job.version,
    };
    entry.concerns(entity, <Job as SystemRecord>::KIND, &SealKey::Scope);
}

/// The resources with a version that one has in it, or is.
fn resources(value: &Value, found: &mut Vec<(ResourceType, String, u64)>) {
    let ty = value["resourceType"].as_str().and_then(ResourceType::named);
    let version = value["meta"]["versionId"].as_str();
    let version = version.and_then(|version| version.parse().ok());
    if let (Some(ty), Some(id), Some(version)) = (ty, value["id"].as_str(), version) {
        found.push((ty, id.to_owned(), version));
    }
    for (list, member) in [("entry", "resource"), ("parameter", "resource")] {
        for one in value[list].as_array().into_iter().flatten() {
            resources(&one[member], found);
        }
    }
}

fn no_file() -> Error {
    Error::not_found("the job has no such file")
}

/// <https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status>
fn manifest(job: &Saved<Job>) -> Value {
    let value = &job.value;
    let list = |role: Role| {
        let files = value.files.iter().filter(|file| file.role == role);
        let entry = |file: &File| {
            let url = format!("{}/$job/{}/{}", value.base, job.id, file.name());
            json!({"type": file.ty, "url": url, "count": file.count})
        };
        files.map(entry).collect::<Vec<Value>>()
    };
    let time_ms = match &value.work {
        Work::Export(export) => export.time_ms(),
        Work::Import(_) | Work::Request(_) => value.ended_ms,
    };
    json!({
        "transactionTime": crate::time::instant(time_ms.unwrap_or(value.created_ms)),
        "request": value.request,
        "requiresAccessToken": true,
        "output": list(Role::Output),
        "deleted": list(Role::Deleted),
        "error": list(Role::Error),
    })
}
