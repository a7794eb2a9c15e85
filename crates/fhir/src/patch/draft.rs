//! A text under change: an edit in one place, then parsed again.

use super::Error;
use crate::json::{Document, Kind, Limits, Node, write};
use std::ops::Range;

/// How many bytes are parsed for one patch at most, all its steps together.
const WORK_BYTES_MAX: usize = 256 << 20;

pub(super) struct Draft<'l> {
    document: Document,
    limits: &'l Limits,
    work_left: usize,
}

impl<'l> Draft<'l> {
    /// A draft that begins as this text.
    pub(super) fn of(text: &str, limits: &'l Limits) -> Result<Self, Error> {
        let mut work_left = WORK_BYTES_MAX;
        let document = parsed(text.to_owned(), limits, &mut work_left)?;
        Ok(Self {
            document,
            limits,
            work_left,
        })
    }

    pub(super) fn root(&self) -> Node<'_> {
        self.document.root()
    }

    pub(super) fn into_text(self) -> String {
        self.document.into_text()
    }

    /// Makes an edit that was found on [`Self::root`].
    pub(super) fn make(&mut self, edit: Edit) -> Result<(), Error> {
        let mut text = self.document.text().to_owned();
        text.replace_range(edit.span, &edit.text);
        self.document = parsed(text, self.limits, &mut self.work_left)?;
        Ok(())
    }

    /// Takes out objects and arrays that hold nothing, and what holds nothing then.
    pub(super) fn prune(&mut self) -> Result<(), Error> {
        let root = self.root();
        let is_empty = |index| {
            let node = self.document.node(index);
            node.is_some_and(|node| (node.is_object() || node.is_array()) && node.is_empty())
        };
        if !(1..self.document.nodes_len()).any(is_empty) {
            return Ok(());
        }
        let mut kept = String::with_capacity(root.raw().len());
        if !write_kept(root, &mut kept) {
            kept.push_str("{}");
        }
        let span = root.span();
        self.make(Edit { span, text: kept })
    }
}

/// A change of a text in one place.
pub(super) struct Edit {
    span: Range<usize>,
    text: String,
}

impl Edit {
    /// Another value in the place of one.
    pub(super) fn replace(old: Node<'_>, text: impl Into<String>) -> Edit {
        Edit {
            span: old.span(),
            text: text.into(),
        }
    }

    /// Without a member or item.
    pub(super) fn remove(container: Node<'_>, child: Node<'_>) -> Edit {
        let mut before = None;
        let mut siblings = container.children();
        for sibling in siblings.by_ref() {
            if sibling == child {
                break;
            }
            before = Some(sibling);
        }
        let own = child.member_span();
        let span = match (before, siblings.next()) {
            (Some(before), _) => before.span().end..own.end,
            (None, Some(behind)) => own.start..behind.member_span().start,
            (None, None) => own,
        };
        Edit {
            span,
            text: String::new(),
        }
    }

    /// One member more, behind the others.
    pub(super) fn member(object: Node<'_>, key: &str, value: &str) -> Edit {
        let mut text = String::with_capacity(key.len() + value.len() + 4);
        write::string(&mut text, key);
        text.push(':');
        text.push_str(value);
        Edit::behind(object, text)
    }

    /// One item more, before the one at `index` or behind all; `None` if there are fewer.
    pub(super) fn item(array: Node<'_>, index: usize, value: &str) -> Option<Edit> {
        let length = array.len();
        if index >= length {
            return (index == length).then(|| Edit::behind(array, value.to_owned()));
        }
        let start = array.children().nth(index)?.span().start;
        Some(Edit {
            span: start..start,
            text: format!("{value},"),
        })
    }

    fn behind(container: Node<'_>, mut text: String) -> Edit {
        let at = match container.children().last() {
            Some(last) => {
                text.insert(0, ',');
                last.span().end
            }
            None => container.span().start + 1,
        };
        Edit { span: at..at, text }
    }
}

fn parsed(text: String, limits: &Limits, work_left: &mut usize) -> Result<Document, Error> {
    *work_left = work_left
        .checked_sub(text.len())
        .ok_or_else(|| Error::costly("the patch is too much work; send it in parts"))?;
    Document::parse(text.into_bytes(), limits)
        .map_err(|error| Error::costly(format!("the result cannot be kept: {error}")))
}

/// Writes a value without what is empty; false if that is all of it.
fn write_kept(node: Node<'_>, out: &mut String) -> bool {
    let (open, close) = match node.kind() {
        Kind::Object => ('{', '}'),
        Kind::Array => ('[', ']'),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => {
            out.push_str(node.raw());
            return true;
        }
    };
    let start = out.len();
    out.push(open);
    let mut any = false;
    for child in node.children() {
        let mark = out.len();
        if any {
            out.push(',');
        }
        if let Some(key) = child.key() {
            write::string(out, key);
            out.push(':');
        }
        match write_kept(child, out) {
            true => any = true,
            false => out.truncate(mark),
        }
    }
    out.push(close);
    if !any {
        out.truncate(start);
    }
    any
}
