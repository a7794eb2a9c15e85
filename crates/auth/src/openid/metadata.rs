//! A provider's description of itself:
//! <https://openid.net/specs/openid-connect-discovery-1_0.html>, sections 3 and 4.

use serde::Deserialize;

/// Values of a list that are read.
const LISTED_MAX: usize = 200;

/// Where a provider's endpoints are, and what they take.
#[derive(Clone, Deserialize)]
pub struct Metadata {
    issuer: String,
    /// Where users are sent.
    pub authorization_endpoint: String,
    /// Where codes are traded.
    pub token_endpoint: String,
    /// Where its public keys are.
    pub jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}
salus_phi::guard!(Metadata);

impl Metadata {
    /// Where the description of an issuer is (4.1).
    #[must_use]
    pub fn url(issuer: &str) -> String {
        let place = issuer.strip_suffix('/').unwrap_or(issuer);
        format!("{place}/.well-known/openid-configuration")
    }

    /// Reads the description of an issuer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &[u8], issuer: &str) -> Result<Self, &'static str> {
        let read: Self = serde_json::from_slice(json)
            .map_err(|_| "its description is not that of an OpenID provider")?;
        // Letter by letter, or it could speak for another (4.3).
        if read.issuer != issuer {
            return Err("its description names another issuer");
        }
        let lists = [
            &read.token_endpoint_auth_methods_supported,
            &read.id_token_signing_alg_values_supported,
            &read.code_challenge_methods_supported,
        ];
        if lists
            .into_iter()
            .flatten()
            .any(|list| list.len() > LISTED_MAX)
        {
            return Err("its description is too long");
        }
        if !listed(read.code_challenge_methods_supported.as_ref(), "S256", true) {
            return Err("it takes no PKCE with S256");
        }
        Ok(read)
    }

    /// Whether it takes a secret as Basic authentication, which all do that say nothing
    /// else (OpenID Connect Core, 9).
    #[must_use]
    pub fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        let post_only = listed(methods, "client_secret_post", false)
            && !listed(methods, "client_secret_basic", false);
        !post_only
    }

    /// Whether it says that it signs with this algorithm, or says nothing.
    #[must_use]
    pub fn signs_with(&self, algorithm: &str) -> bool {
        let algorithms = self.id_token_signing_alg_values_supported.as_ref();
        listed(algorithms, algorithm, true)
    }

    /// Whether each of its answers names it (RFC 9207, 3).
    #[must_use]
    pub fn names_itself(&self) -> bool {
        self.authorization_response_iss_parameter_supported
    }
}

fn listed(list: Option<&Vec<String>>, value: &str, otherwise: bool) -> bool {
    list.map_or(otherwise, |list| list.iter().any(|one| one == value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.example.org/a";

    fn read(change: impl Fn(&mut Value)) -> Result<Metadata, &'static str> {
        let mut value = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.org/a/authorize",
            "token_endpoint": "https://id.example.org/a/token",
            "jwks_uri": "https://id.example.org/a/jwks",
            "more": {"x": 1},
        });
        change(&mut value);
        Metadata::parse(value.to_string().as_bytes(), ISSUER)
    }

    #[test]
    fn a_description_is_of_its_issuer_to_the_letter() {
        assert!(read(|_| ()).is_ok());
        for other in ["https://id.example.org/a/", "https://id.example.org/A", ""] {
            assert!(read(|to| to["issuer"] = json!(other)).is_err(), "{other}");
        }
        assert!(read(|to| to["token_endpoint"] = json!(null)).is_err());
        assert!(read(|to| to["code_challenge_methods_supported"] = json!(["plain"])).is_err());
        assert!(Metadata::parse(b"<html>", ISSUER).is_err());
    }

    #[test]
    fn it_is_looked_for_below_the_issuer() {
        let expect = "https://id.example.org/a/.well-known/openid-configuration";
        assert_eq!(Metadata::url(ISSUER), expect);
        assert_eq!(Metadata::url(&format!("{ISSUER}/")), expect);
    }

    #[test]
    fn what_is_not_said_is_the_usual() {
        let usual = read(|_| ()).unwrap();
        assert!(usual.takes_basic() && usual.signs_with("ES256") && !usual.names_itself());
        let post = |methods: Value| {
            read(|to| to["token_endpoint_auth_methods_supported"] = methods.clone())
        };
        assert!(!post(json!(["client_secret_post"])).unwrap().takes_basic());
        let both = json!(["client_secret_post", "client_secret_basic"]);
        assert!(post(both).unwrap().takes_basic());
        let rsa = read(|to| to["id_token_signing_alg_values_supported"] = json!(["RS256"]));
        assert!(!rsa.unwrap().signs_with("ES256"));
    }
}
