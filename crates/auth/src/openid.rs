//! What a provider of OpenID Connect says: where its endpoints are, and who has signed in.
//!
//! Both are read and checked here, and fetched elsewhere.

mod id_token;
mod metadata;

pub use id_token::{Expected, Told, Wrong, check};
pub use metadata::Metadata;
