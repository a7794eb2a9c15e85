//! Files of other servers, one after the other: each is asked for again some
//! times when the network fails, and one that cannot be read does not keep the
//! others from being loaded.
//!
//! After a stop or a broken connection a file is read from its beginning, and
//! what was loaded is skipped. If it says then that it has changed, it is not
//! read on: nobody could tell which of its lines were loaded.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use salus_auth::record::Saved;
use salus_auth::{Action, Operation, Target};
use salus_store::Scope;
use serde_json::{Value, json};

use super::listed::{self, Listed};
use super::reading::{Broken, Reading, Source, unless_stopped};
use super::{Import, Location, Place, Unfetched};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::incoming;
use crate::jobs::Halt;
use crate::jobs::files;
use crate::jobs::record::{Job, Work};
use crate::jobs::run::Running;

/// How often a file is asked for while nothing of it comes.
const ATTEMPTS_MAX: u32 = 6;
/// After so many files in vain, others are asked for once only until one comes.
const IN_VAIN_MAX: u32 = 3;
/// The first pause between; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);

impl Service {
    /// Imports the files of a list; the id of the job. `url` is the whole URL that was asked.
    pub async fn import_files(
        &self,
        cx: &Context,
        body: Bytes,
        url: String,
    ) -> Result<Box<str>, Error> {
        let (what, target) = (What::Operation, Target::System);
        let called = (Operation::IMPORT, Action::Job);
        let grant = self.authorize_operation(cx, called, target, "").await?;
        let work = async {
            let document = incoming::parse(body, &self.settings.json)?;
            let files = listed::read(document.root(), &self.settings.jobs.import_origins)?;
            self.jobs.check_room(&self.job_owner(cx)?)?;
            let id = self.new_id(cx);
            let mut writer = self
                .blobs
                .create(self.new_blob(cx, files::id(&id, 0, 0)))
                .await?;
            let text = serde_json::to_vec(&files).map_err(unkept)?;
            writer.write(text.into()).await?;
            writer.finish().await?;
            let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            entry.query = told(&files).into();
            let import = Import {
                listed: Some(files.len()),
                ..Import::default()
            };
            let work = Work::Import(Box::new(import));
            self.begin_job(cx, &grant, entry, (id, url), work).await
        };
        self.attempt(cx, &grant, what, "", work).await
    }

    /// What came of each file: <https://github.com/smart-on-fhir/bulk-import>.
    pub(in crate::jobs) async fn import_report(
        &self,
        scope: Scope,
        job: &Saved<Job>,
        import: &Import,
    ) -> Result<Vec<Value>, Error> {
        let report = |ty: &Option<String>, url: &str, at: usize| {
            let counts = import.counts.get(at).copied().unwrap_or_default();
            json!({
                "type": ty,
                "inputUrl": url,
                "count": counts.loaded,
                "failed": counts.failed,
            })
        };
        if !import.is_listed() {
            return Ok(vec![report(&import.ty, &job.value.request, 0)]);
        }
        let files = self.listed(scope, &job.id).await?;
        let files = files.iter().enumerate();
        Ok(files
            .map(|(at, file)| report(&file.ty, &file.url, at))
            .collect())
    }

    async fn listed(&self, scope: Scope, job: &str) -> Result<Vec<Listed>, Error> {
        let text = self.blob(scope, &files::id(job, 0, 0)).await?;
        serde_json::from_slice(&text).map_err(unkept)
    }
}

/// What the audit is told of a list: no more of a URL than its origin.
fn told(files: &[Listed]) -> String {
    let origins: BTreeSet<String> = files.iter().map(|file| origin(&file.url)).collect();
    let origins: Vec<String> = origins.into_iter().collect();
    format!(
        "$import of {} files from {}",
        files.len(),
        origins.join(", ")
    )
}

fn unkept(error: serde_json::Error) -> Error {
    Error::new(Kind::Internal, "the list of files cannot be kept or read").caused_by(error)
}

fn origin(url: &str) -> String {
    let location = Location::parse(url);
    location.map_or_else(|_| "nowhere".to_owned(), |url| url.origin.to_string())
}

impl Running<'_> {
    pub(super) async fn import_listed(&mut self) -> Result<(), Halt> {
        let files = self.service.listed(self.scope, &self.job.id).await?;
        while let Some(file) = files.get(self.imported()?.at.file) {
            self.load_file(file).await?;
            let import = self.imported_mut()?;
            import.version = None;
            import.at = Place {
                file: import.at.file + 1,
                ..Place::default()
            };
            self.keep_now_and_then().await?;
        }
        Ok(())
    }

    /// Loads what can be loaded of a file, trying again where that may help.
    async fn load_file(&mut self, file: &Listed) -> Result<(), Halt> {
        let (mut attempts, mut reached) = (0, self.imported()?.at);
        loop {
            let unfetched = match self.try_file(file).await {
                Ok(()) => {
                    self.imported_mut()?.in_vain = 0;
                    return Ok(());
                }
                Err(Broken::Halted(halt)) => return Err(halt),
                Err(Broken::Unfetched(unfetched)) => unfetched,
            };
            let at = self.imported()?.at;
            attempts = if at == reached { attempts + 1 } else { 1 };
            reached = at;
            let patient = self.imported()?.in_vain < IN_VAIN_MAX;
            if !unfetched.later || attempts >= ATTEMPTS_MAX || !patient {
                self.imported_mut()?.in_vain += u32::from(unfetched.later);
                let (origin, reason) = (origin(&file.url), unfetched.reason);
                tracing::warn!(
                    file = at.file + 1,
                    origin,
                    reason,
                    "a file cannot be imported"
                );
                return Ok(self.fault_of_file(&origin, &reason)?);
            }
            let pause = tokio::time::sleep(PAUSE * 2_u32.pow(attempts - 1));
            unless_stopped(&self.active.stop, pause).await?;
        }
    }

    /// Loads a file from where it was left.
    async fn try_file(&mut self, file: &Listed) -> Result<(), Broken> {
        self.active.check()?;
        self.tell_import()?;
        let location = Location::parse(&file.url).map_err(Unfetched::for_good)?;
        let settings = &self.service.settings.jobs;
        if !settings.import_origins.contains(&location.origin) {
            let reason = "this server does not fetch from there any more";
            return Err(Unfetched::for_good(reason).into());
        }
        let fetched = self.outside.fetch.fetch(&location);
        let fetched = unless_stopped(&self.active.stop, fetched).await??;
        let import = self.imported_mut()?;
        let (before, now) = (import.version.as_deref(), fetched.version());
        if import.at.offset > 0 && before != now {
            let reason = "it was changed while it was read";
            return Err(Unfetched::for_good(reason).into());
        }
        import.version = now.map(str::to_owned);
        let at = import.at;
        let active = self.active;
        let source = Source::Fetched(fetched, &active.stop);
        let mut reading = Reading::begin(source, at, settings.import_bytes_max).await?;
        self.load(&mut reading, file.ty.as_deref()).await
    }
}
