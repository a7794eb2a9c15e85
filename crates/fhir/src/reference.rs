//! References as they are written: <https://hl7.org/fhir/R4/references.html#literal>.
//!
//! One text can mean a record of this server, of another, of the same bundle,
//! of the same resource, or a search; everything that follows a reference asks
//! this module which, so that all agree.

use crate::definitions;

/// What the text of `Reference.reference` points to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// A record of this server: `Patient/1`, `Patient/1/_history/2`, or the
    /// same behind one of its own base URLs.
    Local(Local<'a>),
    /// A resource elsewhere.
    Absolute {
        /// The whole URL.
        url: &'a str,
        /// The record it names, when the URL has the form of a FHIR server's.
        target: Option<Local<'a>>,
    },
    /// `urn:uuid:…` or `urn:oid:…`: a resource known by name only, such as
    /// another entry of the same bundle.
    Urn(&'a str),
    /// `#id`: a contained resource; an empty id is the container.
    Contained(&'a str),
    /// `Type?query`: the one record that a search finds
    /// (<https://hl7.org/fhir/R4/http.html#trules>).
    Conditional {
        /// The type searched.
        ty: &'a str,
        /// The parameters, as after the `?` of a URL.
        query: &'a str,
    },
}
salus_phi::guard!(Reference<'_>);

/// A record named by type and id, perhaps at one of its versions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Local<'a> {
    /// The resource type.
    pub ty: &'a str,
    /// The logical id.
    pub id: &'a str,
    /// The version, when the reference names one.
    pub version: Option<&'a str>,
}
salus_phi::guard!(Local<'_>);

impl<'a> Reference<'a> {
    /// Reads a literal reference. `None` if it has none of the forms, for
    /// example an unknown type or an id that is not one.
    ///
    /// `own_bases` are the URLs under which this server answers, without or
    /// with a slash at their end.
    #[must_use]
    pub fn parse<S: AsRef<str>>(text: &'a str, own_bases: &[S]) -> Option<Self> {
        if let Some(id) = text.strip_prefix('#') {
            return (id.is_empty() || is_id(id)).then_some(Self::Contained(id));
        }
        if text.starts_with("urn:") {
            return is_uri(text).then_some(Self::Urn(text));
        }
        if has_scheme(text) {
            return absolute(text, own_bases);
        }
        if let Some((ty, query)) = text.split_once('?') {
            let conditional = Self::Conditional { ty, query };
            return (is_resource_type(ty) && !query.is_empty()).then_some(conditional);
        }
        Local::parse(text).map(Self::Local)
    }

    /// The record of this server, if it is one.
    #[must_use]
    pub fn local(self) -> Option<Local<'a>> {
        match self {
            Self::Local(local) => Some(local),
            Self::Absolute { .. }
            | Self::Urn(_)
            | Self::Contained(_)
            | Self::Conditional { .. } => None,
        }
    }

    /// The type of what it points to, as far as the text tells.
    #[must_use]
    pub fn target_type(self) -> Option<&'a str> {
        match self {
            Self::Local(local) => Some(local.ty),
            Self::Absolute { target, .. } => target.map(|local| local.ty),
            Self::Conditional { ty, .. } => Some(ty),
            Self::Urn(_) | Self::Contained(_) => None,
        }
    }
}

impl<'a> Local<'a> {
    /// Reads `Type/id` or `Type/id/_history/version`.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (ty, rest) = text.split_once('/')?;
        let (id, version) = match rest.split_once('/') {
            None => (rest, None),
            Some((id, rest)) => (id, Some(rest.strip_prefix("_history/")?)),
        };
        let valid = is_id(id) && version.is_none_or(is_id) && is_resource_type(ty);
        valid.then_some(Self { ty, id, version })
    }
}

/// A canonical reference, `url|version#fragment`:
/// <https://hl7.org/fhir/R4/references.html#canonical>.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Canonical<'a> {
    /// The URL, without version and fragment.
    pub url: &'a str,
    /// The business version, when it names one.
    pub version: Option<&'a str>,
    /// The part of the resource, when it names one.
    pub fragment: Option<&'a str>,
}
salus_phi::guard!(Canonical<'_>);

impl<'a> Canonical<'a> {
    /// Takes the text apart; never fails, since any URI is a canonical one.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let (text, fragment) = match text.split_once('#') {
            Some((text, fragment)) => (text, Some(fragment)),
            None => (text, None),
        };
        let (url, version) = match text.split_once('|') {
            Some((url, version)) if !version.is_empty() => (url, Some(version)),
            Some((url, _)) => (url, None),
            None => (text, None),
        };
        Self {
            url,
            version,
            fragment,
        }
    }
}

/// Is this a logical id: 1 to 64 of `A-Z a-z 0-9 - .`
/// (<https://hl7.org/fhir/R4/datatypes.html#id>)?
#[must_use]
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// Is this the name of a resource type that can have instances?
#[must_use]
pub fn is_resource_type(name: &str) -> bool {
    // The cheap look at the first letter spares a hash for most other texts.
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && definitions::r4().resource_named(name).is_some()
}

fn absolute<'a, S: AsRef<str>>(text: &'a str, own_bases: &[S]) -> Option<Reference<'a>> {
    for base in own_bases {
        let base = base.as_ref().trim_end_matches('/');
        if base.is_empty() {
            continue;
        }
        if let Some(rest) = text.strip_prefix(base).and_then(|r| r.strip_prefix('/')) {
            // A URL below our own base that names no record is still a URL.
            if let Some(local) = Local::parse(rest) {
                return Some(Reference::Local(local));
            }
        }
    }
    is_uri(text).then(|| Reference::Absolute {
        url: text,
        target: tail(text),
    })
}

/// The `Type/id[/_history/version]` at the end of a URL.
fn tail(url: &str) -> Option<Local<'_>> {
    let stem = url.split_once("/_history/").map_or(url, |(stem, _)| stem);
    let (rest, _) = stem.rsplit_once('/')?;
    let start = rest.rfind('/')? + 1;
    Local::parse(url.get(start..)?)
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(plain)
    })
}

fn is_uri(text: &str) -> bool {
    !text
        .bytes()
        .any(|b| b.is_ascii_whitespace() || b.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: &[&str] = &["http://localhost:8080/fhir", "https://salus.example/fhir/"];

    #[track_caller]
    fn check(text: &str, expected: Option<Reference<'_>>) {
        assert_eq!(Reference::parse(text, OWN), expected, "{text}");
    }

    fn local<'a>(ty: &'a str, id: &'a str, version: Option<&'a str>) -> Local<'a> {
        Local { ty, id, version }
    }

    #[test]
    fn a_relative_reference_is_local() {
        check(
            "Patient/1",
            Some(Reference::Local(local("Patient", "1", None))),
        );
        check(
            "Patient/a-1.B/_history/7",
            Some(Reference::Local(local("Patient", "a-1.B", Some("7")))),
        );
    }

    #[test]
    fn our_own_base_makes_it_local_too() {
        for text in [
            "http://localhost:8080/fhir/Patient/1",
            "https://salus.example/fhir/Patient/1",
        ] {
            check(text, Some(Reference::Local(local("Patient", "1", None))));
        }
    }

    #[test]
    fn another_server_stays_absolute_and_tells_its_type() {
        let url = "http://localhost:8080/fhir2/Patient/1/_history/3";
        let target = Some(local("Patient", "1", Some("3")));
        check(url, Some(Reference::Absolute { url, target }));
        let url = "http://example.org/some/page";
        check(url, Some(Reference::Absolute { url, target: None }));
    }

    #[test]
    fn urns_fragments_and_searches() {
        let urn = "urn:uuid:b2c1a1de-0000-4000-8000-000000000001";
        check(urn, Some(Reference::Urn(urn)));
        check("#p1", Some(Reference::Contained("p1")));
        check("#", Some(Reference::Contained("")));
        let (ty, query) = ("Practitioner", "identifier=http://x|9/1");
        check(
            "Practitioner?identifier=http://x|9/1",
            Some(Reference::Conditional { ty, query }),
        );
    }

    #[test]
    fn anything_else_is_none_of_them() {
        for text in [
            "",
            "/",
            "Patient",
            "Patient/",
            "Patient/a b",
            "Patient/1/2",
            "Patient/1/_history/",
            "Patient?",
            "Martian/1",
            "HumanName/1",
            "DomainResource/1",
            "#a b",
            "urn:a b",
            "http://a b/Patient/1",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_canonical_may_carry_version_and_fragment() {
        let all = Canonical::parse("http://x/ValueSet/y|1.0#part");
        assert_eq!(
            (all.url, all.version, all.fragment),
            ("http://x/ValueSet/y", Some("1.0"), Some("part"))
        );
        assert_eq!(Canonical::parse("http://x|").version, None);
    }

    #[test]
    fn an_id_has_one_to_64_plain_characters() {
        assert!(is_id(&"a".repeat(64)));
        assert!(!is_id(&"a".repeat(65)));
        assert!(!is_id("") && !is_id("a_b") && !is_id("é"));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}", base in "\\PC{0,20}") {
            let _ = Reference::parse(&text, &[base.as_str()]);
            let _ = Canonical::parse(&text);
        }

        #[test]
        fn what_it_finds_is_what_was_written(id in "[A-Za-z0-9.-]{1,64}") {
            let text = format!("Observation/{id}");
            let expected = Reference::Local(local("Observation", &id, None));
            prop_assert_eq!(Reference::parse(&text, OWN), Some(expected));
        }
    }
}
