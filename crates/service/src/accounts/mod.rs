//! The people of a project: how they come in, and what keeps others out.

mod asks;
mod everyone;
mod groups;
mod guesses;
mod identity;
mod invitations;
mod links;
mod notices;
mod own;
#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;
mod users;

pub(crate) use asks::Asks;
pub use groups::{GroupView, NewGroup};
pub(crate) use guesses::{Guesses, network};
pub(crate) use identity::Identities;
pub use invitations::{Invitation, InvitationView};
pub use links::ByMail;
pub use own::{AccountChange, SessionView};
pub use users::{UserChange, UserFilter, UserPage, UserView};
pub(crate) use users::{check_another, concern};
