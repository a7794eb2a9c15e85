//! An authenticator for tests: a passkey on P-256 that answers as a browser would.
//! Tests over HTTP take this file in as well, so it knows no type of this crate.

use salus_crypto::signing::{Algorithm, PublicKey, SigningKey};
use salus_crypto::{base64url, sha256};
use serde_json::{Value, json};

/// A passkey.
pub(crate) struct VirtualKey {
    key: SigningKey,
    id: [u8; 16],
    count: u32,
}

impl VirtualKey {
    pub(crate) fn new() -> Self {
        let pkcs8 = SigningKey::generate(Algorithm::Es256).unwrap();
        let key = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap();
        let id = sha256(&pkcs8)[..16].try_into().unwrap();
        Self { key, id, count: 0 }
    }

    /// What a browser sends when it is made, for a challenge at an origin of a relying party.
    pub(crate) fn register(&self, challenge: &str, origin: &str, party: &str) -> Value {
        let PublicKey::Ec(_, point) = self.key.public() else {
            panic!("of another kind");
        };
        let mut data = self.data(party, 0x45);
        data.extend([0; 16]);
        data.extend([0, 16]);
        data.extend(self.id);
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(&point[..32]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point[32..]);
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x58");
        object.push(data.len().try_into().unwrap());
        object.extend(data);
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": client_data("webauthn.create", challenge, origin),
                "attestationObject": base64url(&object),
            },
        })
    }

    /// What a browser sends when it signs, for the user of this handle; `verified` is that
    /// the authenticator has asked for a PIN or a finger.
    pub(crate) fn assert(
        &mut self,
        (challenge, origin, party): (&str, &str, &str),
        user: &str,
        verified: bool,
    ) -> Value {
        self.count += 1;
        let data = self.data(party, if verified { 5 } else { 1 });
        let client = client_data("webauthn.get", challenge, origin);
        let hash = sha256(&salus_crypto::from_base64url(&client).unwrap());
        let fixed = self.key.sign(&[&*data, &hash].concat()).unwrap();
        let (r, s) = fixed.split_at(32);
        let numbers = [integer(r), integer(s)].concat();
        let mut der = vec![0x30, numbers.len().try_into().unwrap()];
        der.extend(numbers);
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": client,
                "authenticatorData": base64url(&data),
                "signature": base64url(&der),
                "userHandle": base64url(user.as_bytes()),
            },
        })
    }

    fn data(&self, party: &str, flags: u8) -> Vec<u8> {
        let mut data = sha256(party.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }
}

fn client_data(ty: &str, challenge: &str, origin: &str) -> String {
    let said = json!({"type": ty, "challenge": challenge, "origin": origin, "crossOrigin": false});
    base64url(said.to_string().as_bytes())
}

/// A number as DER writes it.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut digits = number[zeros..].to_vec();
    if digits.first().is_none_or(|first| *first > 127) {
        digits.insert(0, 0);
    }
    let mut der = vec![2, digits.len().try_into().unwrap()];
    der.extend(digits);
    der
}
