//! What a standby has to know beside its store: the file `standby` in its folder, JSON.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use salus_store::Scope;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::arguments::FollowArguments;
use crate::fencing;

/// Its name. While it is there, the folder is served by nobody.
pub(crate) const STANDBY: &str = "standby";
const VERSION: u8 = 1;

/// Where a standby comes from, and what is left to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct State {
    version: u8,
    /// The archive.
    pub(super) from: String,
    /// The copy of the keys that is renewed.
    pub(super) keys: PathBuf,
    pub(super) root_key: Option<String>,
    pub(super) base_url: Option<String>,
    /// By which form of rows the store's were made; 0 before it is restored.
    pub(super) revision: u32,
    /// Scopes whose rows have to be made again.
    pub(super) again: BTreeSet<u32>,
    /// The fence of a promotion that was begun, as its number and id.
    pub(super) promoting: Option<(u64, [u8; 16])>,
}

impl State {
    /// Of a standby, with what it is told now; a new one if there is none.
    pub(super) fn open(arguments: &FollowArguments) -> Result<Self, Failure> {
        let data = &arguments.data;
        let mut state = match Self::read(data)? {
            Some(state) => state,
            None => Self::new(arguments)?,
        };
        let FollowArguments {
            from,
            keys,
            root_key,
            base_url,
            ..
        } = arguments;
        if from.as_ref().is_some_and(|from| *from != state.from) {
            return Err(format!(
                "this standby follows {}; make another one in a folder of its own",
                state.from
            )
            .into());
        }
        if let Some(keys) = keys {
            state.keys.clone_from(keys);
        }
        state.root_key = root_key.clone().or(state.root_key);
        state.base_url = base_url.clone().or(state.base_url);
        state.write(data)?;
        Ok(state)
    }

    /// That of a standby that is there.
    pub(super) fn existing(data: &Path) -> Result<Self, Failure> {
        let none = || format!("{} is no standby", data.display());
        Ok(Self::read(data)?.ok_or_else(none)?)
    }

    fn read(data: &Path) -> Result<Option<Self>, Failure> {
        let path = data.join(STANDBY);
        let state: Option<Self> = fencing::read(&path)?;
        match state {
            Some(state) if state.version != VERSION => {
                Err(format!("{} is of a later version of salus", path.display()).into())
            }
            state => Ok(state),
        }
    }

    fn new(arguments: &FollowArguments) -> Result<Self, Failure> {
        let data = &arguments.data;
        let (Some(from), Some(keys)) = (&arguments.from, &arguments.keys) else {
            return Err("a new standby needs --from ARCHIVE and --keys DIR".into());
        };
        if std::fs::read_dir(data).is_ok_and(|mut inside| inside.next().is_some()) {
            return Err(format!(
                "{} is not empty and no standby; make one in a new folder",
                data.display()
            )
            .into());
        }
        make_private(data)?;
        Ok(Self {
            version: VERSION,
            from: from.clone(),
            keys: keys.clone(),
            root_key: None,
            base_url: None,
            revision: 0,
            again: BTreeSet::new(),
            promoting: None,
        })
    }

    pub(super) fn write(&self, data: &Path) -> Result<(), Failure> {
        Ok(fencing::write(&data.join(STANDBY), self)?)
    }

    pub(super) fn scopes_again(&self) -> BTreeSet<Scope> {
        self.again.iter().copied().map(Scope).collect()
    }
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut made = std::fs::DirBuilder::new();
    made.recursive(true).mode(0o700).create(folder)
}

/// Holds a standby's folder: one process at a time.
pub(super) fn lock(data: &Path) -> Result<File, Failure> {
    let path = data.join("follow.lock");
    let file = File::options().create(true).append(true).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(format!("another process follows into {}", data.display()).into())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}
