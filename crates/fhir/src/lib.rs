//! FHIR R4 without a store or a network: documents, definitions, validation,
//! FHIRPath, search values.

pub mod definitions;
pub mod issue;
pub mod json;
pub mod primitive;
