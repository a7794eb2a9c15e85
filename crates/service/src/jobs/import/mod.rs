//! `$import`: resources, one a line, that were uploaded before, or that are
//! fetched from files of other servers (`listed.rs`, `fetch.rs`).
//!
//! Each line becomes an entry of a transaction like those that clients send,
//! up to 500 of them together; one that is refused is halved until the faulty
//! lines stand alone. A transaction has a name made of the job and its place,
//! so that one which was carried out before a stop is not carried out again.
//! So where one ends must depend on nothing but the lines.

mod faults;
mod fetch;
mod listed;
mod location;
mod reading;
mod remote;

pub use fetch::{Fetch, Fetched, Fetching, Unfetched};
pub use location::{Location, Origin};

use bytes::Bytes;
use salus_auth::{Action, Operation, Target};
use salus_fhir::json::{Document, Limits, Node, write};
use salus_store::BlobWriter;
use serde::{Deserialize, Serialize};

use super::Halt;
use super::files;
use super::record::Work;
use super::run::Running;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;
use crate::fhir::{BundleOptions, Handling, Returns};
use faults::{Counts, Faults};
use reading::{Broken, Line, Place, Reading, Source};

/// Lines of one transaction, and their bytes.
const LINES_MAX: usize = 500;
const LINES_BYTES_MAX: usize = 4 << 20;
/// Transactions after which the place is kept.
const KEPT: usize = 8;
/// An import: what was asked, and how far it is.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Import {
    /// The type of all resources of an upload, if that was said.
    pub(crate) ty: Option<String>,
    /// How long the upload is.
    pub(crate) bytes: u64,
    /// How many files are to be fetched; they are listed in what was sent.
    #[serde(default)]
    listed: Option<usize>,
    at: Place,
    /// What came of each file, of an upload as of the only one.
    #[serde(default)]
    counts: Vec<Counts>,
    /// What tells the file under way from a later one at its URL.
    #[serde(default)]
    version: Option<String>,
    /// Files before this one that could not be had, one after the other.
    #[serde(default)]
    in_vain: u32,
    #[serde(default)]
    untold: Faults,
    /// Transactions since the place was kept.
    #[serde(skip)]
    unkept: usize,
}
salus_phi::guard!(Import);

impl Import {
    /// Whether what was sent is a list of files, which is shown again when all is done.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed.is_some()
    }

    /// What came of the file under way.
    fn counted(&mut self) -> &mut Counts {
        let at = self.at.file;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, Counts::default());
        }
        &mut self.counts[at]
    }

    fn loaded(&self) -> u64 {
        self.counts.iter().map(|file| file.loaded).sum()
    }

    fn failed(&self) -> u64 {
        self.counts.iter().map(|file| file.failed).sum()
    }
}

/// What is being uploaded, before it is a job.
pub struct Upload {
    id: Box<str>,
    writer: Box<dyn BlobWriter>,
    bytes: u64,
    bytes_max: u64,
}

impl Upload {
    /// Appends some of it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            let bytes_max = self.bytes_max;
            let details = format!("the upload is longer than {bytes_max} bytes; send it in parts");
            return Err(Error::new(Kind::Unprocessable, details));
        }
        Ok(self.writer.write(bytes).await?)
    }
}

impl Service {
    /// Begins an upload.
    pub async fn begin_upload(&self, cx: &Context) -> Result<Upload, Error> {
        let (what, target) = (What::Operation, Target::System);
        let called = (Operation::IMPORT, Action::Job);
        let grant = self.authorize_operation(cx, called, target, "").await?;
        let work = async {
            self.jobs.check_room(&self.job_owner(cx)?)?;
            let id = self.new_id(cx);
            let blob = self.new_blob(cx, files::id(&id, 0, 0));
            let writer = self.blobs.create(blob).await?;
            Ok(Upload {
                id,
                writer,
                bytes: 0,
                bytes_max: self.settings.jobs.import_bytes_max,
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
        let called = (Operation::IMPORT, Action::Job);
        let grant = self.authorize_operation(cx, called, target, "").await?;
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
type Entries = [(u64, Loaded)];

/// Lines that were refused, and why.
type Faulty = Vec<(u64, Error)>;

/// A resource as an entry of a transaction.
struct Loaded {
    ty: Option<ResourceType>,
    entry: String,
}

/// What is read at once.
struct Piece {
    entries: Vec<(u64, Loaded)>,
    /// Those that cannot be sent.
    faults: Faulty,
    /// Where the next one begins.
    end: Place,
}

impl Running<'_> {
    /// Imports what is left to be imported; what the audit is told.
    pub(super) async fn import(&mut self) -> Result<String, Halt> {
        match self.imported()?.listed {
            None => self.import_upload().await?,
            Some(_) => self.import_listed().await?,
        }
        self.write_faults().await?;
        let import = self.imported()?;
        let (loaded, failed) = (import.loaded(), import.failed());
        Ok(format!("$import done: {loaded} loaded, {failed} refused"))
    }

    async fn import_upload(&mut self) -> Result<(), Halt> {
        let id = files::id(&self.job.id, 0, 0);
        let blob = self.service.blobs.open(self.scope, &id).await?;
        let blob = blob.ok_or_else(|| Error::not_found("the upload is gone"))?;
        let import = self.imported()?;
        let (at, ty) = (import.at, import.ty.clone());
        let loaded = match Reading::begin(Source::Blob(blob), at, u64::MAX).await {
            Ok(mut reading) => self.load(&mut reading, ty.as_deref()).await,
            Err(broken) => Err(broken),
        };
        match loaded {
            Ok(()) => Ok(()),
            Err(Broken::Halted(halt)) => Err(halt),
            // A blob is not fetched.
            Err(Broken::Unfetched(_)) => Err(Error::not_found("the upload is gone").into()),
        }
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

    /// Loads what a file holds, from where the reading is to its end.
    async fn load(&mut self, from: &mut Reading<'_>, ty: Option<&str>) -> Result<(), Broken> {
        while let Some(piece) = piece(from, ty).await? {
            self.active.check()?;
            let place = self.imported()?.at;
            let mut faults = piece.faults;
            self.send(place, &piece.entries, &mut faults).await?;
            faults.sort_by_key(|(line, _)| *line);
            for (line, error) in &faults {
                self.fault(*line, error)?;
            }
            self.imported_mut()?.at = piece.end;
            self.tell_import()?;
            self.keep_now_and_then().await?;
        }
        Ok(())
    }

    fn tell_import(&self) -> Result<(), Error> {
        let import = self.imported()?;
        let far = match import.listed {
            None => format!("{}% read", 100 * import.at.offset / import.bytes.max(1)),
            Some(files) => format!("file {} of {files}", import.at.file + 1),
        };
        self.active
            .tell(format!("{far}, {} loaded", import.loaded()));
        Ok(())
    }

    async fn keep_now_and_then(&mut self) -> Result<(), Error> {
        let import = self.imported_mut()?;
        import.unkept += 1;
        if import.unkept < KEPT {
            return Ok(());
        }
        import.unkept = 0;
        if import.untold.are_many() {
            self.write_faults().await?;
        }
        self.keep().await
    }

    /// All in one transaction; if it is refused, each half by itself.
    async fn send(
        &mut self,
        place: Place,
        entries: &Entries,
        faults: &mut Faulty,
    ) -> Result<(), Halt> {
        let mut parts = vec![(0, entries)];
        while let Some((first, part)) = parts.pop() {
            let [(line, only), rest @ ..] = part else {
                continue;
            };
            self.active.check()?;
            let (id, length) = (&self.job.id, part.len());
            let Place { file, offset, .. } = place;
            let key = format!("job {id} {file} {offset} {first} {length}");
            match self.transact(key, part).await {
                Ok(()) => self.imported_mut()?.counted().loaded += length as u64,
                Err(error) if error.kind() == Kind::Unavailable => return Err(error.into()),
                Err(error) if rest.is_empty() => faults.push((*line, of_line(error, only))),
                Err(_) => {
                    let middle = length / 2;
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
}

/// The next lines; `None` behind the last.
async fn piece(from: &mut Reading<'_>, ty: Option<&str>) -> Result<Option<Piece>, Broken> {
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    let (mut lines, mut bytes) = (0, 0);
    while lines < LINES_MAX && bytes < LINES_BYTES_MAX {
        let Some(line) = from.line().await? else {
            break;
        };
        lines += 1;
        let number = from.at.lines;
        let entry = match &line {
            Line::TooLong => Err(Error::invalid("the line is too long")),
            Line::Text(text) if text.is_empty() => continue,
            Line::Text(text) => entry(text, ty),
        };
        match entry {
            Ok(entry) => {
                bytes += entry.entry.len();
                entries.push((number, entry));
            }
            Err(error) => faults.push((number, error)),
        }
    }
    let end = from.at;
    Ok((lines > 0).then_some(Piece {
        entries,
        faults,
        end,
    }))
}

/// A resource as an entry of a transaction: `PUT` when it has an id, `POST` otherwise.
fn entry(text: &[u8], wanted: Option<&str>) -> Result<Loaded, Error> {
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
    let ty = ResourceType::named(ty);
    Ok(Loaded { ty, entry })
}

/// What a transaction of one entry says of it, as of the resource that stood in the line.
fn of_line(error: Error, loaded: &Loaded) -> Error {
    const ENTRY: &str = "Bundle.entry[0]";
    let ty = loaded.ty.map_or("Resource", |ty| ty.name);
    error.told(|issue| {
        let below = issue.expression.strip_prefix(ENTRY);
        if let Some(below) = below.and_then(|below| below.strip_prefix(".resource")) {
            issue.expression = format!("{ty}{below}");
        }
        if let Some(details) = issue.details.strip_prefix(ENTRY) {
            issue.details = details.trim_start_matches(": ").to_owned().into();
        }
    })
}

fn bundle(entries: &Entries) -> Bytes {
    let bytes: usize = entries.iter().map(|(_, one)| one.entry.len() + 1).sum();
    let mut text = String::with_capacity(bytes + 80);
    text.push_str("{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[");
    for (at, (_, one)) in entries.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str(&one.entry);
    }
    text.push_str("]}");
    text.into()
}
