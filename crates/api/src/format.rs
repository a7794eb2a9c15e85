//! The format of an answer: `_format`, which comes first, or `Accept` with
//! its q values (<https://hl7.org/fhir/R4/http.html#mime-type>, RFC 9110, 12.5.1).
//!
//! Who asks for a generic type, such as `application/xml`, gets the answer
//! under that name. Who asks for nothing, or for anything, gets the format of
//! the body that was sent, JSON if there was none.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::{self, Document, write};
use salus_fhir::xml;

use crate::call::decoded;

/// A media type of FHIR resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Media {
    #[default]
    FhirJson,
    Json,
    TextJson,
    FhirXml,
    Xml,
    TextXml,
}

/// Their names, those of former releases last.
const NAMES: [(&str, Media); 8] = [
    ("application/fhir+json", Media::FhirJson),
    ("application/fhir+xml", Media::FhirXml),
    ("application/json", Media::Json),
    ("application/xml", Media::Xml),
    ("text/json", Media::TextJson),
    ("text/xml", Media::TextXml),
    ("application/json+fhir", Media::FhirJson),
    ("application/xml+fhir", Media::FhirXml),
];

impl Media {
    /// The type of a media type's name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let found = NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, media)| *media)
    }

    /// The one in a `Content-Type` or a range of `Accept`, unless it is for
    /// another version of FHIR.
    pub(crate) fn of(value: &str) -> Option<Self> {
        let (name, parameters) = value.split_once(';').unwrap_or((value, ""));
        is_our_version(parameters).then(|| Self::named(name.trim()))?
    }

    /// The one that `_format` names. A `+` that was not encoded has become a
    /// space.
    fn of_format(value: &str) -> Option<Self> {
        match value {
            "json" => Some(Self::FhirJson),
            "xml" => Some(Self::FhirXml),
            other => Self::of(&other.trim().replace(' ', "+")),
        }
    }

    pub(crate) fn is_xml(self) -> bool {
        match self {
            Self::FhirXml | Self::Xml | Self::TextXml => true,
            Self::FhirJson | Self::Json | Self::TextJson => false,
        }
    }

    /// As a `Content-Type`.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::FhirJson => "application/fhir+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::TextJson => "text/json; charset=utf-8",
            Self::FhirXml => "application/fhir+xml; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
            Self::TextXml => "text/xml; charset=utf-8",
        })
    }

    /// As a value of `_format` in a URL.
    fn code(self) -> &'static str {
        match self {
            Self::FhirJson => "json",
            Self::FhirXml => "xml",
            Self::Json => "application/json",
            Self::Xml => "application/xml",
            Self::TextJson => "text/json",
            Self::TextXml => "text/xml",
        }
    }

    /// A resource of ours, which is JSON, in this format.
    pub(crate) fn render(self, body: Bytes, pretty: bool) -> Result<Bytes, Issue> {
        if !self.is_xml() && !pretty {
            return Ok(body);
        }
        // What we wrote has no limit; a bundle is deeper than what is in it.
        let limits = json::Limits {
            bytes_max: usize::MAX,
            depth_max: 128,
            nodes_max: usize::MAX,
        };
        let Ok(document) = Document::parse(Vec::from(body.clone()), &limits) else {
            return match self.is_xml() {
                true => Err(Issue::error(IssueType::Exception, "", NO_XML)),
                false => Ok(body),
            };
        };
        if !self.is_xml() {
            return Ok(write::pretty(document.root()).into());
        }
        let layout = match pretty {
            true => xml::Layout::Lines,
            false => xml::Layout::Dense,
        };
        match xml::write(document.root(), layout) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                let details = format!("{NO_XML}: {}", error.rule);
                Err(Issue::error(IssueType::NotSupported, error.place, details))
            }
        }
    }
}

const NO_XML: &str = "the answer has no XML form; ask for application/fhir+json";

/// What the client wants of an answer's form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// None if it wants what is not served.
    pub(crate) media: Option<Media>,
    /// Laid out for people.
    pub(crate) pretty: bool,
    /// The `_format` that links to other pages need.
    pub(crate) format: Option<&'static str>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            media: Some(Media::default()),
            pretty: false,
            format: None,
        }
    }
}

impl Wanted {
    /// Reads it from a request.
    pub(crate) fn of(headers: &HeaderMap, query: &str) -> Self {
        let mut wanted = Self {
            media: accepted(headers),
            ..Self::default()
        };
        // What cannot be decoded is refused where parameters are read.
        for (name, value) in decoded(query).filter_map(Result::ok) {
            wanted.parameter(&name, &value);
        }
        wanted
    }

    /// Reads a parameter that may come in a form too.
    pub(crate) fn parameter(&mut self, name: &str, value: &str) {
        match name {
            "_format" => {
                self.media = Media::of_format(value);
                self.format = self.media.map(Media::code);
            }
            "_pretty" => self.pretty = value == "true",
            _ => {}
        }
    }
}

/// The format of a body that was sent.
pub(crate) fn sent(headers: &HeaderMap) -> Option<Media> {
    let value = headers.get(header::CONTENT_TYPE)?;
    Media::of(value.to_str().ok()?)
}

/// What `Accept` asks for: the best that is served, the first of equals, those
/// that are named before those that a wildcard stands for.
fn accepted(headers: &HeaderMap) -> Option<Media> {
    let usual = || sent(headers).unwrap_or_default();
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return Some(usual());
    }
    let (mut named, mut any) = (None, 0);
    // How much each of JSON and XML is wanted by name.
    let mut forms = [None, None];
    for range in ranges {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        let quality = quality(parameters);
        if matches!(name.trim(), "*/*" | "application/*" | "text/*") {
            any = any.max(quality);
        } else if let Some(media) = Media::of(range) {
            let form = &mut forms[usize::from(media.is_xml())];
            *form = (*form).max(Some(quality));
            if quality > 0 && named.is_none_or(|(best, _)| best < quality) {
                named = Some((quality, media));
            }
        }
    }
    let named = match named {
        Some((quality, media)) if quality >= any => return Some(media),
        named => named.map(|(_, media)| media),
    };
    // A wildcard leaves it to us, but for what it is better than.
    let is_worse = |media: &Media| forms[usize::from(media.is_xml())].is_some();
    let mut all = [usual(), Media::FhirJson, Media::FhirXml].into_iter();
    let any = (any > 0).then(|| all.find(|media| !is_worse(media)));
    any.flatten().or(named)
}

/// The q value in thousandths.
pub(crate) fn quality(parameters: &str) -> u32 {
    let mut named = parameters.split(';').filter_map(|p| p.split_once('='));
    let q = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let value = q.map(|(_, value)| value.trim().parse::<f32>());
    match value {
        None => 1000,
        Some(Ok(value)) if (0.0..=1.0).contains(&value) => (value * 1000.0).round() as u32,
        Some(_) => 0,
    }
}

/// <https://hl7.org/fhir/R4/http.html#version-parameter>
fn is_our_version(parameters: &str) -> bool {
    let mut named = parameters.split(';').filter_map(|p| p.split_once('='));
    named.all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("fhirVersion")
            || matches!(value.trim().trim_matches('"'), "4.0" | "4.0.1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, sent: &str, query: &str, expected: Option<Media>) {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::ACCEPT, accept), (header::CONTENT_TYPE, sent)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let found = Wanted::of(&headers, query).media;
        assert_eq!(found, expected, "{accept} {sent} {query}");
    }

    #[test]
    fn the_best_that_is_served_is_chosen() {
        for (accept, expected) in [
            ("", Some(Media::FhirJson)),
            ("*/*", Some(Media::FhirJson)),
            ("application/fhir+xml", Some(Media::FhirXml)),
            ("Application/FHIR+XML;charset=utf-8", Some(Media::FhirXml)),
            ("application/xml", Some(Media::Xml)),
            ("text/xml", Some(Media::TextXml)),
            ("application/json", Some(Media::Json)),
            ("application/json+fhir", Some(Media::FhirJson)),
            ("application/xml+fhir", Some(Media::FhirXml)),
            (
                "application/fhir+xml, application/fhir+json",
                Some(Media::FhirXml),
            ),
            (
                "application/fhir+xml;q=0.5, application/fhir+json;q=0.6",
                Some(Media::FhirJson),
            ),
            (
                "application/fhir+xml; q=0.9, */*;q=0.1",
                Some(Media::FhirXml),
            ),
            ("application/fhir+xml; q=0.1, */*", Some(Media::FhirJson)),
            (
                "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
                Some(Media::Xml),
            ),
            ("text/html, */*;q=0.1", Some(Media::FhirJson)),
            ("application/fhir+json;q=0, */*", Some(Media::FhirXml)),
            (
                "application/fhir+json;q=0.2, */*;q=0.3",
                Some(Media::FhirXml),
            ),
            (
                "application/fhir+json;q=0.2, text/xml;q=0.1, */*",
                Some(Media::FhirJson),
            ),
            ("text/turtle", None),
            ("application/fhir+xml;q=0", None),
            ("*/*;q=0", None),
            ("application/fhir+xml;q=high", None),
            (
                "application/fhir+json; fhirVersion=4.0",
                Some(Media::FhirJson),
            ),
            ("application/fhir+json; fhirVersion=3.0", None),
        ] {
            check(accept, "", "", expected);
        }
    }

    #[test]
    fn without_a_wish_the_answer_is_as_the_body() {
        check("", "application/fhir+xml", "", Some(Media::FhirXml));
        check("*/*", "text/xml; charset=utf-8", "", Some(Media::TextXml));
        check(
            "application/fhir+json",
            "text/xml",
            "",
            Some(Media::FhirJson),
        );
        check(
            "",
            "application/x-www-form-urlencoded",
            "",
            Some(Media::FhirJson),
        );
    }

    #[test]
    fn format_comes_before_accept() {
        let xml = "application/fhir+xml";
        for (query, expected) in [
            ("_format=json", Some(Media::FhirJson)),
            ("_format=application/json", Some(Media::Json)),
            ("_format=application/fhir%2Bjson", Some(Media::FhirJson)),
            ("_format=application/fhir+json", Some(Media::FhirJson)),
            ("a=b&_format=text/xml", Some(Media::TextXml)),
            ("_format=xml", Some(Media::FhirXml)),
            ("_format=ttl", None),
            ("_format=", None),
            ("_pretty=true", Some(Media::FhirXml)),
        ] {
            check(xml, "", query, expected);
        }
    }
}
