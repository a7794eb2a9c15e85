//! Search: typed values out of resources, typed criteria out of requests
//! (<https://hl7.org/fhir/R4/search.html>).
//!
//! Both sides end in the same plain types, and know nothing of a store: the
//! service maps values to index rows and criteria to a query.

mod composite;
mod control;
mod convert;
mod decimal;
mod define;
mod extract;
mod filter;
mod fold;
mod lay;
mod list;
mod main_date;
mod name;
mod near;
mod operand;
mod parameters;
pub(crate) mod path;
mod query;
mod span;
pub(crate) mod subset;
mod text;
mod value;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;

pub use control::{
    CONTROLS_MAX, Contained, ContainedType, Control, Include, SCORE, SortKey, Summary, Total,
};
pub use decimal::Number;
pub use define::{Own, define};
pub use extract::{Entry, Extractor};
pub use fold::fold;
pub use list::{Current, Listed};
pub use main_date::parameters as main_dates;
pub use name::{CHAIN_MAX, Clause, Criterion, Modifier};
pub use near::Near;
pub use operand::{ALTERNATIVES_MAX, Amount, Asking, Operand, Prefix};
pub use parameters::{Behind, Building, Parameters};
pub use query::{PARAMETERS_MAX, Problem, Search};
pub use span::Span;
pub use subset::{SUBSETTED, Subset};
pub use text::{Piece, TextQuery};

/// Which version of extraction made the rows of a record. Whoever changes what
/// a resource of R4 is found by raises it: a project whose rows are older is
/// indexed anew after the start. What searches need the new rows must answer
/// "not ready" until then: see `Parameters::check_current`.
///
/// - 0: folders from before there were revisions.
/// - 1: composites, `:text`, `:of-type`, amounts, canonical references.
/// - 2: words of resources, members of lists, places, contained resources.
/// - 3: ranges of numbers and quantities.
/// - 4: `:text` by words.
/// - 5: security contexts of Binaries.
pub const REVISION: u32 = 5;

pub use value::{CODE_BYTES_MAX, STRING_BYTES_MAX, VALUES_MAX, Value, clip};
