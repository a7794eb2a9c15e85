//! A sign-in that is half done: the password was right, or a provider has sent the user, and a
//! second factor is to follow. It opens nothing and holds for five minutes.

use salus_store::{Row, Scope};
use serde::{Deserialize, Serialize};

use super::{Foreign, Saved, SystemRecord, expires_row};
use crate::{Secret, Token};

/// How long the second step may take.
const LIFETIME_MS: i64 = 5 * 60 * 1000;
/// Wrong second factors before the password is asked for again.
const FAILURES_MAX: u32 = 5;

/// A sign-in, in the scope of its user. Its id is the hash of its ticket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// The user's id.
    pub user: Box<str>,
    /// What was proved (RFC 8176).
    pub methods: Vec<String>,
    /// When it began, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// Whether the user has to set up a second factor, since they have none.
    #[serde(default)]
    pub enrols: bool,
    /// The account at a provider that is connected with the user when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connects: Option<Foreign>,
    #[serde(default)]
    failures: u32,
}
salus_phi::guard!(SignIn);

impl SystemRecord for SignIn {
    const NAME: &'static str = "salus:SignIn";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(
            self.created_ms.saturating_add(LIFETIME_MS),
        )]
    }
}

impl SignIn {
    /// How long the second step may take, in seconds.
    pub const LIFETIME_S: i64 = LIFETIME_MS / 1000;

    /// Begins one: its ticket, for whoever brought the first proof, and the record.
    #[must_use]
    pub fn begin(
        home: Scope,
        user: &str,
        methods: &[&str],
        enrols: bool,
        random: &[u8; 32],
        now_ms: i64,
    ) -> (Secret, Saved<Self>) {
        let (ticket, token) = Token::mint_ticket(home, random);
        let begun = Self {
            user: user.into(),
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            created_ms: now_ms,
            enrols,
            connects: None,
            failures: 0,
        };
        (ticket, Saved::new(token.session_id(), begun))
    }

    /// Whether it can still be gone on with.
    #[must_use]
    pub fn holds(&self, now_ms: i64) -> bool {
        now_ms < self.created_ms.saturating_add(LIFETIME_MS) && self.failures < FAILURES_MAX
    }

    /// Counts a wrong second factor.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_five_minutes_and_five_tries() {
        let (ticket, begun) = SignIn::begin(Scope(3), "u", &["pwd"], false, &[1; 32], 1000);
        let token = Token::parse_ticket(ticket.expose()).unwrap();
        assert_eq!((token.scope(), token.session_id()), (Scope(3), &*begun.id));
        assert_eq!(Token::parse(ticket.expose()), None);
        let mut begun = begun.value;
        assert!(begun.holds(1000 + LIFETIME_MS - 1) && !begun.holds(1000 + LIFETIME_MS));
        for _ in 0..FAILURES_MAX {
            assert!(begun.holds(1000));
            begun.failed();
        }
        assert!(!begun.holds(1000));
    }
}
