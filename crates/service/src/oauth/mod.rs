//! OAuth 2.1, which is RFC 6749 with <https://www.rfc-editor.org/rfc/rfc9700>, as
//! SMART App Launch profiles it
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html>).
//!
//! Each project is an issuer of its own, with its own clients and keys. Its
//! name is the address that clients use for it.

mod apps;
mod authorize;
mod brands;
mod browser;
mod clients;
mod codes;
mod device;
mod exchange;
mod keys;
mod launch;
mod logout;
mod look;
mod pick;
mod pushed;
mod registration;
mod request;
mod service_keys;
mod tokens;
mod who;

pub use apps::AppView;
pub use authorize::{Consent, Pick, Step};
pub use browser::Here;
pub use clients::{Presented, Proof};
pub use codes::Given;
pub use device::Waiting;
pub(crate) use keys::Keys;
pub use launch::LaunchToBe;
pub use logout::{Leaving, LogoutAsked};
pub use look::{Look, content_tag};
pub use pick::{Choice, Chosen};
pub(crate) use registration::Registrations;
pub use registration::{InitialTokenToBe, InitialTokenView, RegisteredClient, RegistrationToBe};
pub use request::Asked;
pub use salus_auth::oauth::{Code, Fault};
pub use salus_auth::record::{
    DEVICE_INTERVAL_MS, DEVICE_LIFETIME_MS, LAUNCH_LIFETIME_MS, PUSHED_LIFETIME_MS,
};
pub use service_keys::{KeyToBe, KeyView};

use crate::context::Context;
use crate::error::Error;

/// Why something of OAuth was not done.
#[derive(Debug)]
pub enum Refused {
    /// In the words of the protocol.
    Fault(Fault),
    /// As any request may be refused, or fail.
    Service(Error),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl From<salus_auth::Error> for Refused {
    fn from(error: salus_auth::Error) -> Self {
        Self::Service(error.into())
    }
}

impl From<salus_store::Error> for Refused {
    fn from(error: salus_store::Error) -> Self {
        Self::Service(error.into())
    }
}

fn fault(code: Code, description: &'static str) -> Refused {
    Fault::new(code, description).into()
}

/// The name of the project as an issuer of tokens (RFC 8414, 2).
#[must_use]
pub fn issuer(cx: &Context) -> &str {
    cx.base.strip_suffix("/fhir").unwrap_or(&cx.base)
}
