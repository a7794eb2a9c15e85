//! Second factors: who needs one, how a sign-in goes on with one, and how people
//! care for their own.
//!
//! A password alone opens nothing for who has a second factor, and for who must have
//! one only the way to set it up. What was proved, and when, stands in the
//! session, so that each request is decided by it.

mod enrol;
mod own;
mod passkeys;
mod step_up;
mod steps;
#[cfg(test)]
mod tests;

use salus_auth::Role;
use salus_auth::Secret;
use salus_auth::mfa::passkey;
use salus_auth::record::{Factors, Membership, Saved, User};
use salus_store::Scope;

use crate::Service;
use crate::error::{Error, Kind};
use crate::records::ever;
use crate::sessions::SignedIn;

pub use salus_auth::mfa::passkey::{Assertion, Registration};
pub use salus_auth::mfa::{ACR_MULTI, ACR_SINGLE};

pub use enrol::{Enrolment, NewFactor};
pub use own::{Confirmed, EnrolmentView, FactorView, FactorsView};
pub(crate) use steps::{First, Passed};

/// What somebody proves themselves with, besides or instead of a password.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A code that an app shows.
    Totp(Secret),
    /// One of the codes for who has lost everything else.
    Recovery(Secret),
    /// What a passkey has signed.
    Passkey(Box<passkey::Assertion>),
}

/// How a sign-in goes on after the first proof.
#[derive(Debug)]
pub enum SignInStep {
    /// It is done.
    Done(SignedIn),
    /// It is done as far as setting up a second factor goes.
    Enrol(SignedIn),
    /// A second factor has to follow.
    Factor(FactorStep),
}

/// A sign-in that waits for a second factor.
#[derive(Debug)]
pub struct FactorStep {
    /// What it is gone on with.
    pub ticket: Secret,
    /// How long that is good for, in seconds.
    pub expires_in_s: i64,
    /// What can follow.
    pub offered: Offered,
}

/// The second factors that somebody has.
#[derive(Clone)]
pub struct Offered {
    /// Whether the user has an app that shows codes.
    pub totp: bool,
    /// Whether the user has recovery codes left.
    pub recovery: bool,
    /// What a browser needs to ask for one of the user's passkeys, if there is one.
    pub passkey: Option<serde_json::Value>,
}
salus_phi::guard!(Offered);

impl Service {
    /// Whether somebody has to bring a second factor, whether or not they have one.
    pub(crate) fn needs_factor(&self, home: Scope, user: &User, membership: &Membership) -> bool {
        let mut roles = user.roles.iter();
        let administers = roles.any(|(_, role)| *role == Role::Administrator);
        administers && !self.settings.development
            || membership.mfa_required
            || self.identity(home).mfa_required
    }

    /// The second factors of a user; none is a record that is not kept yet.
    pub(crate) async fn factors(&self, home: Scope, user: &str) -> Result<Saved<Factors>, Error> {
        let (found, version) = ever::<Factors>(&*self.store, home, user).await?;
        // One that was deleted goes on where it was.
        let none = Factors::none(user);
        Ok(found.unwrap_or(Saved { version, ..none }))
    }
}

/// The answer to codes when too many were wrong, for some more milliseconds.
fn shut(wait_ms: i64) -> Error {
    Error::throttled(
        "too many codes were wrong; wait some minutes before the next",
        wait_ms,
    )
}

/// What a commit that came second means: nothing was used up, and nothing is told.
fn raced(error: salus_store::Error) -> Error {
    if let salus_store::Error::Conflict { .. } = error {
        return Error::new(
            Kind::Conflict,
            "another sign-in of this account came first; try again",
        );
    }
    error.into()
}
