//! Synthetic patients: internally consistent lives, not random rows.
//!
//! A life is simulated first (a body that grows, illnesses with causes, visits that follow from
//! them) and written down afterwards as FHIR R4 resources: every measurement, order and bill
//! belongs to an encounter, agrees with the others and lies between birth and death.
//!
//! The same seed gives the same bytes, patient N does not depend on how many there are, and every
//! resource has a fixed id and is sent with PUT, so loading a population twice changes nothing.
//!
//! All people, places and organizations are invented. Codes are real; `codes` says where they
//! come from.

mod allergies;
mod body;
mod chart;
mod codes;
mod conditions;
mod datatypes;
mod directory;
mod draw;
mod encounters;
mod finance;
mod genetics;
mod illnesses;
mod immunizations;
mod laboratory;
mod life;
mod lifestyle;
mod markers;
mod medications;
mod names;
mod notes;
mod panels;
mod person;
mod plans;
mod population;
mod procedures;
mod time;
mod vitals;
mod write;

pub use chart::Form;
pub use markers::{Markers, markers};
pub use population::{Life, Population};

#[cfg(test)]
mod tests;
