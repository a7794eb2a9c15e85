//! Guessing of passwords, held up by account and by address.
//!
//! An account that is shut for everyone could be kept shut by anyone (ASVS 5.0, 6.1.1), so where
//! its owner has signed in of late they are counted for themselves: strangers shut it for
//! strangers only.

use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use salus_auth::record::Email;
use salus_auth::throttle::{Limit, Throttle};
use salus_store::Scope;

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::projects::DEFAULT;
use crate::sessions::Place;

/// Wrong passwords from one address: so many at once, and five a second. Many
/// people can be behind one.
const BY_ADDRESS: Limit = Limit::Rate(300, 200);

/// Wrong codes of devices from one address: so many at once, and two a minute.
const BY_DEVICE: Limit = Limit::Rate(20, 30_000);

/// How long the place of a right password is known.
const KNOWN_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Attempts of late. They are in memory only: a restart forgets them.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    attempts: Throttle<Key>,
    /// Places of accounts. Only right passwords get in here, so that wrong ones push nothing out.
    known: Throttle<Key>,
}

/// What an attempt counts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// A hash of where and as whom somebody signs in: addresses of mail are
    /// long, and nobody has to find a list of them in a memory dump.
    Account([u8; 32]),
    /// The same from a place where its owner has signed in.
    Place([u8; 32], IpAddr),
    /// Of IPv6 the network: its addresses are one customer's.
    Address(IpAddr),
    /// From where the code of a device is tried.
    Device(Option<IpAddr>),
}

/// An attempt that was let through.
pub(crate) struct Attempt {
    account: Key,
    /// The account from there, if it came over a network.
    place: Option<Key>,
    address: Option<Key>,
}

impl Guesses {
    /// Counts an attempt at what a device shows. The right one is taken back by
    /// [`Self::right_device`].
    ///
    /// # Errors
    /// In how many milliseconds to try again: this is one too many.
    pub(crate) fn try_device(&self, from: Option<IpAddr>, now_ms: i64) -> Result<(), i64> {
        let key = Key::Device(from.map(network));
        self.0.lock().attempts.attempt(&key, BY_DEVICE, now_ms)
    }

    /// Takes an attempt back that was right.
    pub(crate) fn right_device(&self, from: Option<IpAddr>) {
        let key = Key::Device(from.map(network));
        self.0.lock().attempts.forgive(&key);
    }

    /// Ends the row of wrong ones: this one was right, and its place is known.
    pub(crate) fn right(&self, attempt: &Attempt, now_ms: i64) {
        let mut counts = self.0.lock();
        counts.attempts.forget(&attempt.account);
        if let Some(address) = &attempt.address {
            counts.attempts.forgive(address);
        }
        if let Some(place) = &attempt.place {
            let always = Limit::Row(u32::MAX, KNOWN_MS);
            // A limit that nobody reaches refuses nobody.
            let _ = counts.known.attempt(place, always, now_ms);
        }
    }
}

impl Counts {
    /// Counts an attempt by its address and then by its account, which becomes the one
    /// from this place if that is known. One too many is refused with the reason and the
    /// milliseconds until the next: of what was typed in, whether or not there is such an account.
    fn attempt(
        &mut self,
        attempt: &mut Attempt,
        by_account: Limit,
        now_ms: i64,
    ) -> Result<(), (&'static str, i64)> {
        if let Some(address) = &attempt.address {
            let counted = self.attempts.attempt(address, BY_ADDRESS, now_ms);
            counted.map_err(|wait_ms| ("too many wrong passwords from this address", wait_ms))?;
        }
        let place = attempt.place.as_ref();
        if let Some(place) = place.filter(|place| self.known.remembers(place, now_ms)) {
            attempt.account = place.clone();
        }
        let counted = self.attempts.attempt(&attempt.account, by_account, now_ms);
        counted.map_err(|wait_ms| ("too many wrong passwords for this account", wait_ms))
    }
}

impl Service {
    /// Counts an attempt before it is made, if there is a place for its password; one too many
    /// is in the audit before it is refused.
    pub(crate) async fn attempt_on_password(
        &self,
        cx: &Context,
        email: &Email,
    ) -> Result<(Attempt, Place), Error> {
        let place = match self.place_to_hash() {
            Ok(place) => place,
            Err(full) => {
                let rule = "too many passwords at once";
                let entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
                self.record(cx, entry).await?;
                return Err(full);
            }
        };
        let account = self.account(cx.scope, email);
        let from = cx.remote.map(network);
        let mut attempt = Attempt {
            account: Key::Account(account),
            place: from.map(|from| Key::Place(account, from)),
            address: from.map(Key::Address),
        };
        let lock_out = self.identity(cx.scope).lock_out;
        let by_account = Limit::Row(lock_out.failures, i64::from(lock_out.minutes) * 60_000);
        let held = {
            let mut counts = self.guesses.0.lock();
            counts.attempt(&mut attempt, by_account, cx.now_ms)
        };
        let Err((rule, wait_ms)) = held else {
            return Ok((attempt, place));
        };
        let entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
        self.record(cx, entry).await?;
        Err(Error::throttled(
            "too many passwords were wrong; wait some minutes before the next",
            wait_ms,
        ))
    }

    /// Lets an account be tried again: an administrator says so.
    pub(super) fn reopen(&self, scope: Scope, email: &Email) {
        let account = self.account(scope, email);
        let of_account = |key: &Key| match key {
            Key::Account(known) | Key::Place(known, _) => *known == account,
            Key::Address(_) | Key::Device(_) => false,
        };
        self.guesses.0.lock().attempts.forget_all(of_account);
    }

    /// Where no project is named, people of the default one and administrators
    /// of the server sign in alike, and so they are counted.
    fn account(&self, scope: Scope, email: &Email) -> [u8; 32] {
        let scope = match self.project_scope(DEFAULT) == Some(scope) {
            true => Scope::SYSTEM,
            false => scope,
        };
        let text = [&scope.0.to_be_bytes(), email.expose().as_bytes()].concat();
        salus_crypto::sha256(&text)
    }
}

/// What counts as one address: of IPv6 the network, since its addresses are one customer's.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let host = u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expect: &str) {
        assert_eq!(network(address.parse().unwrap()).to_string(), expect);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
