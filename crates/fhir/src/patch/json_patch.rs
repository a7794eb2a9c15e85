//! JSON Patch: RFC 6902.

use super::draft::{Draft, Edit};
use super::equal::equal;
use super::pointer::{self, Pointer};
use super::{Error, operations};
use crate::json::{Document, Kind, Node};

/// A JSON Patch whose operations are complete.
#[derive(Debug)]
pub(super) struct JsonPatch {
    document: Document,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    path: Pointer,
    does: Does,
}

/// Values by their place in the patch's document.
#[derive(Debug)]
enum Does {
    Add(usize),
    Remove,
    Replace(usize),
    Move(Pointer),
    Copy(Pointer),
    Test(usize),
}

impl JsonPatch {
    pub(super) fn read(document: Document) -> Result<JsonPatch, Error> {
        let root = document.root();
        if !root.is_array() {
            return Err(Error::malformed("a JSON Patch is an array of operations"));
        }
        Ok(JsonPatch {
            operations: operations::read_all(root.children(), read)?,
            document,
        })
    }

    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        operations::carry_out_all(&self.operations, |one| self.carry_out(one, draft))
    }

    fn carry_out(&self, operation: &Operation, draft: &mut Draft<'_>) -> Result<(), Error> {
        let path = &operation.path;
        match &operation.does {
            Does::Add(value) => draft.add(path, self.value(*value)?.raw()),
            Does::Remove => draft.remove(path),
            Does::Replace(value) => {
                let edit = Edit::replace(there(path, draft.root())?, self.value(*value)?.raw());
                draft.make(edit)
            }
            Does::Move(from) => {
                let moved = there(from, draft.root())?.raw().to_owned();
                if from == path {
                    return Ok(());
                }
                draft.remove(from)?;
                draft.add(path, &moved)
            }
            Does::Copy(from) => {
                let copied = there(from, draft.root())?.raw().to_owned();
                draft.add(path, &copied)
            }
            Does::Test(value) => match equal(there(path, draft.root())?, self.value(*value)?) {
                true => Ok(()),
                false => Err(Error::mismatch("the test fails: the value is another one")),
            },
        }
    }

    fn value(&self, index: usize) -> Result<Node<'_>, Error> {
        let node = self.document.node(index);
        node.ok_or_else(|| Error::malformed("the operation has no value"))
    }
}

fn read(operation: Node<'_>) -> Result<Operation, Error> {
    let text = |name: &str| {
        let text = operation.get(name).and_then(Node::str);
        text.ok_or_else(|| Error::malformed(format!("needs the text `{name}`")))
    };
    let value = || {
        let value = operation.get("value").map(Node::index);
        value.ok_or_else(|| Error::malformed("needs a `value`"))
    };
    let path = Pointer::parse(&text("path")?)?;
    let does = match &*text("op")? {
        "add" => Does::Add(value()?),
        "remove" => Does::Remove,
        "replace" => Does::Replace(value()?),
        "move" => {
            let from = Pointer::parse(&text("from")?)?;
            if path.is_within(&from) {
                return Err(Error::malformed("nothing can be moved into itself"));
            }
            Does::Move(from)
        }
        "copy" => Does::Copy(Pointer::parse(&text("from")?)?),
        "test" => Does::Test(value()?),
        _ => {
            return Err(Error::malformed(
                "its `op` is not known; allowed: add, remove, replace, move, copy, test",
            ));
        }
    };
    Ok(Operation { path, does })
}

fn there<'a>(path: &Pointer, root: Node<'a>) -> Result<Node<'a>, Error> {
    path.find(root).ok_or_else(nothing_there)
}

fn nothing_there() -> Error {
    Error::mismatch("there is nothing at its path")
}

impl Draft<'_> {
    pub(super) fn add(&mut self, path: &Pointer, value: &str) -> Result<(), Error> {
        let root = self.root();
        let Some((holder, name)) = path.place(root) else {
            return self.make(Edit::replace(root, value));
        };
        let holder = holder.ok_or_else(nothing_there)?;
        let edit = match holder.kind() {
            Kind::Object => match holder.get(name) {
                Some(old) => Edit::replace(old, value),
                None => Edit::member(holder, name, value),
            },
            Kind::Array => {
                let index = match name {
                    "-" => Some(holder.len()),
                    name => pointer::index(name),
                };
                let edit = index.and_then(|index| Edit::item(holder, index, value));
                edit.ok_or_else(|| Error::mismatch("its path is no index of the array"))?
            }
            Kind::String | Kind::Number | Kind::Bool | Kind::Null => return Err(nothing_there()),
        };
        self.make(edit)
    }

    pub(super) fn remove(&mut self, path: &Pointer) -> Result<(), Error> {
        let root = self.root();
        let Some((Some(holder), _)) = path.place(root) else {
            return Err(match path.find(root) {
                Some(_) => Error::malformed("the whole cannot be removed"),
                None => nothing_there(),
            });
        };
        let edit = Edit::remove(holder, there(path, root)?);
        self.make(edit)
    }
}
