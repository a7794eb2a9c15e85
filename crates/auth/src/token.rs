//! Bearer tokens: `sl1.<scope, base 36>.<32 random bytes, base64url>`, and with
//! `sb1.` in front what the cookie of a browser holds. Neither can be made the
//! other: each is found by the hash of the whole text. `ss1.` is the ticket of a
//! sign-in that is half done.
//!
//! The scope says where the session is kept, so that one snapshot finds it.
//! It proves nothing: the session is found by the hash of the whole text, so
//! a token with another scope written into it is unknown there.

use salus_store::Scope;

use crate::Secret;

const PREFIX: &str = "sl1.";
const COOKIE_PREFIX: &str = "sb1.";
const TICKET_PREFIX: &str = "ss1.";
const RANDOM_LEN: usize = 43;
/// The longest number of 32 bits in base 36.
const SCOPE_LEN_MAX: usize = 7;

/// A token that has the right form; only its session makes it valid.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    scope: Scope,
    session_id: Box<str>,
}
salus_phi::guard!(Token);

impl Token {
    /// Makes a token of random bytes, and what is to be known of it.
    #[must_use]
    pub fn mint(scope: Scope, random: &[u8; 32]) -> (Secret, Self) {
        Self::with_prefix(PREFIX, scope, random)
    }

    /// The same for the cookie of a browser.
    #[must_use]
    pub fn mint_cookie(scope: Scope, random: &[u8; 32]) -> (Secret, Self) {
        Self::with_prefix(COOKIE_PREFIX, scope, random)
    }

    /// The same for a sign-in that is half done.
    #[must_use]
    pub fn mint_ticket(scope: Scope, random: &[u8; 32]) -> (Secret, Self) {
        Self::with_prefix(TICKET_PREFIX, scope, random)
    }

    fn with_prefix(prefix: &str, scope: Scope, random: &[u8; 32]) -> (Secret, Self) {
        let text = format!(
            "{prefix}{}.{}",
            base36(scope.0),
            salus_crypto::base64url(random)
        );
        let token = Self {
            scope,
            session_id: id(&text),
        };
        (Secret::new(text), token)
    }

    /// Reads a token; `None` if it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::after_prefix(PREFIX, text)
    }

    /// The same of a cookie.
    #[must_use]
    pub fn parse_cookie(text: &str) -> Option<Self> {
        Self::after_prefix(COOKIE_PREFIX, text)
    }

    /// The same of a ticket.
    #[must_use]
    pub fn parse_ticket(text: &str) -> Option<Self> {
        Self::after_prefix(TICKET_PREFIX, text)
    }

    fn after_prefix(prefix: &str, text: &str) -> Option<Self> {
        let (scope, random) = text.strip_prefix(prefix)?.split_once('.')?;
        let url_safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if random.len() != RANDOM_LEN || !random.bytes().all(url_safe) {
            return None;
        }
        if scope.is_empty() || scope.len() > SCOPE_LEN_MAX {
            return None;
        }
        let number = u32::from_str_radix(scope, 36).ok()?;
        // One spelling only: no signs, zeros in front or capitals.
        (base36(number) == scope).then(|| Self {
            scope: Scope(number),
            session_id: id(text),
        })
    }

    /// Where its session is kept.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The id of its session.
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.session_id
    }
}

/// The id of what a secret text gives access to: its SHA-256.
pub(crate) fn id(text: &str) -> Box<str> {
    salus_crypto::base64url(&salus_crypto::sha256(text.as_bytes())).into()
}

fn base36(mut number: u32) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut reversed = Vec::with_capacity(SCOPE_LEN_MAX);
    loop {
        reversed.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
        if number == 0 {
            return reversed.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_its_session() {
        for number in [0, 1, 35, 36, 1_000_000, u32::MAX] {
            let (text, token) = Token::mint(Scope(number), &[7; 32]);
            let parsed = Token::parse(text.expose()).unwrap();
            assert_eq!(parsed, token);
            assert_eq!(parsed.scope(), Scope(number));
            assert!(!text.expose().contains(parsed.session_id()));
            assert!(parsed.session_id().len() <= 64);
        }
    }

    #[test]
    fn another_scope_makes_another_session() {
        let (text, token) = Token::mint(Scope(1), &[7; 32]);
        let forged = text.expose().replacen("sl1.1.", "sl1.2.", 1);
        let forged = Token::parse(&forged).unwrap();
        assert_eq!(forged.scope(), Scope(2));
        assert_ne!(forged.session_id(), token.session_id());
    }

    #[test]
    fn a_cookie_is_no_bearer_token() {
        let (text, token) = Token::mint_cookie(Scope(1), &[7; 32]);
        assert_eq!(Token::parse(text.expose()), None);
        assert_eq!(Token::parse_cookie(text.expose()), Some(token.clone()));
        let (bearer, other) = Token::mint(Scope(1), &[7; 32]);
        assert_eq!(Token::parse_cookie(bearer.expose()), None);
        assert_ne!(token.session_id(), other.session_id());
    }

    #[test]
    fn other_forms_are_no_tokens() {
        let (text, _) = Token::mint(Scope(10), &[7; 32]);
        let good = text.expose();
        assert!(good.starts_with("sl1.a."));
        for bad in [
            String::new(),
            "sl1.".into(),
            "sl1.a.".into(),
            good[1..].into(),
            format!("{good}x"),
            good[..good.len() - 1].into(),
            good.replace("sl1.a.", "sl1..") + "x",
            good.replace("sl1.a.", "sl1.A."),
            good.replace("sl1.a.", "sl1.0a."),
            good.replace("sl1.a.", "sl1.+a."),
            good.replace("sl1.a.", "sl1.zzzzzzz."),
            good.replace("sl1.a.", "sl2.a."),
            format!("{} ", &good[..good.len() - 1]),
        ] {
            assert_eq!(Token::parse(&bad), None, "{bad}");
        }
    }
}
