//! What the client prefers: `Prefer`, `_format`, `_pretty`, `Accept`.
//! <https://hl7.org/fhir/R4/http.html#ops>

use http::StatusCode;
use salus_service::fhir::{BundleOptions, Handling, Returns};

use crate::call::{Call, decoded};
use crate::failure::Failure;
use crate::format::Media;

/// What a write's answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// Nothing but headers.
    Minimal,
    /// The resource as it is now.
    Representation,
    /// An OperationOutcome.
    OperationOutcome,
}

/// A client's preferences.
pub(crate) struct Preferences {
    /// What the client said, if it did.
    pub(crate) returns: Option<Return>,
    pub(crate) handling: Handling,
    /// `respond-async` (RFC 7240, 4.1).
    pub(crate) asynchronous: bool,
    pub(crate) media: Media,
    pub(crate) pretty: bool,
}

const NOT_ACCEPTABLE: Failure = Failure::Http(
    StatusCode::NOT_ACCEPTABLE,
    "this server answers in application/fhir+json and application/fhir+xml",
);

const UNKNOWN_PREFERENCE: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "Prefer may have return=minimal, return=representation, return=OperationOutcome, handling=strict, \
     handling=lenient and respond-async; with handling=strict, nothing else",
);

const NOT_PRETTY: Failure = Failure::Http(StatusCode::BAD_REQUEST, "_pretty must be true or false");

impl Return {
    /// As it is preferred.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Minimal => "return=minimal",
            Self::Representation => "return=representation",
            Self::OperationOutcome => "return=OperationOutcome",
        }
    }
}

impl Preferences {
    /// Whether the client does not want to wait.
    pub(crate) fn is_asynchronous(headers: &http::HeaderMap) -> bool {
        let values = headers.get_all("prefer").iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let mut tokens = texts.flat_map(|text| text.split([',', ';']));
        tokens.any(|token| token.trim() == "respond-async")
    }

    /// Reads them, and refuses formats we do not have.
    pub(crate) fn of(call: &Call) -> Result<Self, Failure> {
        for pair in decoded(call.uri.query().unwrap_or_default()) {
            let (name, value) = pair?;
            if name == "_pretty" && !matches!(&*value, "true" | "false") {
                return Err(NOT_PRETTY);
            }
        }
        let mut preferences = Self {
            returns: None,
            handling: Handling::Strict,
            asynchronous: false,
            media: call.wanted.media.ok_or(NOT_ACCEPTABLE)?,
            pretty: call.wanted.pretty,
        };
        preferences.prefer(&call.headers)?;
        Ok(preferences)
    }

    /// The same for an answer that has a form of its own, or none.
    pub(crate) fn in_any_format(call: &Call) -> Self {
        Self {
            returns: None,
            handling: Handling::Strict,
            media: call.wanted.media.unwrap_or_default(),
            pretty: call.wanted.pretty,
            asynchronous: false,
        }
    }

    /// Of those that are there twice the first counts (RFC 7240, 2). Those that
    /// we do not know are ignored, unless the client asks us to be strict.
    fn prefer(&mut self, headers: &http::HeaderMap) -> Result<(), Failure> {
        let (mut handling, mut unknown) = (None, false);
        for value in headers.get_all("prefer") {
            // What is no text is nothing that we know.
            let tokens = value.to_str().unwrap_or("?").split([',', ';']);
            for token in tokens.map(str::trim).filter(|token| !token.is_empty()) {
                match token {
                    "return=minimal" => self.prefer_return(Return::Minimal),
                    "return=representation" => self.prefer_return(Return::Representation),
                    "return=OperationOutcome" => self.prefer_return(Return::OperationOutcome),
                    "respond-async" => self.asynchronous = true,
                    "handling=strict" => handling = handling.or(Some(Handling::Strict)),
                    "handling=lenient" => handling = handling.or(Some(Handling::Lenient)),
                    _ => unknown = true,
                }
            }
        }
        if unknown && handling == Some(Handling::Strict) {
            return Err(UNKNOWN_PREFERENCE);
        }
        self.handling = handling.unwrap_or(self.handling);
        Ok(())
    }

    fn prefer_return(&mut self, returns: Return) {
        self.returns = self.returns.or(Some(returns));
    }

    /// The same for the entries of a bundle.
    pub(crate) fn bundle_options(&self, idempotency_key: Option<String>) -> BundleOptions {
        BundleOptions {
            returns: match self.returns {
                None | Some(Return::Minimal) => Returns::Minimal,
                Some(Return::Representation) => Returns::Representation,
                Some(Return::OperationOutcome) => Returns::OperationOutcome,
            },
            handling: self.handling,
            idempotency_key,
        }
    }
}
