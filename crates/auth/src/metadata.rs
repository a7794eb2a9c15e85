//! What a client says of itself when it registers: RFC 7591, 2;
//! <https://openid.net/specs/openid-connect-registration-1_0.html>, section 2; RFC 7592, 2.2.
//!
//! What is not known is left out, as RFC 7591, 2 asks, and never shown: no logo, no links.
//! What is known and cannot be had is refused, so that no client believes to have it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::jwk::Jwks;
use crate::jwt::Jwt;
use crate::oauth::{Code, Fault};
use crate::record::{AuthMethod, DynamicRegistration, GrantType, Registration};
use crate::{Error, Level, Scopes, Secret, Word};

const NAME_CHARS_MAX: usize = 60;
/// How people know a client that has given no name.
const NAMELESS: &str = "An app without a name";

/// What a client says of itself.
pub struct Metadata {
    /// What it is to be.
    pub registration: Registration,
    /// Which client it says it is, when it changes its registration.
    pub client_id: Option<String>,
    /// The secret that it says it has.
    pub secret: Option<Secret>,
}
salus_phi::guard!(Metadata);

#[derive(Deserialize)]
struct Said {
    client_id: Option<String>,
    client_secret: Option<String>,
    client_name: Option<String>,
    redirect_uris: Option<Vec<String>>,
    post_logout_redirect_uris: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    application_type: Option<String>,
    scope: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<IgnoredAny>,
    software_statement: Option<String>,
    subject_type: Option<String>,
    id_token_signed_response_alg: Option<String>,
    // Ours to say (RFC 7592, 2.2).
    registration_access_token: Option<IgnoredAny>,
    registration_client_uri: Option<IgnoredAny>,
    client_secret_expires_at: Option<IgnoredAny>,
    client_id_issued_at: Option<IgnoredAny>,
}

impl Metadata {
    /// Reads the body of a request; nothing beyond `most` is let through.
    ///
    /// # Errors
    /// In the words of RFC 7591, 3.2.2.
    pub fn read(body: &[u8], most: &DynamicRegistration) -> Result<Self, Fault> {
        let said: Said = serde_json::from_slice(body)
            .map_err(|_| refused("send a JSON object of the metadata of RFC 7591, each once"))?;
        said.check_unsupported()?;
        let auth = said.auth()?;
        let grants = said.grants(most)?;
        said.check_kind(&grants)?;
        let scopes = said.scopes(most, &grants)?;
        let jwks = said
            .jwks
            .as_ref()
            .map(|jwks| Jwks::parse(&jwks.to_string()));
        let registration = Registration {
            name: name(said.client_name)?,
            scopes,
            auth,
            grants,
            redirects: said.redirect_uris.unwrap_or_default(),
            logout_redirects: said.post_logout_redirect_uris.unwrap_or_default(),
            jwks: jwks.transpose().map_err(|_| refused(KEYS))?,
            // What it may act for an administrator says.
            purposes: Vec::new(),
            default_purpose: None,
            recipient: None,
        };
        registration.check().map_err(|error| unfit(&error))?;
        Ok(Self {
            registration,
            client_id: said.client_id,
            secret: said.client_secret.map(Secret::new),
        })
    }
}

impl Said {
    fn check_unsupported(&self) -> Result<(), Fault> {
        if let Some(statement) = &self.software_statement {
            // Nobody's statements are taken: without them it is the same client.
            return Err(match Jwt::parse(statement) {
                None => Fault::new(
                    Code::InvalidSoftwareStatement,
                    "software_statement is no signed JWT",
                ),
                Some(_) => Fault::new(
                    Code::UnapprovedSoftwareStatement,
                    "no publisher of software statements is known here: register without one",
                ),
            });
        }
        if self.jwks_uri.is_some() {
            return Err(refused("jwks_uri is not fetched: send the keys as jwks"));
        }
        let own = [
            &self.registration_access_token,
            &self.registration_client_uri,
            &self.client_secret_expires_at,
            &self.client_id_issued_at,
        ];
        if own.into_iter().any(Option::is_some) {
            return Err(refused(
                "leave out registration_access_token, registration_client_uri, \
                 client_secret_expires_at and client_id_issued_at",
            ));
        }
        let other = |said: &Option<String>, only| said.as_deref().is_some_and(|said| said != only);
        if other(&self.subject_type, "public") {
            return Err(refused("subject_type can be public only"));
        }
        if other(&self.id_token_signed_response_alg, "RS256") {
            return Err(refused("id_token_signed_response_alg can be RS256 only"));
        }
        Ok(())
    }

    fn auth(&self) -> Result<AuthMethod, Fault> {
        match self.token_endpoint_auth_method.as_deref() {
            None | Some("client_secret_basic" | "client_secret_post") => {
                Ok(AuthMethod::ClientSecret)
            }
            Some("private_key_jwt") => Ok(AuthMethod::PrivateKeyJwt),
            Some("none") => Ok(AuthMethod::None),
            Some(_) => Err(refused(
                "token_endpoint_auth_method must be client_secret_basic, client_secret_post, \
                 private_key_jwt or none",
            )),
        }
    }

    fn grants(&self, most: &DynamicRegistration) -> Result<Vec<GrantType>, Fault> {
        let Some(said) = &self.grant_types else {
            return Ok(vec![GrantType::AuthorizationCode]);
        };
        let mut grants = Vec::new();
        for text in said {
            let known = serde_json::from_value(Value::from(text.as_str())).ok();
            let known = known.filter(|grant| most.grant_types.contains(grant));
            let grant = known.ok_or_else(|| {
                refused("grant_types has one that clients may not register for here")
            })?;
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        Ok(grants)
    }

    /// That what it says it is goes together (OpenID Connect Registration, 2).
    fn check_kind(&self, grants: &[GrantType]) -> Result<(), Fault> {
        let responses = self.response_types.as_deref().unwrap_or_default();
        let by_code = grants.contains(&GrantType::AuthorizationCode);
        if !responses.iter().all(|one| by_code && one == "code") {
            return Err(refused(
                "response_types can be code only, together with the grant authorization_code",
            ));
        }
        let mut redirects = self.redirect_uris.iter().flatten();
        match self.application_type.as_deref() {
            None | Some("native") => Ok(()),
            Some("web") if redirects.all(|uri| uri.starts_with("https://")) => Ok(()),
            Some("web") => Err(Fault::new(
                Code::InvalidRedirectUri,
                "redirect_uris of an application_type web are https",
            )),
            Some(_) => Err(refused("application_type must be web or native")),
        }
    }

    /// What it may have of what it asks for; all that it may have, if it asks for nothing.
    fn scopes(&self, most: &DynamicRegistration, grants: &[GrantType]) -> Result<Scopes, Fault> {
        let mut given = match self.scope.as_deref() {
            None => most.scopes.clone(),
            Some(text) => Scopes::known_of(text).intersect(&most.scopes),
        };
        if !grants.contains(&GrantType::ClientCredentials) {
            given = given.without_level(Level::System);
        }
        if !grants.contains(&GrantType::RefreshToken) {
            given = given.without(&[Word::OfflineAccess, Word::OnlineAccess]);
        }
        match given.is_empty() {
            true => Err(refused("scope has none that clients may register for here")),
            false => Ok(given),
        }
    }
}

/// What people call it: short, and without signs that nobody sees or that turn what
/// stands behind them around. Strangers choose it, and users read it where they agree.
fn name(said: Option<String>) -> Result<String, Fault> {
    let Some(name) = said.filter(|name| !name.trim().is_empty()) else {
        return Ok(NAMELESS.to_owned());
    };
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
            || ('\u{200b}'..='\u{200f}').contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
    };
    match name.chars().count() <= NAME_CHARS_MAX && !name.contains(hidden) {
        true => Ok(name),
        false => Err(refused(
            "client_name has 60 characters at most, all of which can be seen",
        )),
    }
}

const KEYS: &str = "jwks must be a set of public keys by RFC 7517, there with private_key_jwt and \
                    with nothing else";

fn refused(why: &'static str) -> Fault {
    Fault::new(Code::InvalidClientMetadata, why)
}

/// The same as administrators are told, in the words of the protocol.
fn unfit(error: &Error) -> Fault {
    let what = if let Error::Name { what, .. } = error {
        *what
    } else {
        ""
    };
    match what {
        "redirect_uris" => Fault::new(
            Code::InvalidRedirectUri,
            "redirect_uris are there with authorization_code and with nothing else; they and \
             post_logout_redirect_uris are 20 at most, each https, http of a loopback host, or a \
             scheme of one's own with a dot; without a fragment",
        ),
        "grant_types" => refused(
            "grant_types has one at least, not client_credentials for a client that keeps no \
             secret, and refresh_token together with authorization_code or device_code only",
        ),
        "jwks" => refused(KEYS),
        _ => refused("client_name has 200 bytes at most"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BACK: &str = "https://app.example.org/back";

    fn most() -> DynamicRegistration {
        let scopes = "openid offline_access patient/*.rs system/Patient.rs";
        DynamicRegistration {
            scopes: Scopes::parse(scopes).unwrap(),
            ..DynamicRegistration::default()
        }
    }

    /// What comes of a public client with this changed.
    fn read(change: &Value) -> Result<Metadata, Fault> {
        let mut said = json!({
            "client_name": "App", "redirect_uris": [BACK], "token_endpoint_auth_method": "none",
        });
        for (name, value) in change.as_object().unwrap() {
            said[name] = value.clone();
        }
        Metadata::read(said.to_string().as_bytes(), &most())
    }

    #[track_caller]
    fn check(change: Value, expect: Code) {
        let got = read(&change).map(|_| ());
        assert_eq!(got.map_err(|fault| fault.code), Err(expect), "{change}");
    }

    #[test]
    fn a_client_gets_no_more_than_the_project_lets_it_have() {
        let scopes = |change| read(&change).unwrap().registration.scopes.text();
        assert_eq!(scopes(json!({})), "openid patient/*.rs");
        let all = json!({"grant_types": ["authorization_code", "refresh_token"]});
        assert_eq!(scopes(all), "openid offline_access patient/*.rs");
        let asked = json!({"scope": "patient/Observation.cruds user/*.rs system/*.rs x"});
        assert_eq!(scopes(asked), "patient/Observation.rs");
        check(json!({"scope": "system/*.rs"}), Code::InvalidClientMetadata);
        check(json!({"scope": ""}), Code::InvalidClientMetadata);
        let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
        for grant in ["client_credentials", "implicit", "password", exchange] {
            check(json!({"grant_types": [grant]}), Code::InvalidClientMetadata);
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let more = json!({
            "logo_uri": "https://app.example.org/logo.png", "contacts": ["a@example.org"],
            "client_name#de": "Anwendung", "scope": null, "tls_client_auth_subject_dn": 7,
        });
        let read = read(&more).unwrap().registration;
        assert_eq!((&*read.name, read.auth), ("App", AuthMethod::None));
        assert_eq!(read.redirects, [BACK]);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        use Code::{InvalidClientMetadata as Metadata, InvalidRedirectUri as Redirect};
        check(json!({"redirect_uris": null}), Redirect);
        check(
            json!({"redirect_uris": ["http://app.example.org/"]}),
            Redirect,
        );
        check(json!({"redirect_uris": [format!("{BACK}#x")]}), Redirect);
        check(
            json!({"post_logout_redirect_uris": ["javascript:x"]}),
            Redirect,
        );
        let loopback = json!(["http://127.0.0.1/back"]);
        assert!(read(&json!({"redirect_uris": loopback, "application_type": "native"})).is_ok());
        check(
            json!({"redirect_uris": loopback, "application_type": "web"}),
            Redirect,
        );
        check(json!({"redirect_uris": "https://a.example"}), Metadata);
        check(json!({"application_type": "other"}), Metadata);
        check(json!({"response_types": ["token"]}), Metadata);
        check(
            json!({"token_endpoint_auth_method": "tls_client_auth"}),
            Metadata,
        );
        check(
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            Metadata,
        );
        check(json!({"jwks": {"keys": []}}), Metadata);
        check(
            json!({"jwks_uri": "https://app.example.org/jwks"}),
            Metadata,
        );
        check(json!({"subject_type": "pairwise"}), Metadata);
        check(json!({"id_token_signed_response_alg": "none"}), Metadata);
        check(json!({"client_id_issued_at": 1}), Metadata);
        check(json!({"client_name": "x".repeat(61)}), Metadata);
        check(json!({"client_name": "Clinic\u{202e}ppA"}), Metadata);
        check(
            json!({"software_statement": "x"}),
            Code::InvalidSoftwareStatement,
        );
        let jwt = "eyJhbGciOiJSUzI1NiJ9.e30.AA";
        check(
            json!({"software_statement": jwt}),
            Code::UnapprovedSoftwareStatement,
        );
        let bodies: [&[u8]; 4] = [
            b"",
            b"[]",
            b"{\"scope\":1}",
            b"{\"scope\":\"a\",\"scope\":\"b\"}",
        ];
        for body in bodies {
            assert!(self::Metadata::read(body, &most()).is_err());
        }
    }

    #[test]
    fn a_client_without_a_name_says_so() {
        let named = read(&json!({"client_name": " "}))
            .unwrap()
            .registration
            .name;
        assert_eq!(named, NAMELESS);
    }
}
