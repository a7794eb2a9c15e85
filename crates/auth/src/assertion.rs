//! How a client proves who it is with a key of its own:
//! <https://www.rfc-editor.org/rfc/rfc7523>, section 3, as
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html>
//! narrows it: five minutes at most, and each assertion once.

use serde::Deserialize;

use crate::jwt::Jwt;
use crate::record::{Assertion, AuthMethod, Client, Saved, Status};
use crate::{Error, Refusal};

/// How far its end may lie ahead.
const LIFETIME_MAX_S: i64 = 300;
/// How far our clocks may differ.
const SKEW_S: i64 = 10;
const ID_BYTES_MAX: usize = 200;

/// What every assertion has to say.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    jti: String,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    iat: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Whose an assertion says it is: the client to read.
#[must_use]
pub fn claimed_client(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claimed {
        sub: String,
    }
    Jwt::parse(text)?
        .unproved::<Claimed>()
        .map(|claimed| claimed.sub)
}

/// The purposes of use that an assertion says its token is for, as they are written there: the
/// extension `hl7-b2b` (<https://hl7.org/fhir/us/udap-security/STU1/b2b.html>, 5.2.1.1). `None` if it
/// cannot be read.
#[must_use]
pub fn purposes(text: &str) -> Option<Vec<String>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Extended {
        extensions: Extensions,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Extensions {
        #[serde(rename = "hl7-b2b")]
        b2b: Business,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Business {
        purpose_of_use: Vec<String>,
    }
    let said = Jwt::parse(text)?.unproved::<Extended>()?;
    Some(said.extensions.b2b.purpose_of_use)
}

/// Checks the assertion of a client, as it was found. What is given back is to be
/// committed with what it was sent for, on the condition that it is new.
/// `audiences` are our own names.
///
/// # Errors
/// [`Error::Refused`].
pub fn check(
    client: Option<&Saved<Client>>,
    text: &str,
    audiences: &[String],
    now_ms: i64,
) -> Result<Saved<Assertion>, Error> {
    let client = client.ok_or(Error::Refused(Refusal::Unknown))?;
    let mismatch = Error::Refused(Refusal::Mismatch);
    let keys = match (client.value.status, client.value.auth, &client.value.jwks) {
        (Status::Suspended, ..) => return Err(Error::Refused(Refusal::Suspended)),
        (_, AuthMethod::PrivateKeyJwt, Some(keys)) => keys,
        _ => return Err(mismatch),
    };
    let proved = Jwt::parse(text).and_then(|jwt| {
        let candidates = keys.candidates(jwt.key_id(), jwt.algorithm());
        jwt.claims::<Claims>(candidates.map(|jwk| &jwk.key))
    });
    let Some(claims) = proved else {
        return Err(mismatch);
    };
    let ours = |name: &String| audiences.contains(name);
    let meant = match &claims.aud {
        Audience::One(name) => ours(name),
        Audience::Several(names) => names.len() <= 10 && names.iter().any(ours),
    };
    let named = *claims.iss == *client.id && *claims.sub == *client.id;
    let unique = (1..=ID_BYTES_MAX).contains(&claims.jti.len());
    if !(meant && named && unique) {
        return Err(mismatch);
    }
    if !in_time(&claims, now_ms.div_euclid(1000)) {
        return Err(Error::Refused(Refusal::Expired));
    }
    Ok(Assertion::used(&client.id, &claims.jti, claims.exp))
}

fn in_time(claims: &Claims, now_s: i64) -> bool {
    let begun = |at: Option<i64>| at.is_none_or(|at| at <= now_s.saturating_add(SKEW_S));
    let ahead = claims.exp.saturating_sub(now_s);
    ahead > 0 && ahead <= LIFETIME_MAX_S + SKEW_S && begun(claims.nbf) && begun(claims.iat)
}

#[cfg(test)]
mod tests {
    use salus_crypto::signing::{Algorithm, SigningKey};
    use serde_json::{Value, json};

    use super::*;
    use crate::Scopes;
    use crate::jwk::{Jwk, Jwks};
    use crate::jwt::sign;
    use crate::record::Registration;

    const AUDIENCE: &str = "https://fhir.example.org/auth/token";

    fn key(algorithm: Algorithm) -> SigningKey {
        let pkcs8 = SigningKey::generate(algorithm).unwrap();
        SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap()
    }

    fn client(key: &SigningKey) -> Saved<Client> {
        let jwk = Jwk {
            id: Some("k".into()),
            algorithm: None,
            key: key.public(),
        };
        let registration = Registration {
            auth: AuthMethod::PrivateKeyJwt,
            jwks: Some(Jwks::new(vec![jwk])),
            ..Registration::named("App", Scopes::default())
        };
        Client::registered("app", registration, None, 0).unwrap()
    }

    #[test]
    fn an_assertion_may_say_what_its_token_is_for() {
        let key = key(Algorithm::Es384);
        let said = |claims: Value| purposes(&sign(&key, "k", &claims).unwrap());
        let of = |purposes: Value| json!({"extensions": {"hl7-b2b": {"purpose_of_use": purposes}}});
        assert_eq!(said(json!({"iss": "a"})), Some(Vec::new()));
        assert_eq!(said(of(json!(["TREAT"]))), Some(vec!["TREAT".to_owned()]));
        assert_eq!(said(of(json!("TREAT"))), None);
    }

    #[track_caller]
    fn check_claims(change: impl Fn(&mut Value), good: bool) {
        let key = key(Algorithm::Es384);
        let client = client(&key);
        let mut claims = json!({
            "iss": "app", "sub": "app", "aud": AUDIENCE, "exp": 1_300, "jti": "1",
        });
        change(&mut claims);
        let text = sign(&key, "k", &claims).unwrap();
        let audiences = [AUDIENCE.to_owned()];
        let checked = check(Some(&client), &text, &audiences, 1_000_000);
        assert_eq!(checked.is_ok(), good, "{claims}");
    }

    #[test]
    fn assertions_are_short_lived_and_for_us() {
        check_claims(|_| (), true);
        check_claims(|claims| claims["aud"] = json!(["other", AUDIENCE]), true);
        check_claims(
            |claims| claims["aud"] = json!("https://other.example.org"),
            false,
        );
        check_claims(|claims| claims["aud"] = json!([]), false);
        check_claims(|claims| claims["exp"] = json!(1_000), false);
        check_claims(|claims| claims["exp"] = json!(1_311), false);
        check_claims(|claims| claims["exp"] = json!(i64::MAX), false);
        check_claims(|claims| claims["exp"] = json!(null), false);
        check_claims(|claims| claims["nbf"] = json!(1_011), false);
        check_claims(|claims| claims["iat"] = json!(900), true);
        check_claims(|claims| claims["jti"] = json!(""), false);
        check_claims(|claims| claims["jti"] = json!(null), false);
        check_claims(|claims| claims["iss"] = json!("other"), false);
        check_claims(|claims| claims["sub"] = json!("other"), false);
    }

    #[test]
    fn assertions_need_the_key_of_the_client() {
        let (right, wrong) = (key(Algorithm::Es256), key(Algorithm::Es256));
        let claims = json!({"iss": "app", "sub": "app", "aud": AUDIENCE, "exp": 1_200, "jti": "1"});
        let audiences = [AUDIENCE.to_owned()];
        let good = |key: &SigningKey, client: Option<&Saved<Client>>| {
            let text = sign(key, "k", &claims).unwrap();
            assert_eq!(claimed_client(&text).as_deref(), Some("app"));
            check(client, &text, &audiences, 1_000_000).is_ok()
        };
        let mut client = client(&right);
        assert!(good(&right, Some(&client)));
        assert!(!good(&wrong, Some(&client)));
        assert!(!good(&right, None));
        client.value.status = Status::Suspended;
        assert!(!good(&right, Some(&client)));
    }
}
