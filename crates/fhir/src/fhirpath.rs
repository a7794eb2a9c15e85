//! FHIRPath N1 (<http://hl7.org/fhirpath/N1/>) with FHIR's additions
//! (<https://hl7.org/fhir/R4/fhirpath.html>), compiled once and run over the tape of a document.
//!
//! An [`Expression`] has its names resolved against the definitions. A path such as
//! `Patient.name.given` then walks the tape without looking anything up; what the compiler could
//! not foresee is looked up by the type that each element turns out to have. Everything is
//! bounded: the text, its nesting, and the steps of one evaluation.

mod assemble;
mod ast;
mod boundary;
mod call;
mod collection;
mod compare;
mod compile;
mod convert;
mod distinct;
mod encode;
mod error;
mod evaluate;
mod function;
mod item;
mod lex;
mod math;
mod navigate;
mod op;
mod operate;
mod parse;
mod presence;
mod quantity;
mod reference;
mod resource;
mod singleton;
mod temporal;
mod text;
mod unit;

#[cfg(test)]
mod tests;

use crate::definitions::TypeId;
use crate::json::Node;
use crate::primitive::DateTime;

pub use error::{Error, ErrorKind};
pub use item::{Element, Item, Shape, SystemType, TypeInfo, Value};
pub(crate) use presence::Presence;
pub use quantity::{Calendar, Quantity, Unit};

/// A compiled expression; cheap to run, made to be kept.
#[derive(Debug)]
pub struct Expression {
    root: op::Expr,
}

/// How an expression is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Refuse elements that the type of their parent does not have, paths that start at another
    /// type, and positions in collections without order. Otherwise those give nothing.
    pub strict: bool,
    /// `as` picks the items of the type, however many there are, as R4's search parameters
    /// expect. Otherwise it takes one item, as the language says.
    pub as_filters: bool,
}

impl Expression {
    /// Compiles an expression that will run on elements of this type.
    pub fn compile(text: &str, root: TypeId) -> Result<Expression, Error> {
        let shape = Shape::of_type(root);
        Expression::compile_with(text, Some(shape), Options::default())
    }

    /// Compiles the expression of a search parameter for one type of resource.
    pub fn compile_search(text: &str, root: TypeId) -> Result<Expression, Error> {
        let options = Options {
            strict: false,
            as_filters: true,
        };
        Expression::compile_with(text, Some(Shape::of_type(root)), options)
    }

    /// Compiles an expression for elements of a shape, or of any.
    pub fn compile_with(
        text: &str,
        root: Option<Shape>,
        options: Options,
    ) -> Result<Expression, Error> {
        let ast = parse::parse(text)?;
        let root = compile::compile(&ast, root, options)?;
        Ok(Expression { root })
    }

    /// Appends the resulting collection to `out`.
    pub fn evaluate<'a>(
        &'a self,
        context: &Context<'a>,
        focus: &Item<'a>,
        out: &mut Vec<Item<'a>>,
    ) -> Result<(), Error> {
        let run = evaluate::Run::new(context, focus);
        run.expr(&self.root, evaluate::Frame::of(focus), out)
    }

    /// The result as a truth value; nothing when it is empty. An invariant is broken when this is
    /// false.
    pub fn truth<'a>(
        &'a self,
        context: &Context<'a>,
        focus: &Item<'a>,
    ) -> Result<Option<bool>, Error> {
        let run = evaluate::Run::new(context, focus);
        run.truth(&self.root, evaluate::Frame::of(focus))
    }

    /// As [`Expression::truth`], and says what is left of the context's steps.
    pub(crate) fn truth_paid<'a>(
        &'a self,
        context: &Context<'a>,
        focus: &Item<'a>,
        steps_left: &mut u64,
    ) -> Result<Option<bool>, Error> {
        let run = evaluate::Run::new(context, focus);
        let truth = run.truth(&self.root, evaluate::Frame::of(focus));
        *steps_left = run.steps_left();
        truth
    }

    /// Can it never give anything? So are the parts of a union that start at other types.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.root, op::Expr::Empty)
    }
}

/// What an evaluation knows beside its focus.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// For `now()`, `today()` and `timeOfDay()`, which fail without it.
    pub now: Option<DateTime>,
    /// `%resource`: the resource that the focus is in; the focus itself when not given.
    pub resource: Option<Node<'a>>,
    /// `%rootResource`: the one that contains it, when it is contained.
    pub root_resource: Option<Node<'a>>,
    /// The world outside of the document.
    pub environment: &'a dyn Environment,
    /// Further variables by name.
    pub variables: &'a [(&'a str, Vec<Item<'a>>)],
    /// How many steps it may take before it is stopped.
    pub steps_max: u64,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Context {
            now: None,
            resource: None,
            root_resource: None,
            environment: &Offline,
            variables: &[],
            steps_max: 2_000_000,
        }
    }
}

/// What expressions may ask of the world. Everything has an answer from the definitions alone.
pub trait Environment: Sync {
    /// The resource that a reference leads to, when it is at hand. Contained resources are
    /// found without this.
    fn resolve(&self, _reference: &str) -> Result<Option<Item<'_>>, Error> {
        Ok(None)
    }

    /// Is a code, Coding or CodeableConcept in a value set? Nothing when the set is unknown.
    fn member_of(&self, item: &Item<'_>, value_set: &str) -> Result<Option<bool>, Error> {
        Ok(resource::member_of(item, value_set))
    }

    /// Does an element conform to a profile? Answers for the types of the standard.
    fn conforms_to(&self, item: &Item<'_>, profile: &str) -> Result<bool, Error> {
        resource::conforms_to(item, profile)
    }

    /// Does one coding subsume another?
    fn subsumes(&self, _general: &Item<'_>, _special: &Item<'_>) -> Result<Option<bool>, Error> {
        Err(Error::unsupported("subsumes() needs a terminology service"))
    }

    /// Sees what passes a `trace()`.
    fn trace(&self, _name: &str, _items: &[Item<'_>]) {}
}

/// No world: definitions only.
#[derive(Clone, Copy, Debug)]
pub struct Offline;

impl Environment for Offline {}
