//! Every version opens, and what it says of itself.

use std::collections::HashMap;

use salus_store::{Error, Kind, Scope};

use super::{Faults, Point};
use crate::hash::BySeq;
use crate::{body, keys};

/// What is known of a version.
pub(super) struct Version {
    pub(super) digest: [u8; 32],
    pub(super) of: (Scope, Kind),
    pub(super) number: u64,
    pub(super) deleted: bool,
    /// Only that it was there is left.
    pub(super) purged: bool,
    /// The mark of what was purged of its record says so.
    pub(super) marked: bool,
    pub(super) newest: bool,
    pub(super) older: bool,
}

/// All versions by their seqs.
pub(super) type Versions = BySeq<Version>;

/// Of each record that was purged, without the space of its key, the first version that was not.
pub(super) type Purges = HashMap<Vec<u8>, u64>;

/// What was purged of which record.
pub(super) fn purges(at: &Point<'_>) -> Result<Purges, Error> {
    let mut purges = Purges::new();
    at.scan(keys::PURGED, |key, below| {
        let of = key.get(1..).unwrap_or_default().to_vec();
        purges.insert(of, keys::last_number(below));
        Ok(())
    })?;
    Ok(purges)
}

/// Reads every body; each opens, but for those that were purged.
pub(super) fn read(at: &Point<'_>, purges: &Purges) -> Result<(Versions, Faults), Error> {
    let (mut versions, mut faults) = (Versions::default(), Faults::default());
    at.scan(keys::BODY, |key, bytes| {
        let seq = keys::last_number(key);
        if seq > at.state.seq {
            return Ok(());
        }
        let stored = match body::Stored::read(bytes) {
            Ok(stored) => stored,
            Err(error) => {
                faults.add(format!("version {seq}: {error}"));
                return Ok(());
            }
        };
        let purged = stored.purged();
        let mark = keys::record(keys::PURGED, stored.scope, stored.kind, stored.id);
        let below = purges.get(&mark[1..]);
        let marked = below.is_some_and(|below| stored.version < *below);
        if purged.is_none() {
            match stored.open(seq, &at.core.codec, &at.core.keyring) {
                // To be removed when a server opens the folder: its key is gone.
                Ok(_) | Err(Error::KeyDestroyed) => {}
                Err(error) => faults.add(format!("version {seq}: {error}")),
            }
        }
        let version = Version {
            digest: purged.unwrap_or_else(|| body::digest(bytes)),
            purged: purged.is_some(),
            marked,
            of: (stored.scope, stored.kind),
            number: stored.version,
            deleted: stored.is_deleted(),
            newest: false,
            older: false,
        };
        versions.insert(seq, version);
        Ok(())
    })?;
    Ok((versions, faults))
}
