//! `pkcs11:token=T;object=KEY?module-path=FILE&pin-source=FILE` (RFC 7512): an AES key in a token
//! wraps the root key.
//!
//! The module is loaded when it is first asked, and stays: it is the token's own library and runs
//! in this process. The key encrypts by AES-GCM inside the token and never leaves it. What the
//! wrapping gives is 12 bytes of nonce, then what the token gave; the id of the root key is
//! authenticated.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use parking_lot::Mutex;
use salus_crypto::{RootFault, WrapsRoot, random};
use zeroize::Zeroizing;

use super::{Error, Parts};

const NONCE: usize = 12;
const TAG_BITS: u64 = 128;

/// Modules that are loaded: each can be initialised once in a process.
static MODULES: Mutex<Option<HashMap<PathBuf, Pkcs11>>> = Mutex::new(None);

/// An AES key in a token.
pub(super) struct Source {
    name: String,
    token: String,
    object: String,
    module: PathBuf,
    pin: PathBuf,
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (path, mut query) = Parts::of(text);
        let (mut token, mut object) = (None, None);
        for part in path.split(';') {
            match part.split_once('=') {
                Some(("token", value)) if token.is_none() => token = Some(decoded(value)?),
                Some(("object", value)) if object.is_none() => object = Some(decoded(value)?),
                // A secret in a name would be shown with it.
                Some((name, _)) => return Err(Error::PartUnknown(name.to_owned())),
                None => return Err(Error::PartUnknown(part.to_owned())),
            }
        }
        let missing = |what| Error::Part("pkcs11", what);
        let module = query.take("module-path").map(decoded).transpose()?;
        let pin = query.take("pin-source").map(decoded).transpose()?;
        query.end()?;
        let pin = pin.ok_or(missing("pin-source=FILE has to name a file with the PIN"))?;
        Ok(Self {
            name: format!("pkcs11:{path}"),
            token: token.ok_or(missing("token=LABEL has to name the token"))?,
            object: object.ok_or(missing("object=LABEL has to name the key"))?,
            module: module
                .ok_or(missing("module-path=FILE has to name the module"))?
                .into(),
            pin: pin.strip_prefix("file:").unwrap_or(&pin).into(),
        })
    }

    /// A session in which the key may be used, and the key.
    fn open(&self) -> Result<(Session, ObjectHandle), RootFault> {
        let module = module(&self.module)?;
        let slots = module.get_slots_with_token().map_err(meant)?;
        let labelled = |slot: &&cryptoki::slot::Slot| {
            let info = module.get_token_info(**slot);
            info.is_ok_and(|info| info.label() == self.token)
        };
        let slot = slots.iter().find(labelled);
        let slot = slot.ok_or(RootFault::Unreachable("no token of this label is there"))?;
        let session = module.open_ro_session(*slot).map_err(meant)?;
        let pin = super::secret(&self.pin);
        let pin = pin.map_err(|error| RootFault::NotReady(error.to_string()))?;
        let login = session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into())));
        match login {
            Ok(()) | Err(TokenError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(meant(error)),
        }
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.object.clone().into_bytes()),
        ];
        let found = session.find_objects(&wanted).map_err(meant)?;
        match found.as_slice() {
            [key] => Ok((session, *key)),
            [] => Err(RootFault::Lost("the token has no AES key of this label")),
            _ => Err(RootFault::Lost(
                "the token has several AES keys of this label",
            )),
        }
    }
}

impl WrapsRoot for Source {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap(&self, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault> {
        let (session, by) = self.open()?;
        let failed = |_| RootFault::NotReady("there is no randomness".to_owned());
        let mut nonce = random::bytes::<NONCE>().map_err(failed)?;
        let mut wrapped = nonce.to_vec();
        let params = GcmParams::new(&mut nonce, id.as_bytes(), TAG_BITS.into()).map_err(meant)?;
        let sealed = session.encrypt(&Mechanism::AesGcm(params), by, key);
        wrapped.extend_from_slice(&sealed.map_err(meant)?);
        Ok(wrapped)
    }

    fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, RootFault> {
        let (nonce, sealed) = wrapped
            .split_first_chunk::<NONCE>()
            .ok_or(RootFault::WrongKey("it was not wrapped by a token"))?;
        let (session, by) = self.open()?;
        let mut nonce = *nonce;
        let params = GcmParams::new(&mut nonce, id.as_bytes(), TAG_BITS.into()).map_err(meant)?;
        let plain = session.decrypt(&Mechanism::AesGcm(params), by, sealed);
        super::key_of(Some(Zeroizing::new(plain.map_err(meant)?)))
    }
}

fn module(path: &Path) -> Result<Pkcs11, RootFault> {
    let mut modules = MODULES.lock();
    let modules = modules.get_or_insert_default();
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let loaded = Pkcs11::new(path);
    let loaded = loaded.map_err(|error| RootFault::NotReady(format!("its module: {error}")))?;
    match loaded.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(TokenError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(meant(error)),
    }
    modules.insert(path.to_owned(), loaded.clone());
    Ok(loaded)
}

/// What a token's error means.
fn meant(error: TokenError) -> RootFault {
    let TokenError::Pkcs11(value, _) = &error else {
        return RootFault::NotReady(format!("its module: {error}"));
    };
    let is = |values: &[RvError]| values.contains(value);
    if is(&[
        RvError::PinIncorrect,
        RvError::PinInvalid,
        RvError::PinLenRange,
    ]) {
        return RootFault::NotAllowed("the PIN is another one");
    }
    if is(&[RvError::PinLocked, RvError::PinExpired]) {
        return RootFault::NotAllowed("the PIN is locked or over");
    }
    if is(&[RvError::KeyFunctionNotPermitted, RvError::UserNotLoggedIn]) {
        return RootFault::NotAllowed("the key may not be used for this");
    }
    let foreign = [
        RvError::EncryptedDataInvalid,
        RvError::EncryptedDataLenRange,
        // What SoftHSM says of a tag that is wrong.
        RvError::GeneralError,
    ];
    if is(&foreign) {
        return RootFault::WrongKey("the token says that it is no text of this key");
    }
    if is(&[RvError::MechanismInvalid, RvError::KeyTypeInconsistent]) {
        return RootFault::NotReady("the token has no AES-GCM with this key".to_owned());
    }
    RootFault::Unreachable("the token failed")
}

/// A value of RFC 7512: `%20` and the like stand for bytes.
fn decoded(text: &str) -> Result<String, Error> {
    let wrong = || Error::Part("pkcs11", "a value has a % that stands for no character");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_be_written_by_their_bytes() {
        assert_eq!(decoded("my%20key").unwrap(), "my key");
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert!(decoded(wrong).is_err(), "{wrong}");
        }
    }
}
