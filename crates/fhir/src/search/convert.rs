//! From an element of a data type to values of a search parameter: the tables
//! of <https://hl7.org/fhir/R4/search.html#ptypes>, one arm for each pair of
//! parameter type and data type.

use std::borrow::Cow;

use super::fold::fold;
use super::span::Span;
use super::value::{CODE_BYTES_MAX, STRING_BYTES_MAX, Value, clip};
use crate::definitions::SearchKind;
use crate::json::{Kind, Node};
use crate::reference::{Canonical, Reference};
use crate::ucum::{self, Unit};

/// How to read an element of one type for a parameter of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A code whose system is implied by its binding, or is not known.
    Code(&'static str),
    Coding,
    CodeableConcept,
    Identifier,
    ContactPoint,
    /// true and false as codes.
    Boolean,
    Text,
    HumanName,
    Address,
    Date,
    Period,
    Timing,
    Number,
    NumberRange,
    Quantity,
    QuantityRange,
    Money,
    SampledData,
    Reference,
    Canonical,
    ReferenceUri,
    /// A whole resource, as the target that it is.
    Resource,
    Uri,
    /// `Location.position`.
    Place,
}

impl Reader {
    /// The reader for a pair of types; `None` where the specification gives
    /// the pair no meaning. `system` is the one that a code's binding implies.
    pub(super) fn of(kind: SearchKind, ty: &str, system: &'static str) -> Option<Self> {
        match kind {
            SearchKind::Token => token_reader(ty, system),
            SearchKind::String => match ty {
                "HumanName" => Some(Self::HumanName),
                "Address" => Some(Self::Address),
                _ => is_text(ty).then_some(Self::Text),
            },
            SearchKind::Date => match ty {
                "date" | "dateTime" | "instant" => Some(Self::Date),
                "Period" => Some(Self::Period),
                "Timing" => Some(Self::Timing),
                _ => None,
            },
            SearchKind::Number => match ty {
                "decimal" | "integer" | "positiveInt" | "unsignedInt" => Some(Self::Number),
                "Range" => Some(Self::NumberRange),
                _ => None,
            },
            SearchKind::Quantity => match ty {
                "Quantity" | "SimpleQuantity" | "MoneyQuantity" | "Age" | "Count" | "Distance"
                | "Duration" => Some(Self::Quantity),
                "Range" => Some(Self::QuantityRange),
                "Money" => Some(Self::Money),
                "SampledData" => Some(Self::SampledData),
                _ => None,
            },
            SearchKind::Reference => match ty {
                "Reference" => Some(Self::Reference),
                "canonical" => Some(Self::Canonical),
                "uri" | "url" => Some(Self::ReferenceUri),
                "Resource" => Some(Self::Resource),
                _ => None,
            },
            SearchKind::Uri => is_text(ty).then_some(Self::Uri),
            // The only one is `near`, and the element has no name for its type.
            SearchKind::Special => (ty == "BackboneElement").then_some(Self::Place),
            SearchKind::Composite => None,
        }
    }
}

fn token_reader(ty: &str, system: &'static str) -> Option<Reader> {
    match ty {
        "Coding" => Some(Reader::Coding),
        "CodeableConcept" => Some(Reader::CodeableConcept),
        "Identifier" => Some(Reader::Identifier),
        "ContactPoint" => Some(Reader::ContactPoint),
        "boolean" => Some(Reader::Boolean),
        "code" => Some(Reader::Code(system)),
        _ => is_text(ty).then_some(Reader::Code("")),
    }
}

fn is_text(ty: &str) -> bool {
    matches!(
        ty,
        "string" | "markdown" | "code" | "id" | "uri" | "url" | "canonical" | "oid" | "uuid"
    )
}

/// Gives the values of an element to `emit`, and [`Value::Present`] when it has
/// none by which the parameter itself is searched: a reference with an
/// identifier only, or one to a contained resource, is not missing.
pub(super) fn convert_or_present<'a, S: AsRef<str>>(
    reader: Reader,
    node: Node<'a>,
    own_bases: &[S],
    emit: &mut impl FnMut(Value<'a>),
) {
    let mut found = false;
    convert(reader, node, own_bases, &mut |value| {
        found |= value.is_plain();
        emit(value);
    });
    if !found && node.is_object() && !node.is_empty() {
        emit(Value::Present);
    }
}

/// Gives the values of an element to `emit`. What is missing, or has not the
/// shape of its type, gives none.
pub(super) fn convert<'a, S: AsRef<str>>(
    reader: Reader,
    node: Node<'a>,
    own_bases: &[S],
    emit: &mut impl FnMut(Value<'a>),
) {
    match reader {
        Reader::Code(system) => {
            if let Some(code) = text(node) {
                emit(token(Cow::Borrowed(system), code));
            }
        }
        Reader::Coding => coding(node, emit),
        Reader::CodeableConcept => concept(node, emit),
        Reader::Identifier => identifier(node, emit),
        Reader::ContactPoint => {
            if let Some(value) = member(node, "value") {
                emit(token(or_empty(member(node, "use")), value));
            }
        }
        Reader::Boolean => {
            if let Some(value) = node.bool() {
                let code = if value { "true" } else { "false" };
                emit(token(Cow::Borrowed(""), Cow::Borrowed(code)));
            }
        }
        Reader::Text => strings(Some(node), emit),
        Reader::HumanName => {
            for key in ["text", "family", "given", "prefix", "suffix"] {
                strings(node.get(key), emit);
            }
        }
        Reader::Address => {
            for key in [
                "text",
                "line",
                "city",
                "district",
                "state",
                "postalCode",
                "country",
            ] {
                strings(node.get(key), emit);
            }
        }
        Reader::Date => {
            if let Some(span) = date(Some(node)) {
                emit(Value::Date(span));
            }
        }
        Reader::Period => {
            if let Some(span) = period(node) {
                emit(Value::Date(span));
            }
        }
        Reader::Timing => {
            if let Some(span) = timing(node) {
                emit(Value::Date(span));
            }
        }
        Reader::Number => number(Some(node), emit),
        Reader::NumberRange => {
            let end = |key| {
                let mut values = Vec::new();
                let value = node.get(key).and_then(|end| end.get("value"));
                number(value, &mut |value| values.push(value));
                values
            };
            range(end("low"), end("high"), emit);
        }
        Reader::Quantity => quantity(node.get("value"), node, emit),
        Reader::QuantityRange => {
            let (low, high) = (node.get("low"), node.get("high"));
            let value = |end: Option<Node<'a>>| end.and_then(|end| end.get("value"));
            let low_end = quantities(value(low), with_unit(low, high));
            range(low_end, quantities(value(high), with_unit(high, low)), emit);
        }
        Reader::Money => money(node, emit),
        Reader::SampledData => {
            let end = |key| quantities(node.get(key), node.get("origin"));
            range(end("lowerLimit"), end("upperLimit"), emit);
        }
        Reader::Reference => reference(node, own_bases, emit),
        Reader::Canonical | Reader::ReferenceUri => match text(node) {
            Some(Cow::Borrowed(uri)) => canonical(uri, Cow::Borrowed, own_bases, emit),
            Some(Cow::Owned(uri)) => canonical(&uri, owned, own_bases, emit),
            None => {}
        },
        Reader::Resource => {
            if let (Some(ty), Some(id)) = (member(node, "resourceType"), member(node, "id")) {
                emit(Value::Reference {
                    ty,
                    id: clip(id, CODE_BYTES_MAX),
                    version: None,
                });
            }
        }
        Reader::Uri => {
            if let Some(uri) = text(node) {
                emit(Value::Uri(clip(uri, CODE_BYTES_MAX)));
            }
        }
        Reader::Place => {
            let degrees = |key: &str, most: f64| {
                let text = node.get(key)?.number()?;
                let degrees: f64 = text.parse().ok()?;
                (degrees.abs() <= most).then_some(text)
            };
            let place = (degrees("latitude", 90.0), degrees("longitude", 180.0));
            if let (Some(latitude), Some(longitude)) = place {
                emit(Value::Place {
                    latitude,
                    longitude,
                });
            }
        }
    }
}

fn token<'a>(system: Cow<'a, str>, code: Cow<'a, str>) -> Value<'a> {
    Value::Token {
        system: clip(system, CODE_BYTES_MAX),
        code: clip(code, CODE_BYTES_MAX),
    }
}

fn coding<'a>(node: Node<'a>, emit: &mut impl FnMut(Value<'a>)) {
    let system = or_empty(member(node, "system"));
    let code = or_empty(member(node, "code"));
    if !code.is_empty() || !system.is_empty() {
        emit(token(system, code));
    }
    words(node.get("display"), emit);
}

/// Each coding, and the text.
fn concept<'a>(node: Node<'a>, emit: &mut impl FnMut(Value<'a>)) {
    for item in items(node.get("coding")) {
        coding(item, emit);
    }
    words(node.get("text"), emit);
}

/// The value in its system, and again with each type that it has.
fn identifier<'a>(node: Node<'a>, emit: &mut impl FnMut(Value<'a>)) {
    let ty = node.get("type");
    words(ty.and_then(|ty| ty.get("text")), emit);
    let Some(value) = member(node, "value") else {
        return;
    };
    emit(token(or_empty(member(node, "system")), value.clone()));
    for coding in items(ty.and_then(|ty| ty.get("coding"))) {
        if let Some(code) = member(coding, "code") {
            emit(Value::OfType {
                system: clip(or_empty(member(coding, "system")), CODE_BYTES_MAX),
                code: clip(code, CODE_BYTES_MAX),
                value: clip(value.clone(), CODE_BYTES_MAX),
            });
        }
    }
}

/// What `:text` searches: <https://hl7.org/fhir/R4/search.html#token>.
fn words<'a>(node: Option<Node<'a>>, emit: &mut impl FnMut(Value<'a>)) {
    strings(node, &mut |value| {
        if let Value::String { folded, .. } = value {
            emit(Value::Words(folded));
        }
    });
}

/// The strings of an element or of a list of them.
fn strings<'a>(node: Option<Node<'a>>, emit: &mut impl FnMut(Value<'a>)) {
    for item in items(node) {
        let Some(exact) = text(item) else { continue };
        let exact = clip(exact, STRING_BYTES_MAX);
        let folded = match (&exact, fold(&exact)) {
            // Borrow from the resource, not from the copy here.
            (Cow::Borrowed(whole), Cow::Borrowed(_)) => Cow::Borrowed(*whole),
            (_, folded) => Cow::Owned(folded.into_owned()),
        };
        if !folded.is_empty() {
            let folded = clip(folded, STRING_BYTES_MAX);
            emit(Value::String { folded, exact });
        }
    }
}

fn date(node: Option<Node<'_>>) -> Option<Span> {
    Span::parse(&node?.str()?)
}

/// A period without a start or an end is open there.
fn period(node: Node<'_>) -> Option<Span> {
    let start = date(node.get("start"));
    let end = date(node.get("end"));
    if start.is_none() && end.is_none() {
        return None;
    }
    Some(Span {
        from_ms: start.map_or(Span::ALWAYS.from_ms, |span| span.from_ms),
        to_ms: end.map_or(Span::ALWAYS.to_ms, |span| span.to_ms),
    })
}

/// The outer limits of a schedule; its details do not matter to a search.
fn timing(node: Node<'_>) -> Option<Span> {
    let events = items(node.get("event")).filter_map(|event| date(Some(event)));
    let bounds = node
        .get("repeat")
        .and_then(|repeat| repeat.get("boundsPeriod"));
    events.chain(bounds.and_then(period)).reduce(Span::and)
}

/// A range by the forms of its ends. Ends whose units do not fit make none: each
/// is a value of its own.
fn range<'a>(low: Vec<Value<'a>>, high: Vec<Value<'a>>, emit: &mut impl FnMut(Value<'a>)) {
    let (is_bounded_below, is_bounded_above) = (!low.is_empty(), !high.is_empty());
    let mut low = low.into_iter();
    let mut high = high.into_iter();
    loop {
        match (low.next(), high.next()) {
            (None, None) => return,
            (Some(low), Some(high)) if !is_of_one_unit(&low, &high) => {
                emit(low);
                emit(high);
            }
            (Some(end), None) if is_bounded_above => emit(end),
            (None, Some(end)) if is_bounded_below => emit(end),
            (low, high) => emit(Value::Range {
                low: low.map(Box::new),
                high: high.map(Box::new),
            }),
        }
    }
}

fn is_of_one_unit(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => true,
        (
            Value::Quantity { system, code, .. },
            Value::Quantity {
                system: other_system,
                code: other_code,
                ..
            },
        ) => system == other_system && code == other_code,
        (Value::Amount { unit, .. }, Value::Amount { unit: other, .. }) => unit == other,
        _ => false,
    }
}

/// Where the unit of an end of a range is: often only the other one says it.
fn with_unit<'a>(end: Option<Node<'a>>, other: Option<Node<'a>>) -> Option<Node<'a>> {
    let has_unit = |node: &Node<'a>| {
        let parts = ["system", "code", "unit"];
        parts.iter().any(|key| member(*node, key).is_some())
    };
    end.filter(has_unit).or(other.filter(has_unit)).or(end)
}

fn quantities<'a>(value: Option<Node<'a>>, unit: Option<Node<'a>>) -> Vec<Value<'a>> {
    let mut values = Vec::new();
    if let Some(unit) = unit {
        quantity(value, unit, &mut |value| values.push(value));
    }
    values
}

fn number<'a>(node: Option<Node<'a>>, emit: &mut impl FnMut(Value<'a>)) {
    if let Some(number) = node.and_then(Node::number) {
        emit(Value::Number(Cow::Borrowed(number)));
    }
}

fn money<'a>(node: Node<'a>, emit: &mut impl FnMut(Value<'a>)) {
    if let Some(value) = node.get("value").and_then(Node::number) {
        emit(Value::Quantity {
            value: Cow::Borrowed(value),
            system: Cow::Borrowed("urn:iso:std:iso:4217"),
            code: or_empty(member(node, "currency")),
        });
    }
}

/// `5.4||mg` asks for the code or for the unit in words
/// (<https://hl7.org/fhir/R4/search.html#quantity>), `5.4|system|mg` for the
/// code alone: so the words are a second value, which has no system.
///
/// Of a unit of UCUM the second value is the amount in base units. All that
/// asks for the code finds that, with the code in it, so the other is kept
/// for `5.4` and for the words: two values, as before.
fn quantity<'a>(value: Option<Node<'a>>, unit: Node<'a>, emit: &mut impl FnMut(Value<'a>)) {
    let Some(value) = value.and_then(Node::number) else {
        return;
    };
    let part = |key| clip(or_empty(member(unit, key)), CODE_BYTES_MAX);
    let (system, code, words) = (part("system"), part("code"), part("unit"));
    let mut of = |system, code| {
        emit(Value::Quantity {
            value: Cow::Borrowed(value),
            system,
            code,
        });
    };
    if system == ucum::SYSTEM
        && let Some((number, unit)) = amount(value, &code)
    {
        let words = if words.is_empty() {
            code.clone()
        } else {
            words
        };
        of(Cow::Borrowed(""), words);
        return emit(Value::Amount {
            value: number,
            unit,
            code,
        });
    }
    let is_coded = !system.is_empty() || !code.is_empty();
    let has_own_words = !words.is_empty() && words != code;
    if is_coded || !has_own_words {
        of(system, code);
    }
    if has_own_words {
        of(Cow::Borrowed(""), words);
    }
}

fn amount(number: &str, code: &str) -> Option<(Box<str>, Box<str>)> {
    let unit = Unit::parse(code).ok()?;
    let number = unit.canonical(number)?;
    Some((number.into(), unit.dimension().to_string().into()))
}

fn reference<'a, S: AsRef<str>>(node: Node<'a>, own_bases: &[S], emit: &mut impl FnMut(Value<'a>)) {
    match member(node, "reference") {
        Some(Cow::Borrowed(literal)) => link(literal, Cow::Borrowed, own_bases, emit),
        Some(Cow::Owned(literal)) => link(&literal, owned, own_bases, emit),
        None => {}
    }
    words(node.get("display"), emit);
    let identifier = node.get("identifier");
    if let Some(value) = identifier.and_then(|it| member(it, "value")) {
        let system = or_empty(identifier.and_then(|it| member(it, "system")));
        emit(Value::ReferenceIdentifier {
            system: clip(system, CODE_BYTES_MAX),
            value: clip(value, CODE_BYTES_MAX),
        });
    }
}

/// A literal: contained and conditional ones point to nothing that a search
/// could name. `keep` makes a part of it last as long as the resource.
fn link<'t, 'a, S: AsRef<str>>(
    literal: &'t str,
    keep: impl Fn(&'t str) -> Cow<'a, str>,
    own_bases: &[S],
    emit: &mut impl FnMut(Value<'a>),
) {
    match Reference::parse(literal, own_bases) {
        Some(Reference::Local(local)) => emit(Value::Reference {
            ty: keep(local.ty),
            id: keep(local.id),
            version: local.version.map(keep),
        }),
        Some(Reference::Absolute { .. } | Reference::Urn(_)) => {
            emit(Value::ReferenceUri(clip(keep(literal), CODE_BYTES_MAX)));
        }
        Some(Reference::Contained(_) | Reference::Conditional { .. }) | None => {}
    }
}

/// A canonical is found by its URL, and by its URL with its version.
fn canonical<'t, 'a, S: AsRef<str>>(
    uri: &'t str,
    keep: impl Fn(&'t str) -> Cow<'a, str>,
    own_bases: &[S],
    emit: &mut impl FnMut(Value<'a>),
) {
    if let Some(Reference::Local(_)) = Reference::parse(uri, own_bases) {
        return link(uri, keep, own_bases, emit);
    }
    let parts = Canonical::parse(uri);
    if parts.url.is_empty() {
        return;
    }
    emit(Value::ReferenceUri(clip(keep(parts.url), CODE_BYTES_MAX)));
    if let Some(version) = parts.version {
        let versioned = &uri[..parts.url.len() + 1 + version.len()];
        emit(Value::ReferenceUri(clip(keep(versioned), CODE_BYTES_MAX)));
    }
}

fn owned<'a>(part: &str) -> Cow<'a, str> {
    Cow::Owned(part.to_owned())
}

fn text(node: Node<'_>) -> Option<Cow<'_, str>> {
    node.str().filter(|text| !text.is_empty())
}

fn member<'a>(node: Node<'a>, key: &str) -> Option<Cow<'a, str>> {
    text(node.get(key)?)
}

fn or_empty(text: Option<Cow<'_, str>>) -> Cow<'_, str> {
    text.unwrap_or(Cow::Borrowed(""))
}

/// The items of a list, or the one value.
pub(super) fn items<'a>(node: Option<Node<'a>>) -> impl Iterator<Item = Node<'a>> {
    let list = node.filter(|node| node.kind() == Kind::Array);
    let one = if list.is_some() { None } else { node };
    list.into_iter().flat_map(Node::children).chain(one)
}
