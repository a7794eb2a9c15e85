//! The compiled form: names are resolved, and simple paths need no lookup at run time.

use super::ast::{Logic, Operator};
use super::function::Function;
use super::item::{Item, Shape, SystemType, Value};
use crate::definitions::{Child, Key, Parent, Primitive, TypeId, TypeKind, r4};
use regex_lite::Regex;

#[derive(Debug)]
pub(super) enum Expr {
    Empty,
    Literal(Value<'static>),
    Variable(Variable),
    This,
    Index,
    Total,
    Path(Box<Path>),
    Negate(Box<Expr>),
    Plus(Box<Expr>),
    /// The operators `|`.
    Union(Vec<Expr>),
    /// `and`, `or`, `xor` and `implies` of one level, from left to right.
    Logic(Box<Chain<Logic>>),
    /// All other operators of one level, from left to right.
    Chain(Box<Chain<Operator>>),
}

#[derive(Debug)]
pub(super) struct Chain<Of> {
    pub(super) first: Expr,
    pub(super) rest: Vec<(Of, Expr)>,
}

/// <https://hl7.org/fhir/R4/fhirpath.html#vars>
pub(super) enum Variable {
    Context,
    Resource,
    RootResource,
    /// Known from its name: `%ucum`, `%vs-name`.
    Fixed(String),
    /// The caller's.
    Named(String),
}
salus_phi::guard!(Variable);

impl Variable {
    /// The variable of a name.
    pub(super) fn named(name: &str) -> Variable {
        let fixed = match name {
            "context" => return Variable::Context,
            "resource" => return Variable::Resource,
            "rootResource" => return Variable::RootResource,
            "ucum" => "http://unitsofmeasure.org".to_owned(),
            "sct" => "http://snomed.info/sct".to_owned(),
            "loinc" => "http://loinc.org".to_owned(),
            _ => {
                if let Some(name) = name.strip_prefix("vs-") {
                    format!("http://hl7.org/fhir/ValueSet/{name}")
                } else if let Some(name) = name.strip_prefix("ext-") {
                    format!("http://hl7.org/fhir/StructureDefinition/{name}")
                } else {
                    return Variable::Named(name.to_owned());
                }
            }
        };
        Variable::Fixed(fixed)
    }
}

#[derive(Debug)]
pub(super) struct Path {
    /// Without one, the path starts at `$this`.
    pub(super) base: Option<Expr>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    Member(Box<Member>),
    /// The name of a type at the start of a path.
    Start(TypeTest),
    /// Keeps what has the type: `ofType()`, and `as` in search parameters.
    OfType(TypeTest),
    /// `where()` whose criteria do not use `$index`.
    Where(Expr),
    /// `as`, which takes one item.
    As(TypeTest),
    Is(TypeTest),
    /// `resolve() is`, which a literal reference answers without being read.
    TargetIs(TypeTest),
    Index(Expr),
    Call(Box<Call>),
}

/// A step to children of a name.
pub(super) struct Member {
    pub(super) name: String,
    /// What the definitions say for the parent that is expected here.
    pub(super) known: Option<Known>,
}
salus_phi::guard!(Member);

#[derive(Debug)]
pub(super) struct Known {
    pub(super) parent: Parent,
    /// More than one for a choice.
    pub(super) fields: Vec<Field>,
}

/// One JSON member and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) json: &'static str,
    pub(super) shape: Shape,
    pub(super) primitive: bool,
    /// A resource, whose own type is in its `resourceType`.
    pub(super) resource: bool,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) arguments: Vec<Expr>,
    /// A literal regular expression.
    pub(super) pattern: Option<Regex>,
    /// For `sort`: which of the arguments sort downwards.
    pub(super) descending: Vec<bool>,
    /// For `resolve`: only the type of the target will be asked for, which a literal reference
    /// tells without reading anything.
    pub(super) type_only: bool,
}

/// The name of a type in an expression. Without a namespace it may be one of both.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypeTest {
    pub(super) fhir: Option<TypeId>,
    pub(super) system: Option<SystemType>,
    /// Is the FHIR type a primitive?
    primitive: bool,
}

impl TypeTest {
    pub(super) fn new(fhir: Option<TypeId>, system: Option<SystemType>) -> TypeTest {
        let kind = fhir.map(|ty| r4().ty(ty).kind);
        TypeTest {
            fhir,
            system,
            primitive: kind == Some(TypeKind::Primitive),
        }
    }

    /// `is`: the type or one derived from it.
    pub(super) fn is(&self, item: &Item<'_>) -> bool {
        match item {
            Item::Element(element) => element.shape.is_some_and(|shape| self.is_type(shape.ty)),
            Item::Value(value) => self.system == Some(value.system_type()),
            Item::Type(_) => false,
        }
    }

    pub(super) fn is_type(&self, ty: TypeId) -> bool {
        self.fhir
            .is_some_and(|of| ty == of || r4().is_subtype(ty, of))
    }

    /// `as` and `ofType`: for primitives exactly the type, so that a code is not a string.
    pub(super) fn selects(&self, item: &Item<'_>) -> bool {
        match item {
            Item::Element(element) if self.primitive => element
                .shape
                .is_some_and(|shape| Some(shape.ty) == self.fhir),
            Item::Element(_) | Item::Value(_) | Item::Type(_) => self.is(item),
        }
    }
}

impl Field {
    /// What a key of the definitions leads to.
    pub(super) fn of(parent: Parent, key: &Key) -> Option<Field> {
        let child = r4().child(parent, key.json)?;
        Some(Field::of_child(key.json, child))
    }

    /// What a member is.
    pub(super) fn of_child(json: &'static str, child: Child) -> Field {
        let ty = r4().ty(child.ty);
        Field {
            json,
            shape: Shape {
                ty: child.ty,
                parent: child.parent,
            },
            primitive: ty.primitive.is_some_and(|of| of != Primitive::Xhtml),
            resource: matches!(ty.name, "Resource" | "DomainResource"),
        }
    }
}

impl Step {
    /// Does it need the whole collection before it, not one item at a time?
    pub(super) fn is_barrier(&self) -> bool {
        match self {
            Step::Member(_) | Step::Start(_) | Step::OfType(_) | Step::Where(_) => false,
            Step::As(_) | Step::Is(_) | Step::TargetIs(_) | Step::Index(_) | Step::Call(_) => true,
        }
    }
}
