//! The keys of a standby: a keyring of its own, which takes over what comes to the copy that the
//! operator renews. New keys come as the log needs them; destroyed ones are destroyed here, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use salus_crypto::{Adopted, Founding, Keyring, RootSource};
use salus_service::context::World as _;

use super::Failure;
use super::state::State;
use crate::open::Machine;
use crate::{restore, roots};

/// How often the copy is looked at without need.
const LOOK: Duration = Duration::from_secs(2);

/// The keyring, and the copy that it follows.
pub(super) struct Keys {
    pub(super) keyring: Arc<Keyring>,
    from: PathBuf,
    own: PathBuf,
    /// When the copy was looked at last, and how old its files were.
    looked: Option<Instant>,
    stamps: Vec<Option<(SystemTime, u64)>>,
}

/// What came of looking at the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewed {
    Nothing,
    /// Keys came, or changed.
    Changed,
    /// Keys were destroyed.
    Destroyed,
    /// The root key changed: all of it has to be opened anew.
    Root,
}

impl Keys {
    /// Opens the standby's keyring; copies it if there is none yet.
    pub(super) fn open(data: &Path, state: &State) -> Result<Self, Failure> {
        let own = data.join("keys");
        if !own.exists() {
            Self::copy_anew(data, state)?;
        }
        let source = roots::of(state.root_key.as_deref(), &own)?;
        let now_ms = Machine.now_ms();
        let keyring = Keyring::open_from(&own, &source, Founding::Existing, now_ms)?;
        Ok(Self {
            keyring,
            from: state.keys.clone(),
            own,
            looked: None,
            stamps: Vec::new(),
        })
    }

    /// Looks at the copy, at most every two seconds unless keys are needed.
    pub(super) fn renew(&mut self, needed: bool) -> Result<Renewed, Failure> {
        let lately = |looked: Instant| looked.elapsed() < LOOK;
        if !needed && self.looked.is_some_and(lately) {
            return Ok(Renewed::Nothing);
        }
        self.looked = Some(Instant::now());
        let stamps = self.stamps_now();
        if !needed && stamps == self.stamps {
            return Ok(Renewed::Nothing);
        }
        let adopted: Adopted = self.keyring.adopt(&self.from)?;
        if adopted.another_root {
            return Ok(Renewed::Root);
        }
        let shreds = self.bring_shreds()?;
        self.stamps = stamps;
        Ok(match adopted {
            adopted if adopted.destroyed > 0 || shreds => Renewed::Destroyed,
            Adopted {
                new: 0, wrapped: 0, ..
            } => Renewed::Nothing,
            _ => Renewed::Changed,
        })
    }

    /// Copies all of it anew, beside; it is in place when the standby is opened again.
    pub(super) fn copy_anew(data: &Path, state: &State) -> Result<(), Failure> {
        let source = roots::of(state.root_key.as_deref(), &data.join(NEW))?;
        replace(&state.keys, &data.join("keys"), &source)
    }

    fn stamps_now(&self) -> Vec<Option<(SystemTime, u64)>> {
        let stamp = |name: &str| {
            let about = fs::metadata(self.from.join(name)).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        ["keyring", "keyring.changes", "shreds"]
            .into_iter()
            .map(stamp)
            .collect()
    }

    /// Takes the ledger of shreddings, which only grows; whether it has.
    fn bring_shreds(&self) -> Result<bool, Failure> {
        let (from, own) = (self.from.join("shreds"), self.own.join("shreds"));
        let Ok(bytes) = fs::read(&from) else {
            return Ok(false);
        };
        let known = fs::metadata(&own).map_or(0, |about| about.len());
        if bytes.len() as u64 <= known {
            return Ok(false);
        }
        let aside = self.own.join("shreds.new");
        restore::write_private(&aside, &bytes)?;
        fs::rename(&aside, &own)?;
        fs::File::open(&self.own)?.sync_all()?;
        Ok(true)
    }
}

const NEW: &str = "keys.new";

/// Copies a folder of keys beside its place, tries whether it opens, and puts it there.
fn replace(from: &Path, place: &Path, source: &RootSource) -> Result<(), Failure> {
    let aside = place.with_file_name(NEW);
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    restore::copy_keys(from, &aside)
        .map_err(|error| format!("cannot copy the keys in {}: {error}", from.display()))?;
    drop(Keyring::open_from(
        &aside,
        source,
        Founding::Existing,
        Machine.now_ms(),
    )?);
    if place.exists() {
        let former = place.with_file_name("keys.former");
        if former.exists() {
            fs::remove_dir_all(&former)?;
        }
        fs::rename(place, &former)?;
        fs::rename(&aside, place)?;
        fs::remove_dir_all(&former)?;
        return Ok(());
    }
    Ok(fs::rename(&aside, place)?)
}
