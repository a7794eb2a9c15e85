//! Tokens: <http://hl7.org/fhirpath/N1/#lexical-elements>.

use super::Error;
use crate::primitive::{DateTime, Time, decimal};
use rust_decimal::Decimal;

/// A token and the byte where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: TokenKind,
}

#[derive(Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A name or a keyword: the grammar lets most keywords be names too.
    Name(String),
    /// `` `name` ``, never a keyword.
    Quoted(String),
    /// `%name`
    Variable(String),
    /// `$this` and the like.
    Dollar(String),
    String(String),
    Integer(i64),
    Decimal(Decimal),
    Date(DateTime),
    DateTime(DateTime),
    Time(Time),
    /// Punctuation of one or two characters.
    Symbol(&'static str),
    End,
}
salus_phi::guard!(TokenKind);

impl TokenKind {
    /// What may be an operator or the word for a unit.
    pub(super) fn word(&self) -> Option<&str> {
        if let TokenKind::Name(name) = self {
            return Some(name);
        }
        if let TokenKind::Symbol(symbol) = self {
            return Some(symbol);
        }
        None
    }
}

const SYMBOLS: [&str; 22] = [
    "<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|",
    "=", "~", "<", ">",
];

/// All tokens of an expression, with `End` as the last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.space()?;
        let at = lexer.at;
        let kind = lexer.token()?;
        let end = kind == TokenKind::End;
        tokens.push(Token { at, kind });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes white space and comments.
    fn space(&mut self) -> Result<(), Error> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else {
                    return Err(Error::syntax(self.at, "a comment without its end"));
                };
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<TokenKind, Error> {
        let Some(first) = self.peek() else {
            return Ok(TokenKind::End);
        };
        match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Ok(TokenKind::Name(self.name().to_owned())),
            b'`' => Ok(TokenKind::Quoted(self.quoted('`')?)),
            b'"' => Ok(TokenKind::Quoted(self.quoted('"')?)),
            b'\'' => Ok(TokenKind::String(self.quoted('\'')?)),
            b'%' => self.variable(),
            b'$' => {
                self.at += 1;
                Ok(TokenKind::Dollar(self.name().to_owned()))
            }
            b'0'..=b'9' => self.number(),
            b'@' => self.moment(),
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Result<TokenKind, Error> {
        let rest = self.rest();
        let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
        let Some(symbol) = symbol else {
            return Err(Error::syntax(self.at, "a character that starts no token"));
        };
        self.at += symbol.len();
        Ok(TokenKind::Symbol(symbol))
    }

    fn name(&mut self) -> &'a str {
        self.take(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    fn take(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.bytes().take_while(|&byte| accept(byte)).count();
        self.at += len;
        rest.get(..len).unwrap_or("")
    }

    fn variable(&mut self) -> Result<TokenKind, Error> {
        self.at += 1;
        let name = match self.peek() {
            Some(b'`') => self.quoted('`')?,
            Some(b'\'') => self.quoted('\'')?,
            Some(b'"') => self.quoted('"')?,
            _ => self.bare_variable(),
        };
        if name.is_empty() {
            return Err(Error::syntax(self.at, "expected the name of a variable"));
        }
        Ok(TokenKind::Variable(name))
    }

    /// `%name`; R4 also writes `%vs-name` and `%ext-name` without quotes.
    fn bare_variable(&mut self) -> String {
        let name = self.name();
        let group = matches!(name, "vs" | "ext") && self.peek() == Some(b'-');
        if !group {
            return name.to_owned();
        }
        let rest = self.take(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        format!("{name}{rest}")
    }

    /// The text between two quotes, without escapes.
    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        while let Some(next) = self.rest().chars().next() {
            self.at += next.len_utf8();
            match next {
                '\\' => out.push(self.escape()?),
                next if next == quote => return Ok(out),
                next => out.push(next),
            }
        }
        Err(Error::syntax(start, "a quote without its end"))
    }

    fn escape(&mut self) -> Result<char, Error> {
        let at = self.at;
        let escape = self.rest().chars().next();
        self.at += escape.map_or(0, char::len_utf8);
        match escape {
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => {
                let first = self.unit()?;
                let mut units = vec![first];
                if (0xD800..0xDC00).contains(&first) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    units.push(self.unit()?);
                }
                let text = String::from_utf16(&units).ok();
                let value = text.and_then(|text| text.chars().next());
                value.ok_or_else(|| Error::syntax(at, "half a surrogate pair"))
            }
            Some(other) if !other.is_alphanumeric() => Ok(other),
            _ => Err(Error::syntax(at, "an unknown escape")),
        }
    }

    fn unit(&mut self) -> Result<u16, Error> {
        let digits = self.rest().get(..4).unwrap_or("");
        let value = u16::from_str_radix(digits, 16)
            .map_err(|_| Error::syntax(self.at, "expected four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }

    fn number(&mut self) -> Result<TokenKind, Error> {
        let start = self.at;
        self.digits();
        if let [b'.', b'0'..=b'9', ..] = self.rest().as_bytes() {
            self.at += 1;
            self.digits();
        }
        let text = &self.text[start..self.at];
        let stripped = text.trim_start_matches('0');
        let text = match stripped.as_bytes().first() {
            Some(b'0'..=b'9') => stripped,
            _ => &text[text.len() - stripped.len() - 1..],
        };
        if text.contains('.') {
            let value = decimal::parse(text);
            let value =
                value.ok_or_else(|| Error::syntax(start, "a decimal with too many digits"))?;
            return Ok(TokenKind::Decimal(value));
        }
        let value = text.parse();
        let value = value.map_err(|_| Error::syntax(start, "an integer that is too large"))?;
        Ok(TokenKind::Integer(value))
    }

    fn digits(&mut self) {
        self.take(|byte| byte.is_ascii_digit());
    }

    /// `@2015-02-04T14:34:28Z`, `@2015T`, `@T14:34`.
    fn moment(&mut self) -> Result<TokenKind, Error> {
        let start = self.at;
        self.at += 1;
        let invalid = || Error::syntax(start, "not a date or time");
        if self.peek() == Some(b'T') {
            self.at += 1;
            let text = self.clock();
            let time = Time::parse_partial(text).ok_or_else(invalid)?;
            if let Some(b'Z' | b'+' | b'-') = self.peek()
                && !self.zone().is_empty()
            {
                return Err(Error::syntax(start, "a time of day with a time zone"));
            }
            return Ok(TokenKind::Time(time));
        }
        self.date();
        if self.peek() != Some(b'T') {
            let date = DateTime::parse_date(&self.text[start + 1..self.at]);
            return Ok(TokenKind::Date(date.ok_or_else(invalid)?));
        }
        self.at += 1;
        if !self.clock().is_empty() {
            self.zone();
        }
        let value = DateTime::parse_partial(&self.text[start + 1..self.at]);
        Ok(TokenKind::DateTime(value.ok_or_else(invalid)?))
    }

    fn date(&mut self) {
        self.digits();
        for _ in 0..2 {
            if let [b'-', b'0'..=b'9', ..] = self.rest().as_bytes() {
                self.at += 1;
                self.digits();
            }
        }
    }

    fn clock(&mut self) -> &'a str {
        let start = self.at;
        self.digits();
        for separator in [b':', b':', b'.'] {
            match self.rest().as_bytes() {
                [next, b'0'..=b'9', ..] if *next == separator => {
                    self.at += 1;
                    self.digits();
                }
                _ => break,
            }
        }
        &self.text[start..self.at]
    }

    fn zone(&mut self) -> &'a str {
        let start = self.at;
        match self.rest().as_bytes() {
            [b'Z', ..] => self.at += 1,
            [b'+' | b'-', a, b, b':', c, d, ..]
                if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()) =>
            {
                self.at += 6;
            }
            _ => {}
        }
        &self.text[start..self.at]
    }
}
