//! FHIR R4 without a store or a network: documents, definitions, validation,
//! FHIRPath, search values.

pub mod compartment;
pub mod definitions;
pub mod fhirpath;
pub mod issue;
pub mod json;
pub mod mask;
pub mod patch;
pub mod primitive;
pub mod reference;
pub mod resource;
pub mod search;
pub mod splice;
pub mod text;
pub mod ucum;
pub mod validate;
mod xhtml;
pub mod xml;
