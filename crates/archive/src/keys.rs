//! What seals an archive, and which store's it is: both follow from the store's keyring, so
//! whoever has the keyring can read it, and whoever has only the archive cannot.

use salus_crypto::{Error, Keyring, SecretKey};

/// The key that seals the objects of a store's archive, and the id of the store.
#[derive(Clone)]
pub struct Keys {
    key: SecretKey,
    store: [u8; 16],
}

impl Keys {
    /// Those of the store with this keyring.
    ///
    /// # Errors
    /// When the library fails, which it has no reason to.
    pub fn of(keyring: &Keyring) -> Result<Self, Error> {
        Ok(Self::from_secret(keyring.derive("salus archive 1")?))
    }

    /// Those that follow from a secret.
    #[must_use]
    pub fn from_secret(key: SecretKey) -> Self {
        let mut store = [0; 16];
        store.copy_from_slice(&key.mac(b"store")[..16]);
        Self { key, store }
    }

    /// The id of the store: in the head of each segment, so that another store's is told at once.
    #[must_use]
    pub fn store(&self) -> [u8; 16] {
        self.store
    }

    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.key.seal(aad, plain, out)
    }

    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::with_capacity(sealed.len());
        self.key.open_onto(aad, sealed, &mut plain)?;
        Ok(plain)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}
