//! When archives are looked after, by which clock: what a test has otherwise.

use std::time::Duration;

use salus_service::context::World;

use crate::open::Machine;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How often something is done with archives beside shipping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// How often they are merged and pruned.
    pub(crate) keep: Duration,
    /// How often it is looked whether a base is due.
    pub(crate) look: Duration,
    /// The first look, when the server has other things to do no more.
    pub(crate) first_look: Duration,
    /// By which windows and bases are measured, in milliseconds since 1970 UTC.
    pub(crate) now_ms: fn() -> i64,
}

impl Schedule {
    /// That of every server.
    pub(crate) const USUAL: Self = Self {
        keep: HOUR,
        look: HOUR,
        first_look: Duration::from_secs(60),
        now_ms: || Machine.now_ms(),
    };
}
