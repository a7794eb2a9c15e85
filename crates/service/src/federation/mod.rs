//! Signing in by providers of OpenID Connect, whose client each project is
//! (<https://openid.net/specs/openid-connect-core-1_0.html>, section 3.1).
//!
//! A user is found by issuer and subject together, and by nothing else. An account elsewhere is
//! connected with one here only when both were proved, in one browser or from a session
//! ([0038](../../../../docs/adr/0038-federation.md)).

mod answer;
mod arrival;
mod ask;
mod begin;
mod connect;
mod discovery;
mod links;
mod providers;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use parking_lot::Mutex;
use salus_auth::throttle::{Limit, Throttle};

pub use answer::{Came, ProviderAnswer};
pub use ask::{Ask, Asking, Question, Settings, Unanswered};
pub use begin::{Away, Errand};
pub use connect::Own;
pub use links::{ConnectToBe, LinkView};
pub use providers::{ProviderName, ProviderToBe, ProviderView};

use crate::Service;
use crate::accounts::network;
use crate::context::Context;
use crate::error::{Error, Kind};
use discovery::Known;

/// People who go to a provider from one address: so many at once, and one every two seconds.
const BY_ADDRESS: Limit = Limit::Rate(60, 2_000);

/// What is kept in memory of providers.
#[derive(Default)]
pub(crate) struct Federation {
    known: Known,
    begun: Mutex<Throttle<IpAddr>>,
}

impl Service {
    /// Counts somebody who is about to be sent to a provider: strangers may ask for it.
    fn count_departure(&self, cx: &Context) -> Result<(), Error> {
        let Some(address) = cx.remote.map(network) else {
            return Ok(());
        };
        let mut begun = self.federation.begun.lock();
        let counted = begun.attempt(&address, BY_ADDRESS, cx.now_ms);
        counted.map_err(|_| {
            let why = "too many sign-ins were begun from this address; wait a moment";
            Error::new(Kind::Throttled, why)
        })
    }
}

/// What the audit says of a provider.
fn of_provider(name: &str) -> Box<str> {
    format!("provider={name}").into()
}
