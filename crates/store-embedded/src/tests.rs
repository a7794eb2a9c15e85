//! The conformance suite on this engine, and what only this engine promises.

mod suite;
