//! The expression as written, before names mean anything.

use super::Error;
use super::item::Value;

/// An expression.
#[derive(Clone)]
pub(super) enum Ast {
    /// `{}`
    Empty,
    Literal(Value<'static>),
    /// `%name`
    Variable(String),
    This,
    Index,
    Total,
    /// A chain of steps; without a base it starts at `$this`.
    Path {
        base: Option<Box<Ast>>,
        steps: Vec<AstStep>,
    },
    Negate(Box<Ast>),
    /// `+x`
    Plus(Box<Ast>),
    /// Operators of one level of precedence, applied from left to right. Flat, so that a long
    /// chain is not a deep tree.
    Chain {
        first: Box<Ast>,
        rest: Vec<(Operator, Operand)>,
    },
}
salus_phi::guard!(Ast);

/// One step of a path, with its place.
#[derive(Clone, Debug)]
pub(super) struct AstStep {
    pub(super) at: usize,
    pub(super) kind: AstStepKind,
}

#[derive(Clone)]
pub(super) enum AstStepKind {
    Member(String),
    Call(String, Vec<Ast>),
    Index(Ast),
}
salus_phi::guard!(AstStepKind);

/// The right side of an operator.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Value(Ast),
    Type(TypeName),
}

/// `Patient`, `FHIR.Patient` or `System.String`.
// No PHI: names of types.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TypeName {
    pub(super) at: usize,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// The binary operators.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operator {
    Arithmetic(Arithmetic),
    Concatenate,
    Is,
    As,
    Union,
    Order(Order),
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    In,
    Contains,
    Logic(Logic),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arithmetic {
    Multiply,
    Divide,
    Div,
    Mod,
    Add,
    Subtract,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
    Implies,
}

/// The binary operators by precedence, the weakest first
/// (<http://hl7.org/fhirpath/N1/#operator-precedence>).
pub(super) const LEVELS: [&[(&str, Operator)]; 10] = [
    &[("implies", Operator::Logic(Logic::Implies))],
    &[
        ("or", Operator::Logic(Logic::Or)),
        ("xor", Operator::Logic(Logic::Xor)),
    ],
    &[("and", Operator::Logic(Logic::And))],
    &[("in", Operator::In), ("contains", Operator::Contains)],
    &[
        ("=", Operator::Equal),
        ("~", Operator::Equivalent),
        ("!=", Operator::NotEqual),
        ("!~", Operator::NotEquivalent),
    ],
    &[
        ("<=", Operator::Order(Order::LessOrEqual)),
        ("<", Operator::Order(Order::Less)),
        (">=", Operator::Order(Order::GreaterOrEqual)),
        (">", Operator::Order(Order::Greater)),
    ],
    &[("|", Operator::Union)],
    &[("is", Operator::Is), ("as", Operator::As)],
    &[
        ("+", Operator::Arithmetic(Arithmetic::Add)),
        ("-", Operator::Arithmetic(Arithmetic::Subtract)),
        ("&", Operator::Concatenate),
    ],
    &[
        ("*", Operator::Arithmetic(Arithmetic::Multiply)),
        ("/", Operator::Arithmetic(Arithmetic::Divide)),
        ("div", Operator::Arithmetic(Arithmetic::Div)),
        ("mod", Operator::Arithmetic(Arithmetic::Mod)),
    ],
];

impl Ast {
    /// The type that an argument such as `FHIR.Patient` names.
    pub(super) fn type_name(&self, at: usize) -> Result<TypeName, Error> {
        let refused = || Error::semantic(at, "expected the name of a type");
        let Ast::Path { base: None, steps } = self else {
            return Err(refused());
        };
        let mut names = Vec::new();
        for step in steps {
            match &step.kind {
                AstStepKind::Member(name) => names.push(name.clone()),
                AstStepKind::Call(..) | AstStepKind::Index(_) => return Err(refused()),
            }
        }
        let name = names.pop().ok_or_else(refused)?;
        let namespace = names.pop();
        if !names.is_empty() {
            return Err(refused());
        }
        Ok(TypeName {
            at,
            namespace,
            name,
        })
    }

    /// Is `$index` anywhere in it?
    pub(super) fn mentions_index(&self) -> bool {
        match self {
            Ast::Index => true,
            Ast::Empty | Ast::Literal(_) | Ast::Variable(_) | Ast::This | Ast::Total => false,
            Ast::Negate(of) | Ast::Plus(of) => of.mentions_index(),
            Ast::Path { base, steps } => {
                base.as_deref().is_some_and(Ast::mentions_index)
                    || steps.iter().any(|step| match &step.kind {
                        AstStepKind::Member(_) => false,
                        AstStepKind::Index(index) => index.mentions_index(),
                        AstStepKind::Call(_, arguments) => {
                            arguments.iter().any(Ast::mentions_index)
                        }
                    })
            }
            Ast::Chain { first, rest } => {
                first.mentions_index()
                    || rest.iter().any(|(_, operand)| match operand {
                        Operand::Value(value) => value.mentions_index(),
                        Operand::Type(_) => false,
                    })
            }
        }
    }
}
