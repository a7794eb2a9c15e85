//! What expressions work on: elements of a document, and values of FHIRPath's own types.

use super::quantity::{Quantity, Unit};
use crate::definitions::{Parent, Primitive, TypeId, TypeKind, r4};
use crate::json::{Kind, Node};
use crate::primitive::{DateTime, Time, decimal};
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::fmt;

/// One member of a collection.
#[derive(Clone)]
pub enum Item<'a> {
    /// A place in a document.
    Element(Element<'a>),
    /// A value that the expression made.
    Value(Value<'a>),
    /// What `type()` gives.
    Type(TypeInfo),
}

/// An element of a resource, or a resource.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    /// Its value: an object, or the text of a primitive. A primitive may have extensions only.
    pub value: Option<Node<'a>>,
    /// The object with the `id` and the extensions of a primitive (`_birthDate`).
    pub extra: Option<Node<'a>>,
    /// What the definitions say it is.
    pub shape: Option<Shape>,
}

/// The type of an element, and where the definitions list its own members.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// Its type; `BackboneElement` when it is defined in place.
    pub ty: TypeId,
    /// For [`crate::definitions::Definitions::child`].
    pub parent: Parent,
}

/// A value of one of FHIRPath's types: <http://hl7.org/fhirpath/N1/#literals>.
#[derive(Clone)]
pub enum Value<'a> {
    /// `true`, `false`
    Boolean(bool),
    /// 32 bits.
    Integer(i32),
    /// Exact, with the digits that were written.
    Decimal(Decimal),
    /// Text.
    String(Cow<'a, str>),
    /// `@2015-02`
    Date(DateTime),
    /// `@2015-02-07T13:28:17Z`
    DateTime(DateTime),
    /// `@T13:28:17`
    Time(Time),
    /// `4 days`, `10 'mg'`
    Quantity(Box<Quantity>),
}
salus_phi::guard_debug!(Value<'_>);

/// The names of FHIRPath's own types.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)]
pub enum SystemType {
    Boolean,
    Integer,
    Decimal,
    String,
    Date,
    DateTime,
    Time,
    Quantity,
}

/// The name of a type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TypeInfo {
    /// `System` or `FHIR`
    pub namespace: &'static str,
    /// `String`, `Patient`
    pub name: &'static str,
}

impl<'a> Item<'a> {
    /// A resource with the type that its `resourceType` names.
    #[must_use]
    pub fn resource(node: Node<'a>) -> Item<'a> {
        Item::Element(Element {
            value: Some(node),
            extra: None,
            shape: Shape::of_resource(node),
        })
    }

    /// The element, when it is one.
    #[must_use]
    pub fn element(&self) -> Option<&Element<'a>> {
        match self {
            Item::Element(element) => Some(element),
            Item::Value(_) | Item::Type(_) => None,
        }
    }

    /// Its value in FHIRPath's own types: that of a primitive element, or of a Quantity. Nothing
    /// for other elements, and for primitives that do not have a valid text.
    #[must_use]
    pub fn value(&self) -> Option<Value<'a>> {
        match self {
            Item::Element(element) => element.system_value(),
            Item::Value(value) => Some(value.clone()),
            Item::Type(_) => None,
        }
    }

    /// What `type()` says of it.
    #[must_use]
    pub fn type_info(&self) -> TypeInfo {
        match self {
            Item::Element(element) => TypeInfo {
                namespace: "FHIR",
                name: element
                    .shape
                    .map_or("Element", |shape| r4().ty(shape.ty).name),
            },
            Item::Value(value) => TypeInfo {
                namespace: "System",
                name: value.system_type().name(),
            },
            Item::Type(_) => TypeInfo {
                namespace: "System",
                name: "TypeInfo",
            },
        }
    }
}

impl<'a> Element<'a> {
    /// The object with its members, when it has any.
    pub(super) fn object(&self) -> Option<Node<'a>> {
        match self.value {
            Some(value) if value.is_object() => Some(value),
            _ => self.extra.filter(|extra| extra.is_object()),
        }
    }

    /// Which primitive type it has.
    pub(super) fn primitive(&self) -> Option<Primitive> {
        r4().ty(self.shape?.ty).primitive
    }

    /// Is it a primitive with a value?
    pub(super) fn has_value(&self) -> bool {
        self.value
            .is_some_and(|value| !value.is_object() && !value.is_null())
    }

    fn system_value(&self) -> Option<Value<'a>> {
        let node = self.value?;
        match node.kind() {
            Kind::Object => self.quantity().map(Box::new).map(Value::Quantity),
            Kind::Array | Kind::Null => None,
            Kind::Bool => node.bool().map(Value::Boolean),
            Kind::Number => self.number(node),
            Kind::String => self.text(node),
        }
    }

    fn number(&self, node: Node<'a>) -> Option<Value<'a>> {
        let text = node.number()?;
        let whole = match self.primitive() {
            Some(primitive) => primitive != Primitive::Decimal,
            None => !text.contains(['.', 'e', 'E']),
        };
        match text.parse() {
            Ok(value) if whole => Some(Value::Integer(value)),
            _ => decimal::parse(text).map(Value::Decimal),
        }
    }

    fn text(&self, node: Node<'a>) -> Option<Value<'a>> {
        let text = node.str()?;
        let value = match self.primitive() {
            Some(Primitive::Date) => Value::Date(DateTime::parse_date(&text)?),
            Some(Primitive::DateTime | Primitive::Instant) => {
                Value::DateTime(DateTime::parse_partial(&text)?)
            }
            Some(Primitive::Time) => Value::Time(Time::parse_partial(&text)?),
            _ => Value::String(text),
        };
        Some(value)
    }

    /// The System.Quantity of a FHIR Quantity with a value; one without a UCUM code has the unit
    /// that people read (<https://hl7.org/fhir/R4/fhirpath.html#quantity>).
    fn quantity(&self) -> Option<Quantity> {
        let shape = self.shape?;
        let quantity = r4().type_named("Quantity")?;
        if !r4().is_subtype(shape.ty, quantity) {
            return None;
        }
        let node = self.value?;
        if node.get("comparator").is_some() {
            return None;
        }
        let value = decimal::parse(node.get("value")?.number()?)?;
        let text = |key| node.get(key).and_then(Node::str);
        let ucum = text("system").is_some_and(|system| system == "http://unitsofmeasure.org");
        let code = if ucum { text("code") } else { text("unit") };
        Some(Quantity {
            value,
            unit: Unit::from_code(code.unwrap_or(Cow::Borrowed("1")).into_owned()),
        })
    }
}

impl Shape {
    /// The shape of a type.
    #[must_use]
    pub fn of_type(ty: TypeId) -> Shape {
        Shape {
            ty,
            parent: Parent::Type(ty),
        }
    }

    /// The shape that the `resourceType` of an object names.
    #[must_use]
    pub fn of_resource(node: Node<'_>) -> Option<Shape> {
        let name = node.get("resourceType")?.plain_str()?;
        r4().type_named(name)
            .filter(|ty| r4().ty(*ty).kind == TypeKind::Resource)
            .map(Shape::of_type)
    }
}

impl Value<'_> {
    /// Its type.
    #[must_use]
    pub fn system_type(&self) -> SystemType {
        match self {
            Value::Boolean(_) => SystemType::Boolean,
            Value::Integer(_) => SystemType::Integer,
            Value::Decimal(_) => SystemType::Decimal,
            Value::String(_) => SystemType::String,
            Value::Date(_) => SystemType::Date,
            Value::DateTime(_) => SystemType::DateTime,
            Value::Time(_) => SystemType::Time,
            Value::Quantity(_) => SystemType::Quantity,
        }
    }

    /// The same value, borrowed from nothing.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Boolean(value) => Value::Boolean(value),
            Value::Integer(value) => Value::Integer(value),
            Value::Decimal(value) => Value::Decimal(value),
            Value::String(value) => Value::String(Cow::Owned(value.into_owned())),
            Value::Date(value) => Value::Date(value),
            Value::DateTime(value) => Value::DateTime(value),
            Value::Time(value) => Value::Time(value),
            Value::Quantity(value) => Value::Quantity(value),
        }
    }
}

/// As `toString()` writes it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Decimal(value) => write!(f, "{value}"),
            Value::String(value) => write!(f, "{value}"),
            Value::Date(value) | Value::DateTime(value) => write!(f, "{value}"),
            Value::Time(value) => write!(f, "{value}"),
            Value::Quantity(quantity) => write!(f, "{} {}", quantity.value, quantity.unit),
        }
    }
}

impl SystemType {
    /// The type of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<SystemType> {
        const ALL: [SystemType; 8] = [
            SystemType::Boolean,
            SystemType::Integer,
            SystemType::Decimal,
            SystemType::String,
            SystemType::Date,
            SystemType::DateTime,
            SystemType::Time,
            SystemType::Quantity,
        ];
        ALL.into_iter().find(|ty| ty.name() == name)
    }

    /// Its name without the namespace.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SystemType::Boolean => "Boolean",
            SystemType::Integer => "Integer",
            SystemType::Decimal => "Decimal",
            SystemType::String => "String",
            SystemType::Date => "Date",
            SystemType::DateTime => "DateTime",
            SystemType::Time => "Time",
            SystemType::Quantity => "Quantity",
        }
    }
}

/// Shows places and types only: values may be confidential.
impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.type_info();
        write!(f, "{}.{}", info.namespace, info.name)?;
        match self {
            Item::Element(element) => write!(f, "({:?})", element.value.or(element.extra)),
            Item::Value(_) | Item::Type(_) => Ok(()),
        }
    }
}
