//! Files as pieces: each one request.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use salus_fhir::json::{Document, Limits, Node, write};
use tokio::sync::mpsc::Sender;

use super::report::Fault;
use super::{Error, Place};

/// Lines of one request, and their bytes.
const LINES_MAX: usize = 500;
const LINES_BYTES_MAX: usize = 4 << 20;

/// What is sent in one request.
pub(super) struct Piece {
    /// Its place in the order of pieces.
    pub(super) number: usize,
    /// The file it comes from.
    pub(super) file: PathBuf,
    /// Where the next piece begins.
    pub(super) next: Place,
    pub(super) content: Content,
}

/// What a piece holds.
pub(super) enum Content {
    /// A bundle to send as it is, how many entries it has, and the line it begins on.
    Bundle(Vec<u8>, usize, usize),
    /// Resources as entries of a bundle, each with the line it stands on.
    Entries(Vec<(usize, String)>),
    /// Nothing that can be sent, and why.
    Fault(Fault),
}

/// The files of an import, in order.
#[derive(Clone)]
pub(super) struct Source {
    files: Vec<(PathBuf, u64)>,
}

impl Source {
    /// The file, or all files below the folder that could hold resources, by name.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        let mut files = Vec::new();
        let unreadable = |error| Error::Unreadable(path.to_owned(), error);
        let path = path.canonicalize().map_err(unreadable)?;
        collect(&path, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(Error::Empty(path));
        }
        Ok(Self { files })
    }

    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn bytes_before(&self, place: Place) -> u64 {
        let whole: u64 = self.files.iter().take(place.file).map(|(_, b)| b).sum();
        whole + place.offset
    }

    /// Reads on from a place, until all is read or nobody listens.
    pub(super) fn read(&self, from: Place, to: &Sender<Piece>) {
        let mut number = 0;
        for (index, (path, _)) in self.files.iter().enumerate().skip(from.file) {
            let start = if index == from.file {
                from
            } else {
                Place {
                    file: index,
                    ..Place::default()
                }
            };
            let mut reading = Reading {
                path,
                index,
                number: &mut number,
                to,
            };
            let done = match is_lines(path) {
                true => reading.lines(start),
                false => reading.whole(),
            };
            if let Err(error) = done {
                let fault = Fault::new(path, None, format!("cannot be read: {error}"));
                reading.send(reading.end(), Content::Fault(fault));
            }
            if to.is_closed() {
                return;
            }
        }
    }
}

struct Reading<'a> {
    path: &'a Path,
    index: usize,
    number: &'a mut usize,
    to: &'a Sender<Piece>,
}

impl Reading<'_> {
    fn end(&self) -> Place {
        Place {
            file: self.index + 1,
            ..Place::default()
        }
    }

    fn send(&mut self, next: Place, content: Content) {
        let piece = Piece {
            number: *self.number,
            file: self.path.to_owned(),
            next,
            content,
        };
        *self.number += 1;
        // Nobody listens any more when the import has failed; it says so itself.
        let _ = self.to.blocking_send(piece);
    }

    /// A file that is one resource or bundle.
    fn whole(&mut self) -> std::io::Result<()> {
        let bytes = fs::read(self.path)?;
        let content = match Document::parse(bytes, &limits()) {
            Ok(document) => self.content(document, 1),
            Err(error) => {
                let reason = error.to_string();
                Content::Fault(Fault::new(self.path, Some(error.line), reason))
            }
        };
        self.send(self.end(), content);
        Ok(())
    }

    /// What a text that begins on a line of the file is sent as.
    fn content(&self, document: Document, first_line: usize) -> Content {
        let root = document.root();
        let text = |name| root.get(name).and_then(Node::plain_str);
        let entries = || root.get("entry").map(Node::children).into_iter().flatten();
        let fault = |line, reason: &str| {
            Content::Fault(Fault::new(self.path, Some(line), reason.to_owned()))
        };
        if text("resourceType") != Some("Bundle") {
            return match entry(root) {
                Ok(entry) => Content::Entries(vec![(first_line, entry)]),
                Err(reason) => fault(first_line, reason),
            };
        }
        if matches!(text("type"), Some("transaction" | "batch")) {
            let count = entries().count();
            return Content::Bundle(document.into_text().into_bytes(), count, first_line);
        }
        let mut found = Vec::new();
        for resource in entries().filter_map(|entry| entry.get("resource")) {
            let line = first_line - 1 + line_of(document.text(), resource.span().start);
            match entry(resource) {
                Ok(entry) => found.push((line, entry)),
                Err(reason) => return fault(line, reason),
            }
        }
        Content::Entries(found)
    }

    /// A file of one resource or bundle a line.
    fn lines(&mut self, start: Place) -> std::io::Result<()> {
        let mut file = File::open(self.path)?;
        file.seek(SeekFrom::Start(start.offset))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let (mut place, mut line) = (start, Vec::new());
        let (mut entries, mut bytes) = (Vec::new(), 0);
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            place.offset += read as u64;
            place.lines += usize::from(read > 0);
            if read == 0 {
                self.send(self.end(), Content::Entries(entries));
                return Ok(());
            }
            if self.to.is_closed() {
                return Ok(());
            }
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let content = self.line(text, place.lines);
            let alone = !matches!(content, Content::Entries(_));
            let full = entries.len() >= LINES_MAX || bytes >= LINES_BYTES_MAX;
            // In the order of the lines: a piece that is done says that all before it is.
            if (alone || full) && !entries.is_empty() {
                let before = Place {
                    offset: place.offset - read as u64,
                    lines: place.lines - 1,
                    ..place
                };
                self.send(before, Content::Entries(std::mem::take(&mut entries)));
                bytes = 0;
            }
            match content {
                Content::Entries(found) => {
                    bytes += text.len();
                    entries.extend(found);
                }
                alone @ (Content::Bundle(..) | Content::Fault(_)) => self.send(place, alone),
            }
        }
    }

    fn line(&self, text: &[u8], number: usize) -> Content {
        match Document::parse(text.to_vec(), &limits()) {
            Ok(document) => self.content(document, number),
            Err(mut error) => {
                // It was counted from the line's begin.
                error.line = number;
                let reason = error.to_string();
                Content::Fault(Fault::new(self.path, Some(number), reason))
            }
        }
    }
}

/// A resource as an entry of a bundle: `PUT` when it has an id, `POST` otherwise.
fn entry(resource: Node<'_>) -> Result<String, &'static str> {
    let ty = resource.get("resourceType").and_then(Node::plain_str);
    let ty = ty.ok_or("not a resource: it has no resourceType")?;
    let id = resource.get("id").and_then(Node::plain_str);
    let (method, url) = match id {
        Some(id) => ("PUT", format!("{ty}/{id}")),
        None => ("POST", ty.to_owned()),
    };
    let mut entry = String::with_capacity(resource.raw().len() + 80);
    entry.push_str("{\"resource\":");
    entry.push_str(resource.raw());
    entry.push_str(",\"request\":{\"method\":\"");
    entry.push_str(method);
    entry.push_str("\",\"url\":");
    write::string(&mut entry, &url);
    entry.push_str("}}");
    Ok(entry)
}

/// The line of a place in a text, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(offset)
        .filter(|b| **b == b'\n')
        .count()
}

/// A file is not a request: it may be large.
fn limits() -> Limits {
    Limits {
        bytes_max: 4 << 30,
        nodes_max: 1 << 28,
        ..Limits::default()
    }
}

fn is_lines(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ext| ext == "ndjson" || ext == "jsonl")
}

fn collect(path: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<(), Error> {
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_dir() {
        files.push((path.to_owned(), metadata.len()));
        return Ok(());
    }
    for item in fs::read_dir(path).map_err(unreadable)? {
        let item = item.map_err(unreadable)?.path();
        let wanted = item.extension().is_some_and(|ext| ext == "json") || is_lines(&item);
        if item.is_dir() || wanted {
            collect(&item, files)?;
        }
    }
    Ok(())
}
