//! The id token of a provider, checked for us as its client:
//! <https://openid.net/specs/openid-connect-core-1_0.html>, section 3.1.3.7.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwk::{Jwks, algorithm_name};
use crate::jwt::Jwt;
use crate::record::Email;

use super::Metadata;

/// How far our clocks may differ.
const SKEW_S: i64 = 60;
/// Core, 2.
const SUBJECT_BYTES_MAX: usize = 255;
const AUDIENCES_MAX: usize = 10;

/// What a token has to say for us.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// Who speaks.
    pub issuer: &'a str,
    /// What it calls us.
    pub client_id: &'a str,
    /// What we gave along.
    pub nonce: &'a str,
    /// When that was, in milliseconds since 1970 UTC.
    pub sent_ms: i64,
    /// How old the proof may be, if that was asked.
    pub max_age_s: Option<u32>,
}
salus_phi::guard!(Expected<'_>);

/// What a token told of who has signed in.
#[derive(Clone)]
pub struct Told {
    /// The issuer's name for them.
    pub subject: String,
    /// Their address, if the issuer has verified it.
    pub email: Option<Email>,
    /// What people call them, if that can be a name here.
    pub name: Option<String>,
    /// The class of the sign-in.
    pub acr: Option<String>,
    /// Its methods.
    pub amr: Vec<String>,
    /// When they proved who they are, in milliseconds since 1970 UTC.
    pub proved_ms: Option<i64>,
    /// All that was claimed.
    pub claims: Map<String, Value>,
}
salus_phi::guard!(Told);

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Not of the form of one, or signed in a way that proves nothing.
    Form,
    /// None of the issuer's keys is of this name: it may have new ones.
    Key,
    /// Not signed by the issuer.
    Signature,
    /// Of another issuer.
    Issuer,
    /// For somebody else.
    Audience,
    /// Too old, or of another time.
    Time,
    /// Of another sign-in.
    Nonce,
    /// It names nobody.
    Subject,
    /// It was asked for a newer proof.
    Age,
}

impl Wrong {
    /// The name of the rule, for the audit.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Form => "id token: form or algorithm",
            Self::Key => "id token: unknown key",
            Self::Signature => "id token: signature",
            Self::Issuer => "id token: issuer",
            Self::Audience => "id token: audience",
            Self::Time => "id token: time",
            Self::Nonce => "id token: nonce",
            Self::Subject => "id token: subject",
            Self::Age => "id token: age of the proof",
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    auth_time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Checks the token of a provider with its keys.
///
/// # Errors
/// The first thing that is wrong; [`Wrong::Key`] before all others.
pub fn check(
    text: &str,
    (metadata, keys): (&Metadata, &Jwks),
    expected: Expected<'_>,
    now_ms: i64,
) -> Result<Told, Wrong> {
    let jwt = Jwt::parse(text).ok_or(Wrong::Form)?;
    if !metadata.signs_with(algorithm_name(jwt.algorithm())) {
        return Err(Wrong::Form);
    }
    let mut candidates = keys.candidates(jwt.key_id(), jwt.algorithm()).peekable();
    if candidates.peek().is_none() {
        return Err(Wrong::Key);
    }
    let candidates = candidates.map(|jwk| &jwk.key);
    let claims: Map<String, Value> = jwt.claims(candidates).ok_or(Wrong::Signature)?;
    let standard = Value::Object(claims.clone());
    let standard: Claims = serde_json::from_value(standard).map_err(|_| Wrong::Form)?;
    check_claims(&standard, expected, now_ms.div_euclid(1000))?;
    Ok(told(standard, claims))
}

fn check_claims(claims: &Claims, expected: Expected<'_>, now_s: i64) -> Result<(), Wrong> {
    if claims.iss != expected.issuer {
        return Err(Wrong::Issuer);
    }
    let ours = |name: &String| name == expected.client_id;
    let meant = match &claims.aud {
        Audience::One(name) => ours(name),
        // Whoever else it is for, it was given to us.
        Audience::Several(names) => {
            let given = names.len() == 1 || claims.azp.is_some();
            given && names.len() <= AUDIENCES_MAX && names.iter().any(ours)
        }
    };
    if !meant || !claims.azp.as_ref().is_none_or(ours) {
        return Err(Wrong::Audience);
    }
    let soon_s = now_s.saturating_add(SKEW_S);
    let sent_s = expected.sent_ms.div_euclid(1000);
    let fresh = claims.exp > now_s.saturating_sub(SKEW_S)
        && claims.iat <= soon_s
        && claims.iat >= sent_s.saturating_sub(SKEW_S)
        && claims.nbf.is_none_or(|from_s| from_s <= soon_s);
    if !fresh {
        return Err(Wrong::Time);
    }
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if !salus_crypto::same(nonce.as_bytes(), expected.nonce.as_bytes()) {
        return Err(Wrong::Nonce);
    }
    if !(1..=SUBJECT_BYTES_MAX).contains(&claims.sub.len()) {
        return Err(Wrong::Subject);
    }
    let Some(max_age_s) = expected.max_age_s else {
        return Ok(());
    };
    // The issuer was asked on the way there, so it may be as old as the way is long.
    let oldest_s = sent_s.saturating_sub(i64::from(max_age_s) + SKEW_S);
    match claims.auth_time {
        Some(at_s) if at_s >= oldest_s && at_s <= soon_s => Ok(()),
        Some(_) | None => Err(Wrong::Age),
    }
}

fn told(standard: Claims, claims: Map<String, Value>) -> Told {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // Some providers write it as a text.
    let verified = matches!(
        claims.get("email_verified"),
        Some(Value::Bool(true)) | Some(Value::String(_))
    ) && text("email_verified").is_none_or(|said| said == "true");
    let email = text("email").filter(|_| verified);
    let name = text("name").map(str::trim);
    let name =
        name.filter(|name| (1..=200).contains(&name.len()) && !name.contains(char::is_control));
    let amr = claims.get("amr").and_then(Value::as_array);
    let amr = amr.into_iter().flatten().filter_map(Value::as_str);
    Told {
        subject: standard.sub,
        email: email.and_then(|text| Email::parse(text).ok()),
        name: name.map(str::to_owned),
        acr: text("acr").map(str::to_owned),
        amr: amr.map(str::to_owned).collect(),
        proved_ms: standard.auth_time.map(|at_s| at_s.saturating_mul(1000)),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use salus_crypto::signing::{Algorithm, SigningKey};
    use serde_json::json;

    use super::*;
    use crate::jwk::Jwk;
    use crate::jwt::sign;

    const ISSUER: &str = "https://id.example.org";
    const NOW_S: i64 = 1_000_000;

    fn key() -> SigningKey {
        let pkcs8 = SigningKey::generate(Algorithm::Es256).unwrap();
        SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap()
    }

    fn keys(key: &SigningKey) -> Jwks {
        Jwks::new(vec![Jwk {
            id: Some("k".into()),
            algorithm: None,
            key: key.public(),
        }])
    }

    fn metadata() -> Metadata {
        let text = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "", "token_endpoint": "", "jwks_uri": "",
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        Metadata::parse(text.to_string().as_bytes(), ISSUER).unwrap()
    }

    fn expected() -> Expected<'static> {
        Expected {
            issuer: ISSUER,
            client_id: "us",
            nonce: "n",
            sent_ms: NOW_S * 1000 - 5000,
            max_age_s: None,
        }
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "sub": "1", "aud": "us", "exp": NOW_S + 300, "iat": NOW_S,
            "nonce": "n",
        })
    }

    fn checked(claims: &Value, expected: Expected<'_>) -> Result<Told, Wrong> {
        let key = key();
        let text = sign(&key, "k", claims).unwrap();
        check(&text, (&metadata(), &keys(&key)), expected, NOW_S * 1000)
    }

    #[track_caller]
    fn claim(change: impl Fn(&mut Value), expect: Option<Wrong>) {
        let mut claims = claims();
        change(&mut claims);
        let wrong = checked(&claims, expected()).err();
        assert_eq!(wrong, expect, "{claims}");
    }

    #[test]
    fn a_token_is_of_its_issuer_for_us_now_and_of_this_sign_in() {
        claim(|_| (), None);
        claim(
            |to| to["iss"] = json!("https://id.example.org/"),
            Some(Wrong::Issuer),
        );
        claim(|to| to["iss"] = json!(null), Some(Wrong::Form));
        claim(|to| to["aud"] = json!("other"), Some(Wrong::Audience));
        claim(|to| to["aud"] = json!([]), Some(Wrong::Audience));
        claim(|to| to["aud"] = json!(["us"]), None);
        claim(
            |to| to["aud"] = json!(["us", "other"]),
            Some(Wrong::Audience),
        );
        let both = |azp: &'static str| {
            move |to: &mut Value| {
                to["aud"] = json!(["other", "us"]);
                to["azp"] = json!(azp);
            }
        };
        claim(both("us"), None);
        claim(both("other"), Some(Wrong::Audience));
        claim(|to| to["azp"] = json!("other"), Some(Wrong::Audience));
        claim(|to| to["exp"] = json!(NOW_S - 60), Some(Wrong::Time));
        claim(|to| to["exp"] = json!(NOW_S - 59), None);
        claim(|to| to["exp"] = json!(null), Some(Wrong::Form));
        claim(|to| to["iat"] = json!(NOW_S + 61), Some(Wrong::Time));
        claim(|to| to["iat"] = json!(NOW_S - 66), Some(Wrong::Time));
        claim(|to| to["iat"] = json!(i64::MIN), Some(Wrong::Time));
        claim(|to| to["iat"] = json!(null), Some(Wrong::Form));
        claim(|to| to["nbf"] = json!(NOW_S + 61), Some(Wrong::Time));
        claim(|to| to["nonce"] = json!("m"), Some(Wrong::Nonce));
        claim(|to| to["nonce"] = json!(null), Some(Wrong::Nonce));
        claim(|to| to["sub"] = json!(""), Some(Wrong::Subject));
        claim(
            |to| to["sub"] = json!("s".repeat(256)),
            Some(Wrong::Subject),
        );
        claim(|to| to["sub"] = json!(1), Some(Wrong::Form));
    }

    #[test]
    fn a_token_is_signed_by_a_key_of_its_issuer() {
        let (right, other) = (key(), key());
        let text = sign(&right, "k", &claims()).unwrap();
        let with = |text: &str, keys: &Jwks| {
            check(text, (&metadata(), keys), expected(), NOW_S * 1000).err()
        };
        assert_eq!(with(&text, &keys(&right)), None);
        assert_eq!(with(&text, &keys(&other)), Some(Wrong::Signature));
        let unnamed = sign(&right, "other", &claims()).unwrap();
        assert_eq!(with(&unnamed, &keys(&right)), Some(Wrong::Key));
        assert_eq!(with("", &keys(&right)), Some(Wrong::Form));
        let none = salus_crypto::base64url(br#"{"alg":"none"}"#);
        let body = salus_crypto::base64url(claims().to_string().as_bytes());
        assert_eq!(
            with(&format!("{none}.{body}."), &keys(&right)),
            Some(Wrong::Form)
        );
        // The issuer does not sign that way.
        let pkcs8 = SigningKey::generate(Algorithm::Es384).unwrap();
        let strange = SigningKey::from_pkcs8(Algorithm::Es384, &pkcs8).unwrap();
        let text = sign(&strange, "k", &claims()).unwrap();
        assert_eq!(with(&text, &keys(&strange)), Some(Wrong::Form));
    }

    #[track_caller]
    fn age(auth_time: Value, max_age_s: Option<u32>, good: bool) {
        let mut claims = claims();
        claims["auth_time"] = auth_time;
        let expected = Expected {
            max_age_s,
            ..expected()
        };
        let wrong = checked(&claims, expected).err();
        assert_eq!(wrong, (!good).then_some(Wrong::Age), "{claims}");
    }

    #[test]
    fn a_newer_proof_is_new() {
        age(json!(null), None, true);
        age(json!(null), Some(0), false);
        age(json!(NOW_S - 5), Some(0), true);
        age(json!(NOW_S - 66), Some(0), false);
        age(json!(NOW_S - 66), Some(60), true);
        age(json!(NOW_S + 61), Some(0), false);
    }

    #[test]
    fn only_what_the_issuer_has_verified_is_an_address() {
        let told = |change: fn(&mut Value)| {
            let mut claims = claims();
            claims["email"] = json!("Ada@example.org");
            claims["name"] = json!("Ada\nX");
            change(&mut claims);
            checked(&claims, expected()).unwrap()
        };
        assert!(told(|_| ()).email.is_none() && told(|_| ()).name.is_none());
        let email = |told: Told| told.email.map(|email| email.expose().to_owned());
        let ada = Some("ada@example.org".to_owned());
        assert_eq!(email(told(|to| to["email_verified"] = json!(true))), ada);
        assert_eq!(email(told(|to| to["email_verified"] = json!("true"))), ada);
        assert_eq!(
            email(told(|to| to["email_verified"] = json!("false"))),
            None
        );
        assert_eq!(email(told(|to| to["email_verified"] = json!(1))), None);
    }
}
