//! Canonical references: `url`, or `url|version`
//! (<https://hl7.org/fhir/R4/references.html#canonical>).
//!
//! One without a version means the newest that is there. In the index a
//! reference with a version stands a second time without it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use salus_fhir::definitions;
use salus_fhir::mask::Hidden;
use salus_store::{Filter, Hit, Param, Row, Test, Value};

use crate::fhir::types::ResourceType;

/// URLs that are to be followed, with the version if one is named.
#[derive(Default)]
pub(super) struct Wanted(BTreeSet<(Box<str>, Option<Box<str>>)>);

/// Resources that are named by a parameter of others.
pub(super) struct Naming {
    param: Param,
    /// With each URL the version of the resource.
    named: BTreeSet<(Box<str>, Option<Box<str>>)>,
}

/// Whether the URLs of resources of a type are hidden.
pub(super) fn hides_url(hidden: &Hidden, ty: ResourceType) -> bool {
    let url = definitions::r4().search_parameter(ty.name, "url");
    url.is_some_and(|url| hidden.is_read_by(ty.name, url))
}

/// Whether resources of a type have a canonical URL.
pub(super) fn has_url(ty: ResourceType) -> bool {
    definitions::r4().search_parameter(ty.name, "url").is_some()
}

/// The parameters that hold URL and version of resources of a type.
pub(super) fn params(ty: ResourceType) -> [Param; 2] {
    ["url", "version"].map(|code| Param::named(ty.name, code))
}

/// The canonical references among the values of a parameter.
pub(super) fn uris(rows: &[Row], param: Param) -> Vec<&str> {
    let own = rows.iter().filter(|row| row.param == param);
    own.filter_map(|row| text(&row.value)).collect()
}

impl Wanted {
    /// Adds the canonical references of one resource.
    pub(super) fn add(&mut self, uris: &[&str]) {
        for uri in uris {
            if let Some((url, version)) = uri.split_once('|') {
                self.0.insert((url.into(), Some(version.into())));
            } else if !is_with_version(uris, uri) {
                self.0.insert(((*uri).into(), None));
            }
        }
    }

    /// Resources with these URLs, of whatever version.
    pub(super) fn filter(&self, ty: ResourceType) -> Filter {
        let [url, _] = params(ty);
        let urls: BTreeSet<&str> = self.0.iter().map(|(url, _)| &**url).collect();
        let tests = urls.into_iter().map(|it| Test::UriIs(it.into()));
        Filter::Any(tests.map(|test| Filter::Value(url, test)).collect())
    }

    /// Resources with these URLs and versions: one of any version, where none
    /// is named.
    pub(super) fn of_versions(&self, ty: ResourceType) -> Filter {
        let [url_param, version_param] = params(ty);
        let one = |(url, version): &(Box<str>, Option<Box<str>>)| {
            let url = Filter::Value(url_param, Test::UriIs(url.clone()));
            let Some(version) = version else {
                return url;
            };
            let (system, code) = (None, Some(version.clone()));
            let version = Filter::Value(version_param, Test::Token { system, code });
            Filter::All(vec![url, version])
        };
        Filter::Any(self.0.iter().map(one).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Of all with these URLs, those that are meant.
    pub(super) fn choose<'h>(&self, ty: ResourceType, hits: &'h [Hit]) -> Vec<&'h Hit> {
        let mut chosen = Vec::new();
        for (url, version) in &self.0 {
            let named = hits.iter().filter(|hit| url_of(ty, &hit.rows) == Some(url));
            match version {
                Some(version) => {
                    chosen.extend(named.filter(|hit| version_of(ty, &hit.rows) == Some(version)))
                }
                None => chosen.extend(named.max_by(|a, b| {
                    let versions = [a, b].map(|hit| version_of(ty, &hit.rows).unwrap_or_default());
                    by_age(versions[0], versions[1]).then(a.record.seq.cmp(&b.record.seq))
                })),
            }
        }
        chosen
    }
}

impl Naming {
    pub(super) fn by(param: Param) -> Self {
        Self {
            param,
            named: BTreeSet::new(),
        }
    }

    pub(super) fn param(&self) -> Param {
        self.param
    }

    /// Adds a resource, of whose rows those of [`params`] are known.
    pub(super) fn add(&mut self, ty: ResourceType, rows: &[Row]) {
        if let Some(url) = url_of(ty, rows) {
            let version = version_of(ty, rows).map(Box::from);
            self.named.insert((url.into(), version));
        }
    }

    /// What names them, perhaps in another version; `None` if nothing can.
    pub(super) fn filter(&self) -> Option<Filter> {
        let urls: BTreeSet<&str> = self.named.iter().map(|(url, _)| &**url).collect();
        let tests = urls.into_iter().map(|url| Test::UriIs(url.into()));
        let any: Vec<_> = tests.map(|test| Filter::Value(self.param, test)).collect();
        (!any.is_empty()).then_some(Filter::Any(any))
    }

    /// What names one of them: in its version, or in none.
    pub(super) fn of_versions(&self) -> Option<Filter> {
        let mut urls: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (url, version) in &self.named {
            urls.entry(url).or_default().extend(version.as_deref());
        }
        let is = |test| Filter::Value(self.param, test);
        let one = |(url, versions): (&str, Vec<&str>)| {
            // With a version, a reference stands there without it too.
            let versioned = is(Test::UriBelow(format!("{url}|").into()));
            let versions = versions.into_iter();
            let named = versions.map(|it| is(Test::UriIs(format!("{url}|{it}").into())));
            let fits = [Filter::Not(versioned.into())].into_iter().chain(named);
            Filter::All(vec![
                is(Test::UriIs(url.into())),
                Filter::Any(fits.collect()),
            ])
        };
        let any: Vec<_> = urls.into_iter().map(one).collect();
        (!any.is_empty()).then_some(Filter::Any(any))
    }

    /// Whether one of these rows names one of them: in its version, or in none.
    pub(super) fn accepts(&self, rows: &[Row]) -> bool {
        let uris = uris(rows, self.param);
        let is_named = |url: &str, version: Option<&str>| {
            let mut named = self.named.iter();
            named.any(|(own, has)| {
                **own == *url && version.is_none_or(|it| has.as_deref() == Some(it))
            })
        };
        uris.iter().any(|uri| match uri.split_once('|') {
            Some((url, version)) => is_named(url, Some(version)),
            None => !is_with_version(&uris, uri) && is_named(uri, None),
        })
    }
}

/// Whether a URL stands among others with a version too, and so was named with it.
fn is_with_version(uris: &[&str], url: &str) -> bool {
    let has_version = |uri: &&str| {
        let rest = uri.strip_prefix(url);
        rest.is_some_and(|rest| rest.starts_with('|'))
    };
    uris.iter().any(has_version)
}

fn url_of(ty: ResourceType, rows: &[Row]) -> Option<&str> {
    let [url, _] = params(ty);
    uris(rows, url).first().copied()
}

fn version_of(ty: ResourceType, rows: &[Row]) -> Option<&str> {
    let [_, version] = params(ty);
    let own = rows.iter().find(|row| row.param == version)?;
    text(&own.value)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Uri(uri) => Some(uri),
        Value::Token { code, .. } if !code.is_empty() => Some(code),
        Value::Token { .. }
        | Value::String { .. }
        | Value::Date { .. }
        | Value::Number(_)
        | Value::Quantity { .. }
        | Value::Reference { .. }
        | Value::Composite(_)
        | Value::Words(_)
        | Value::Passage(_)
        | Value::Place(_) => None,
    }
}

/// A part of a version: its number, if it is one, and its text.
type Part = (Option<u64>, String);

/// Versions by age: numbers in them as numbers, the rest as text. None is the oldest.
fn by_age(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<Part> {
        let parts = text.split(['.', '-', '+', '_']);
        parts
            .map(|part| (part.parse().ok(), part.to_owned()))
            .collect()
    };
    let order = |(a, b): (&Part, &Part)| match (a.0, b.0) {
        (Some(a), Some(b)) => a.cmp(&b),
        // `1.0-beta` comes before `1.0.1`.
        (a_number, b_number) => a_number
            .is_some()
            .cmp(&b_number.is_some())
            .then(a.1.cmp(&b.1)),
    };
    let (a, b) = (parts(a), parts(b));
    let first = a.iter().zip(&b).map(order).find(|order| order.is_ne());
    first.unwrap_or_else(|| a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ascends(versions: &[&str]) {
        for pair in versions.windows(2) {
            assert_eq!(by_age(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(by_age(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn versions_have_an_age() {
        ascends(&["", "1", "1.0", "1.0.1", "1.2", "1.10", "2", "10.0.0"]);
        ascends(&["2019-05-01", "2019-10-01", "2020-01-01"]);
        ascends(&["1.0-beta", "1.0.0"]);
        assert_eq!(by_age("1.0", "1.0"), Ordering::Equal);
    }

    #[test]
    fn a_url_with_a_version_is_that_alone() {
        let mut wanted = Wanted::default();
        wanted.add(&["http://a|1", "http://a", "http://b"]);
        let all: Vec<_> = wanted
            .0
            .iter()
            .map(|(url, version)| (&**url, version.as_deref()))
            .collect();
        assert_eq!(all, [("http://a", Some("1")), ("http://b", None)]);
    }

    #[test]
    fn what_names_another_version_names_another() {
        let ty = ResourceType::named("Questionnaire").unwrap();
        let row = |param, value| Row { param, value };
        let [url, version] = params(ty);
        let token = |code: &str| Value::Token {
            system: "".into(),
            code: code.into(),
        };
        let param = Param::named("QuestionnaireResponse", "questionnaire");
        let mut naming = Naming::by(param);
        assert!(naming.filter().is_none());
        naming.add(
            ty,
            &[
                row(url, Value::Uri("http://q".into())),
                row(version, token("2")),
            ],
        );
        assert!(naming.filter().is_some());
        for (uris, expected) in [
            (&["http://q"][..], true),
            (&["http://q", "http://q|2"], true),
            (&["http://q", "http://q|1"], false),
            (&["http://other"], false),
            (&[], false),
        ] {
            let rows: Vec<Row> = uris
                .iter()
                .map(|uri| row(param, Value::Uri((*uri).into())))
                .collect();
            assert_eq!(naming.accepts(&rows), expected, "{uris:?}");
        }
    }
}
