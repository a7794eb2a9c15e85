//! The audit: what is kept of every decision, and how it is shown.

pub mod accounting;
mod agents;
pub mod archive;
pub mod day;
pub mod disclosure;
mod disclosures;
pub mod entry;
mod event;
pub mod log;
mod masked;
mod search;
pub mod system;
pub mod verify;
mod way;
