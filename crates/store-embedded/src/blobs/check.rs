//! Opens every frame of every blob.

use std::sync::Arc;

use salus_store::{Error, Scope};

use super::read::Opened;
use super::{NEW, trouble};
use crate::core::Core;

/// Frames opened at once.
const FRAMES: u64 = 16;

/// Tells of every blob that is not what was written, a line each.
pub(crate) fn check(core: &Arc<Core>, mut fault: impl FnMut(String)) -> Result<(), Error> {
    for entry in std::fs::read_dir(&core.blobs.path).map_err(trouble)? {
        let name = entry.map_err(trouble)?.file_name();
        let name = name.to_string_lossy();
        if name == NEW {
            continue;
        }
        let Ok(scope) = u32::from_str_radix(&name, 16) else {
            fault(format!("blobs: {name} is nothing of ours"));
            continue;
        };
        for shard in 0..=u8::MAX {
            for id in core.blobs.ids(Scope(scope), shard)? {
                match check_one(core, Scope(scope), &id) {
                    // To be removed when a server opens the folder: its key is gone.
                    Ok(()) | Err(Error::KeyDestroyed) => {}
                    Err(error) => fault(format!("blob {id} of scope {scope}: {error}")),
                }
            }
        }
    }
    Ok(())
}

fn check_one(core: &Arc<Core>, scope: Scope, id: &str) -> Result<(), Error> {
    // Removed meanwhile, if it is not there.
    let Some(blob) = Opened::open(Arc::clone(core), scope, id)? else {
        return Ok(());
    };
    let mut first = 0;
    while first < blob.layout.frames {
        blob.frames(first, FRAMES)?;
        first += FRAMES;
    }
    Ok(())
}
