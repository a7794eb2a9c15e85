//! Any request that its client would rather not wait for: it runs as a job,
//! and what would have been its answer is kept as a bundle with one entry
//! (<https://hl7.org/fhir/R5/async-bundle.html>).
//!
//! Only a protocol knows how to carry out a request of its own, so it comes in
//! as [`Perform`]. A request that a stop has interrupted is carried out again;
//! one that writes has a name ([`Packed::KEY`]), so that it happens once.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::{Action, Subject, Target};
use salus_fhir::json::write;
use salus_store::{NewBlob, SealKey};
use serde::{Deserialize, Serialize};

use super::files::{self, Lines};
use super::record::{Role, Work};
use super::run::Running;
use super::{Halt, Stop};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;

/// A request, taken apart so that it can be kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Packed {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers that say what is wanted, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// How long the body is; it is kept beside the record.
    pub body_bytes: u64,
}
salus_phi::guard!(Packed);

impl Packed {
    /// The header that names a request.
    pub const KEY: &str = "idempotency-key";
}

/// What a request was answered.
pub struct Answered {
    /// Status and reason, as `200 OK`.
    pub status: String,
    /// The `ETag`, if there was one.
    pub etag: Option<String>,
    /// When what is shown was changed, as an instant.
    pub last_modified: Option<String>,
    /// Where what was written is.
    pub location: Option<String>,
    /// The resource, as JSON.
    pub body: Bytes,
}
salus_phi::guard!(Answered);

/// A protocol that carries out requests of its own.
pub trait Perform: Send + Sync {
    /// Carries out a request for somebody, at this base URL.
    fn perform(
        &self,
        subject: Arc<Subject>,
        base: &str,
        request: Packed,
        body: Bytes,
    ) -> BoxFuture<'static, Answered>;
}

impl Service {
    /// Lets a request wait for its turn; the id of its job. `url` is the whole
    /// URL that was asked.
    pub async fn defer(
        &self,
        cx: &Context,
        mut request: Packed,
        (body, url): (Bytes, String),
    ) -> Result<Box<str>, Error> {
        let (what, target) = (What::Operation, Target::System);
        let grant = self.authorize(cx, what, Action::Job, target).await?;
        let work = async {
            self.jobs.check_room(&self.job_owner(cx)?)?;
            let id = self.new_id(cx);
            let named = |(name, _): &(String, String)| name == Packed::KEY;
            if !request.headers.iter().any(named) {
                let key = format!("job {id}");
                request.headers.push((Packed::KEY.to_owned(), key));
            }
            request.body_bytes = body.len() as u64;
            if !body.is_empty() {
                let blob = files::id(&id, 0, 0);
                let mut writer = self.blobs.create(self.new_blob(cx, blob)).await?;
                writer.write(body).await?;
                writer.finish().await?;
            }
            let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            entry.query = format!("$job {}", request.method).into();
            self.begin_job(cx, &grant, entry, (id, url), Work::Request(request))
                .await
        };
        self.attempt(cx, &grant, what, "", work).await
    }

    pub(super) fn new_blob(&self, cx: &Context, id: Box<str>) -> NewBlob {
        NewBlob {
            scope: cx.scope,
            id,
            seal: SealKey::Scope,
            time_ms: cx.now_ms,
        }
    }

    /// The whole of a blob.
    pub(super) async fn blob(&self, scope: salus_store::Scope, id: &str) -> Result<Bytes, Error> {
        let Some(reader) = self.blobs.open(scope, id).await? else {
            return Ok(Bytes::new());
        };
        let mut all = Vec::new();
        while (all.len() as u64) < reader.bytes() {
            let piece = reader.read(all.len() as u64, 1 << 20).await?;
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }
}

impl Running<'_> {
    /// Carries out the request and keeps the answer; what the audit is told.
    pub(super) async fn request(&mut self, request: Packed) -> Result<String, Halt> {
        let subject = self.context().await?.subject;
        let body = match request.body_bytes {
            0 => Bytes::new(),
            _ => {
                let id = files::id(&self.job.id, 0, 0);
                self.service.blob(self.scope, &id).await?
            }
        };
        let told = format!("$job {} done", request.method);
        let base = self.job.value.base.clone();
        let work = self.outside.perform.perform(subject, &base, request, body);
        let mut stop = self.active.stop.subscribe();
        let answered = tokio::select! {
            answered = work => answered,
            _ = stop.wait_for(|stop| *stop != Stop::No) => return Err(Halt::Stopped),
        };
        let file = (1, "Bundle", Role::Answer);
        let mut lines = Lines::begin(self.service, self.scope, &self.job, file).await?;
        lines.whole(answered.bundle()).await?;
        let file = lines.finish().await?;
        self.job.value.files.push(file);
        Ok(told)
    }
}

impl Answered {
    /// As a bundle with one entry.
    fn bundle(&self) -> Bytes {
        let mut text = r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"#.to_owned();
        let good = self.status.starts_with('2');
        let body = std::str::from_utf8(&self.body).unwrap_or_default();
        if good && !body.is_empty() {
            text.push_str(r#""resource":"#);
            text.push_str(body);
            text.push(',');
        }
        text.push_str(r#""response":{"status":"#);
        write::string(&mut text, &self.status);
        let members = [
            ("location", &self.location),
            ("etag", &self.etag),
            ("lastModified", &self.last_modified),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                text.push_str(&format!(r#","{name}":"#));
                write::string(&mut text, value);
            }
        }
        if !good && !body.is_empty() {
            text.push_str(r#","outcome":"#);
            text.push_str(body);
        }
        text.push_str("}}]}");
        text.into()
    }
}
