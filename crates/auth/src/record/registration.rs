//! Clients that register themselves, as far as a project lets them: the setting, the tokens
//! with which they may, and what is kept of such a client.
//!
//! RFC 7591 and RFC 7592. A project that has set nothing takes none
//! (docs/adr/0039-clients-that-register-themselves.md).

use salus_store::{Precondition, Row};
use serde::{Deserialize, Serialize};

use super::client::scopes_as_text;
use super::{GrantType, Saved, SystemRecord, expires_row};
use crate::{Error, Level, Scopes, Secret, token};

const INITIAL_PREFIX: &str = "si1.";
const ACCESS_PREFIX: &str = "sm1.";
const CLIENTS_MAX: u32 = 1000;
const DAYS_MAX: i64 = 366;
const USES_MAX: u32 = 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A client that was given no token in so many days from its beginning goes.
const UNUSED_MS: i64 = 7 * DAY_MS;
/// So does one that was given none for longer than any refresh token holds.
const FORSAKEN_MS: i64 = 190 * DAY_MS;

/// Tokens for registering of a project at most.
pub const INITIAL_TOKENS_MAX: usize = 50;

/// Whether clients may register themselves in a project, and what they may have at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicRegistration {
    /// Whether they may.
    pub mode: RegistrationMode,
    /// The scopes that they may have.
    #[serde(with = "scopes_as_text")]
    pub scopes: Scopes,
    /// How they may get tokens.
    pub grant_types: Vec<GrantType>,
    /// How many there are at most.
    pub clients_max: u32,
}

/// Which clients may register themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationMode {
    /// None.
    #[default]
    Off,
    /// Those with a token that an administrator gave out.
    Token,
    /// All.
    Open,
}

impl Default for DynamicRegistration {
    fn default() -> Self {
        Self {
            mode: RegistrationMode::Off,
            scopes: Scopes::known_of(
                "openid profile fhirUser launch launch/patient offline_access patient/*.rs",
            ),
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            clients_max: 100,
        }
    }
}

impl SystemRecord for DynamicRegistration {
    const NAME: &'static str = "salus:DynamicRegistration";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl DynamicRegistration {
    /// The id of a project's only record.
    pub const ID: &'static str = "registration";

    /// That it lets nobody have what no client may have that nobody looked at.
    ///
    /// # Errors
    /// [`Error::Name`] says what.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what, form| Err(Error::Name { what, form });
        let own = |text: &str| text.starts_with("salus/") || text.contains("/AuditEvent.");
        if self.scopes.is_empty() || !self.scopes.only(own).is_empty() {
            return refuse("scopes", "one at least, and none of salus/ and AuditEvent");
        }
        if self.grant_types.is_empty() || self.grant_types.contains(&GrantType::TokenExchange) {
            return refuse("grant_types", "one at least, and not token-exchange");
        }
        let alone = self.grant_types.contains(&GrantType::ClientCredentials)
            || !self.scopes.of(Level::System).is_empty();
        if self.mode == RegistrationMode::Open && alone {
            return refuse(
                "mode",
                "token where clients may have system scopes or client_credentials, since no \
                 user agrees to those",
            );
        }
        if !(1..=CLIENTS_MAX).contains(&self.clients_max) {
            return refuse("clients_max", "1 to 1000");
        }
        Ok(())
    }
}

/// A token with which clients may register. Its id is the hash of what they send.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialToken {
    /// What people call it.
    pub name: String,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// How many clients may register with it.
    pub uses_max: u32,
    /// How many have.
    pub uses: u32,
}
salus_phi::guard!(InitialToken);

impl SystemRecord for InitialToken {
    const NAME: &'static str = "salus:InitialToken";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(self.expires_ms)]
    }
}

impl InitialToken {
    /// A new one, good for some days and uses, and what is sent of it.
    ///
    /// # Errors
    /// [`Error::Name`] says what of it is not of its form.
    pub fn make(
        random: &[u8; 32],
        name: &str,
        (days, uses): (i64, u32),
        now_ms: i64,
    ) -> Result<(Secret, Saved<Self>), Error> {
        super::project::check_name(name)?;
        let refuse = |what, form| Err(Error::Name { what, form });
        if !(1..=DAYS_MAX).contains(&days) {
            return refuse("days", "1 to 366");
        }
        if !(1..=USES_MAX).contains(&uses) {
            return refuse("uses", "1 to 1000");
        }
        let secret = Secret::new(format!(
            "{INITIAL_PREFIX}{}",
            salus_crypto::base64url(random)
        ));
        let made = Self {
            name: name.to_owned(),
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(days.saturating_mul(DAY_MS)),
            uses_max: uses,
            uses: 0,
        };
        let id = token::id(secret.expose());
        Ok((secret, Saved::new(id, made)))
    }

    /// The id of the record of what was sent.
    #[must_use]
    pub fn id(text: &str) -> Box<str> {
        token::id(text)
    }

    /// Whether a client may register with it now.
    #[must_use]
    pub fn holds(&self, now_ms: i64) -> bool {
        now_ms < self.expires_ms && self.uses < self.uses_max
    }

    /// That nobody uses it meanwhile.
    #[must_use]
    pub fn unchanged(saved: &Saved<Self>) -> Precondition {
        Precondition::VersionIs {
            kind: Self::KIND,
            id: saved.id.clone(),
            version: Some(saved.version),
        }
    }
}

/// What there is of a client that registered itself, beside what all have.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfRegistered {
    /// The hash of what it looks after its registration with.
    access: Box<str>,
    /// When it was given a token, to a day; 0 is never.
    #[serde(default)]
    used_ms: i64,
}
salus_phi::guard!(SelfRegistered);

impl SelfRegistered {
    /// That of a new client, and its registration access token (RFC 7592, 3).
    #[must_use]
    pub fn make(random: &[u8; 32]) -> (Secret, Self) {
        let secret = Secret::new(format!(
            "{ACCESS_PREFIX}{}",
            salus_crypto::base64url(random)
        ));
        let access = token::id(secret.expose());
        (secret, Self { access, used_ms: 0 })
    }

    /// Puts another token in the place of the one that was used.
    pub fn renew(&mut self, random: &[u8; 32]) -> Secret {
        let (secret, next) = Self::make(random);
        self.access = next.access;
        secret
    }

    /// Whether this is its registration access token.
    #[must_use]
    pub fn is_opened_by(&self, text: &str) -> bool {
        salus_crypto::same(self.access.as_bytes(), token::id(text).as_bytes())
    }

    /// Notes that it was given a token; whether that is worth a write.
    pub fn note_use(&mut self, now_ms: i64) -> bool {
        let worth = now_ms.saturating_sub(self.used_ms) >= DAY_MS;
        if worth {
            self.used_ms = now_ms;
        }
        worth
    }

    /// When it was given a token, to a day, if it ever was.
    #[must_use]
    pub fn used_ms(&self) -> Option<i64> {
        (self.used_ms > 0).then_some(self.used_ms)
    }

    /// Whether nobody has used it for so long that it goes.
    #[must_use]
    pub fn is_forsaken(&self, created_ms: i64, now_ms: i64) -> bool {
        match self.used_ms() {
            None => now_ms.saturating_sub(created_ms) >= UNUSED_MS,
            Some(used_ms) => now_ms.saturating_sub(used_ms) >= FORSAKEN_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl Fn(&mut DynamicRegistration), good: bool) {
        let mut setting = DynamicRegistration::default();
        change(&mut setting);
        assert_eq!(setting.check().is_ok(), good, "{setting:?}");
    }

    #[test]
    fn no_setting_lets_strangers_have_what_only_administrators_give() {
        let scopes = |text| Scopes::parse(text).unwrap();
        check(|_| (), true);
        check(|to| to.mode = RegistrationMode::Open, true);
        check(|to| to.scopes = Scopes::default(), false);
        check(|to| to.scopes = scopes("salus/metrics.read"), false);
        check(|to| to.scopes = scopes("salus/launch.create openid"), false);
        check(|to| to.scopes = scopes("user/AuditEvent.rs"), false);
        check(|to| to.scopes = scopes("system/Patient.rs"), true);
        check(|to| to.grant_types.clear(), false);
        check(|to| to.grant_types.push(GrantType::TokenExchange), false);
        check(|to| to.grant_types.push(GrantType::ClientCredentials), true);
        let open = |to: &mut DynamicRegistration| to.mode = RegistrationMode::Open;
        check(
            |to| {
                open(to);
                to.scopes = scopes("openid system/Patient.rs");
            },
            false,
        );
        check(
            |to| {
                open(to);
                to.grant_types.push(GrantType::ClientCredentials);
            },
            false,
        );
        check(|to| to.clients_max = 0, false);
        check(|to| to.clients_max = 1001, false);
    }

    #[test]
    fn a_token_to_register_ends_by_time_and_by_use() {
        let make = |days, uses| InitialToken::make(&[1; 32], "Vendor", (days, uses), 5);
        let (secret, mut saved) = make(1, 2).unwrap();
        assert_eq!(InitialToken::id(secret.expose()), saved.id);
        assert!(saved.value.holds(5) && saved.value.holds(4 + DAY_MS));
        assert!(!saved.value.holds(5 + DAY_MS));
        saved.value.uses = 2;
        assert!(!saved.value.holds(5));
        for (days, uses) in [(0, 1), (367, 1), (1, 0), (1, 1001)] {
            assert!(make(days, uses).is_err(), "{days} {uses}");
        }
    }

    #[test]
    fn a_client_that_nobody_uses_goes() {
        let (secret, mut own) = SelfRegistered::make(&[1; 32]);
        assert!(own.is_opened_by(secret.expose()) && !own.is_opened_by(""));
        assert!(!own.is_forsaken(0, UNUSED_MS - 1) && own.is_forsaken(0, UNUSED_MS));
        assert!(own.note_use(2 * DAY_MS) && !own.note_use(3 * DAY_MS - 1));
        assert!(!own.is_forsaken(0, FORSAKEN_MS));
        assert!(own.is_forsaken(0, FORSAKEN_MS + 2 * DAY_MS));
        let next = own.renew(&[2; 32]);
        assert!(own.is_opened_by(next.expose()) && !own.is_opened_by(secret.expose()));
        assert_eq!(own.used_ms(), Some(2 * DAY_MS));
    }
}
