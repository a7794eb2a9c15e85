//! The people of a project: how they come in, and what keeps others out.

mod groups;
mod guesses;
mod identity;
mod own;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;
mod users;

pub use groups::{GroupView, NewGroup};
pub(crate) use guesses::Guesses;
pub(crate) use identity::Identities;
pub use own::SessionView;
pub use users::{UserChange, UserFilter, UserPage, UserView};
