//! The collected resources of one patient, or of the shared directory.

use crate::draw::Draw;
use crate::write::{Id, Writer};

/// How a population is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// One transaction Bundle: `urn:uuid` references that the server resolves, every entry a PUT
    /// to a fixed id. <https://hl7.org/fhir/R4/http.html#transaction>
    #[default]
    Transaction,
    /// One resource on each line (NDJSON), with `Type/id` references: what a store would hold.
    Lines,
}

/// A place another resource can be referred to by.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// A resource of the same chart.
    Own(&'static str, Id),
    /// A resource of the directory, as `Type/id`.
    Shared(&'static str),
}

/// Resources as they are added, one text growing.
pub(crate) struct Chart {
    writer: Writer,
    ids: Draw,
    resources: usize,
}

impl Chart {
    /// `ids` names the resources, and nothing else is drawn from it: an extra measurement never
    /// changes the course of the life.
    pub(crate) fn new(form: Form, ids: Draw) -> Chart {
        let mut writer = Writer::new(form);
        writer.reserve();
        if form == Form::Transaction {
            writer.begin_transaction();
        }
        Chart {
            writer,
            ids,
            resources: 0,
        }
    }

    pub(crate) fn new_id(&mut self) -> Id {
        self.ids.id()
    }

    /// Adds a resource under a new id, which is returned for others to refer to.
    pub(crate) fn add(&mut self, kind: &'static str, body: impl FnOnce(&mut Writer)) -> Id {
        let id = self.new_id();
        self.add_as(kind, id, body);
        id
    }

    /// Adds a resource under an id that others may already refer to.
    pub(crate) fn add_as(&mut self, kind: &str, id: Id, body: impl FnOnce(&mut Writer)) {
        self.put(kind, id, |out| id.write(out), body);
    }

    /// Adds a resource under a readable id.
    pub(crate) fn add_named(&mut self, kind: &str, name: &str, body: impl FnOnce(&mut Writer)) {
        let urn = self.new_id();
        self.put(kind, urn, |out| out.push_str(name), body);
    }

    /// The text and how many resources it holds.
    pub(crate) fn finish(mut self) -> (String, usize) {
        if self.writer.form == Form::Transaction {
            self.writer.end_transaction();
        }
        (self.writer.into_text(), self.resources)
    }

    fn put(
        &mut self,
        kind: &str,
        urn: Id,
        name: impl Fn(&mut String),
        body: impl FnOnce(&mut Writer),
    ) {
        self.resources += 1;
        let resource = |w: &mut Writer| {
            w.string("resourceType", kind);
            w.plain("id", &name);
            body(w);
        };
        if self.writer.form == Form::Lines {
            self.writer.element(resource);
            self.writer.end_line();
            return;
        }
        self.writer.element(|w| {
            w.plain("fullUrl", |out| {
                out.push_str("urn:uuid:");
                urn.write(out);
            });
            w.object("resource", resource);
            w.object("request", |w| {
                w.string("method", "PUT");
                w.plain("url", |out| {
                    out.push_str(kind);
                    out.push('/');
                    name(out);
                });
            });
        });
    }
}
