//! FHIR XML in and out (<https://hl7.org/fhir/R4/xml.html>), by way of the
//! JSON form, which is what is stored.
//!
//! [`read`] turns XML into the text of the JSON form and [`write()`] does the
//! reverse, each in one pass along the definitions: they say which element
//! repeats, which is a number, what a choice may be, in which order elements
//! come in XML. Decimals keep their digits, repeated elements their order,
//! primitives their ids and extensions, narratives their text.
//!
//! The definitions decide about names, places and kinds of values only.
//! Whether a resource is valid is for [`crate::validate`] to say, of the JSON
//! form.

mod character;
mod error;
mod read;
mod write;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

pub use error::{Error, ErrorKind};
pub use read::read;
pub use write::{Layout, write};

/// The namespace of everything but narratives.
pub const FHIR: &str = "http://hl7.org/fhir";
/// The namespace of narratives.
pub const XHTML: &str = "http://www.w3.org/1999/xhtml";
