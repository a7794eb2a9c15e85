//! Tokens to an expression: <http://hl7.org/fhirpath/N1/#formal-specifications>.

use super::Error;
use super::ast::{Ast, AstStep, AstStepKind, LEVELS, Operand, Operator, TypeName};
use super::error::ErrorKind;
use super::item::Value;
use super::lex::{Token, TokenKind, tokens};
use super::quantity::{Quantity, Unit};
use rust_decimal::Decimal;

/// Longest expression in bytes.
const TEXT_MAX: usize = 32 * 1024;
/// Parentheses, arguments, indexes and signs inside each other.
const DEPTH_MAX: usize = 50;

/// Parses a whole expression.
pub(super) fn parse(text: &str) -> Result<Ast, Error> {
    if text.len() > TEXT_MAX {
        let message = "the expression is too long";
        return Err(Error::at(ErrorKind::TooCostly, TEXT_MAX, message));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let ast = parser.expression()?;
    if *parser.kind() != TokenKind::End {
        return Err(parser.refuse("expected an operator or the end"));
    }
    Ok(ast)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn expression(&mut self) -> Result<Ast, Error> {
        self.deeper()?;
        let ast = self.level(0)?;
        self.depth -= 1;
        Ok(ast)
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = "the expression is nested too deep";
            return Err(Error::at(ErrorKind::TooCostly, self.at(), message));
        }
        Ok(())
    }

    /// Operators of this precedence and all stronger ones.
    fn level(&mut self, level: usize) -> Result<Ast, Error> {
        let Some(operators) = LEVELS.get(level) else {
            return self.signed();
        };
        let first = self.level(level + 1)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(operators) {
            let operand = if matches!(operator, Operator::Is | Operator::As) {
                Operand::Type(self.type_name()?)
            } else {
                Operand::Value(self.level(level + 1)?)
            };
            rest.push((operator, operand));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let first = Box::new(first);
        Ok(Ast::Chain { first, rest })
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let word = self.kind().word()?;
        let (_, operator) = operators.iter().find(|(name, _)| *name == word)?;
        self.next += 1;
        Some(*operator)
    }

    fn signed(&mut self) -> Result<Ast, Error> {
        let negative = self.is("-");
        if !negative && !self.is("+") {
            return self.path();
        }
        self.next += 1;
        self.deeper()?;
        let operand = Box::new(self.signed()?);
        self.depth -= 1;
        Ok(if negative {
            Ast::Negate(operand)
        } else {
            Ast::Plus(operand)
        })
    }

    /// A term with the steps behind it.
    fn path(&mut self) -> Result<Ast, Error> {
        let mut steps = Vec::new();
        let base = match self.term()? {
            Term::Step(step) => {
                steps.push(step);
                None
            }
            Term::Value(ast) => Some(Box::new(ast)),
        };
        loop {
            let at = self.at();
            if self.skip(".") {
                steps.push(self.invocation()?);
            } else if self.skip("[") {
                let kind = AstStepKind::Index(self.expression()?);
                self.expect("]")?;
                steps.push(AstStep { at, kind });
            } else {
                break;
            }
        }
        match base {
            Some(base) if steps.is_empty() => Ok(*base),
            base => Ok(Ast::Path { base, steps }),
        }
    }

    fn term(&mut self) -> Result<Term, Error> {
        let value = match self.kind().clone() {
            TokenKind::Name(name) if name == "true" => Value::Boolean(true),
            TokenKind::Name(name) if name == "false" => Value::Boolean(false),
            TokenKind::Name(_) | TokenKind::Quoted(_) => return self.invocation().map(Term::Step),
            TokenKind::Integer(value) => return self.number(value.into(), true),
            TokenKind::Decimal(value) => return self.number(value, false),
            TokenKind::String(value) => Value::String(value.into()),
            TokenKind::Date(value) => Value::Date(value),
            TokenKind::DateTime(value) => Value::DateTime(value),
            TokenKind::Time(value) => Value::Time(value),
            TokenKind::Variable(name) => {
                self.next += 1;
                return Ok(Term::Value(Ast::Variable(name)));
            }
            TokenKind::Dollar(name) => return self.dollar(&name),
            TokenKind::Symbol(_) | TokenKind::End => return self.group(),
        };
        self.next += 1;
        Ok(Term::Value(Ast::Literal(value)))
    }

    fn dollar(&mut self, name: &str) -> Result<Term, Error> {
        let ast = match name {
            "this" => Ast::This,
            "index" => Ast::Index,
            "total" => Ast::Total,
            _ => return Err(self.refuse("expected $this, $index or $total")),
        };
        self.next += 1;
        Ok(Term::Value(ast))
    }

    fn group(&mut self) -> Result<Term, Error> {
        if self.skip("(") {
            let ast = self.expression()?;
            self.expect(")")?;
            return Ok(Term::Value(ast));
        }
        if self.skip("{") {
            self.expect("}")?;
            return Ok(Term::Value(Ast::Empty));
        }
        Err(self.refuse("expected a value, a name or `(`"))
    }

    /// A number, or a quantity when a unit follows.
    fn number(&mut self, value: Decimal, integer: bool) -> Result<Term, Error> {
        let at = self.at();
        self.next += 1;
        let unit = if let TokenKind::String(code) = self.kind() {
            Some(Unit::from_code(code.clone()))
        } else {
            self.kind().word().and_then(Unit::from_word)
        };
        let literal = match unit {
            Some(unit) => {
                self.next += 1;
                Value::Quantity(Box::new(Quantity { value, unit }))
            }
            None if integer => Value::Integer(
                i32::try_from(value)
                    .map_err(|_| Error::syntax(at, "an integer that is too large"))?,
            ),
            None => Value::Decimal(value),
        };
        Ok(Term::Value(Ast::Literal(literal)))
    }

    /// A member or a function.
    fn invocation(&mut self) -> Result<AstStep, Error> {
        let at = self.at();
        if let TokenKind::Dollar(_) = self.kind() {
            return Err(self.refuse("expected a name: $this, $index and $total start a path"));
        }
        let name = self.name()?;
        if !self.skip("(") {
            let kind = AstStepKind::Member(name);
            return Ok(AstStep { at, kind });
        }
        let mut arguments = Vec::new();
        if !self.is(")") {
            arguments.push(self.expression()?);
            while self.skip(",") {
                arguments.push(self.expression()?);
            }
        }
        self.expect(")")?;
        let kind = AstStepKind::Call(name, arguments);
        Ok(AstStep { at, kind })
    }

    fn type_name(&mut self) -> Result<TypeName, Error> {
        let at = self.at();
        let first = self.name()?;
        if !self.skip(".") {
            return Ok(TypeName {
                at,
                namespace: None,
                name: first,
            });
        }
        Ok(TypeName {
            at,
            namespace: Some(first),
            name: self.name()?,
        })
    }

    fn name(&mut self) -> Result<String, Error> {
        if let TokenKind::Name(name) | TokenKind::Quoted(name) = self.kind().clone() {
            self.next += 1;
            return Ok(name);
        }
        Err(self.refuse("expected a name"))
    }

    /// The last token is always `End`, and nothing goes past it.
    fn kind(&self) -> &TokenKind {
        self.tokens
            .get(self.next)
            .map_or(&TokenKind::End, |token| &token.kind)
    }

    fn at(&self) -> usize {
        let last = self.tokens.last();
        self.tokens
            .get(self.next)
            .or(last)
            .map_or(0, |token| token.at)
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.kind(), TokenKind::Symbol(found) if *found == symbol)
    }

    fn skip(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), Error> {
        if self.skip(symbol) {
            return Ok(());
        }
        Err(self.refuse(format!("expected `{symbol}`")))
    }

    fn refuse(&self, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::syntax(self.at(), message)
    }
}

/// What a path starts with.
enum Term {
    Step(AstStep),
    Value(Ast),
}
