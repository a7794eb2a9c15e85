//! Functions on strings: <http://hl7.org/fhirpath/N1/#string-manipulation>. Positions count
//! characters.

use super::Error;
use super::encode;
use super::evaluate::{Frame, Items, Run};
use super::function::{Text, TextWith};
use super::item::{Item, Value};
use super::op::Call;
use super::singleton::{as_string, boolean, integer, string};
use regex_lite::{Regex, RegexBuilder};
use std::borrow::Cow;

/// Longest string that an expression may build, in bytes.
const TEXT_MAX: usize = 4 << 20;
/// Memory of one compiled regular expression, in bytes.
const REGEX_MAX: usize = 1 << 20;

/// Steps for working on so many bytes; an error when they are too many.
pub(super) fn cost(bytes: usize) -> Result<usize, Error> {
    if bytes > TEXT_MAX {
        return Err(Error::costly("the text has become too long"));
    }
    Ok(1 + bytes / 64)
}

/// A regular expression that runs in linear time; `.` matches line ends, too.
pub(super) fn regex(pattern: &str, whole: bool) -> Result<Regex, Error> {
    let anchored = match whole {
        true => Cow::Owned(format!(r"\A(?:{pattern})\z")),
        false => Cow::Borrowed(pattern),
    };
    RegexBuilder::new(&anchored)
        .dot_matches_new_line(true)
        .size_limit(REGEX_MAX)
        .build()
        .map_err(|_| Error::evaluation("not a regular expression"))
}

impl<'a> Run<'_, 'a> {
    pub(super) fn text(
        &self,
        function: Text,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        if function == Text::Join {
            return self.join(call, input, frame, out);
        }
        let Some(text) = as_string(input)? else {
            return Ok(());
        };
        self.charge(cost(text.len())?)?;
        match function {
            Text::Length => out.push(integer(text.chars().count())),
            Text::Lower => out.push(string(text.to_lowercase())),
            Text::Upper => out.push(string(text.to_uppercase())),
            Text::Trim => out.push(string(text.trim().to_owned())),
            Text::ToChars => {
                self.charge(text.len())?;
                out.extend(text.chars().map(|c| string(c.to_string())));
            }
            Text::Substring => self.substring(call, &text, frame, out)?,
            Text::Matches => self.matches(false, call, &text, frame, out)?,
            Text::MatchesFull => self.matches(true, call, &text, frame, out)?,
            Text::Replace => self.replace(false, call, &text, frame, out)?,
            Text::ReplaceMatches => self.replace(true, call, &text, frame, out)?,
            Text::With(function) => {
                if let Some(argument) = self.string_argument(call, 0, frame)? {
                    self.with_argument(function, &text, &argument, out)?;
                }
            }
            // Done above: it takes more than one text.
            Text::Join => {}
        }
        Ok(())
    }

    fn with_argument(
        &self,
        function: TextWith,
        text: &str,
        argument: &str,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let position = |at: Option<usize>| {
            let found = at.and_then(|at| i32::try_from(text.get(..at)?.chars().count()).ok());
            Item::Value(Value::Integer(found.unwrap_or(-1)))
        };
        match function {
            TextWith::Contains => out.push(boolean(text.contains(argument))),
            TextWith::StartsWith => out.push(boolean(text.starts_with(argument))),
            TextWith::EndsWith => out.push(boolean(text.ends_with(argument))),
            TextWith::IndexOf => out.push(position(text.find(argument))),
            TextWith::LastIndexOf => out.push(position(text.rfind(argument))),
            TextWith::Split if argument.is_empty() => out.push(string(text.to_owned())),
            TextWith::Split => {
                let parts = text.split(argument).map(|part| string(part.to_owned()));
                self.charge(text.len() / argument.len())?;
                out.extend(parts);
            }
            TextWith::Encode => out.extend(encode::encode(text, argument).map(string)),
            TextWith::Decode => out.extend(encode::decode(text, argument).map(string)),
            TextWith::Escape => out.extend(encode::escape(text, argument).map(string)),
            TextWith::Unescape => out.extend(encode::unescape(text, argument).map(string)),
        }
        Ok(())
    }

    fn join(
        &self,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        if input.is_empty() {
            return Ok(());
        }
        let separator = self.string_argument(call, 0, frame)?.unwrap_or_default();
        let mut joined = String::new();
        for (at, item) in input.iter().enumerate() {
            let Some(Value::String(part)) = item.value() else {
                return Err(Error::evaluation("join() expects strings"));
            };
            if at > 0 {
                joined.push_str(&separator);
            }
            joined.push_str(&part);
            self.charge(cost(joined.len())?.min(2) + part.len() / 64)?;
        }
        out.push(string(joined));
        Ok(())
    }

    fn substring(
        &self,
        call: &'a Call,
        text: &str,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let start = self.integer_argument(call, 0, frame)?;
        let Some(start) = start.and_then(|start| usize::try_from(start).ok()) else {
            return Ok(());
        };
        let Some((at, _)) = text.char_indices().nth(start) else {
            return Ok(());
        };
        let rest = text.get(at..).unwrap_or_default();
        let part: String = match self.integer_argument(call, 1, frame)? {
            Some(length) => rest
                .chars()
                .take(usize::try_from(length).unwrap_or(0))
                .collect(),
            None => rest.to_owned(),
        };
        out.push(string(part));
        Ok(())
    }

    fn matches(
        &self,
        whole: bool,
        call: &'a Call,
        text: &str,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        if let Some(regex) = &call.pattern {
            self.charge(text.len() / 8)?;
            out.push(boolean(regex.is_match(text)));
            return Ok(());
        }
        let Some(pattern) = self.string_argument(call, 0, frame)? else {
            return Ok(());
        };
        self.charge(100 + pattern.len() + text.len() / 8)?;
        let regex = regex(&pattern, whole)?;
        out.push(boolean(regex.is_match(text)));
        Ok(())
    }

    fn replace(
        &self,
        matches: bool,
        call: &'a Call,
        text: &str,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let pattern = self.string_argument(call, 0, frame)?;
        let by = self.string_argument(call, 1, frame)?;
        let (Some(pattern), Some(by)) = (pattern, by) else {
            return Ok(());
        };
        // Between all characters, in the worst case; a group may bring the whole text again.
        let growth = if matches && by.contains('$') {
            text.len()
                .saturating_mul(text.len().saturating_add(by.len()))
        } else if !matches && pattern.len() > 1 {
            text.matches(pattern.as_ref())
                .count()
                .saturating_mul(by.len())
        } else {
            text.len().saturating_add(1).saturating_mul(by.len())
        };
        self.charge(cost(text.len().saturating_add(growth))?)?;
        let replaced = match &call.pattern {
            _ if !matches => text.replace(pattern.as_ref(), &by),
            _ if pattern.is_empty() => text.to_owned(),
            Some(regex) => regex.replace_all(text, by.as_ref()).into_owned(),
            None => {
                self.charge(100 + pattern.len())?;
                let regex = regex(&pattern, false)?;
                regex.replace_all(text, by.as_ref()).into_owned()
            }
        };
        out.push(string(replaced));
        Ok(())
    }
}
