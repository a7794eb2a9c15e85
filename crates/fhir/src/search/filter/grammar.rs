//! The text of a filter as an expression:
//! <https://hl7.org/fhir/R4/search_filter.html>.
//!
//! ```text
//! filter    = term *( ("and" / "or") term )
//! term      = path operator value / "not" "(" filter ")" / "(" filter ")"
//! path      = name [ ":" type / "[" type "]" / "[" filter "]" ] "." path / name
//! value     = a string of JSON, or all up to a space, ")" or "]"
//! ```
//!
//! `and` and `or` are taken from left to right, neither before the other, as
//! the specification has it: `a or b and c` is `(a or b) and c`. Its
//! `paramPath` has a filter in brackets before a `.`; a type in their place, or
//! behind `:`, is ours.

use std::borrow::Cow;

use crate::issue::{Issue, IssueType};
use crate::json::{Document, Limits};

/// A condition.
#[derive(Debug, PartialEq)]
pub(super) enum Expression<'t> {
    All(Vec<Expression<'t>>),
    Any(Vec<Expression<'t>>),
    Not(Box<Expression<'t>>),
    Compare(Box<Compare<'t>>),
}

/// A comparison of a parameter, perhaps at the end of a chain.
#[derive(PartialEq)]
pub(super) struct Compare<'t> {
    pub(super) links: Vec<Link<'t>>,
    pub(super) name: Word<'t>,
    pub(super) operator: Operator,
    pub(super) operator_at: usize,
    pub(super) value: Cow<'t, str>,
    pub(super) value_at: usize,
}
salus_phi::guard!(Compare<'_>);

/// A reference that is followed.
#[derive(Debug, PartialEq)]
pub(super) struct Link<'t> {
    pub(super) name: Word<'t>,
    pub(super) to: Option<To<'t>>,
}

/// Where a reference has to lead.
#[derive(Debug, PartialEq)]
pub(super) enum To<'t> {
    Type(Word<'t>),
    Those(Expression<'t>),
}

/// A name, and the byte where it stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}
salus_phi::guard!(Word<'_>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Lt,
    Ge,
    Le,
    Ap,
    Sa,
    Eb,
    Pr,
    Po,
    Ss,
    Sb,
    In,
    Ni,
    Re,
}

/// All operators, as they are written.
pub(super) const OPERATORS: [(&str, Operator); 19] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("co", Operator::Co),
    ("sw", Operator::Sw),
    ("ew", Operator::Ew),
    ("gt", Operator::Gt),
    ("lt", Operator::Lt),
    ("ge", Operator::Ge),
    ("le", Operator::Le),
    ("ap", Operator::Ap),
    ("sa", Operator::Sa),
    ("eb", Operator::Eb),
    ("pr", Operator::Pr),
    ("po", Operator::Po),
    ("ss", Operator::Ss),
    ("sb", Operator::Sb),
    ("in", Operator::In),
    ("ni", Operator::Ni),
    ("re", Operator::Re),
];

/// Most parentheses and brackets, one inside the other.
const DEPTH_MAX: usize = 16;
/// Most comparisons of a filter.
const COMPARISONS_MAX: usize = 100;
/// Longest filter, in bytes.
const BYTES_MAX: usize = 16_384;

/// What is wrong, at which byte.
#[derive(PartialEq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) details: Cow<'static, str>,
}
salus_phi::guard!(Fault);

impl Fault {
    pub(super) fn issue(self, text: &str, code: IssueType) -> Issue {
        let before = text.get(..self.at).unwrap_or(text);
        let column = before.chars().count() + 1;
        let details = format!("column {column}: {}", self.details);
        Issue::error(code, "http._filter", details)
    }
}

/// Reads a filter.
pub(super) fn parse(text: &str) -> Result<Expression<'_>, Fault> {
    let mut parser = Parser {
        text,
        at: 0,
        comparisons: 0,
    };
    if text.len() > BYTES_MAX {
        return Err(parser.fault(format!("a filter of more than {BYTES_MAX} bytes")));
    }
    let expression = parser.expression(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.fault("must be and, or, or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    comparisons: usize,
}

impl<'t> Parser<'t> {
    fn expression(&mut self, depth: usize) -> Result<Expression<'t>, Fault> {
        if depth > DEPTH_MAX {
            return Err(self.fault(format!(
                "more than {DEPTH_MAX} parentheses or brackets deep"
            )));
        }
        let mut left = self.term(depth)?;
        loop {
            self.skip_spaces();
            let is_and = match self.word() {
                "and" => true,
                "or" => false,
                _ => return Ok(left),
            };
            self.at += if is_and { 3 } else { 2 };
            self.separated()?;
            let right = self.term(depth)?;
            left = match (left, is_and) {
                (Expression::All(mut all), true) => {
                    all.push(right);
                    Expression::All(all)
                }
                (Expression::Any(mut any), false) => {
                    any.push(right);
                    Expression::Any(any)
                }
                (left, true) => Expression::All(vec![left, right]),
                (left, false) => Expression::Any(vec![left, right]),
            };
        }
    }

    fn term(&mut self, depth: usize) -> Result<Expression<'t>, Fault> {
        self.skip_spaces();
        let start = self.at;
        let negated = self.word() == "not";
        if negated {
            self.at += "not".len();
            self.skip_spaces();
            if self.peek() != Some(b'(') {
                return Err(self.fault("not must be followed by ("));
            }
        }
        if self.peek() == Some(b'(') {
            self.at += 1;
            let inner = self.expression(depth + 1)?;
            self.expect(b')', "must be and, or, or )")?;
            return Ok(match negated {
                true => Expression::Not(inner.into()),
                false => inner,
            });
        }
        self.at = start;
        self.comparisons += 1;
        if self.comparisons > COMPARISONS_MAX {
            return Err(self.fault(format!("more than {COMPARISONS_MAX} comparisons")));
        }
        self.compare(depth).map(|it| Expression::Compare(it.into()))
    }

    fn compare(&mut self, depth: usize) -> Result<Compare<'t>, Fault> {
        let mut links = Vec::new();
        let name = loop {
            let name = self.name("must be a search parameter, not or (")?;
            let to = self.to(depth)?;
            match (self.peek(), &to) {
                (Some(b'.'), _) => self.at += 1,
                (_, None) => break name,
                (_, Some(_)) => return Err(self.fault("must be . and the name of a parameter")),
            }
            links.push(Link { name, to });
        };
        self.separated()?;
        let operator_at = self.at;
        let operator = self.operator()?;
        self.separated()?;
        let value_at = self.at;
        Ok(Compare {
            links,
            name,
            operator,
            operator_at,
            value: self.value()?,
            value_at,
        })
    }

    /// What a reference has to lead to: `:Type`, `[Type]` or `[filter]`.
    fn to(&mut self, depth: usize) -> Result<Option<To<'t>>, Fault> {
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                self.name("must be a type").map(To::Type).map(Some)
            }
            Some(b'[') => {
                self.at += 1;
                let word = Word {
                    text: self.word(),
                    at: self.at,
                };
                let behind = self.text.as_bytes().get(self.at + word.text.len());
                if word.text.starts_with(|c: char| c.is_ascii_uppercase()) && behind == Some(&b']')
                {
                    self.at += word.text.len() + 1;
                    return Ok(Some(To::Type(word)));
                }
                let filter = self.expression(depth + 1)?;
                self.expect(b']', "must be and, or, or ]")?;
                Ok(Some(To::Those(filter)))
            }
            _ => Ok(None),
        }
    }

    fn name(&mut self, expected: &'static str) -> Result<Word<'t>, Fault> {
        let word = Word {
            text: self.word(),
            at: self.at,
        };
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !word.text.starts_with(begins) {
            return Err(self.fault(expected));
        }
        self.at += word.text.len();
        Ok(word)
    }

    fn operator(&mut self) -> Result<Operator, Fault> {
        let word = self.word();
        let known = OPERATORS.iter().find(|(text, _)| *text == word);
        let Some((text, operator)) = known else {
            let names = OPERATORS.map(|(text, _)| text).join(", ");
            return Err(self.fault(format!("must be an operator; allowed: {names}")));
        };
        self.at += text.len();
        Ok(*operator)
    }

    fn value(&mut self) -> Result<Cow<'t, str>, Fault> {
        if self.peek() == Some(b'"') {
            return self.quoted().map(Cow::Owned);
        }
        let rest = &self.text[self.at..];
        let ends = |c: char| c.is_whitespace() || matches!(c, ')' | ']');
        let text = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if text.is_empty() {
            return Err(self.fault("must be a value, or text in quotes"));
        }
        self.at += text.len();
        Ok(Cow::Borrowed(text))
    }

    /// A string of JSON.
    fn quoted(&mut self) -> Result<String, Fault> {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|b| {
            let found = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            found
        });
        let Some(end) = end else {
            return Err(self.fault("the quote that begins here does not end"));
        };
        let text = &rest[..end + 2];
        let document = Document::parse(text.as_bytes().to_vec(), &Limits::default());
        let string = document.ok().and_then(|document| {
            let string = document.root().str()?;
            Some(string.into_owned())
        });
        let string = string.ok_or_else(|| self.fault("must be a string as JSON writes it"))?;
        self.at += text.len();
        Ok(string)
    }

    fn expect(&mut self, wanted: u8, expected: &'static str) -> Result<(), Fault> {
        self.skip_spaces();
        if self.peek() != Some(wanted) {
            return Err(self.fault(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn separated(&mut self) -> Result<(), Fault> {
        let before = self.at;
        self.skip_spaces();
        if self.at == before {
            return Err(self.fault("must be a space"));
        }
        Ok(())
    }

    fn skip_spaces(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The letters, digits, `_` and `-` that come next.
    fn word(&self) -> &'t str {
        let rest = &self.text[self.at..];
        let ends = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        &rest[..rest.find(ends).unwrap_or(rest.len())]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, details: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            at: self.at,
            details: details.into(),
        }
    }
}
