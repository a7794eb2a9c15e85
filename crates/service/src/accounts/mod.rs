//! The people of a project: how they come in, and what keeps others out.

mod identity;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;

pub(crate) use identity::Identities;
