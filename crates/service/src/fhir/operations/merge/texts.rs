//! The texts of a merge: what the source, the target, and those that refer to
//! the source become.

use salus_fhir::json::Node;
use salus_fhir::reference::Reference;
use salus_fhir::splice::Splices;

use super::super::parameters::items;

/// Collects the edits that turn the references to one patient to another.
pub(super) fn turn(
    node: Node<'_>,
    base: &str,
    (source, target): (&str, &str),
    splices: &mut Splices<'_>,
) {
    for child in node.children() {
        if let (Some("reference"), Some(text)) = (child.key(), child.str()) {
            let local = Reference::parse(&text, &[base]).and_then(Reference::local);
            let is_source = local.is_some_and(|local| {
                local.ty == "Patient" && local.id == source && local.version.is_none()
            });
            if is_source {
                splices.replace(child.span(), format!(r#""Patient/{target}""#));
            }
        }
        turn(child, base, (source, target), splices);
    }
}

/// The source: inactive, and replaced.
pub(super) fn ended(source: Node<'_>, target: &str) -> String {
    let mut splices = Splices::new();
    put(source, "active", "false".to_owned(), &mut splices);
    let link = format!(r#"{{"other":{{"reference":"Patient/{target}"}},"type":"replaced-by"}}"#);
    append(source, "link", vec![link], &mut splices);
    splices.apply(source)
}

/// The target: with the identifiers of the source, which it replaces.
pub(super) fn continued(target: Node<'_>, source: Node<'_>, id: &str) -> String {
    let mut splices = Splices::new();
    let part = |identifier: Node<'_>, name| {
        let part = identifier.get(name).and_then(|part| part.str());
        part.map(String::from)
    };
    let is_known = |one: &Node<'_>| {
        let mut known = items(target, "identifier");
        known.any(|other| {
            ["system", "value"]
                .iter()
                .all(|name| part(*one, name) == part(other, name))
        })
    };
    let identifiers = items(source, "identifier").filter(|one| !is_known(one));
    append(
        target,
        "identifier",
        identifiers.map(old).collect(),
        &mut splices,
    );
    let link = format!(r#"{{"other":{{"reference":"Patient/{id}"}},"type":"replaces"}}"#);
    append(target, "link", vec![link], &mut splices);
    splices.apply(target)
}

/// An identifier that is not to be used any more.
fn old(identifier: Node<'_>) -> String {
    let mut splices = Splices::new();
    put(identifier, "use", r#""old""#.to_owned(), &mut splices);
    splices.apply(identifier)
}

/// Sets a member of an object.
fn put(object: Node<'_>, name: &str, json: String, splices: &mut Splices<'_>) {
    match object.get(name) {
        Some(member) => splices.replace(member.span(), json),
        None => {
            let end = object.span().end - 1;
            let comma = if object.is_empty() { "" } else { "," };
            splices.replace(end..end, format!(r#"{comma}"{name}":{json}"#));
        }
    }
}

/// Adds to a list that is a member of an object.
fn append(object: Node<'_>, name: &str, values: Vec<String>, splices: &mut Splices<'_>) {
    if values.is_empty() {
        return;
    }
    let values = values.join(",");
    match object.get(name) {
        Some(list) => {
            let end = list.span().end - 1;
            let comma = if list.is_empty() { "" } else { "," };
            splices.replace(end..end, format!("{comma}{values}"));
        }
        None => put(object, name, format!("[{values}]"), splices),
    }
}

#[cfg(test)]
mod tests {
    use salus_fhir::json::{Document, Limits};

    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(text.to_owned().into(), &Limits::default()).unwrap()
    }

    #[test]
    fn the_source_ends_and_the_target_goes_on() {
        let source = document(
            r#"{"active":true,"identifier":[{"system":"s","value":"1","use":"usual"},{"value":"2"}]}"#,
        );
        let target = document(r#"{"identifier":[{"value":"2"}],"link":[]}"#);
        assert_eq!(
            ended(source.root(), "t"),
            r#"{"active":false,"identifier":[{"system":"s","value":"1","use":"usual"},{"value":"2"}],"link":[{"other":{"reference":"Patient/t"},"type":"replaced-by"}]}"#
        );
        assert_eq!(
            continued(target.root(), source.root(), "s"),
            r#"{"identifier":[{"value":"2"},{"system":"s","value":"1","use":"old"}],"link":[{"other":{"reference":"Patient/s"},"type":"replaces"}]}"#
        );
    }

    #[test]
    fn references_are_turned_wherever_they_stand() {
        let text = r#"{"a":{"reference":"Patient/s"},"b":[{"c":{"reference":"http://x/Patient/s"}},
            {"reference":"Patient/s/_history/1"},{"reference":"Patient/ss"},{"d":"Patient/s"}]}"#;
        let document = document(text);
        let mut splices = Splices::new();
        turn(document.root(), "http://x", ("s", "t"), &mut splices);
        let expect = text.replacen("\"Patient/s\"", "\"Patient/t\"", 1);
        let expect = expect.replace("http://x/Patient/s", "Patient/t");
        assert_eq!(splices.apply(document.root()), expect);
    }
}
