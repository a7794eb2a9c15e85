//! Who is asking, and may they: credentials, tokens, records of users and
//! clients, and the one function that decides.
//!
//! Nothing here does input or output. A caller reads records, gives them to
//! functions, and commits the records that come back; time and randomness are
//! arguments. [`authorize`] is the only maker of a [`Grant`], and nothing in
//! Salus reads or writes a record without one.

mod agent;
pub mod assertion;
pub mod credentials;
mod error;
pub mod jwk;
pub mod jwt;
mod limit;
pub mod metadata;
pub mod mfa;
mod network;
pub mod oauth;
pub mod openid;
pub mod policy;
mod purpose;
pub mod record;
mod scopes;
mod secret;
pub mod session;
mod subject;
pub mod template;
pub mod throttle;
mod token;

pub use agent::{Agent, Exception, Recipient};
pub use error::{Error, Refusal};
pub use limit::Limit;
pub use network::Network;
pub use policy::{Action, Denied, Grant, Operation, Target, authorize, authorize_operation};
pub use purpose::{PurposeOfUse, Purposes, SYSTEM as PURPOSE_SYSTEM};
pub use scopes::{Granted, Level, Scopes, Word};
pub use secret::Secret;
pub use subject::{Role, Subject, Who};
pub use token::Token;
