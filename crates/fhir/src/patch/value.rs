//! The values of a FHIRPath Patch, as JSON of the element that they are for: a `value[x]`, a
//! resource, or, for what has no type of its own, a part for each of its elements
//! (<https://hl7.org/fhir/R4/fhirpatch.html>).

use super::Error;
use super::list::Repetition;
use crate::definitions::{Key, Parent, r4};
use crate::json::{Node, write};
use std::borrow::Cow;

/// The member of a part that holds its value, and the type that its name tells.
pub(super) fn simple(part: Node<'_>) -> Option<(&str, Node<'_>)> {
    part.children().find_map(|member| {
        let ty = member.key()?.strip_prefix("value")?;
        ty.starts_with(|letter: char| letter.is_ascii_uppercase())
            .then_some((ty, member))
    })
}

/// The value of a part for an element whose members are those of `parent`.
pub(super) fn repetition<'a>(part: Node<'a>, parent: Parent) -> Result<Repetition<'a>, Error> {
    if let Some((ty, value)) = simple(part) {
        let extra = part.get(&format!("_value{ty}"));
        return Ok(Repetition {
            value: Some(Cow::Borrowed(value.raw())),
            extra: extra.map(|extra| Cow::Borrowed(extra.raw())),
        });
    }
    let text = match (part.get("resource"), part.get("part")) {
        (Some(resource), _) => Cow::Borrowed(resource.raw()),
        (None, Some(parts)) => Cow::Owned(object(parts, parent)?),
        (None, None) => return Err(Error::malformed("needs a part `value` with a value")),
    };
    Ok(Repetition {
        value: Some(text),
        extra: None,
    })
}

/// The member for an element of a name, with a value of a type; a name may be that of the
/// member itself.
pub(super) fn key(parent: Parent, name: &str, part: Node<'_>) -> Result<&'static Key, Error> {
    let keys = r4().named(parent, name);
    let ty = simple(part).map_or("", |(ty, _)| ty);
    let found = match keys {
        [key] if key.json == name => Some(key),
        keys => keys
            .iter()
            .find(|key| key.json == name || key.json.strip_prefix(name) == Some(ty)),
    };
    let same = || r4().keys(parent).iter().find(|key| key.json == name);
    found.or_else(same).ok_or_else(|| {
        Error::malformed("no element of this name, with a value of this type, can be there")
    })
}

/// The parent for the members of a member.
pub(super) fn below(parent: Parent, key: &Key) -> Parent {
    let child = r4().child(parent, key.json);
    child.map_or(Parent::Type(key.ty), |child| child.parent)
}

/// An object of which each part is an element; one that is named again repeats.
fn object(parts: Node<'_>, parent: Parent) -> Result<String, Error> {
    let mut members: Vec<(&'static Key, Vec<Repetition<'_>>)> = Vec::new();
    for part in parts.children() {
        let name = part.get("name").and_then(Node::str).unwrap_or_default();
        let key = key(parent, &name, part)?;
        let item = repetition(part, below(parent, key))?;
        match members.iter_mut().find(|(known, _)| known.json == key.json) {
            Some((_, items)) => items.push(item),
            None => members.push((key, vec![item])),
        }
    }
    let mut out = String::from("{");
    for (key, items) in &members {
        let repeats = r4().element(key.element).repeats();
        if items.len() > 1 && !repeats {
            return Err(Error::malformed(
                "an element that does not repeat has two values",
            ));
        }
        let mut put = |name: &str, texts: Vec<Option<&str>>| {
            if texts.iter().all(Option::is_none) {
                return;
            }
            if out.len() > 1 {
                out.push(',');
            }
            write::string(&mut out, name);
            out.push(':');
            let texts: Vec<&str> = texts
                .into_iter()
                .map(|text| text.unwrap_or("null"))
                .collect();
            match repeats {
                true => out.push_str(&format!("[{}]", texts.join(","))),
                false => out.push_str(&texts.concat()),
            }
        };
        put(
            key.json,
            items.iter().map(|item| item.value.as_deref()).collect(),
        );
        let extras = items.iter().map(|item| item.extra.as_deref()).collect();
        put(&format!("_{}", key.json), extras);
    }
    out.push('}');
    Ok(out)
}
