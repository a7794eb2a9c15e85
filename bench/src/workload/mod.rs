//! The workloads, each a handful of phases.

pub(crate) mod crud;
pub(crate) mod everything;
pub(crate) mod import;
pub(crate) mod load;
pub(crate) mod mixed;
pub(crate) mod search;
pub(crate) mod shapes;
pub(crate) mod small;
pub(crate) mod template;

#[cfg(test)]
mod tests;
