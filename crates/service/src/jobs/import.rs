//! `$import`: resources, one a line, that were uploaded before.
//!
//! Each line becomes an entry of a transaction like those that clients send,
//! up to 500 of them together; one that is refused is halved until the faulty
//! lines stand alone. A transaction has a name made of the job and its place,
//! so that one which was carried out before a stop is not carried out again.

use bytes::Bytes;
use salus_auth::{Action, Target};
use salus_fhir::issue::{Issue, operation_outcome};
use salus_fhir::json::{Document, Limits, Node, write};
use salus_store::{BlobReader, BlobWriter};
use serde::{Deserialize, Serialize};

use super::Halt;
use super::files::{self, Lines};
use super::record::{Role, Work};
use super::run::Running;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;
use crate::fhir::{BundleOptions, Handling, Returns};

/// Lines of one transaction, and their bytes.
const LINES_MAX: usize = 500;
const LINES_BYTES_MAX: usize = 4 << 20;
/// The longest line.
const LINE_BYTES_MAX: usize = 32 << 20;
/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;
/// How many faults are told; more are only counted.
const FAULTS_MAX: usize = 1000;
/// Transactions after which the place is kept.
const KEPT: usize = 8;
/// The largest upload.
const UPLOAD_BYTES_MAX: u64 = 64 << 30;

/// An import: what was asked, and how far it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Import {
    /// The type of all resources, if that was said.
    pub(crate) ty: Option<String>,
    pub(crate) bytes: u64,
    at: Place,
    pub(crate) loaded: u64,
    pub(crate) failed: u64,
    /// OperationOutcomes, each of a line.
    faults: Vec<String>,
}

/// A place in the upload.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Place {
    offset: u64,
    /// Lines before it.
    lines: u64,
}

/// What is being uploaded, before it is a job.
pub struct Upload {
    id: Box<str>,
    writer: Box<dyn BlobWriter>,
    bytes: u64,
}

impl Upload {
    /// Appends some of it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        if self.bytes > UPLOAD_BYTES_MAX {
            let details = "the upload is larger than 64 GiB; send it in parts";
            return Err(Error::new(Kind::Unprocessable, details));
        }
        Ok(self.writer.write(bytes).await?)
    }
}

impl Service {
    /// Begins an upload.
    pub async fn begin_upload(&self, cx: &Context) -> Result<Upload, Error> {
        let (what, target) = (What::Operation, Target::System);
        let grant = self.authorize(cx, what, Action::Job, target).await?;
        let work = async {
            self.jobs.check_room(&self.job_owner(cx)?)?;
            let id = self.new_id(cx);
            let blob = self.new_blob(cx, files::id(&id, 0, 0));
            let writer = self.blobs.create(blob).await?;
            Ok(Upload {
                id,
                writer,
                bytes: 0,
            })
        };
        self.attempt(cx, &grant, what, "", work).await
    }

    /// Imports what was uploaded; the id of the job.
    pub async fn import(
        &self,
        cx: &Context,
        upload: Upload,
        (ty, url): (Option<&str>, String),
    ) -> Result<Box<str>, Error> {
        let (what, target) = (What::Operation, Target::System);
        let grant = self.authorize(cx, what, Action::Job, target).await?;
        let work = async {
            if ty.is_some_and(|ty| ResourceType::named(ty).is_none()) {
                return Err(Error::invalid("type must be a type of resource"));
            }
            let bytes = upload.writer.finish().await?;
            let import = Import {
                ty: ty.map(str::to_owned),
                bytes,
                ..Import::default()
            };
            let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            entry.ty = ty.unwrap_or_default().into();
            entry.query = "$import".into();
            let work = Work::Import(Box::new(import));
            self.begin_job(cx, &grant, entry, (upload.id, url), work)
                .await
        };
        self.attempt(cx, &grant, what, "", work).await
    }
}

/// Lines that go into one transaction, each with its number.
type Entries = [(u64, String)];

impl Running<'_> {
    /// Imports what is left to be imported; what the audit is told.
    pub(super) async fn import(&mut self) -> Result<String, Halt> {
        let id = files::id(&self.job.id, 0, 0);
        let reader = self.service.blobs.open(self.scope, &id).await?;
        let reader = reader.ok_or_else(|| Error::not_found("the upload is gone"))?;
        let mut from = Reading::new(&*reader, self.imported()?.at);
        let mut steps = 0;
        while let Some(entries) = self.piece(&mut from).await? {
            self.active.check()?;
            let place = self.imported()?.at;
            self.send(place, &entries).await?;
            let import = self.imported_mut()?;
            import.at = from.at;
            let (percent, loaded) = (100 * from.at.offset / import.bytes.max(1), import.loaded);
            self.active
                .tell(format!("{percent}% read, {loaded} loaded"));
            steps += 1;
            if steps % KEPT == 0 {
                self.keep().await?;
            }
        }
        self.finish_import().await?;
        let import = self.imported()?;
        let (loaded, failed) = (import.loaded, import.failed);
        Ok(format!("$import done: {loaded} loaded, {failed} refused"))
    }

    fn imported(&self) -> Result<&Import, Error> {
        match &self.job.value.work {
            Work::Import(import) => Ok(import),
            Work::Export(_) | Work::Request(_) => Err(super::export::fault()),
        }
    }

    fn imported_mut(&mut self) -> Result<&mut Import, Error> {
        match &mut self.job.value.work {
            Work::Import(import) => Ok(import),
            Work::Export(_) | Work::Request(_) => Err(super::export::fault()),
        }
    }

    /// The next lines; `None` behind the last. Faulty ones are told.
    async fn piece(&mut self, from: &mut Reading<'_>) -> Result<Option<Vec<(u64, String)>>, Error> {
        let (mut entries, mut bytes, mut any) = (Vec::new(), 0, false);
        while entries.len() < LINES_MAX && bytes < LINES_BYTES_MAX {
            let Some(line) = from.line().await? else {
                break;
            };
            any = true;
            let number = from.at.lines;
            let entry = match &line {
                Line::TooLong => Err(Error::invalid("the line is too long")),
                Line::Text(text) if text.is_empty() => continue,
                Line::Text(text) => entry(text, self.imported()?.ty.as_deref()),
            };
            match entry {
                Ok(entry) => {
                    bytes += entry.len();
                    entries.push((number, entry));
                }
                Err(error) => self.fault(number, &error)?,
            }
        }
        Ok(any.then_some(entries))
    }

    /// All in one transaction; if it is refused, each half by itself.
    async fn send(&mut self, place: Place, entries: &Entries) -> Result<(), Halt> {
        let mut parts = vec![(0, entries)];
        while let Some((first, part)) = parts.pop() {
            let [(line, _), rest @ ..] = part else {
                continue;
            };
            self.active.check()?;
            let key = format!(
                "job {} {} {first} {}",
                self.job.id,
                place.offset,
                part.len()
            );
            match self.transact(key, part).await {
                Ok(()) => self.imported_mut()?.loaded += part.len() as u64,
                Err(error) if error.kind() == Kind::Unavailable => return Err(error.into()),
                Err(error) if rest.is_empty() => self.fault(*line, &error)?,
                Err(_) => {
                    let middle = part.len() / 2;
                    let (before, after) = part.split_at(middle);
                    parts.extend([(first + middle, after), (first, before)]);
                }
            }
        }
        Ok(())
    }

    async fn transact(&self, key: String, entries: &Entries) -> Result<(), Error> {
        let cx = Context {
            parameters: self.service.parameters(self.scope),
            ..self.context().await?
        };
        let options = BundleOptions {
            returns: Returns::Minimal,
            handling: Handling::Strict,
            idempotency_key: Some(key),
        };
        self.service.bundle(&cx, bundle(entries), options).await?;
        Ok(())
    }

    /// Notes why a line was not loaded, without what stands in it.
    fn fault(&mut self, line: u64, error: &Error) -> Result<(), Error> {
        let import = self.imported_mut()?;
        import.failed += 1;
        if import.faults.len() < FAULTS_MAX {
            let issues = error.issues().iter().cloned().map(|issue| Issue {
                details: format!("line {line}: {}", issue.details).into(),
                ..issue
            });
            let outcome = operation_outcome(&issues.collect::<Vec<Issue>>());
            import.faults.push(outcome);
        }
        Ok(())
    }

    /// Writes the file of faults.
    async fn finish_import(&mut self) -> Result<(), Error> {
        let faults = std::mem::take(&mut self.imported_mut()?.faults);
        if faults.is_empty() {
            return Ok(());
        }
        let file = (self.next_number(), "OperationOutcome", Role::Error);
        let mut lines = Lines::begin(self.service, self.scope, &self.job, file).await?;
        for fault in &faults {
            lines.line(fault.as_bytes()).await?;
        }
        let file = lines.finish().await?;
        self.job.value.files.push(file);
        Ok(())
    }
}

/// An upload that is read line by line.
struct Reading<'r> {
    reader: &'r dyn BlobReader,
    /// Behind the last line.
    at: Place,
    piece: Bytes,
}

enum Line {
    Text(Vec<u8>),
    TooLong,
}

impl<'r> Reading<'r> {
    fn new(reader: &'r dyn BlobReader, at: Place) -> Self {
        Self {
            reader,
            at,
            piece: Bytes::new(),
        }
    }

    /// The next line, without its end and white space around it.
    async fn line(&mut self) -> Result<Option<Line>, Error> {
        let (mut line, mut read, mut too_long) = (Vec::new(), 0, false);
        loop {
            if self.piece.is_empty() {
                let at = self.at.offset + read;
                self.piece = self.reader.read(at, PIECE_BYTES).await?;
            }
            let last = self.piece.is_empty();
            let end = memchr::memchr(b'\n', &self.piece);
            let length = end.map_or(self.piece.len(), |end| end + 1);
            let part = self.piece.split_to(length);
            read += length as u64;
            too_long |= line.len() + part.len() > LINE_BYTES_MAX;
            if !too_long {
                line.extend_from_slice(&part);
            }
            if end.is_some() || last {
                self.at.offset += read;
                self.at.lines += 1;
                return Ok(match (too_long, read) {
                    (_, 0) => None,
                    (true, _) => Some(Line::TooLong),
                    (false, _) => Some(Line::Text(line.trim_ascii().to_vec())),
                });
            }
        }
    }
}

/// A resource as an entry of a transaction: `PUT` when it has an id, `POST` otherwise.
fn entry(text: &[u8], wanted: Option<&str>) -> Result<String, Error> {
    let document = Document::parse(text.to_vec(), &Limits::default())
        .map_err(|error| Error::invalid(error.to_string()))?;
    let resource = document.root();
    let ty = resource.get("resourceType").and_then(Node::plain_str);
    let ty = ty.ok_or_else(|| Error::invalid("not a resource: it has no resourceType"))?;
    if wanted.is_some_and(|wanted| wanted != ty) {
        return Err(Error::invalid("it is of another type than was said"));
    }
    let id = resource.get("id").and_then(Node::plain_str);
    let (method, url) = match id {
        Some(id) => ("PUT", format!("{ty}/{id}")),
        None => ("POST", ty.to_owned()),
    };
    let mut entry = String::with_capacity(text.len() + 80);
    entry.push_str("{\"resource\":");
    entry.push_str(resource.raw());
    entry.push_str(",\"request\":{\"method\":\"");
    entry.push_str(method);
    entry.push_str("\",\"url\":");
    write::string(&mut entry, &url);
    entry.push_str("}}");
    Ok(entry)
}

fn bundle(entries: &Entries) -> Bytes {
    let bytes: usize = entries.iter().map(|(_, entry)| entry.len() + 1).sum();
    let mut text = String::with_capacity(bytes + 80);
    text.push_str("{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[");
    for (at, (_, entry)) in entries.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str(entry);
    }
    text.push_str("]}");
    text.into()
}
