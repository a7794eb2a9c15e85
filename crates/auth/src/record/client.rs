//! Programs that act for themselves or for users: clients of OAuth 2.1.

use salus_store::{Param, Query, Row};
use serde::{Deserialize, Serialize};

use super::redirect::{is_redirect, loopback};
use super::{Saved, SelfRegistered, Status, SystemRecord, token_row, with_token};
use crate::credentials::SecretHash;
use crate::jwk::Jwks;
use crate::{Error, PurposeOfUse, Purposes, Recipient, Scopes};

const REDIRECTS_MAX: usize = 20;
const PURPOSES_MAX: usize = 20;
const BY: Param = Param::named("salus:Client", "registered-by");
const ITSELF: &str = "itself";

/// A client. Its id is chosen by whoever registers it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// What people call it.
    pub name: String,
    /// What its secret is checked against, if it has one.
    #[serde(default)]
    secret: Option<SecretHash>,
    /// The most it may do.
    #[serde(with = "scopes_as_text")]
    pub scopes: Scopes,
    /// Whether it may sign in.
    pub status: Status,
    /// When it was registered, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// How it proves who it is.
    #[serde(default, skip_serializing_if = "is_by_secret")]
    pub auth: AuthMethod,
    /// How it may get tokens.
    #[serde(default = "for_itself", skip_serializing_if = "is_for_itself")]
    pub grants: Vec<GrantType>,
    /// Where users may be sent back to; compared letter by letter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<String>,
    /// Where users may be sent to when they have signed out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logout_redirects: Vec<String>,
    /// What its assertions are checked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// What there is of one that no administrator has registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_registered: Option<SelfRegistered>,
    /// What it may act for; nothing is that it states nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<PurposeOfUse>,
    /// What it acts for where it states nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_purpose: Option<PurposeOfUse>,
    /// Who it is of, if that is somebody outside: what it is shown is disclosed to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Recipient>,
}
salus_phi::guard!(Client);

/// How a client proves who it is (RFC 7591, 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// With a secret, as Basic authentication or in the form.
    #[default]
    ClientSecret,
    /// With a signed assertion.
    PrivateKeyJwt,
    /// Not at all: what runs in a browser or on a phone keeps no secret.
    None,
}

/// How a client may get tokens (RFC 6749, 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// For itself.
    ClientCredentials,
    /// For a user who signed in here and agreed.
    AuthorizationCode,
    /// For such a user later, and without them if they agreed to that.
    RefreshToken,
    /// For a user who signed in elsewhere, on a device with a browser (RFC 8628).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    /// For a user for whom another client acts, who asked this one (RFC 8693).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

fn for_itself() -> Vec<GrantType> {
    vec![GrantType::ClientCredentials]
}

fn is_for_itself(grants: &[GrantType]) -> bool {
    grants == [GrantType::ClientCredentials]
}

fn is_by_secret(auth: &AuthMethod) -> bool {
    *auth == AuthMethod::ClientSecret
}

/// What is said of a client when it is registered.
#[derive(Clone)]
pub struct Registration {
    /// What people call it.
    pub name: String,
    /// The most it may do.
    pub scopes: Scopes,
    /// How it proves who it is.
    pub auth: AuthMethod,
    /// How it may get tokens.
    pub grants: Vec<GrantType>,
    /// Where users may be sent back to.
    pub redirects: Vec<String>,
    /// Where users may be sent to when they have signed out.
    pub logout_redirects: Vec<String>,
    /// What its assertions are checked with.
    pub jwks: Option<Jwks>,
    /// What it may act for.
    pub purposes: Vec<PurposeOfUse>,
    /// What it acts for where it states nothing.
    pub default_purpose: Option<PurposeOfUse>,
    /// Who it is of, if that is somebody outside.
    pub recipient: Option<Recipient>,
}
salus_phi::guard!(Registration);

impl Registration {
    /// A client with a secret that acts for itself.
    #[must_use]
    pub fn named(name: &str, scopes: Scopes) -> Self {
        Self {
            name: name.to_owned(),
            scopes,
            auth: AuthMethod::ClientSecret,
            grants: for_itself(),
            redirects: Vec::new(),
            logout_redirects: Vec::new(),
            jwks: None,
            purposes: Vec::new(),
            default_purpose: None,
            recipient: None,
        }
    }

    /// That what is said of a client goes together.
    ///
    /// # Errors
    /// [`Error::Name`] says what does not.
    pub fn check(&self) -> Result<(), Error> {
        super::project::check_name(&self.name)?;
        let refuse = |what, form| Err(Error::Name { what, form });
        let has = |grant| self.grants.contains(&grant);
        let public = self.auth == AuthMethod::None;
        if (self.auth == AuthMethod::PrivateKeyJwt) != self.jwks.is_some() {
            return refuse("jwks", "there with private_key_jwt, and with nothing else");
        }
        let alone = has(GrantType::ClientCredentials) || has(GrantType::TokenExchange);
        if self.grants.is_empty() || public && alone {
            return refuse(
                "grant_types",
                "one at least, and neither client_credentials nor token-exchange for a client that \
             keeps no secret",
            );
        }
        let for_users = has(GrantType::AuthorizationCode) || has(GrantType::DeviceCode);
        if has(GrantType::RefreshToken) && !for_users {
            return refuse(
                "grant_types",
                "refresh_token together with authorization_code or device_code only",
            );
        }
        if has(GrantType::AuthorizationCode) == self.redirects.is_empty() {
            return refuse(
                "redirect_uris",
                "there with authorization_code, and with nothing else",
            );
        }
        let (purposes, default) = (&self.purposes, self.default_purpose);
        let may = Purposes::of(default, purposes.clone());
        if purposes.len() > PURPOSES_MAX || !purposes.iter().all(|one| may.allow(*one)) {
            return refuse("purposes", "20 at most, and not BTG");
        }
        if may.usual() != default {
            return refuse("default_purpose", "one of purposes, or below one");
        }
        if self.recipient.as_ref().is_some_and(|one| !one.is_told()) {
            return refuse(
                "recipient",
                "a name and an address, each one line of 300 bytes at most",
            );
        }
        for uris in [&self.redirects, &self.logout_redirects] {
            if uris.len() > REDIRECTS_MAX || !uris.iter().all(|uri| is_redirect(uri)) {
                return refuse(
                    "redirect_uris",
                    "20 at most, each https, http of a loopback host, or a scheme of one's own with a \
                 dot; without a fragment",
                );
            }
        }
        Ok(())
    }
}

impl SystemRecord for Client {
    const NAME: &'static str = "salus:Client";

    fn rows(&self) -> Vec<Row> {
        let by = self.self_registered.as_ref();
        by.map(|_| token_row(BY, ITSELF)).into_iter().collect()
    }
}

impl Client {
    /// Those that registered themselves.
    #[must_use]
    pub fn registered_by_themselves() -> Query {
        with_token::<Self>(BY, ITSELF)
    }

    /// A new client with a secret that acts for itself.
    ///
    /// # Errors
    /// When the id is not 1 to 64 letters, digits, `-`, `.` or `_`, or the
    /// name is empty or longer than 200 bytes.
    pub fn register(
        id: &str,
        name: &str,
        secret: SecretHash,
        scopes: Scopes,
        now_ms: i64,
    ) -> Result<Saved<Self>, Error> {
        let registration = Registration::named(name, scopes);
        Self::registered(id, registration, Some(secret), now_ms)
    }

    /// A new client; `secret` is there if it proves itself by one.
    ///
    /// # Errors
    /// As [`Self::register`]; also when what is said of it does not go together.
    pub fn registered(
        id: &str,
        registration: Registration,
        secret: Option<SecretHash>,
        now_ms: i64,
    ) -> Result<Saved<Self>, Error> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            return Err(Error::Name {
                what: "client id",
                form: "1 to 64 letters, digits, -, . or _",
            });
        }
        registration.check()?;
        let by_secret = registration.auth == AuthMethod::ClientSecret;
        let client = Self {
            name: registration.name,
            secret: secret.filter(|_| by_secret),
            scopes: registration.scopes,
            status: Status::Active,
            created_ms: now_ms,
            auth: registration.auth,
            grants: registration.grants,
            redirects: registration.redirects,
            logout_redirects: registration.logout_redirects,
            jwks: registration.jwks,
            self_registered: None,
            purposes: registration.purposes,
            default_purpose: registration.default_purpose,
            recipient: registration.recipient,
        };
        Ok(Saved::new(id, client))
    }

    /// Puts what is said of it now in the place of what was. `secret` is a new one, if
    /// it gets one: it keeps its own as long as that is how it proves itself.
    ///
    /// # Errors
    /// As [`Registration::check`].
    pub fn change(
        &mut self,
        registration: Registration,
        secret: Option<SecretHash>,
    ) -> Result<(), Error> {
        registration.check()?;
        let by_secret = registration.auth == AuthMethod::ClientSecret;
        let secret = secret.or(self.secret.take()).filter(|_| by_secret);
        *self = Self {
            name: registration.name,
            secret,
            scopes: registration.scopes,
            auth: registration.auth,
            grants: registration.grants,
            redirects: registration.redirects,
            logout_redirects: registration.logout_redirects,
            jwks: registration.jwks,
            status: self.status,
            created_ms: self.created_ms,
            self_registered: self.self_registered.take(),
            // What it may act for an administrator says.
            purposes: std::mem::take(&mut self.purposes),
            default_purpose: self.default_purpose,
            recipient: self.recipient.take(),
        };
        Ok(())
    }

    /// What its secret is checked against, if that is how it proves itself.
    pub(crate) fn secret_hash(&self) -> Option<&SecretHash> {
        let by_secret = self.auth == AuthMethod::ClientSecret;
        self.secret.as_ref().filter(|_| by_secret)
    }

    /// Whether it has a secret by which it proves itself.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret_hash().is_some()
    }

    /// Whether it may do anything.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Whether users may be sent back there: to what was registered, letter by letter. Of
    /// a loopback address any port will do for an app that keeps no secret, since such an
    /// app listens on one that is free when it begins (RFC 8252, 7.3).
    #[must_use]
    pub fn leads_to(&self, uri: &str) -> bool {
        let known = |registered: &String| {
            let native = self.auth == AuthMethod::None;
            registered == uri
                || native && loopback(registered).is_some_and(|own| loopback(uri) == Some(own))
        };
        self.redirects.iter().any(known)
    }

    /// What it may act for.
    #[must_use]
    pub fn purposes(&self) -> Purposes {
        Purposes::of(self.default_purpose, self.purposes.clone())
    }

    /// Whether it may get tokens this way.
    #[must_use]
    pub fn may(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }
}

/// Scopes are stored as the text that people know.
pub(super) mod scopes_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Scopes;

    pub(in crate::record) fn serialize<S: Serializer>(
        scopes: &Scopes,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&scopes.text())
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Scopes, D::Error> {
        let text = String::deserialize(from)?;
        Scopes::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_leads(registered: &str, auth: AuthMethod, uri: &str, leads: bool) {
        let registration = Registration {
            auth,
            grants: vec![GrantType::AuthorizationCode],
            redirects: vec![registered.to_owned()],
            ..Registration::named("App", Scopes::default())
        };
        let client = Client::registered("app", registration, None, 0).unwrap();
        assert_eq!(client.value.leads_to(uri), leads, "{registered} {uri}");
    }

    #[test]
    fn any_port_of_a_loopback_address_is_an_apps_own() {
        let check = |registered, uri, leads| check_leads(registered, AuthMethod::None, uri, leads);
        check("http://127.0.0.1/back", "http://127.0.0.1:49152/back", true);
        check("http://127.0.0.1:1/back", "http://127.0.0.1/back", true);
        check("http://[::1]:1/back?a=b", "http://[::1]:2/back?a=b", true);
        check(
            "http://127.0.0.1/back",
            "http://127.0.0.1:49152/Back",
            false,
        );
        check(
            "http://127.0.0.1/back",
            "http://127.0.0.1:49152/back?x",
            false,
        );
        check("http://127.0.0.1/back", "http://[::1]:49152/back", false);
        check(
            "http://127.0.0.1/back",
            "https://127.0.0.1:49152/back",
            false,
        );
        check("http://127.0.0.1/", "http://127.0.0.1:/", false);
        check("http://127.0.0.1/", "http://127.0.0.1:0/", false);
        check("http://127.0.0.1/", "http://127.0.0.1:+1/", false);
        check("http://127.0.0.1/", "http://127.0.0.1:99999/", false);
        check(
            "http://127.0.0.1/",
            "http://127.0.0.1:1@evil.example/",
            false,
        );
        check("http://127.0.0.1/", "http://127.0.0.1.evil.example/", false);
        check(
            "http://localhost/back",
            "http://localhost:49152/back",
            false,
        );
        check("http://localhost:1/back", "http://localhost:1/back", true);
        check(
            "https://a.example/back",
            "https://a.example:8443/back",
            false,
        );
        // Who keeps a secret runs on a server, which has its port.
        let registered = "http://127.0.0.1/back";
        let secret = AuthMethod::ClientSecret;
        check_leads(registered, secret, "http://127.0.0.1:9/back", false);
        check_leads(registered, secret, registered, true);
    }

    #[test]
    fn what_is_said_of_a_client_goes_together() {
        let good = |change: fn(&mut Registration)| {
            let mut registration = Registration::named("App", Scopes::default());
            change(&mut registration);
            Client::registered("app", registration, None, 0).is_ok()
        };
        assert!(good(|_| ()));
        assert!(!good(|r| r.grants.clear()));
        assert!(!good(|r| r.auth = AuthMethod::None));
        assert!(!good(|r| r.auth = AuthMethod::PrivateKeyJwt));
        assert!(!good(|r| r.grants = vec![GrantType::AuthorizationCode]));
        assert!(!good(|r| r.grants.push(GrantType::RefreshToken)));
        assert!(!good(|r| r.redirects.push("https://a.example".to_owned())));
        assert!(!good(|r| r.default_purpose = Some(PurposeOfUse::TREAT)));
        assert!(!good(|r| r.purposes = vec![PurposeOfUse::BTG]));
        assert!(good(|r| {
            r.purposes = vec![PurposeOfUse::TREAT, PurposeOfUse::ETREAT];
            r.default_purpose = Some(PurposeOfUse::ETREAT);
        }));
        assert!(good(|r| {
            r.auth = AuthMethod::None;
            r.grants = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
            r.redirects.push("https://a.example".to_owned());
        }));
    }
}
