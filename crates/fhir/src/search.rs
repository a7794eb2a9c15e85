//! Search: typed values out of resources, typed criteria out of requests
//! (<https://hl7.org/fhir/R4/search.html>).
//!
//! Both sides end in the same plain types, and know nothing of a store: the
//! service maps values to index rows and criteria to a query.

mod convert;
mod decimal;
mod extract;
mod fold;
mod main_date;
mod path;
mod span;
mod value;

#[cfg(test)]
mod tests;

pub use decimal::Number;
pub use extract::{Entry, Extractor};
pub use fold::fold;
pub use span::Span;
pub use value::{CODE_BYTES_MAX, STRING_BYTES_MAX, VALUES_MAX, Value, clip};
