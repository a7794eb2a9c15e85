//! Providers of OpenID Connect by whom users of a project sign in
//! (<https://openid.net/specs/openid-connect-core-1_0.html>).
//!
//! Its secret lies in the record, which is sealed as every record is, and is shown to nobody.

use std::collections::BTreeMap;

use salus_store::Row;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{AuthMethod, Email, SystemRecord};
use crate::{Error, Secret};

/// Providers of a project at most.
pub const PROVIDERS_MAX: usize = 20;
const MAPPINGS_MAX: usize = 100;
const LISTED_MAX: usize = 20;
const DOMAINS_MAX: usize = 50;
const TEXT_BYTES_MAX: usize = 500;

/// A provider. Its id is its name in URLs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// What users see on the button.
    pub label: String,
    /// Its name as an issuer; compared letter by letter.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// How we prove that to it.
    pub auth: AuthMethod,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Kept>,
    /// What it is asked for beside `openid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// For whom of those that it sends an account is made.
    #[serde(default)]
    pub create: Create,
    /// The domains of their addresses, if not any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Which groups they are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupMapping>,
    /// What it says of a sign-in that counts as a second factor here.
    #[serde(default)]
    pub second_factor: SecondFactor,
    /// Whether anybody signs in by it.
    pub active: bool,
    /// When it was set up, in milliseconds since 1970 UTC.
    pub created_ms: i64,
}
salus_phi::guard!(Provider);

/// For whom an account is made who has none. It takes an address that the provider has verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Create {
    /// For nobody.
    #[default]
    Never,
    /// For whoever was invited.
    Invited,
    /// Where the project is open, for anyone; else for whoever was invited.
    VerifiedMail,
}

/// Which values of a claim put somebody into which groups.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMapping {
    /// The name of the claim: a text or a list of texts.
    pub claim: String,
    /// The id of a group for each value.
    pub values: BTreeMap<String, Box<str>>,
}
salus_phi::guard!(GroupMapping);

/// What counts as a second factor; nothing does unless it is listed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecondFactor {
    /// Classes of a sign-in, which the provider is asked for, too.
    pub acr: Vec<String>,
    /// Methods (RFC 8176).
    pub amr: Vec<String>,
}
salus_phi::guard!(SecondFactor);

/// A secret that has to be sent as it is, and so cannot be kept as a hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Kept(String);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl SystemRecord for Provider {
    const NAME: &'static str = "salus:Provider";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Provider {
    /// A provider that asks for nothing, makes no accounts and has no secret yet.
    #[must_use]
    pub fn new(label: &str, issuer: &str, client_id: &str, now_ms: i64) -> Self {
        Self {
            label: label.to_owned(),
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            auth: AuthMethod::ClientSecret,
            secret: None,
            scopes: Vec::new(),
            create: Create::default(),
            domains: Vec::new(),
            groups: None,
            second_factor: SecondFactor::default(),
            active: true,
            created_ms: now_ms,
        }
    }

    /// The secret, for the provider.
    #[must_use]
    pub fn secret(&self) -> Option<Secret> {
        self.secret.as_ref().map(|kept| Secret::new(kept.0.clone()))
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Takes a new secret, or keeps that of before, which no other issuer is ever told; one that
    /// proves itself otherwise has none.
    pub fn take_secret(&mut self, new: Option<&Secret>, before: Option<&Self>) {
        let same = before.filter(|before| before.issuer == self.issuer);
        let kept = same.and_then(|before| before.secret.clone());
        let new = new.map(|secret| Kept(secret.expose().to_owned()));
        let by_secret = self.auth == AuthMethod::ClientSecret;
        self.secret = new.or(kept).filter(|_| by_secret);
    }

    /// Checks it under its name before it is kept.
    ///
    /// # Errors
    /// Which part is not of its form, and what is accepted.
    pub fn check(&self, name: &str) -> Result<(), Error> {
        if !is_name(name) {
            return refused(
                "name",
                "1 to 40 lower-case letters, digits or -, beginning with a letter",
            );
        }
        super::project::check_name(&self.label)?;
        if !is_issuer(&self.issuer) {
            return refused(
                "issuer",
                "a URL of 500 bytes at most, without query and fragment",
            );
        }
        if !is_visible(&self.client_id) {
            return refused("client_id", "1 to 500 printable characters of ASCII");
        }
        match (self.auth, &self.secret) {
            (AuthMethod::ClientSecret, Some(secret)) if is_visible(&secret.0) => {}
            (AuthMethod::ClientSecret, _) => {
                return refused("client_secret", "1 to 500 printable characters of ASCII");
            }
            (AuthMethod::PrivateKeyJwt | AuthMethod::None, _) => {}
        }
        self.check_lists()
    }

    fn check_lists(&self) -> Result<(), Error> {
        let words =
            |list: &[String]| list.len() <= LISTED_MAX && list.iter().all(|one| is_word(one));
        let factors = &self.second_factor;
        if !words(&self.scopes) {
            return refused("scopes", "20 at most, each without spaces");
        }
        if !words(&factors.acr) || !words(&factors.amr) {
            return refused(
                "second_factor",
                "20 values of acr and of amr at most, each without spaces",
            );
        }
        let domain = |text: &String| {
            Email::parse(&format!("a@{text}")).is_ok() && text.to_lowercase() == *text
        };
        if self.domains.len() > DOMAINS_MAX || !self.domains.iter().all(domain) {
            return refused("domains", "50 at most, each as example.org in lower case");
        }
        let Some(mapping) = &self.groups else {
            return Ok(());
        };
        let text = |text: &String| (1..=200).contains(&text.len());
        let values = &mapping.values;
        if !text(&mapping.claim) || values.len() > MAPPINGS_MAX || !values.keys().all(text) {
            return refused(
                "groups",
                "a claim and 100 values at most, each of 1 to 200 bytes, with the id of a group",
            );
        }
        Ok(())
    }

    /// Whether an address is of a domain for which accounts are made.
    #[must_use]
    pub fn takes(&self, email: &Email) -> bool {
        let domain = email.expose().rsplit_once('@').map(|(_, domain)| domain);
        self.domains.is_empty() || self.domains.iter().any(|one| Some(&**one) == domain)
    }

    /// Whether what it says of a sign-in is as good as a second factor here.
    #[must_use]
    pub fn has_proved_two(&self, acr: Option<&str>, amr: &[String]) -> bool {
        let known = &self.second_factor;
        known.acr.iter().any(|one| Some(&**one) == acr)
            || known.amr.iter().any(|one| amr.contains(one))
    }
}

impl GroupMapping {
    /// The groups of somebody of whom this was claimed.
    #[must_use]
    pub fn of(&self, claimed: &serde_json::Value) -> Vec<Box<str>> {
        use serde_json::Value;
        let one = std::slice::from_ref(claimed);
        let values = match claimed {
            Value::Array(values) => &**values,
            Value::String(_) => one,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => &[],
        };
        let texts = values.iter().filter_map(Value::as_str);
        let mut groups: Vec<Box<str>> = texts
            .filter_map(|text| self.values.get(text).cloned())
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// Whether a text can be the name of a provider.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
    starts && text.len() <= 40 && text.bytes().all(plain)
}

/// OpenID Connect Discovery, 2: a URL without query and fragment.
fn is_issuer(text: &str) -> bool {
    let begins = text.starts_with("https://") || text.starts_with("http://");
    begins && is_plain(text) && !text.contains(['?', '#', '\\'])
}

fn is_plain(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// What ids and secrets of clients are made of (RFC 6749, A.1 and A.2).
fn is_visible(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// A word of a list that spaces are between (RFC 6749, 3.3).
fn is_word(text: &str) -> bool {
    is_plain(text) && !text.contains(['"', '\\'])
}

fn refused(what: &'static str, form: &'static str) -> Result<(), Error> {
    Err(Error::Name { what, form })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider() -> Provider {
        let mut provider = Provider::new("Hospital", "https://id.example.org/a", "salus", 0);
        provider.take_secret(Some(&Secret::new("s".to_owned())), None);
        provider
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Provider), good: bool) {
        let mut provider = provider();
        change(&mut provider);
        assert_eq!(provider.check("hospital").is_ok(), good, "{provider:?}");
    }

    #[test]
    fn what_is_kept_has_its_form() {
        check(|_| (), true);
        check(|to| to.label = String::new(), false);
        check(
            |to| to.issuer = "https://id.example.org/a?b".to_owned(),
            false,
        );
        check(|to| to.issuer = "id.example.org".to_owned(), false);
        check(
            |to| to.issuer = format!("https://{}", "x".repeat(500)),
            false,
        );
        check(|to| to.client_id = "a b".to_owned(), true);
        check(|to| to.client_id = "a\nb".to_owned(), false);
        check(
            |to| to.take_secret(Some(&Secret::new(String::new())), None),
            false,
        );
        check(|to| to.secret = None, false);
        check(|to| to.scopes = vec!["a b".to_owned()], false);
        check(|to| to.scopes = vec!["a".to_owned(); 21], false);
        check(|to| to.domains = vec!["example.org".to_owned()], true);
        check(|to| to.domains = vec!["Example.org".to_owned()], false);
        check(|to| to.domains = vec!["a@example.org".to_owned()], false);
        check(|to| to.second_factor.amr = vec![String::new()], false);
        let many = |count: usize| GroupMapping {
            claim: "groups".to_owned(),
            values: (0..count).map(|n| (n.to_string(), "g".into())).collect(),
        };
        check(|to| to.groups = Some(many(100)), true);
        check(|to| to.groups = Some(many(101)), false);
        check(|to| to.groups = Some(GroupMapping::default()), false);
        for name in ["", "A", "a b", "1", "a/b", &"a".repeat(41)] {
            assert!(provider().check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_secret_stays_until_another_comes_and_prints_nowhere() {
        let before = provider();
        let mut next = Provider::new("Other", &before.issuer, "salus", 0);
        next.take_secret(None, Some(&before));
        assert_eq!(next.secret().unwrap().expose(), "s");
        let mut moved = Provider::new("Other", "https://other.example.org", "salus", 0);
        moved.take_secret(None, Some(&before));
        assert!(!moved.has_secret());
        next.auth = AuthMethod::PrivateKeyJwt;
        next.take_secret(None, Some(&before));
        assert!(!next.has_secret() && next.check("a").is_ok());
        assert_eq!(format!("{before:?}"), "Provider [phi]");
    }

    #[test]
    fn groups_follow_from_the_values_of_a_claim() {
        let values = [("a", "1"), ("b", "2"), ("c", "1")];
        let values = values.map(|(value, group)| (value.to_owned(), group.into()));
        let mapping = GroupMapping {
            claim: "groups".to_owned(),
            values: values.into(),
        };
        let of = |claimed| mapping.of(&claimed).join(",");
        assert_eq!(of(json!(["c", "a", "x", 1])), "1");
        assert_eq!(of(json!("b")), "2");
        assert_eq!(of(json!({"a": true})), "");
        assert_eq!(of(json!(null)), "");
    }

    #[test]
    fn what_counts_as_two_factors_is_listed() {
        let mut provider = provider();
        let mfa = ["mfa".to_owned()];
        assert!(!provider.has_proved_two(Some("high"), &mfa));
        provider.second_factor.amr = mfa.to_vec();
        assert!(provider.has_proved_two(None, &mfa));
        assert!(!provider.has_proved_two(Some("mfa"), &["pwd".to_owned()]));
        provider.second_factor.acr = vec!["high".to_owned()];
        assert!(provider.has_proved_two(Some("high"), &[]));
        assert!(!provider.has_proved_two(None, &[]));
    }

    #[test]
    fn addresses_are_of_a_domain_to_the_letter() {
        let mut provider = provider();
        let takes = |provider: &Provider, email| provider.takes(&Email::parse(email).unwrap());
        assert!(takes(&provider, "a@example.org"));
        provider.domains = vec!["example.org".to_owned()];
        assert!(takes(&provider, "a@Example.org"));
        assert!(!takes(&provider, "a@b.example.org"));
        assert!(!takes(&provider, "a@badexample.org"));
    }
}
