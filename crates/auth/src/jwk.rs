//! Public keys as JSON: <https://www.rfc-editor.org/rfc/rfc7517>.
//!
//! Keys of kinds that we check nothing with are left out, as the RFC asks; a
//! private key in a set is refused, for it should never have left its owner.

use salus_crypto::signing::{Algorithm, Curve, PublicKey};
use salus_crypto::{base64url, from_base64url};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::Error;

const KEYS_MAX: usize = 20;
const KEY_ID_MAX: usize = 200;

/// The names of algorithms in JSON (RFC 7518, 3.1).
const NAMES: [(Algorithm, &str); 4] = [
    (Algorithm::Rs256, "RS256"),
    (Algorithm::Rs384, "RS384"),
    (Algorithm::Es256, "ES256"),
    (Algorithm::Es384, "ES384"),
];

/// The algorithm of a name.
#[must_use]
pub fn algorithm(name: &str) -> Option<Algorithm> {
    let known = NAMES.iter().find(|(_, known)| *known == name);
    known.map(|(algorithm, _)| *algorithm)
}

/// The name of an algorithm.
#[must_use]
pub fn algorithm_name(algorithm: Algorithm) -> &'static str {
    let known = NAMES.iter().find(|(known, _)| *known == algorithm);
    known.map_or("", |(_, name)| name)
}

/// A public key with what is said of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Jwk {
    /// Its name in the set.
    pub id: Option<Box<str>>,
    /// The only algorithm that it is for, if there is one.
    pub algorithm: Option<Algorithm>,
    /// The key.
    pub key: PublicKey,
}
salus_phi::guard!(Jwk);

/// A set of public keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Set", into = "Set")]
pub struct Jwks(Vec<Jwk>);

impl Jwks {
    /// A set of these.
    #[must_use]
    pub fn new(keys: Vec<Jwk>) -> Self {
        Self(keys)
    }

    /// Reads a set in JSON.
    ///
    /// # Errors
    /// When it is none, holds a private or a broken key, or no key of use.
    pub fn parse(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|_| REFUSED)
    }

    /// Those that a token could be checked with that names `id` and `algorithm`.
    pub fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Jwk> {
        self.0.iter().filter(move |jwk| {
            let named = id.is_none() || jwk.id.is_none() || jwk.id.as_deref() == id;
            named && jwk.key.fits(algorithm) && jwk.algorithm.is_none_or(|only| only == algorithm)
        })
    }
}

const REFUSED: Error = Error::Name {
    what: "jwks",
    form: "a JSON Web Key Set of 20 public keys at most, at least one of them RSA of 2048 bits or \
           more or of P-256 or P-384, for signing",
};

/// A set in its JSON form.
#[derive(Clone, Serialize, Deserialize)]
struct Set {
    keys: Vec<Raw>,
}

/// A key in its JSON form.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Raw {
    kty: String,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    /// Of a private key.
    #[serde(skip_serializing)]
    d: Option<IgnoredAny>,
    /// Of a shared secret.
    #[serde(skip_serializing)]
    k: Option<IgnoredAny>,
}

impl TryFrom<Set> for Jwks {
    type Error = &'static str;

    fn try_from(set: Set) -> Result<Self, Self::Error> {
        let private = |raw: &Raw| raw.d.is_some() || raw.k.is_some();
        if set.keys.len() > KEYS_MAX || set.keys.iter().any(private) {
            return Err("not a set of public keys");
        }
        let mut keys = Vec::new();
        for raw in set.keys {
            let signs = raw
                .purpose
                .as_deref()
                .is_none_or(|purpose| purpose == "sig");
            let algorithm = raw.alg.as_deref().map(algorithm);
            let (true, None | Some(Some(_))) = (signs, algorithm) else {
                continue;
            };
            let Some(key) = public_key(&raw)? else {
                continue;
            };
            let id = raw.kid.map(String::into_boxed_str);
            if id.as_ref().is_some_and(|id| id.len() > KEY_ID_MAX) {
                return Err("a key's name is too long");
            }
            keys.push(Jwk {
                id,
                algorithm: algorithm.flatten(),
                key,
            });
        }
        if keys.is_empty() {
            return Err("no key of use");
        }
        Ok(Self(keys))
    }
}

/// The key, if it is of a kind that we know.
fn public_key(raw: &Raw) -> Result<Option<PublicKey>, &'static str> {
    const BROKEN: &str = "a key is broken";
    let part = |text: &Option<String>| {
        let bytes = text.as_deref().and_then(from_base64url);
        bytes.ok_or(BROKEN)
    };
    let key = match (&*raw.kty, raw.crv.as_deref()) {
        ("EC", Some(name @ ("P-256" | "P-384"))) => {
            let curve = if name == "P-256" {
                Curve::P256
            } else {
                Curve::P384
            };
            let (x, y) = (part(&raw.x)?, part(&raw.y)?);
            if x.len() != y.len() {
                return Err(BROKEN);
            }
            PublicKey::Ec(curve, [x, y].concat().into())
        }
        ("RSA", _) => PublicKey::Rsa {
            n: part(&raw.n)?.into(),
            e: part(&raw.e)?.into(),
        },
        _ => return Ok(None),
    };
    if key.is_usable() {
        Ok(Some(key))
    } else {
        Err(BROKEN)
    }
}

impl From<Jwks> for Set {
    fn from(set: Jwks) -> Self {
        let keys = set.0.into_iter().map(raw).collect();
        Self { keys }
    }
}

fn raw(jwk: Jwk) -> Raw {
    let mut raw = Raw {
        purpose: Some("sig".to_owned()),
        alg: jwk
            .algorithm
            .map(|algorithm| algorithm_name(algorithm).to_owned()),
        kid: jwk.id.map(String::from),
        ..Raw::default()
    };
    match jwk.key {
        PublicKey::Ec(curve, point) => {
            let (x, y) = point.split_at(point.len() / 2);
            raw.kty = "EC".to_owned();
            let name = match curve {
                Curve::P256 => "P-256",
                Curve::P384 => "P-384",
            };
            raw.crv = Some(name.to_owned());
            raw.x = Some(base64url(x));
            raw.y = Some(base64url(y));
        }
        PublicKey::Rsa { n, e } => {
            raw.kty = "RSA".to_owned();
            raw.n = Some(base64url(&n));
            raw.e = Some(base64url(&e));
        }
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, keys: Option<usize>) {
        let read = Jwks::parse(json).ok();
        assert_eq!(read.as_ref().map(|set| set.0.len()), keys, "{json}");
        if let Some(set) = read {
            let text = serde_json::to_string(&set).unwrap();
            assert_eq!(Jwks::parse(&text).unwrap(), set);
        }
    }

    #[test]
    fn sets_hold_public_keys_for_signing() {
        let (x, y) = (base64url(&[1; 32]), base64url(&[2; 32]));
        let good = format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#);
        check(&format!(r#"{{"keys":[{{{good}}}]}}"#), Some(1));
        check(
            &format!(r#"{{"keys":[{{{good},"use":"sig","kid":"a","more":{{}}}}]}}"#),
            Some(1),
        );
        check(
            &format!(r#"{{"keys":[{{{good}}},{{"kty":"OKP","crv":"Ed25519"}}]}}"#),
            Some(1),
        );
        check(&format!(r#"{{"keys":[{{{good},"use":"enc"}}]}}"#), None);
        check(&format!(r#"{{"keys":[{{{good},"alg":"HS256"}}]}}"#), None);
        check(&format!(r#"{{"keys":[{{{good},"d":"AA"}}]}}"#), None);
        check(
            &format!(r#"{{"keys":[{{{good},"kid":"{}"}}]}}"#, "k".repeat(201)),
            None,
        );
        check(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#, None);
        check(r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, None);
        check(r#"{"keys":[]}"#, None);
        check("{}", None);
        check("", None);
        let n = base64url(&[0xff; 256]);
        let rsa = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB","alg":"RS384"}}"#);
        check(&format!(r#"{{"keys":[{rsa}]}}"#), Some(1));
        let many = vec![rsa; 21].join(",");
        check(&format!(r#"{{"keys":[{many}]}}"#), None);
    }

    #[test]
    fn a_key_is_chosen_by_name_and_algorithm() {
        let rsa = |id: &str, algorithm| Jwk {
            id: Some(id.into()),
            algorithm,
            key: PublicKey::Rsa {
                n: vec![0xff; 256].into(),
                e: vec![1, 0, 1].into(),
            },
        };
        let set = Jwks::new(vec![rsa("a", None), rsa("b", Some(Algorithm::Rs384))]);
        let count = |id, algorithm| set.candidates(id, algorithm).count();
        assert_eq!(count(None, Algorithm::Rs384), 2);
        assert_eq!(count(Some("b"), Algorithm::Rs384), 1);
        assert_eq!(count(Some("b"), Algorithm::Rs256), 0);
        assert_eq!(count(Some("c"), Algorithm::Rs256), 0);
        assert_eq!(count(None, Algorithm::Es256), 0);
    }
}
