//! Passwords and client secrets: made, hashed, checked.
//!
//! Passwords are hashed with Argon2id at the parameters of the
//! [OWASP cheat sheet](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html):
//! 19 MiB, two passes, one lane. That takes tens of milliseconds and 19 MiB, so callers hash
//! on threads that may block and bound how many at once. Secrets of clients
//! are 32 random bytes, which nobody can try out: SHA-256 is enough.

mod strength;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use serde::{Deserialize, Serialize};

use crate::record::{Client, Saved, User};
use crate::{Error, Refusal, Secret};
use strength::BYTES_MAX;
pub use strength::check_strength;

/// What an unknown account's password is checked against, so that the answer
/// takes as long as for a known one. No password is known to have this hash.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LW5vYm9keS1ubw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The same for an unknown client's secret.
const NO_CLIENT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a password is checked against, in PHC form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// Hashes a password. Slow: see the module.
///
/// # Errors
/// When memory or randomness is short.
pub fn hash_password(password: &Secret, salt: &[u8; 16]) -> Result<PasswordHash, Error> {
    argon2()?
        .hash_password_with_salt(password.expose().as_bytes(), salt)
        .map(|hash| PasswordHash(hash.to_string()))
        .map_err(|_| Error::Hashing)
}

/// Checks a password, whether or not there is such a user. Slow: see the module.
///
/// # Errors
/// [`Error::Refused`] when there is no such user or the password is another.
pub fn check_password(user: Option<&Saved<User>>, password: &Secret) -> Result<(), Error> {
    let hash = user.and_then(|user| user.value.password.as_ref());
    let hash = hash.map_or(NOBODY, |hash| &hash.0);
    let bytes = password.expose().as_bytes();
    // Too long a password is not worth the time of anyone.
    let right = bytes.len() <= BYTES_MAX && argon2()?.verify_password(bytes, hash).is_ok();
    match (user, right) {
        (None, _) => Err(Error::Refused(Refusal::Unknown)),
        (Some(_), false) => Err(Error::Refused(Refusal::Mismatch)),
        (Some(_), true) => Ok(()),
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|_| Error::Hashing)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// What a client's secret is checked against.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretHash(Box<str>);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash")
    }
}

/// Makes a client's secret of random bytes, and what it is checked against.
#[must_use]
pub fn client_secret(random: &[u8; 32]) -> (Secret, SecretHash) {
    let secret = Secret::new(salus_crypto::base64url(random));
    let hash = SecretHash(crate::token::id(secret.expose()));
    (secret, hash)
}

/// Checks a client's secret, whether or not there is such a client.
///
/// # Errors
/// [`Error::Refused`] when there is no such client or the secret is another.
pub fn check_client(client: Option<&Saved<Client>>, secret: &Secret) -> Result<(), Error> {
    let given = crate::token::id(secret.expose());
    let hash = client.and_then(|client| client.value.secret_hash());
    let expected = hash.map_or(NO_CLIENT, |hash| &*hash.0);
    match (
        client,
        salus_crypto::same(given.as_bytes(), expected.as_bytes()),
    ) {
        (None, _) => Err(Error::Refused(Refusal::Unknown)),
        (Some(_), false) => Err(Error::Refused(Refusal::Mismatch)),
        (Some(_), true) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
