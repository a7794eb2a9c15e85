//! What clients send: a form without doublets, and proof of who they are.

use base64ct::{Base64, Encoding};
use http::{StatusCode, header};
use salus_service::Secret;
use salus_service::oauth::{Presented, Proof};

use crate::call::{Call, pairs};
use crate::failure::Failure;

/// The type of the only assertions there are (RFC 7523, 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Parameters of OAuth: each once at most, and empty is as good as absent
/// (RFC 6749, 3.1).
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The form in the body.
    pub(crate) async fn of(call: &mut Call) -> Result<Self, Failure> {
        let body = call.take_form().await?;
        let text = std::str::from_utf8(&body).map_err(|_| missing("the form is not UTF-8"))?;
        Self::parse(text)
    }

    /// Reads what is encoded as a form.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs(text)? {
            if found.iter().any(|(known, _)| *known == name) {
                return Err(missing("a parameter is there twice"));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    /// All that is there.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The values of all parameters whose names begin so.
    pub(super) fn beginning<'f>(&'f self, with: &'f str) -> impl Iterator<Item = &'f str> {
        let found = self
            .0
            .iter()
            .filter(move |(name, _)| name.starts_with(with));
        found.map(|(_, value)| &**value)
    }

    /// A parameter that is there and says something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }
}

/// Which client asks, and its proof.
pub(super) struct Credentials<'a> {
    id: Option<String>,
    secret: Option<Secret>,
    assertion: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// Those of a request; more than one proof is refused (RFC 6749, 2.3).
    pub(super) fn of(call: &Call, form: &'a Form) -> Result<Self, Failure> {
        let named = form.get("client_id");
        let assertion = match (
            form.get("client_assertion_type"),
            form.get("client_assertion"),
        ) {
            (None, None) => None,
            (Some(JWT_BEARER), Some(assertion)) => Some(assertion),
            _ => return Err(missing("client_assertion takes the type jwt-bearer")),
        };
        let in_form = form.get("client_secret").map(str::to_owned);
        let (id, secret) = match basic(call) {
            None => (named.map(str::to_owned), in_form),
            Some((id, secret)) => {
                if in_form.is_some() || named.is_some_and(|named| named != id) {
                    return Err(missing("send the client's id and secret in one way only"));
                }
                (Some(id), Some(secret))
            }
        };
        if assertion.is_some() && secret.is_some() {
            return Err(missing("send a secret or an assertion, not both"));
        }
        if assertion.is_none() && id.is_none() {
            return Err(missing("send client_id and client_secret"));
        }
        Ok(Self {
            id,
            secret: secret.map(Secret::new),
            assertion,
        })
    }

    /// For the service.
    pub(super) fn presented(&self) -> Presented<'_> {
        let proof = match (self.assertion, &self.secret) {
            (Some(assertion), _) => Proof::Assertion(assertion),
            (None, Some(secret)) => Proof::Secret(secret),
            (None, None) => Proof::None,
        };
        Presented {
            id: self.id.as_deref(),
            proof,
        }
    }
}

/// Id and secret of Basic authentication (RFC 6749, 2.3.1: both form-encoded).
fn basic(call: &Call) -> Option<(String, String)> {
    let (scheme, coded) = call.header(header::AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = Base64::decode_vec(coded.trim()).ok()?;
    let plain = String::from_utf8(plain).ok()?;
    let (id, secret) = plain.split_once(':')?;
    let decode = |text: &str| {
        form_urlencoded::parse(text.as_bytes())
            .next()
            .map(|(key, _)| key.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

/// `invalid_request`.
pub(super) fn missing(description: &'static str) -> Failure {
    Failure::OAuth(StatusCode::BAD_REQUEST, "invalid_request", description)
}
