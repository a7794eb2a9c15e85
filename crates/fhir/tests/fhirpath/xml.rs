//! FHIR's XML to its JSON, as far as the inputs of the official suite need it
//! (<https://hl7.org/fhir/R4/xml.html>). Which elements repeat, and how primitives are written,
//! comes from the definitions.

use roxmltree::Node;
use salus_fhir::definitions::{Child, Parent, Primitive, r4};
use salus_fhir::json::write;

/// The JSON of the resource whose root element this is.
pub(crate) fn resource(node: Node<'_, '_>) -> String {
    let name = node.tag_name().name();
    let ty = r4().type_named(name).expect(name);
    let mut members = vec![("resourceType".to_owned(), quoted(name))];
    object(node, Parent::Type(ty), &mut members);
    braces(&members)
}

fn object(node: Node<'_, '_>, parent: Parent, members: &mut Vec<(String, String)>) {
    for attribute in node.attributes() {
        if matches!(attribute.name(), "id" | "url") {
            members.push((attribute.name().to_owned(), quoted(attribute.value())));
        }
    }
    let mut done = Vec::new();
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let all: Vec<_> = node
            .children()
            .filter(|other| other.is_element() && other.tag_name().name() == name)
            .collect();
        let facts = r4().child(parent, name).unwrap_or_else(|| panic!("{name}"));
        member(name, &facts, &all, members);
    }
}

fn member(name: &str, facts: &Child, nodes: &[Node<'_, '_>], members: &mut Vec<(String, String)>) {
    let repeats = r4().element(facts.element).repeats();
    let mut add = |name: String, values: Vec<Option<String>>| {
        if values.iter().all(Option::is_none) {
            return;
        }
        let values: Vec<String> = values
            .into_iter()
            .map(|value| value.unwrap_or_else(|| "null".to_owned()))
            .collect();
        let text = match repeats {
            true => format!("[{}]", values.join(",")),
            false => values.concat(),
        };
        members.push((name, text));
    };
    let ty = r4().ty(facts.ty);
    match ty.primitive {
        Some(Primitive::Xhtml) => {
            let raw = |node: &Node<'_, '_>| node.document().input_text()[node.range()].to_owned();
            add(
                name.to_owned(),
                nodes.iter().map(|node| Some(quoted(&raw(node)))).collect(),
            );
        }
        Some(primitive) => {
            let value = |node: &Node<'_, '_>| Some(scalar(primitive, node.attribute("value")?));
            add(name.to_owned(), nodes.iter().map(value).collect());
            let extra = |node: &Node<'_, '_>| {
                let mut members = Vec::new();
                object(*node, facts.parent, &mut members);
                (!members.is_empty()).then(|| braces(&members))
            };
            add(format!("_{name}"), nodes.iter().map(extra).collect());
        }
        None if ty.name == "Resource" => {
            let inner = |node: &Node<'_, '_>| node.first_element_child().map(resource);
            add(name.to_owned(), nodes.iter().map(inner).collect());
        }
        None => {
            let complex = |node: &Node<'_, '_>| {
                let mut members = Vec::new();
                object(*node, facts.parent, &mut members);
                Some(braces(&members))
            };
            add(name.to_owned(), nodes.iter().map(complex).collect());
        }
    }
}

fn scalar(primitive: Primitive, value: &str) -> String {
    let bare = matches!(
        primitive,
        Primitive::Boolean
            | Primitive::Decimal
            | Primitive::Integer
            | Primitive::PositiveInt
            | Primitive::UnsignedInt
    );
    if bare {
        return value.to_owned();
    }
    quoted(value)
}

fn braces(members: &[(String, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", quoted(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    write::string(&mut out, text);
    out
}
