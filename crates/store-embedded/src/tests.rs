//! The conformance suite on this engine, and what only this engine promises.

mod ahead;
mod budget;
mod cliffs;
mod crash;
mod disk;
mod format;
mod gate;
mod log;
mod nonces;
mod oracle;
mod orders;
mod points;
mod purges;
pub(crate) mod room;
mod shreds;
mod suite;
mod tallies;
mod texts;
mod torn;
