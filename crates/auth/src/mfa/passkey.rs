//! Passkeys: <https://www.w3.org/TR/webauthn-2/>, registered (7.1) and asserted (7.2).
//!
//! The origin and the id of the relying party are those of the address that the
//! server is asked at. What an authenticator says about its maker is not looked
//! at: attestation is `none`.

mod authenticator;
mod cbor;
#[cfg(test)]
mod virtual_key;

use salus_crypto::{PasskeyKey, base64url, from_base64url, same, sha256};
use serde::{Deserialize, Serialize};

pub use authenticator::read_attestation;
use authenticator::{Data, data};

/// Bytes of what a browser sends, at most.
const BYTES_MAX: usize = 16 << 10;
/// Bytes of the id of a credential, at most (WebAuthn, 5.8.3 and 7.1, step 17).
const CREDENTIAL_MAX: usize = 1023;

/// Where and for what something has to be signed.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// What has to be signed: the text that the browser was given.
    pub challenge: &'a str,
    /// Scheme, host and port.
    pub origin: &'a str,
    /// The host.
    pub party: &'a str,
}
salus_phi::guard!(Expected<'_>);

/// A passkey of a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// The id of the credential, in base64url.
    pub credential: Box<str>,
    /// The relying party that it was made for.
    party: Box<str>,
    key: StoredKey,
    count: u32,
}
salus_phi::guard!(Passkey);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredKey {
    Es256(String),
    Eddsa(String),
    Rs256 { n: String, e: String },
}
salus_phi::guard!(StoredKey);

/// What a browser sends of a new credential (`RegistrationResponseJSON`, WebAuthn Level 3, 5.1).
#[derive(Clone, Debug, Deserialize)]
pub struct Registration {
    /// What the authenticator has made.
    pub response: RegistrationResponse,
}

/// See [`Registration`].
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
}
salus_phi::guard!(RegistrationResponse);

/// What a browser sends of a signature (`AuthenticationResponseJSON`).
#[derive(Clone, Deserialize)]
pub struct Assertion {
    /// The id of the credential.
    pub id: String,
    /// What the authenticator has signed.
    pub response: AssertionResponse,
}
salus_phi::guard!(Assertion);

/// See [`Assertion`].
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    /// Whose credential it is, as the authenticator was told.
    pub user_handle: Option<String>,
}
salus_phi::guard!(AssertionResponse);

/// Why a passkey is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Something does not fit.
    Mismatch,
    /// Its counter went back: there are two of it (7.2, step 21).
    Cloned,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    ty: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

impl Registration {
    /// The challenge that it says it has signed.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        challenge(&self.response.client_data)
    }

    /// The new passkey (7.1).
    #[must_use]
    pub fn check(&self, expected: Expected<'_>) -> Option<Passkey> {
        client_data(&self.response.client_data, "webauthn.create", expected)?;
        let object = bytes(&self.response.attestation_object)?;
        let (data, credential, key) = read_attestation(&object)?;
        if !data.fits(expected.party) || credential.len() > CREDENTIAL_MAX || !key.is_usable() {
            return None;
        }
        Some(Passkey {
            credential: base64url(&credential).into(),
            party: expected.party.into(),
            key: StoredKey::of(&key),
            count: data.count,
        })
    }
}

impl Assertion {
    /// The challenge that it says it has signed.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        challenge(&self.response.client_data)
    }
}

impl Passkey {
    /// Checks a signature (7.2); whether the authenticator has made sure that
    /// it is its owner. The counter goes on.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn accept(
        &mut self,
        assertion: &Assertion,
        expected: Expected<'_>,
    ) -> Result<bool, Refused> {
        let data = self.proved(assertion, expected).ok_or(Refused::Mismatch)?;
        if (data.count != 0 || self.count != 0) && data.count <= self.count {
            return Err(Refused::Cloned);
        }
        self.count = data.count;
        Ok(data.verified)
    }

    fn proved(&self, assertion: &Assertion, expected: Expected<'_>) -> Option<Data> {
        let response = &assertion.response;
        if *self.party != *expected.party || *assertion.id != *self.credential {
            return None;
        }
        let client = client_data(&response.client_data, "webauthn.get", expected)?;
        let signed = bytes(&response.authenticator_data)?;
        let (data, rest) = data(&signed)?;
        // Extensions may follow; we ask for none, and what they say changes nothing.
        if !data.fits(expected.party) || !data.extended && !rest.is_empty() {
            return None;
        }
        let message = [&*signed, &sha256(&client)].concat();
        let signature = bytes(&response.signature)?;
        let key = self.key.open()?;
        key.verify(&message, &signature).ok().map(|()| data)
    }
}

impl StoredKey {
    fn of(key: &PasskeyKey) -> Self {
        match key {
            PasskeyKey::Es256(point) => Self::Es256(base64url(point)),
            PasskeyKey::EdDsa(point) => Self::Eddsa(base64url(point)),
            PasskeyKey::Rs256 { n, e } => Self::Rs256 {
                n: base64url(n),
                e: base64url(e),
            },
        }
    }

    fn open(&self) -> Option<PasskeyKey> {
        Some(match self {
            Self::Es256(point) => PasskeyKey::Es256(from_base64url(point)?.try_into().ok()?),
            Self::Eddsa(point) => PasskeyKey::EdDsa(from_base64url(point)?.try_into().ok()?),
            Self::Rs256 { n, e } => PasskeyKey::Rs256 {
                n: from_base64url(n)?.into(),
                e: from_base64url(e)?.into(),
            },
        })
    }
}

/// What the browser says it has asked for (5.8.1), if that is what we asked for.
fn client_data(text: &str, ty: &str, expected: Expected<'_>) -> Option<Vec<u8>> {
    let json = bytes(text)?;
    let said: ClientData = serde_json::from_slice(&json).ok()?;
    let challenge = same(said.challenge.as_bytes(), expected.challenge.as_bytes());
    let right = said.ty == ty && said.origin == expected.origin && !said.cross_origin;
    (challenge && right).then_some(json)
}

fn challenge(client_data: &str) -> Option<String> {
    let said: ClientData = serde_json::from_slice(&bytes(client_data)?).ok()?;
    Some(said.challenge)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    match text.len() <= BYTES_MAX {
        true => from_base64url(text),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::virtual_key::VirtualKey;
    use super::*;

    const EXPECTED: Expected<'_> = Expected {
        challenge: "challenge",
        origin: "https://fhir.example.org",
        party: "fhir.example.org",
    };

    fn register(key: &VirtualKey, at: Expected<'_>) -> Registration {
        let sent = key.register(at.challenge, at.origin, at.party);
        serde_json::from_value(sent).unwrap()
    }

    fn registered(key: &VirtualKey) -> Passkey {
        register(key, EXPECTED).check(EXPECTED).unwrap()
    }

    fn assert(key: &mut VirtualKey, at: Expected<'_>, verified: bool) -> Assertion {
        let sent = key.assert((at.challenge, at.origin, at.party), "u", verified);
        serde_json::from_value(sent).unwrap()
    }

    #[test]
    fn a_passkey_signs_in_where_it_was_made() {
        let mut key = VirtualKey::new();
        let mut passkey = registered(&key);
        let assertion = assert(&mut key, EXPECTED, true);
        assert_eq!(assertion.challenge().as_deref(), Some("challenge"));
        assert_eq!(passkey.accept(&assertion, EXPECTED), Ok(true));
        // Its counter has gone on, so the same again is a copy.
        assert_eq!(passkey.accept(&assertion, EXPECTED), Err(Refused::Cloned));
        let assertion = assert(&mut key, EXPECTED, false);
        assert_eq!(passkey.accept(&assertion, EXPECTED), Ok(false));
        let other = assert(&mut VirtualKey::new(), EXPECTED, true);
        assert_eq!(passkey.accept(&other, EXPECTED), Err(Refused::Mismatch));
        // The record keeps all of it.
        let text = serde_json::to_string(&passkey).unwrap();
        assert_eq!(serde_json::from_str::<Passkey>(&text).unwrap(), passkey);
    }

    #[test]
    fn nothing_that_was_signed_for_somewhere_else_is_taken() {
        for wrong in [
            Expected {
                challenge: "another",
                ..EXPECTED
            },
            Expected {
                origin: "https://evil.example.org",
                ..EXPECTED
            },
            Expected {
                party: "example.org",
                ..EXPECTED
            },
        ] {
            let mut key = VirtualKey::new();
            let mut passkey = registered(&key);
            assert!(register(&key, wrong).check(EXPECTED).is_none(), "{wrong:?}");
            let assertion = assert(&mut key, wrong, true);
            let taken = passkey.accept(&assertion, EXPECTED);
            assert_eq!(taken, Err(Refused::Mismatch), "{wrong:?}");
        }
    }

    #[test]
    fn every_byte_is_signed() {
        let mut key = VirtualKey::new();
        let passkey = registered(&key);
        let good = assert(&mut key, EXPECTED, true);
        let data = from_base64url(&good.response.authenticator_data).unwrap();
        for i in 0..data.len() {
            let mut changed = data.clone();
            changed[i] ^= 1;
            let mut bad = good.clone();
            bad.response.authenticator_data = base64url(&changed);
            let taken = passkey.clone().accept(&bad, EXPECTED);
            assert_eq!(taken, Err(Refused::Mismatch), "{i}");
        }
        let mut bad = good.clone();
        bad.response.signature = String::new();
        assert!(passkey.clone().accept(&bad, EXPECTED).is_err());
        assert!(passkey.clone().accept(&good, EXPECTED).is_ok());
    }
}
