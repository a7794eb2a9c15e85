//! Terminology: code systems, value sets, and what codes are in them
//! (<https://hl7.org/fhir/R4/terminology-module.html>).
//!
//! A [`CodeSystem`] or [`ValueSet`] is read from a resource or from the
//! definitions of the release. Both are put into a [`Library`], which knows
//! them by canonical URL; [`ValueSet::needs`] and [`ValueSet::builds_on`] name
//! what else has to be there. [`Library::expand`] gives the [`Members`] of a
//! value set. Nothing here reads a store or waits.
//!
//! All work is bounded: concepts, codes, value sets inside each other, sizes of
//! patterns. What goes beyond is an [`Error`], and never a wrong answer.

mod code_system;
mod compose;
mod error;
mod filter;
mod library;
mod members;
mod read;
mod value_set;

#[cfg(test)]
mod tests;

pub use code_system::{CONCEPTS_MAX, CodeSystem, Content, Direction};
pub use error::Error;
pub use library::{CODES_MAX, Library, SETS_MAX};
pub use members::Members;
pub use value_set::ValueSet;
