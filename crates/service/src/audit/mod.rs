//! The audit: what is kept of every decision, and how it is shown.

pub mod entry;
mod event;
pub mod log;
mod search;
pub mod verify;
