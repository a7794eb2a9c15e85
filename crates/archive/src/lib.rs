//! The archive: a copy of a store's log that anything can be restored from.
//!
//! Segments are immutable objects in a format of ours, each chained to the one before and sealed
//! once more; [`Archive`] reads them back, strictly and in order, and says exactly what is
//! missing, damaged or foreign. Objects lie in a [`Destination`]. The format is in
//! `docs/archive-format.md`, the reasons in `docs/adr/0047-archive.md`. This crate knows the log
//! of a store and nothing of what is in it: no FHIR, no HTTP, no engine.

mod base;
mod batch;
mod destination;
mod error;
mod fence;
mod folder;
mod header;
mod keys;
mod merge;
mod name;
mod plan;
mod prune;
mod reading;
pub mod s3;
mod segment;
mod shipper;
mod summary;
mod tail;
mod verify;

pub use base::{Base, Pace, Taken, Whole};
pub use destination::{Answer, Destination, Object, Put, Trouble};
pub use error::{Error, Fault, What};
pub use fence::Fence;
pub use folder::Folder;
pub use header::{Form, Header};
pub use keys::Keys;
pub use merge::Sizes;
pub use name::{BaseName, BasePart, BlobPart, SegmentName};
pub use plan::Contents;
pub use prune::{Pruned, Window};
pub use reading::{Archive, Reached, Reading, Until};
pub use segment::{Footer, Segment, Start, read_whole};
pub use shipper::{Phase, Settings, Shipping, Source, Status, Watch};
pub use summary::Summary;
pub use tail::{End, Tail};
pub use verify::{Follows, Progress, Verified};
