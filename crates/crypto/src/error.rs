//! Why a key or a sealed text could not be used.

use std::path::PathBuf;

use crate::{RootFault, Slot};

/// No message holds a key, a label or content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk did not do as asked.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was attempted, as in "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is a keyring, or there should be one, and its root key is gone.
    #[error("the root key {} is missing; without it nothing can be read, so put the file back", .0.display())]
    RootMissing(PathBuf),
    /// Others may read the root key.
    #[error("the root key {} may be read by others (mode {mode:04o}): set it to 0600", path.display())]
    RootExposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The root key's file is not one.
    #[error("{} is not a root key: expected a version line and 64 hexadecimal digits", .0.display())]
    RootMalformed(PathBuf),
    /// The file with a wrapped root key is not one.
    #[error("{} is not a wrapped root key: put the file back as it was", .0.display())]
    WrappedMalformed(PathBuf),
    /// The file that says what a rotation has to do is not one.
    #[error("{} does not say what is to be rotated: put the file back as it was", .0.display())]
    RotationMalformed(PathBuf),
    /// What is written down of changes of the keyring is not of this version.
    #[error("{} is damaged, or was written by a later version of Salus: put the file back as it was, or use that version", .0.display())]
    ChangesMalformed(PathBuf),
    /// The root key is not the one that wrapped this keyring.
    #[error(
        "the root key {} is not the one of this keyring: it has the id {found:08x}, the keyring wants {wanted:08x}",
        path.display()
    )]
    RootForeign {
        /// The file.
        path: PathBuf,
        /// Id of the key in it.
        found: u32,
        /// Id of the key that the keyring was wrapped with.
        wanted: u32,
    },
    /// The store exists and its keyring does not.
    #[error("the keyring {} is missing; without it nothing can be read, so put the file back", .0.display())]
    KeyringMissing(PathBuf),
    /// A keyring was to be founded in a folder that holds something else.
    #[error("the folder {} is not empty and holds no keyring: choose another, or empty it", .0.display())]
    FolderInUse(PathBuf),
    /// Another process has this keyring open.
    #[error("the keyring {} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// What lies in the keyring is not what was written.
    #[error("the keyring {} is damaged at slot {slot}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The slot.
        slot: u32,
        /// What is wrong there.
        what: &'static str,
    },
    /// What lies in the shred ledger is not what was written, or by another keyring.
    #[error("the shred ledger {} is damaged, or belongs to another keyring: put back the one of this keyring", .0.display())]
    LedgerDamaged(PathBuf),
    /// No key has this slot: the keyring is older than the data.
    #[error("the keyring has no key {}: it may be older than the data", .0.number())]
    SlotUnknown(Slot),
    /// The key of this slot was destroyed on purpose.
    #[error("the key {} was destroyed", .0.number())]
    Destroyed(Slot),
    /// The keys of a patient were destroyed on purpose, and there will be no other.
    #[error("the keys of this patient were destroyed: nothing more can be stored for it")]
    LabelDestroyed,
    /// A patient has no key, so there is none to renew.
    #[error("this patient has no key yet")]
    LabelUnknown,
    /// The root key is kept by somebody else than the settings say.
    #[error(
        "the root key of this keyring is kept by {kept}, not by {asked}: name that with --root-key"
    )]
    RootElsewhere {
        /// Who keeps it, as it was noted when it was wrapped.
        kept: String,
        /// Whom the settings name.
        asked: String,
    },
    /// Who keeps the root key did not give it.
    #[error("{by} did not open the root key: {fault}")]
    Root {
        /// Who keeps it.
        by: String,
        /// Why not.
        fault: RootFault,
    },
    /// A new root key was to be written where there is something.
    #[error("{} is there already: a new root key needs a new file", .0.display())]
    RootThere(PathBuf),
    /// The disk failed while a root key was rotated, so that no key can be made.
    #[error("the disk failed while the root key was rotated: mend it and start again")]
    Stopped,
    /// What was to be done with a key is being done already.
    #[error("keys are being rotated already: wait until that is over")]
    Busy,
    /// A sealed text was changed, moved to another place, or sealed with another key.
    #[error("the sealed text is not authentic")]
    NotAuthentic,
    /// A format of a later version, or not one of ours.
    #[error("the {what} has a form that this version does not know")]
    Unsupported {
        /// What it should have been.
        what: &'static str,
    },
    /// The cryptographic library refused to work.
    #[error("the cryptographic library failed: {0}")]
    Library(&'static str),
}
