//! `vault:URL/MOUNT/KEY?token=FILE`: a key of Vault's Transit engine wraps the root key.
//!
//! <https://developer.hashicorp.com/vault/api-docs/secret/transit>, with the id of the root key as
//! associated data. Instead of a token, `role=FILE&secret=FILE` sign in by AppRole each time.
//! `namespace=NAME` and `roots=FILE` as Vault has them. OpenBao answers alike.

use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use salus_crypto::{RootFault, WrapsRoot, base64, from_base64};
use salus_service::jobs::Origin;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::ask::{Answer, Service};
use super::{Error, Parts};

enum Proof {
    Token(PathBuf),
    Role { role: PathBuf, secret: PathBuf },
}

/// A key of Vault.
pub(super) struct Source {
    name: String,
    mount: String,
    key: String,
    proof: Proof,
    namespace: Option<String>,
    service: Service,
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (url, mut parts) = Parts::of(text);
        let path = "https://HOST:PORT/transit/KEY has to follow";
        let wrong = || Error::Part("vault", path);
        let start = url.find("://").ok_or_else(wrong)? + 3;
        let slash = start + url[start..].find('/').ok_or_else(wrong)?;
        let (origin, path) = url.split_at(slash);
        let (mount, key) = path[1..].rsplit_once('/').ok_or_else(wrong)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let segments = mount.split('/').chain([key]);
        let fits = |part: &str| !part.is_empty() && part != ".." && part.bytes().all(plain);
        if !segments.into_iter().all(fits) {
            return Err(wrong());
        }
        let origin = Origin::parse(origin).ok_or_else(wrong)?;
        let proof = match (
            parts.path("token"),
            parts.path("role"),
            parts.path("secret"),
        ) {
            (Some(token), None, None) => Proof::Token(token),
            (None, Some(role), Some(secret)) => Proof::Role { role, secret },
            _ => {
                let what = "token=FILE, or role=FILE and secret=FILE, have to name files";
                return Err(Error::Part("vault", what));
            }
        };
        let namespace = parts.take("namespace").map(str::to_owned);
        let service = Service::new(origin, parts.path("roots"))?;
        parts.end()?;
        Ok(Self {
            name: format!("vault:{url}"),
            mount: mount.to_owned(),
            key: key.to_owned(),
            proof,
            namespace,
            service,
        })
    }

    fn ask(&self, action: &str, question: &Value) -> Result<Value, RootFault> {
        let token = self.token()?;
        let path = format!("/v1/{}/{action}/{}", self.mount, self.key);
        let mut answer = self.send(&path, Some(&token), question)?;
        Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
    }

    fn token(&self) -> Result<Zeroizing<String>, RootFault> {
        let not_ready = |error: Error| RootFault::NotReady(error.to_string());
        match &self.proof {
            Proof::Token(path) => super::secret(path).map_err(not_ready),
            Proof::Role { role, secret } => {
                let role = super::secret(role).map_err(not_ready)?;
                let secret = super::secret(secret).map_err(not_ready)?;
                let question = json!({"role_id": role.as_str(), "secret_id": secret.as_str()});
                let answer = self.send("/v1/auth/approle/login", None, &question)?;
                let token = answer["auth"]["client_token"].as_str();
                let token = token.ok_or(RootFault::Garbled("no client_token"))?;
                Ok(Zeroizing::new(token.to_owned()))
            }
        }
    }

    fn send(
        &self,
        path: &str,
        token: Option<&Zeroizing<String>>,
        question: &Value,
    ) -> Result<Value, RootFault> {
        let body = Zeroizing::new(question.to_string());
        let answer = self.service.ask(|| {
            let mut request = Request::builder()
                .method(Method::POST)
                .uri(path)
                .header("content-type", "application/json")
                .header("x-vault-request", "true");
            if let Some(token) = token {
                request = request.header("x-vault-token", token.as_str());
            }
            if let Some(namespace) = &self.namespace {
                request = request.header("x-vault-namespace", namespace.as_str());
            }
            let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
            let odd = "its token has odd characters";
            request.map_err(|_| RootFault::NotReady(odd.to_owned()))
        })?;
        understood(&answer)
    }
}

impl WrapsRoot for Source {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap(&self, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault> {
        let about = base64(id.as_bytes());
        let question = json!({"plaintext": base64(key), "associated_data": about});
        let answer = self.ask("encrypt", &question)?;
        let wrapped = answer["ciphertext"].as_str();
        let wrapped = wrapped.filter(|text| text.starts_with("vault:v"));
        Ok(wrapped.ok_or(RootFault::Garbled("no ciphertext"))?.into())
    }

    fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, RootFault> {
        let wrapped = std::str::from_utf8(wrapped).ok();
        let wrapped = wrapped.filter(|text| text.starts_with("vault:v"));
        let wrapped = wrapped.ok_or(RootFault::WrongKey("it was not wrapped by Vault"))?;
        let about = base64(id.as_bytes());
        let question = json!({"ciphertext": wrapped, "associated_data": about});
        let answer = self.ask("decrypt", &question)?;
        let plain = answer["plaintext"].as_str().and_then(from_base64);
        super::key_of(plain.map(Zeroizing::new))
    }
}

/// What Vault says, or what its error means.
fn understood(answer: &Answer) -> Result<Value, RootFault> {
    if answer.status == StatusCode::OK {
        return Ok(answer.json());
    }
    let said = answer.json();
    let errors = said["errors"].as_array().into_iter().flatten();
    let says = |word: &str| {
        let mut errors = errors.clone().filter_map(Value::as_str);
        errors.any(|error| error.contains(word))
    };
    Err(match answer.status.as_u16() {
        403 => RootFault::NotAllowed("its policy refuses the token"),
        503 => RootFault::Unreachable("it is sealed or standing by"),
        404 => RootFault::Lost("there is no such mount or key"),
        400 if says("key not found") => RootFault::Lost("there is no such key"),
        400 if says("role or secret ID") => RootFault::NotAllowed("it does not know the AppRole"),
        400 if says("authentication failed") || says("invalid ciphertext") || says("version") => {
            RootFault::WrongKey("it was not wrapped by this key")
        }
        500..=599 => RootFault::Unreachable("its server failed"),
        _ => RootFault::Garbled("an error that is not known"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_it_answers_is_understood_as_something() {
        Answer::all_told("{\"errors\":[1,{}]}", |answer| understood(answer).is_ok());
    }
}
