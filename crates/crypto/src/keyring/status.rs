//! What keys there are and how old they are, and whether each can be unwrapped.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use super::file::place;
use super::labels::Held;
use super::record::{LEN, Level, Record};
use super::{Keyring, record, source};
use crate::Error;

/// Records read at once.
const CHUNK: u32 = 512;

/// Faults that a check names; further ones are counted.
const FAULTS_MAX: usize = 100;

/// The keys of a keyring, by age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The root key.
    pub root: RootStatus,
    /// When the purpose key was made.
    pub purposes_ms: i64,
    /// The projects that have a key, by scope.
    pub projects: Vec<ProjectKeys>,
}

/// The root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootStatus {
    /// Who keeps it.
    pub source: String,
    /// What tells it from others.
    pub id: String,
    /// Since when it is in use.
    pub since_ms: i64,
}

/// The keys of one project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectKeys {
    /// Its scope.
    pub scope: u32,
    /// When the key in use was made.
    pub created_ms: i64,
    /// How many came before it.
    pub older: u64,
    /// The keys of its patients.
    pub patients: PatientKeys,
}

/// The keys of a project's patients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatientKeys {
    /// How many patients have one.
    pub count: u64,
    /// When the oldest of those in use was made.
    pub oldest_ms: Option<i64>,
    /// How many came before others.
    pub older: u64,
    /// How many are wrapped by a key of the project that is no longer in use.
    pub behind: u64,
    /// How many were destroyed.
    pub destroyed: u64,
}

/// What unwrapping every key has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedKeys {
    /// Keys that unwrap.
    pub good: u64,
    /// Keys that were destroyed.
    pub destroyed: u64,
    /// What is wrong, by slot: the first hundred.
    pub faults: Vec<String>,
    /// How many are wrong.
    pub bad: u64,
}

impl Keyring {
    /// The keys and their ages. Reads the whole keyring.
    ///
    /// # Errors
    /// When the disk fails or a record is damaged.
    pub fn status(&self) -> Result<Status, Error> {
        let mut projects = BTreeMap::<u32, ProjectKeys>::new();
        let mut first = None;
        self.each_record(0, u32::MAX, |record| {
            match record.level {
                Level::Purposes => first = Some(record),
                Level::Project | Level::Patient => {
                    let project = projects.entry(record.scope).or_default();
                    project.scope = record.scope;
                    self.count(&record, project);
                }
                Level::Unused => {}
            }
            Ok(())
        })?;
        let first = first.ok_or_else(|| self.damaged(0, "it is missing"))?;
        let roots = self.roots.read();
        Ok(Status {
            root: RootStatus {
                source: roots.source.name(),
                id: source::hex(roots.current.id),
                since_ms: first.root_since_ms(),
            },
            purposes_ms: first.created_ms,
            projects: projects.into_values().collect(),
        })
    }

    /// Whether who keeps the root key still gives it.
    ///
    /// # Errors
    /// As when a keyring is opened.
    pub fn probe(&self) -> Result<(), Error> {
        let (source, id) = {
            let roots = self.roots.read();
            (roots.source.clone(), roots.current.id)
        };
        source.read(&self.dir, Some(id), None).map(|_| ())
    }

    /// Unwraps every key, from the file and not from memory.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn check(&self) -> Result<CheckedKeys, Error> {
        let mut checked = CheckedKeys::default();
        let mut slot = 0;
        while slot < self.slots() {
            let result = self.record(slot).and_then(|record| self.unwraps(&record));
            match result {
                Ok(()) => checked.good += 1,
                Err(Error::Destroyed(_)) => checked.destroyed += 1,
                // Nothing was ever sealed with it.
                Err(Error::SlotUnknown(_)) => {}
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => {
                    checked.bad += 1;
                    if checked.faults.len() < FAULTS_MAX {
                        checked.faults.push(error.to_string());
                    }
                }
            }
            slot += 1;
        }
        Ok(checked)
    }

    fn unwraps(&self, record: &Record) -> Result<(), Error> {
        let slot = super::Slot(record.slot);
        match (record.level, record.status) {
            (Level::Unused, _) => Err(Error::SlotUnknown(slot)),
            (_, record::Status::Destroyed) => Err(Error::Destroyed(slot)),
            (_, record::Status::Live) => self.secret(record).map(|_| ()),
        }
    }

    fn count(&self, record: &Record, project: &mut ProjectKeys) {
        let newest = self.labels.read().get(&record.label) == Held::Slot(record.slot);
        match (record.level == Level::Project, newest) {
            (true, true) => project.created_ms = record.created_ms,
            (true, false) => project.older += 1,
            (false, _) => self.count_patient(record, newest, &mut project.patients),
        }
    }

    fn count_patient(&self, record: &Record, newest: bool, patients: &mut PatientKeys) {
        if record.status == record::Status::Destroyed {
            patients.destroyed += 1;
            return;
        }
        match newest {
            true => {
                patients.count += 1;
                let oldest = patients.oldest_ms.unwrap_or(i64::MAX);
                patients.oldest_ms = Some(oldest.min(record.created_ms));
            }
            false => patients.older += 1,
        }
        let parent = self.find(record.scope, None).map(super::Slot::number);
        patients.behind += u64::from(parent != Some(record.wrapped_by));
    }

    /// Every record of some slots, in order.
    pub(super) fn each_record(
        &self,
        from: u32,
        to: u32,
        mut then: impl FnMut(Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let end = to.min(self.slots());
        let mut slot = from;
        while slot < end {
            let durable = self.durable.load(std::sync::atomic::Ordering::Acquire);
            let chunk = CHUNK.min(end - slot).min(durable.saturating_sub(slot));
            let records = match chunk {
                // Not in the file yet.
                0 => vec![self.record(slot)?],
                chunk => self.records(slot, chunk)?,
            };
            slot += records.len() as u32;
            records.into_iter().try_for_each(&mut then)?;
        }
        Ok(())
    }

    fn records(&self, from: u32, count: u32) -> Result<Vec<Record>, Error> {
        let mut bytes = vec![0; count as usize * LEN];
        let _nobody_overwrites = self.overwriting.read_recursive();
        let read = self.file.read_exact_at(&mut bytes, place(from));
        read.map_err(|source| super::root::io("read", &self.path, source))?;
        let chunks = bytes.chunks_exact(LEN).zip(from..);
        chunks
            .map(|(chunk, slot)| {
                if let Some(record) = self.pending(slot) {
                    return Ok(record);
                }
                let bytes = chunk.first_chunk().copied().unwrap_or([0; LEN]);
                Record::decode(&bytes, slot).map_err(|what| self.damaged(slot, what))
            })
            .collect()
    }
}
