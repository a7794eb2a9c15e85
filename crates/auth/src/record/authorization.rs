//! What a user lets a client do: everything that a code and its refresh
//! tokens gave hangs on one record, and ends when that is deleted.
//!
//! A refresh token is `sr1.<32 bytes>.<32 bytes>`, both random, base64url. The
//! first finds the record and stays; the second is replaced each time. A token
//! with the first and another second was used before (RFC 9700, 4.14.2).

use salus_store::{Param, Query, Row};
use serde::{Deserialize, Serialize};

use super::code::Agreed;
use super::{Saved, SystemRecord, expires_row, token_row, with_token};
use crate::scopes::Word;
use crate::{Secret, token};

const PREFIX: &str = "sr1.";
const USER: Param = Param::named("salus:Authorization", "user");
const PART_LEN: usize = 43;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long a client may be away that was let go on without the user.
const OFFLINE_MS: i64 = 30 * DAY_MS;
/// How long one may go on at most, however often it comes.
const LONGEST_MS: i64 = 180 * DAY_MS;
/// How long one may go on that was not, from when the user signed in.
const ONLINE_MS: i64 = DAY_MS / 2;

/// An authorization, in the scope of its project.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// What was agreed to.
    pub agreed: Agreed,
    /// The hash of the second part of its refresh token, if it has one.
    refresh: Option<Box<str>>,
    /// When it was given, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When its refresh token ends, or else what it gave.
    pub expires_ms: i64,
}
salus_phi::guard!(Authorization);

impl SystemRecord for Authorization {
    const NAME: &'static str = "salus:Authorization";

    fn rows(&self) -> Vec<Row> {
        vec![
            expires_row::<Self>(self.expires_ms),
            token_row(USER, &self.agreed.user),
        ]
    }
}

/// A refresh token that has the right form.
pub struct Refresh {
    /// The id of its record.
    pub id: Box<str>,
    hash: Box<str>,
    family: Secret,
}
salus_phi::guard!(Refresh);

impl Refresh {
    /// Reads a refresh token; `None` if it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (family, last) = text.strip_prefix(PREFIX)?.split_once('.')?;
        let whole = |part: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            part.len() == PART_LEN && part.bytes().all(plain)
        };
        (whole(family) && whole(last)).then(|| Self {
            id: token::id(family),
            hash: token::id(last),
            family: Secret::new(family.to_owned()),
        })
    }
}

impl Authorization {
    /// A new one, with its refresh token if the client gets one.
    #[must_use]
    pub fn make(
        agreed: Agreed,
        (family, last): (&[u8; 32], &[u8; 32]),
        refreshed: bool,
        now_ms: i64,
    ) -> (Option<Secret>, Saved<Self>) {
        let family = Secret::new(salus_crypto::base64url(family));
        let id = token::id(family.expose());
        let mut authorization = Self {
            agreed,
            refresh: None,
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(DAY_MS),
        };
        let refresh = refreshed.then(|| authorization.renew(&family, last, now_ms));
        (refresh, Saved::new(id, authorization))
    }

    /// Those of a user, whose id is one of a user's home.
    #[must_use]
    pub fn of(user: &str) -> Query {
        with_token::<Self>(USER, user)
    }

    /// The id that the record of one made of this will have.
    #[must_use]
    pub fn id(family: &[u8; 32]) -> Box<str> {
        token::id(&salus_crypto::base64url(family))
    }

    /// Puts a new refresh token in the place of the one that was used.
    pub fn replace(&mut self, used: &Refresh, random: &[u8; 32], now_ms: i64) -> Secret {
        self.renew(&used.family, random, now_ms)
    }

    fn renew(&mut self, family: &Secret, random: &[u8; 32], now_ms: i64) -> Secret {
        let last = salus_crypto::base64url(random);
        self.refresh = Some(token::id(&last));
        self.expires_ms = if self.agreed.scopes.has(Word::OfflineAccess) {
            let longest_ms = self.created_ms.saturating_add(LONGEST_MS);
            now_ms.saturating_add(OFFLINE_MS).min(longest_ms)
        } else {
            self.agreed.signed_in_ms.saturating_add(ONLINE_MS)
        };
        Secret::new(format!("{PREFIX}{}.{last}", family.expose()))
    }

    /// Whether this is its refresh token, and not one that was replaced.
    #[must_use]
    pub fn is_current(&self, refresh: &Refresh) -> bool {
        let hash = self.refresh.as_deref().unwrap_or_default();
        salus_crypto::same(hash.as_bytes(), refresh.hash.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scopes;

    #[test]
    fn a_refresh_token_is_current_until_it_is_replaced() {
        let agreed = Agreed {
            client: "app".into(),
            home: 1,
            user: "u".into(),
            scopes: Scopes::parse("offline_access").unwrap(),
            patient: None,
            context: crate::record::LaunchContext::default(),
            nonce: None,
            signed_in_ms: 0,
            proved_ms: 0,
            methods: Vec::new(),
            purpose: None,
        };
        let (first, mut saved) = Authorization::make(agreed, (&[1; 32], &[2; 32]), true, 5);
        let first = Refresh::parse(first.unwrap().expose()).unwrap();
        assert_eq!(first.id, saved.id);
        assert!(saved.value.is_current(&first));
        assert_eq!(saved.value.expires_ms, 5 + OFFLINE_MS);
        let second = saved.value.replace(&first, &[3; 32], 6);
        let second = Refresh::parse(second.expose()).unwrap();
        assert_eq!(second.id, saved.id);
        assert!(saved.value.is_current(&second) && !saved.value.is_current(&first));
    }

    #[test]
    fn a_refresh_token_ends_however_much_it_is_used() {
        let agreed = Agreed {
            client: "app".into(),
            home: 1,
            user: "u".into(),
            scopes: Scopes::parse("offline_access").unwrap(),
            patient: None,
            context: crate::record::LaunchContext::default(),
            nonce: None,
            signed_in_ms: 0,
            proved_ms: 0,
            methods: Vec::new(),
            purpose: None,
        };
        let (token, mut saved) = Authorization::make(agreed, (&[1; 32], &[2; 32]), true, 0);
        let mut token = Refresh::parse(token.unwrap().expose()).unwrap();
        for day in 1..=LONGEST_MS / DAY_MS {
            let next = saved.value.replace(&token, &[day as u8; 32], day * DAY_MS);
            token = Refresh::parse(next.expose()).unwrap();
        }
        assert_eq!(saved.value.expires_ms, LONGEST_MS);
    }

    #[test]
    fn other_forms_are_no_refresh_tokens() {
        let part = "a".repeat(43);
        assert!(Refresh::parse(&format!("sr1.{part}.{part}")).is_some());
        for bad in [
            "",
            "sr1.",
            "sr1..",
            &format!("sr1.{part}"),
            &format!("sl1.{part}.{part}"),
        ] {
            assert!(Refresh::parse(bad).is_none(), "{bad}");
        }
    }
}
