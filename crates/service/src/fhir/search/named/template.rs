//! The search of a named query, with places for its parameters.

use salus_fhir::issue::IssueType;
use salus_fhir::json::Node;
use salus_fhir::primitive::{DateTime, decimal};

use super::super::pairs;
use super::{faulty, refused};
use crate::error::Error;

/// Parameters of a request that a query may not set.
const OUTSIDE: [&str; 5] = ["_query", "_type", "_cursor", "_format", "_pretty"];

/// A parameter of a query.
pub(super) struct Input {
    pub(super) name: String,
    required: bool,
    repeats: bool,
    ty: String,
    /// Its values are those of a search parameter, with prefixes and `|`.
    searches: bool,
}

/// The parameters that a definition has for clients.
pub(super) fn inputs(definition: Node<'_>) -> Vec<Input> {
    let all = definition
        .get("parameter")
        .into_iter()
        .flat_map(Node::children);
    let inputs = all.filter_map(|parameter| {
        let text = |key: &str| parameter.get(key).and_then(Node::str);
        if text("use").is_none_or(|direction| direction != "in") {
            return None;
        }
        let least = parameter.get("min").and_then(Node::number);
        Some(Input {
            name: text("name")?.into_owned(),
            required: least.is_some_and(|least| least != "0"),
            repeats: text("max").is_some_and(|most| most != "1"),
            ty: text("type").unwrap_or_default().into_owned(),
            searches: text("searchType").is_some(),
        })
    });
    inputs.collect()
}

/// The parameters of the search with what was given in their places. One that
/// has a place for something that was not given is left out.
pub(super) fn fill(
    template: &str,
    inputs: &[Input],
    given: &[(String, String)],
) -> Result<Vec<(String, String)>, Error> {
    let mut values: Vec<(&str, Option<String>)> = Vec::with_capacity(inputs.len());
    for input in inputs {
        values.push((&input.name, input.value(given)?));
    }
    let mut filled = Vec::new();
    for (name, text) in pairs(template) {
        let plain = name.split_once(':').map_or(&*name, |(plain, _)| plain);
        if OUTSIDE.contains(&plain) || name.contains(['{', '}']) {
            return Err(faulty("has a parameter in its search that it may not have"));
        }
        if let Some(text) = fill_one(&text, &values)? {
            filled.push((name, text));
        }
    }
    Ok(filled)
}

/// `{name}` stands for a value, `{{` and `}}` for braces.
fn fill_one(text: &str, values: &[(&str, Option<String>)]) -> Result<Option<String>, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut missing = false;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            out.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let place = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let (name, after) = place.ok_or_else(|| faulty("has a brace by itself in its search"))?;
        let known = values.iter().find(|(known, _)| *known == name);
        let (_, value) =
            known.ok_or_else(|| faulty("has a place for what is no parameter of it"))?;
        match value {
            Some(value) => out.push_str(value),
            None => missing = true,
        }
        rest = after;
    }
    out.push_str(rest);
    Ok((!missing).then_some(out))
}

impl Input {
    /// What was given for it, as it is put into a value of the search.
    fn value(&self, given: &[(String, String)]) -> Result<Option<String>, Error> {
        let own = given.iter().filter(|(name, _)| *name == self.name);
        let mut parts: Vec<String> = Vec::new();
        for (_, text) in own {
            if self.searches {
                parts.extend(alternatives(text));
            } else if self.takes(text) {
                parts.push(literal(text));
            } else {
                let details = format!("the value of {} must be a {}", self.name, self.ty);
                return Err(refused(IssueType::Value, details));
            }
        }
        if parts.len() > 1 && !self.repeats {
            let details = format!("{} must have one value", self.name);
            return Err(refused(IssueType::Value, details));
        }
        if parts.is_empty() && self.required {
            let details = format!("the query needs {}", self.name);
            return Err(refused(IssueType::Required, details));
        }
        Ok((!parts.is_empty()).then(|| parts.join(",")))
    }

    /// Whether a text is of its type.
    fn takes(&self, text: &str) -> bool {
        match &*self.ty {
            "date" => DateTime::parse_date(text).is_some(),
            "dateTime" => DateTime::parse(text).is_some(),
            "instant" => DateTime::parse_instant(text).is_some(),
            "decimal" => decimal::is_valid(text),
            "integer" => text.parse::<i32>().is_ok(),
            "positiveInt" => text.parse::<i32>().is_ok_and(|number| number > 0),
            "unsignedInt" => text.parse::<i32>().is_ok_and(|number| number >= 0),
            "boolean" => matches!(text, "true" | "false"),
            _ => !text.is_empty(),
        }
    }
}

/// The alternatives of a value of a search, as they are.
fn alternatives(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    // What follows an escape must not be what follows it in the search.
    if escaped && let Some(part) = parts.last_mut() {
        part.push('\\');
    }
    parts
}

/// Text that means itself in any value.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ',' | '$' | '|') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, ty: &str, searches: bool) -> Input {
        Input {
            name: name.to_owned(),
            required: name.starts_with("must"),
            repeats: name.ends_with("many"),
            ty: ty.to_owned(),
            searches,
        }
    }

    fn filled(template: &str, given: &str) -> Result<String, String> {
        let inputs = [
            input("text", "string", false),
            input("from", "date", false),
            input("code", "string", true),
            input("codes-many", "string", true),
        ];
        let filled = fill(template, &inputs, &pairs(given));
        let texts = filled.map(|all| {
            let all = all
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"));
            all.collect::<Vec<_>>().join("&")
        });
        texts.map_err(|error| error.issues()[0].details.to_string())
    }

    #[track_caller]
    fn check(template: &str, given: &str, expected: &str) {
        assert_eq!(
            filled(template, given),
            Ok(expected.to_owned()),
            "{template} {given}"
        );
    }

    #[test]
    fn values_are_put_in_their_places() {
        check("a=1&b=x{text}y", "text=z", "a=1&b=xzy");
        check(
            "date=ge{from}&date=lt2021",
            "from=2020-01-01",
            "date=ge2020-01-01&date=lt2021",
        );
        check("a={text}&b={from}&c=1", "text=z", "a=z&c=1");
        check("code=http://x|{code}", "code=1", "code=http://x|1");
        check("code={code}", "code=http://x|1", "code=http://x|1");
        check(
            "code={codes-many}",
            "codes-many=1,2&codes-many=3",
            "code=1,2,3",
        );
        check("a={{x}}", "", "a={x}");
        check("a=b%26c={text}", "text=d", "a=b&c=d");
    }

    #[test]
    fn values_add_nothing() {
        check("name={text}", "text=a,b", r"name=a\,b");
        check("name={text}", "text=a%26gender=male", "name=a&gender=male");
        check("c={text}$gt5", r"text=a$b|c\d", r"c=a\$b\|c\\d$gt5");
        check("name={text}", "text={from}", "name={from}");
        check("c={code},2", r"code=1\", r"c=1\\,2");
    }

    #[track_caller]
    fn refuse(template: &str, given: &str, words: &str) {
        let details = filled(template, given).expect_err(template);
        assert!(details.contains(words), "{template} {given}: {details}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        refuse("a={from}", "from=ge2020", "must be a date");
        refuse("a={code}", "code=1,2", "one value");
        refuse("a={text}", "text=1&text=2", "one value");
        refuse("a={other}", "", "no parameter");
        refuse("a={text", "", "brace");
        refuse("a=text}", "", "brace");
        refuse("{text}=1", "text=name", "may not have");
        refuse("_query=other", "", "may not have");
        let inputs = [input("must", "string", false)];
        assert!(fill("a={must}", &inputs, &[]).is_err());
    }
}
