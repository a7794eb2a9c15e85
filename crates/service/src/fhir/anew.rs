//! What a writer makes of a resource for searches, made anew of what is stored: its rows,
//! and the records of what it contains.

use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::search::{Entry, Extractor, Parameters};
use salus_store::{Content, Put, Record, Row};

use super::contained::Container;
use super::types::ResourceType;
use super::{binary, list, rows};

/// What was made.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) rows: Vec<Row>,
    pub(crate) main_date_ms: Option<i64>,
    /// The records of what it contains.
    pub(crate) contained: Vec<Put>,
}

/// The resource in a record as its writer had it; `None` if there is none. That the content
/// of a Binary is elsewhere is marked after its rows are made.
pub(crate) fn parsed(record: &Record) -> Option<Document> {
    let Content::Body(body) = &record.content else {
        return None;
    };
    let document = parse(body)?;
    let marked = binary::is_binary(record.kind) && document.root().get("data").is_none();
    match marked {
        true => parse(&binary::whole(body.clone())),
        false => Some(document),
    }
}

fn parse(text: &[u8]) -> Option<Document> {
    let limits = Limits {
        bytes_max: usize::MAX,
        ..Limits::default()
    };
    Document::parse(text.to_vec(), &limits).ok()
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
