//! An element with all its repetitions: the member of its name and, of a primitive, the one
//! with `id`s and extensions (<https://hl7.org/fhir/R4/json.html#primitive>).

use super::Error;
use super::draft::Edit;
use crate::fhirpath::Element;
use crate::json::{Node, write};
use std::borrow::Cow;

/// One repetition, as JSON.
#[derive(Clone, Default)]
pub(super) struct Repetition<'a> {
    pub(super) value: Option<Cow<'a, str>>,
    pub(super) extra: Option<Cow<'a, str>>,
}
salus_phi::guard!(Repetition<'_>);

/// Where an element is.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) owner: Node<'a>,
    /// The name of the member, without `_`.
    pub(super) key: &'a str,
    pub(super) index: usize,
}

impl<'a> Spot<'a> {
    /// Where an element is in a document; nowhere if it is the whole.
    pub(super) fn of(root: Node<'a>, element: &Element<'a>) -> Option<Spot<'a>> {
        let node = element.value.or(element.extra)?;
        let (mut holder, mut member, mut index) = (None, root, 0);
        let mut at = root;
        while at != node {
            let mut inside = at.children().enumerate();
            let (n, child) = inside.find(|(_, child)| child.end_index() > node.index())?;
            if at.is_array() {
                index = n;
            } else {
                (holder, member, index) = (Some(at), child, 0);
            }
            at = child;
        }
        let key = member.key()?;
        Some(Spot {
            owner: holder?,
            key: key.strip_prefix('_').unwrap_or(key),
            index,
        })
    }
}

/// All repetitions of an element.
pub(super) struct List<'a> {
    owner: Node<'a>,
    key: String,
    repeats: bool,
    pub(super) items: Vec<Repetition<'a>>,
}

impl<'a> List<'a> {
    /// What an object has of an element.
    pub(super) fn of(owner: Node<'a>, key: &str, repeats: bool) -> List<'a> {
        let value = owner.get(key);
        let extra = owner.get(&format!("_{key}"));
        let (values, extras) = (texts(value), texts(extra));
        let length = values.len().max(extras.len());
        let at = |texts: &[Option<&'a str>], n| texts.get(n).copied().flatten().map(Cow::Borrowed);
        let items = (0..length).map(|n| Repetition {
            value: at(&values, n),
            extra: at(&extras, n),
        });
        List {
            repeats: repeats || value.or(extra).is_some_and(Node::is_array),
            key: key.to_owned(),
            items: items.collect(),
            owner,
        }
    }

    /// Puts them in the place of what the object has.
    pub(super) fn edit(&self) -> Edit {
        let key = self.key.clone();
        let extra_key = format!("_{key}");
        let changes = [
            (key, self.text(|item| item.value.as_deref())),
            (extra_key, self.text(|item| item.extra.as_deref())),
        ];
        Edit::replace(self.owner, object_with(self.owner, &changes))
    }

    /// Refuses a second value for what has one.
    pub(super) fn check_single(&self) -> Result<(), Error> {
        if self.repeats || self.items.len() <= 1 {
            return Ok(());
        }
        Err(Error::mismatch(
            "the element is there already, and does not repeat",
        ))
    }

    fn text(&self, part: for<'i> fn(&'i Repetition<'a>) -> Option<&'i str>) -> Option<String> {
        if self.items.iter().all(|item| part(item).is_none()) {
            return None;
        }
        let mut texts = self.items.iter().map(|item| part(item).unwrap_or("null"));
        if !self.repeats {
            return texts.next().map(str::to_owned);
        }
        Some(format!("[{}]", texts.collect::<Vec<_>>().join(",")))
    }
}

/// An object with some members changed, taken out or, behind the others, put in.
pub(super) fn object_with(object: Node<'_>, changes: &[(String, Option<String>)]) -> String {
    let mut out = String::with_capacity(object.raw().len());
    out.push('{');
    let next = |out: &mut String| {
        if out.len() > 1 {
            out.push(',');
        }
    };
    let put = |out: &mut String, key: &str, value: &str| {
        write::string(out, key);
        out.push(':');
        out.push_str(value);
    };
    for member in object.children() {
        let change = changes.iter().find(|(key, _)| Some(&**key) == member.key());
        match change {
            None => {
                next(&mut out);
                out.push_str(&object.document().text()[member.member_span()]);
            }
            Some((key, Some(value))) => {
                next(&mut out);
                put(&mut out, key, value);
            }
            Some((_, None)) => {}
        }
    }
    for (key, value) in changes {
        if let (Some(value), None) = (value, object.get(key)) {
            next(&mut out);
            put(&mut out, key, value);
        }
    }
    out.push('}');
    out
}

fn texts(node: Option<Node<'_>>) -> Vec<Option<&str>> {
    match node {
        None => Vec::new(),
        Some(array) if array.is_array() => array.children().map(text).collect(),
        Some(node) => vec![text(node)],
    }
}

fn text(node: Node<'_>) -> Option<&str> {
    (!node.is_null()).then(|| node.raw())
}
