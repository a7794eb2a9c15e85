//! Devices that wait for a user who signs in elsewhere (RFC 8628).
//!
//! The device polls with 32 random bytes. The user types eight consonants (34 bits, so that
//! no words come up), which hold for ten minutes; how often one may try is counted by who asks.

use salus_store::{Param, Query, Row};
use serde::{Deserialize, Serialize};

use super::client::scopes_as_text;
use super::code::Agreed;
use super::{Saved, SystemRecord, expires_row, token_row, with_token};
use crate::oauth::{Code, Fault};
use crate::{PurposeOfUse, Scopes, Secret, token};

/// How long the user may take.
pub const DEVICE_LIFETIME_MS: i64 = 10 * 60 * 1000;
/// How often the device may ask.
pub const DEVICE_INTERVAL_MS: i64 = 5 * 1000;
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE: Param = Param::named("salus:Device", "code");

/// A device, in the scope of its project. Its id is the hash of what it polls with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The client's id.
    pub client: Box<str>,
    /// What it asks for.
    #[serde(with = "scopes_as_text")]
    pub scopes: Scopes,
    /// What the client acts for, if it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<PurposeOfUse>,
    /// What the user types, as it is shown.
    pub user_code: String,
    expires_ms: i64,
    polled_ms: i64,
    answer: Answer,
}
salus_phi::guard!(Device);

/// What the user said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    None,
    No,
    Yes(Box<Agreed>),
}

impl SystemRecord for Device {
    const NAME: &'static str = "salus:Device";

    fn rows(&self) -> Vec<Row> {
        vec![
            expires_row::<Self>(self.expires_ms),
            token_row(USER_CODE, &hash(&self.user_code)),
        ]
    }
}

impl Device {
    /// A device that begins to wait, and what it polls with.
    #[must_use]
    pub fn make(
        (random, chance): (&[u8; 32], &[u8; 32]),
        client: &str,
        (scopes, purpose): (Scopes, Option<PurposeOfUse>),
        now_ms: i64,
    ) -> (Secret, Saved<Self>) {
        let secret = Secret::new(salus_crypto::base64url(random));
        let device = Self {
            client: client.into(),
            scopes,
            purpose,
            user_code: user_code(chance),
            expires_ms: now_ms.saturating_add(DEVICE_LIFETIME_MS),
            polled_ms: 0,
            answer: Answer::None,
        };
        let saved = Saved::new(Self::id(secret.expose()), device);
        (secret, saved)
    }

    /// The id of the record of what a device polls with.
    #[must_use]
    pub fn id(code: &str) -> Box<str> {
        token::id(code)
    }

    /// The device that shows this, however it is typed.
    #[must_use]
    pub fn showing(user_code: &str) -> Query {
        with_token::<Self>(USER_CODE, &hash(user_code))
    }

    /// Whether a user may still answer.
    #[must_use]
    pub fn waits(&self, now_ms: i64) -> bool {
        self.answer == Answer::None && now_ms < self.expires_ms
    }

    /// Notes what the user said.
    pub fn answered(&mut self, agreed: Option<Agreed>) {
        self.answer = agreed.map_or(Answer::No, |agreed| Answer::Yes(agreed.into()));
    }

    /// What the device is told when it asks (RFC 8628, 3.5).
    ///
    /// # Errors
    /// `authorization_pending`, `slow_down`, `access_denied`, `expired_token`.
    pub fn poll(&mut self, now_ms: i64) -> Result<Agreed, Fault> {
        if self.expires_ms <= now_ms {
            return Err(Fault::new(Code::ExpiredToken, "nobody came in time"));
        }
        let soon = now_ms.saturating_sub(self.polled_ms) < DEVICE_INTERVAL_MS;
        self.polled_ms = now_ms;
        match &self.answer {
            Answer::Yes(agreed) => Ok((**agreed).clone()),
            Answer::No => Err(Fault::new(Code::AccessDenied, "the user did not agree")),
            Answer::None if soon => Err(Fault::new(Code::SlowDown, "ask every five seconds")),
            Answer::None => Err(Fault::new(
                Code::AuthorizationPending,
                "the user has not answered yet",
            )),
        }
    }
}

/// Eight letters, each as likely as another: what is left of a byte behind the
/// last whole round of letters is passed over.
fn user_code(chance: &[u8; 32]) -> String {
    let fair = chance.iter().filter(|byte| **byte < 240);
    let letters = fair.chain(chance).take(8);
    let mut code = String::with_capacity(9);
    for (at, byte) in letters.enumerate() {
        if at == 4 {
            code.push('-');
        }
        code.push(char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    }
    code
}

fn hash(user_code: &str) -> Box<str> {
    let typed = user_code.chars().filter(char::is_ascii_alphanumeric);
    let typed: String = typed.take(20).map(|c| c.to_ascii_uppercase()).collect();
    token::id(&format!("device {typed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_waits_for_an_answer() {
        let (_, saved) = Device::make((&[1; 32], &[2; 32]), "app", (Scopes::default(), None), 0);
        let mut device = saved.value;
        let code = |device: &mut Device, now_ms| device.poll(now_ms).unwrap_err().code;
        assert_eq!(code(&mut device, 6_000), Code::AuthorizationPending);
        assert_eq!(code(&mut device, 7_000), Code::SlowDown);
        assert_eq!(code(&mut device, 20_000), Code::AuthorizationPending);
        assert!(device.waits(DEVICE_LIFETIME_MS - 1) && !device.waits(DEVICE_LIFETIME_MS));
        assert_eq!(code(&mut device, DEVICE_LIFETIME_MS), Code::ExpiredToken);
        device.answered(None);
        assert!(!device.waits(0));
        assert_eq!(code(&mut device, 30_000), Code::AccessDenied);
    }

    #[test]
    fn codes_are_typed_as_one_likes() {
        let code = user_code(&std::array::from_fn(|i| i as u8 * 7));
        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
        assert_eq!(hash("bcdf-ghjk"), hash(" BCDFGHJK"));
        assert_ne!(hash("BCDFGHJK"), hash("BCDFGHJL"));
        assert_eq!(user_code(&[255; 32]).len(), 9);
    }
}
