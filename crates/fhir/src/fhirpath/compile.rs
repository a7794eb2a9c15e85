//! From the written form to the compiled one: functions by name, types by definition, and for
//! each step the JSON members that the expected parent has.

use super::assemble::{chained, push_step, union, with_step};
use super::ast::{Ast, AstStep, AstStepKind, Operand, Operator, TypeName};
use super::error::ErrorKind;
use super::function::{Function, Lambda, Text, TypeFunction};
use super::item::{Shape, SystemType, Value};
use super::op::{Call, Expr, Field, Known, Member, Path, Step, TypeTest, Variable};
use super::{Error, Options, text};
use crate::definitions::{Key, TypeKind, r4};

/// Steps of one path.
const STEPS_MAX: usize = 256;

/// Compiles for a focus of this shape, or any.
pub(super) fn compile(ast: &Ast, root: Option<Shape>, options: Options) -> Result<Expr, Error> {
    let this = match root {
        Some(shape) => Static::Shapes(vec![shape]),
        None => Static::Any,
    };
    let compiler = Compiler { options };
    Ok(compiler.expr(ast, &this)?.0)
}

/// What is known of a collection's items before there are any.
#[derive(Clone, Debug)]
enum Static {
    Any,
    /// Elements of one of these; none at all when the list is empty.
    Shapes(Vec<Shape>),
    System,
}

struct Compiler {
    options: Options,
}

type Typed = (Expr, Static);

impl Compiler {
    fn expr(&self, ast: &Ast, this: &Static) -> Result<Typed, Error> {
        Ok(match ast {
            Ast::Empty => (Expr::Empty, Static::Any),
            Ast::Literal(value) => (Expr::Literal(value.clone()), Static::System),
            Ast::Variable(name) => (Expr::Variable(Variable::named(name)), Static::Any),
            Ast::This => (Expr::This, this.clone()),
            Ast::Index => (Expr::Index, Static::System),
            Ast::Total => (Expr::Total, Static::Any),
            Ast::Negate(of) => (
                Expr::Negate(Box::new(self.expr(of, this)?.0)),
                Static::System,
            ),
            Ast::Plus(of) => (Expr::Plus(Box::new(self.expr(of, this)?.0)), Static::System),
            Ast::Path { base, steps } => self.path(base.as_deref(), steps, this)?,
            Ast::Chain { first, rest } => self.chain(first, rest, this)?,
        })
    }

    fn chain(
        &self,
        first: &Ast,
        rest: &[(Operator, Operand)],
        this: &Static,
    ) -> Result<Typed, Error> {
        let (mut expr, mut known) = self.expr(first, this)?;
        let mut parts = Vec::new();
        for (operator, operand) in rest {
            match operand {
                Operand::Type(name) => {
                    let test = self.type_test(name)?;
                    let step = self.type_step(*operator == Operator::Is, test);
                    known = self.narrowed(&step, test, known);
                    expr = with_step(expr, step);
                }
                Operand::Value(right) => {
                    let (right, of) = self.expr(right, this)?;
                    known = joined(*operator, known, of);
                    parts.push((*operator, right));
                }
            }
        }
        if parts.is_empty() {
            return Ok((expr, known));
        }
        if parts
            .iter()
            .all(|(operator, _)| *operator == Operator::Union)
        {
            let parts = parts.into_iter().map(|(_, part)| part);
            return Ok((union(expr, parts), known));
        }
        Ok((chained(expr, parts), known))
    }

    fn path(&self, base: Option<&Ast>, steps: &[AstStep], this: &Static) -> Result<Typed, Error> {
        if steps.len() > STEPS_MAX {
            let at = steps.first().map_or(0, |step| step.at);
            return Err(Error::at(ErrorKind::TooCostly, at, "the path is too long"));
        }
        let (base, mut known) = match base {
            Some(base) => {
                let (base, known) = self.expr(base, this)?;
                (Some(base), known)
            }
            None => (None, this.clone()),
        };
        let mut out = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            let start = at == 0 && base.is_none();
            let (step, next) = self.step(step, start, &known, this)?;
            if start && matches!(&next, Static::Shapes(shapes) if shapes.is_empty()) {
                return Ok((Expr::Empty, Static::Shapes(Vec::new())));
            }
            self.check_order(out.last(), &step, steps.get(at))?;
            push_step(&mut out, step);
            known = next;
        }
        let path = Path { base, steps: out };
        Ok((Expr::Path(Box::new(path)), known))
    }

    fn step(
        &self,
        step: &AstStep,
        start: bool,
        input: &Static,
        this: &Static,
    ) -> Result<(Step, Static), Error> {
        match &step.kind {
            AstStepKind::Member(name) => {
                if start && let Some(found) = self.start(name, step.at, input)? {
                    return Ok(found);
                }
                self.member(name, step.at, input)
            }
            AstStepKind::Index(index) => {
                let (index, _) = self.expr(index, this)?;
                Ok((Step::Index(index), input.clone()))
            }
            AstStepKind::Call(name, arguments) => self.call(name, step.at, arguments, input, this),
        }
    }

    /// A path that starts with the name of a type
    /// (<http://hl7.org/fhirpath/N1/#path-selection>).
    fn start(
        &self,
        name: &str,
        at: usize,
        input: &Static,
    ) -> Result<Option<(Step, Static)>, Error> {
        let upper = name.starts_with(|first: char| first.is_ascii_uppercase());
        let Some(ty) = r4().type_named(name).filter(|_| upper) else {
            return Ok(None);
        };
        let test = TypeTest::new(Some(ty), None);
        let shapes = match input {
            Static::Any => vec![Shape::of_type(ty)],
            Static::System => Vec::new(),
            Static::Shapes(shapes) => shapes.iter().filter_map(|s| met(*s, ty)).collect(),
        };
        if shapes.is_empty() && self.options.strict {
            let message = format!("the context is no {name}");
            return Err(Error::semantic(at, message));
        }
        Ok(Some((Step::Start(test), Static::Shapes(shapes))))
    }

    fn member(&self, name: &str, at: usize, input: &Static) -> Result<(Step, Static), Error> {
        let mut member = Member {
            name: name.to_owned(),
            known: None,
        };
        let Static::Shapes(shapes) = input else {
            return Ok((Step::Member(Box::new(member)), Static::Any));
        };
        let mut children = Vec::new();
        let mut open = false;
        for shape in shapes {
            let keys = keys_named(*shape, name);
            let fields: Vec<Field> = keys
                .iter()
                .filter_map(|key| Field::of(shape.parent, key))
                .collect();
            open |= keys.is_empty() && is_open(*shape);
            if member.known.is_none() && !keys.is_empty() {
                member.known = Some(Known {
                    parent: shape.parent,
                    fields: fields.clone(),
                });
            }
            for field in fields {
                if !children.contains(&field.shape) {
                    children.push(field.shape);
                }
            }
        }
        if member.known.is_none() && !open && self.options.strict {
            let message = format!("there is no element `{name}` here");
            return Err(Error::semantic(at, message));
        }
        let next = if open || children.is_empty() {
            Static::Any
        } else {
            Static::Shapes(children)
        };
        Ok((Step::Member(Box::new(member)), next))
    }

    fn call(
        &self,
        name: &str,
        at: usize,
        arguments: &[Ast],
        input: &Static,
        this: &Static,
    ) -> Result<(Step, Static), Error> {
        let Some((function, least, most)) = Function::named(name) else {
            return Err(Error::semantic(
                at,
                format!("there is no function `{name}`"),
            ));
        };
        if !(least..=most).contains(&arguments.len()) {
            let message = format!("`{name}` has another number of arguments");
            return Err(Error::semantic(at, message));
        }
        if let (Function::Type(function), [name]) = (function, arguments) {
            return self.type_call(function, at, name, input);
        }
        if let (Function::Lambda(Lambda::Where), [criteria]) = (function, arguments)
            && !criteria.mentions_index()
        {
            let (criteria, _) = self.expr(criteria, input)?;
            return Ok((Step::Where(criteria), input.clone()));
        }
        let this = if function.has_lambda() { input } else { this };
        let mut known = Static::Any;
        let mut call = Call {
            function,
            arguments: Vec::with_capacity(arguments.len()),
            pattern: None,
            descending: Vec::new(),
            type_only: false,
        };
        for argument in arguments {
            let (mut argument, mut descending) = (argument, false);
            if let (Ast::Negate(key), Function::Lambda(Lambda::Sort)) = (argument, function) {
                (argument, descending) = (&**key, true);
            }
            let (expr, of) = self.expr(argument, this)?;
            call.arguments.push(expr);
            call.descending.push(descending);
            known = of;
        }
        call.pattern = pattern(&call, at)?;
        if function.keeps_items() {
            known = input.clone();
        } else if function != Function::Lambda(Lambda::Select) {
            known = Static::Any;
        }
        Ok((Step::Call(Box::new(call)), known))
    }

    fn type_call(
        &self,
        function: TypeFunction,
        at: usize,
        name: &Ast,
        input: &Static,
    ) -> Result<(Step, Static), Error> {
        let test = self.type_test(&name.type_name(at)?)?;
        let step = match function {
            TypeFunction::OfType => Step::OfType(test),
            TypeFunction::Is => self.type_step(true, test),
            TypeFunction::As => self.type_step(false, test),
        };
        let known = self.narrowed(&step, test, input.clone());
        Ok((step, known))
    }

    fn type_step(&self, is: bool, test: TypeTest) -> Step {
        if is {
            Step::Is(test)
        } else if self.options.as_filters {
            Step::OfType(test)
        } else {
            Step::As(test)
        }
    }

    fn narrowed(&self, step: &Step, test: TypeTest, input: Static) -> Static {
        if matches!(step, Step::Is(_)) {
            return Static::System;
        }
        match (test.fhir, input) {
            (None, _) => Static::System,
            (Some(ty), Static::Shapes(shapes)) => {
                let narrowed: Vec<Shape> = shapes.iter().filter_map(|s| met(*s, ty)).collect();
                if narrowed.is_empty() {
                    return Static::Shapes(vec![Shape::of_type(ty)]);
                }
                Static::Shapes(narrowed)
            }
            (Some(ty), Static::Any | Static::System) => Static::Shapes(vec![Shape::of_type(ty)]),
        }
    }

    fn type_test(&self, name: &TypeName) -> Result<TypeTest, Error> {
        let namespace = name.namespace.as_deref();
        let fhir = match namespace {
            None | Some("FHIR") => r4().type_named(&name.name),
            Some(_) => None,
        };
        let system = match namespace {
            None | Some("System") => SystemType::named(&name.name),
            Some(_) => None,
        };
        // R4 has a type System.Patient in its tests: unknown there, but known in FHIR.
        let known = fhir.is_some() || system.is_some() || r4().type_named(&name.name).is_some();
        if !known {
            let message = format!("there is no type `{}`", name.name);
            return Err(Error::semantic(name.at, message));
        }
        Ok(TypeTest::new(fhir, system))
    }

    /// Positions in a collection without order mean nothing.
    fn check_order(
        &self,
        before: Option<&Step>,
        step: &Step,
        at: Option<&AstStep>,
    ) -> Result<(), Error> {
        let unordered = match before {
            Some(Step::Call(call)) => {
                matches!(call.function, Function::Children | Function::Descendants)
            }
            _ => false,
        };
        let positional = if let Step::Call(call) = step {
            call.function.is_positional()
        } else {
            matches!(step, Step::Index(_))
        };
        if self.options.strict && unordered && positional {
            let at = at.map_or(0, |step| step.at);
            return Err(Error::semantic(at, "the collection has no order"));
        }
        Ok(())
    }
}

/// The keys of an element by its FHIRPath name; `valueQuantity` is none.
pub(super) fn keys_named(shape: Shape, name: &str) -> &'static [Key] {
    let keys = r4().named(shape.parent, name);
    match keys.first() {
        Some(key) if r4().element(key.element).name == name => keys,
        _ => &[],
    }
}

/// May an element of this static type turn out to have more members?
fn is_open(shape: Shape) -> bool {
    r4().ty(shape.ty).kind == TypeKind::Abstract && r4().ty(shape.ty).name != "BackboneElement"
}

/// What an element of a shape is once it is known to be a `ty`, if it can be.
fn met(shape: Shape, ty: crate::definitions::TypeId) -> Option<Shape> {
    if r4().is_subtype(shape.ty, ty) {
        return Some(shape);
    }
    r4().is_subtype(ty, shape.ty).then(|| Shape::of_type(ty))
}

fn joined(operator: Operator, left: Static, right: Static) -> Static {
    if operator != Operator::Union {
        return Static::System;
    }
    match (left, right) {
        (Static::Shapes(mut left), Static::Shapes(right)) => {
            left.extend(right);
            Static::Shapes(left)
        }
        _ => Static::Any,
    }
}

fn pattern(call: &Call, at: usize) -> Result<Option<regex_lite::Regex>, Error> {
    let whole = call.function == Function::Text(Text::MatchesFull);
    let parts = [Text::Matches, Text::ReplaceMatches].map(Function::Text);
    if !whole && !parts.contains(&call.function) {
        return Ok(None);
    }
    let Some(Expr::Literal(Value::String(pattern))) = call.arguments.first() else {
        return Ok(None);
    };
    match text::regex(pattern, whole) {
        Ok(regex) => Ok(Some(regex)),
        Err(error) => Err(Error::semantic(at, error.message)),
    }
}
