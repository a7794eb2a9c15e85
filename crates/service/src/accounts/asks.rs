//! Asking for mail, held up by where it goes and where that is asked: whoever asks is unknown,
//! and who gets it may not have asked.

use std::net::IpAddr;

use parking_lot::Mutex;
use salus_auth::record::Email;
use salus_auth::throttle::{Limit, Throttle};

use super::guesses::network;
use crate::Service;
use crate::context::Context;
use crate::error::Error;

/// Mails to one address: so many at once, and then one every so often.
const BY_RECIPIENT: Limit = Limit::Rate(3, 10 * 60 * 1000);
/// Questions from one address. Many people can be behind one.
const BY_ADDRESS: Limit = Limit::Rate(60, 5_000);

/// Questions of late. They have a table of their own: they cost nothing, so they could push
/// what was counted of passwords out of theirs.
#[derive(Default)]
pub(crate) struct Asks(Mutex<Throttle<Key>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// A hash of scope and address.
    Recipient([u8; 32]),
    Address(IpAddr),
}

impl Service {
    /// Counts a question by what it says, whether or not that is known here.
    pub(super) fn count_ask(&self, cx: &Context, email: &Email) -> Result<(), Error> {
        let text = [&cx.scope.0.to_be_bytes(), email.expose().as_bytes()].concat();
        let recipient = Key::Recipient(salus_crypto::sha256(&text));
        let mut asks = self.asks.0.lock();
        let address = cx.remote.map(network).map(Key::Address);
        let counted = address
            .map_or(Ok(()), |key| asks.attempt(&key, BY_ADDRESS, cx.now_ms))
            .and_then(|()| asks.attempt(&recipient, BY_RECIPIENT, cx.now_ms));
        counted.map_err(|wait_ms| {
            Error::throttled(
                "mail was asked for too often; look for it in a few minutes, then ask again",
                wait_ms,
            )
        })
    }
}
