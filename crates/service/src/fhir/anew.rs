//! What a writer makes of a resource for searches, made anew of what is stored: its rows,
//! and the records of what it contains.

use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::search::{Entry, Extractor, Parameters};
use salus_store::{Content, Put, Record, Row};

use super::contained::Container;
use super::types::ResourceType;
use super::{list, rows};

/// What was made.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) rows: Vec<Row>,
    pub(crate) main_date_ms: Option<i64>,
    /// The records of what it contains.
    pub(crate) contained: Vec<Put>,
}

/// The resource in a record; `None` if there is none.
pub(crate) fn parsed(record: &Record) -> Option<Document> {
    let Content::Body(body) = &record.content else {
        return None;
    };
    let limits = Limits {
        bytes_max: usize::MAX,
        ..Limits::default()
    };
    Document::parse(body.to_vec(), &limits).ok()
}

/// Makes it of a resource and the entries that were extracted from it.
pub(crate) fn made(
    (parameters, extractor): (&Parameters, &Extractor),
    record: &Record,
    (root, entries): (Node<'_>, &[Entry<'_>]),
    bases: &[String],
) -> Option<Made> {
    let ty = ResourceType::of(record.kind)?;
    let mut rows = rows::rows(extractor, entries, root);
    list::add_members(ty, root, bases, &mut rows);
    let main_date_ms = extractor.main_date(entries).map(|span| span.from_ms);
    let (id, version) = (&*record.id, record.version);
    let container = Container { ty, id, version };
    let about = (main_date_ms, &record.seal);
    let contained = container.puts(parameters, bases, root, about).ok()?;
    Some(Made {
        rows,
        main_date_ms,
        contained,
    })
}
