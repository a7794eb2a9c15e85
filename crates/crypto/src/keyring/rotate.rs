//! New keys for projects and patients, while others read and write.
//!
//! A new key seals what comes from now on; what was sealed stays as it is, and
//! the keys before stay in their slots to open it. When a project has a new
//! key, those of its patients are wrapped by it where they lie, one record at
//! a time: each names what wraps it, so that a crash anywhere leaves every key
//! readable, and what is left to do can be seen in the records.
//!
//! What was asked for stands in the file `rotation.due` until it is over, so
//! that the next process goes on with it:
//!
//! ```text
//! salus-rotation-due 1
//! scope 7            or "scope all"
//! projects yes       new keys for projects
//! patients no        new keys for patients
//! before 1700000000000
//! ```

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::file::sync_folder;
use super::labels::Held;
use super::record::{Level, Record, Status};
use super::root::{self, io};
use super::{Keyring, RootSource, Slot};
use crate::Error;

const NAME: &str = "rotation.due";
const FIRST_LINE: &str = "salus-rotation-due 1";

/// Keys looked at in one step: readers of other keys wait for one step at most.
const STEP: u32 = 256;

/// What is to get new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// In this scope only.
    pub scope: Option<u32>,
    /// Projects.
    pub projects: bool,
    /// Patients.
    pub patients: bool,
    /// Whose key is older than this, in milliseconds since 1970 UTC.
    pub before_ms: i64,
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Keys that were looked at.
    pub done: u32,
    /// Keys to look at.
    pub total: u32,
    /// Keys that others came after.
    pub rotated: u32,
    /// Patients' keys that were wrapped by a new key of their project.
    pub rewrapped: u32,
    /// Whether nothing is left to do.
    pub over: bool,
}

/// Where this process is with it.
#[derive(Default)]
pub(super) struct Work(Option<Progress>);

impl Keyring {
    /// Notes that keys are to be rotated; [`Self::rotate_some`] does it.
    ///
    /// # Errors
    /// [`Error::Busy`] when another rotation is not over; when the disk fails.
    pub fn rotate(&self, due: Due) -> Result<(), Error> {
        let _alone = self.work.lock();
        if self.due()?.is_some() {
            return Err(Error::Busy);
        }
        let path = self.due_path();
        let aside = self.dir.join("rotation.due.new");
        root::write_private(&aside, due.text().as_bytes())?;
        std::fs::rename(&aside, &path)
            .and_then(|()| sync_folder(&self.dir))
            .map_err(|source| io("name", &path, source))
    }

    /// The rotation that is not over, if there is one.
    ///
    /// # Errors
    /// When what stands in the folder cannot be read.
    pub fn due(&self) -> Result<Option<Due>, Error> {
        let path = self.due_path();
        match std::fs::read_to_string(&path) {
            Ok(text) => Due::parse(&text)
                .map(Some)
                .ok_or(Error::RotationMalformed(path)),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io("read", &path, source)),
        }
    }

    /// Who keeps the root key now.
    #[must_use]
    pub fn source(&self) -> RootSource {
        self.roots.read().source.clone()
    }

    /// How far this process is with it.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.work.lock().0
    }

    /// Does a little of the rotation that is due: some milliseconds of work,
    /// durable when it returns. `None` when there is none.
    ///
    /// # Errors
    /// When a key cannot be read or the disk fails; the next call tries again.
    pub fn rotate_some(&self, now_ms: i64) -> Result<Option<Progress>, Error> {
        let mut work = self.work.lock();
        let Some(due) = self.due()? else {
            return Ok(None);
        };
        let fresh = work.0.filter(|progress| !progress.over);
        let mut progress = match fresh {
            Some(progress) => progress,
            None => Progress {
                rotated: self.rotate_projects(&due, now_ms)?,
                total: self.slots(),
                ..Progress::default()
            },
        };
        self.sync()?;
        self.step(&due, &mut progress, now_ms)?;
        if progress.done >= progress.total {
            let path = self.due_path();
            std::fs::remove_file(&path)
                .and_then(|()| sync_folder(&self.dir))
                .map_err(|source| io("remove", &path, source))?;
            progress.over = true;
        }
        work.0 = Some(progress);
        Ok(Some(progress))
    }

    /// Gives a patient a new key for what comes from now on.
    ///
    /// # Errors
    /// [`Error::LabelUnknown`] when it has none yet; when its keys were destroyed, or the disk fails.
    pub fn rotate_patient(&self, scope: u32, label: &str, now_ms: i64) -> Result<Slot, Error> {
        let mac = self.label_mac(scope, Some(label));
        self.held(&mac)?.ok_or(Error::LabelUnknown)?;
        let slot = {
            let _one_at_a_time = self.making.lock();
            // The key before has to be in the file before the one that names it.
            self.sync()?;
            self.held(&mac)?;
            let project = self.project_slot(scope, now_ms)?;
            self.make(scope, mac, Some(project), now_ms)?
        };
        self.sync()?;
        Ok(Slot(slot))
    }

    /// New keys for projects whose key is too old.
    fn rotate_projects(&self, due: &Due, now_ms: i64) -> Result<u32, Error> {
        if !due.projects {
            return Ok(0);
        }
        let mut old = Vec::new();
        self.each_record(0, u32::MAX, |record| {
            if record.level == Level::Project && due.wants(&record) && self.is_newest(&record) {
                old.push((record.scope, record.label));
            }
            Ok(())
        })?;
        for (scope, label) in &old {
            let _one_at_a_time = self.making.lock();
            self.sync()?;
            self.make(*scope, *label, None, now_ms)?;
        }
        self.sync()?;
        Ok(old.len() as u32)
    }

    fn step(&self, due: &Due, progress: &mut Progress, now_ms: i64) -> Result<(), Error> {
        let mut aged = Vec::new();
        let mut behind = Vec::new();
        let mut parents = HashMap::new();
        let end = progress.done.saturating_add(STEP).min(progress.total);
        self.each_record(progress.done, end, |record| {
            if record.level != Level::Patient || record.status == Status::Destroyed {
                return Ok(());
            }
            let parent = parents
                .entry(record.scope)
                .or_insert_with(|| self.find(record.scope, None));
            if parent.is_some_and(|parent| parent.number() != record.wrapped_by) {
                behind.push(record.slot);
            }
            if due.patients && due.wants(&record) && self.is_newest(&record) {
                aged.push((record.scope, record.label));
            }
            Ok(())
        })?;
        progress.rewrapped += self.rewrap(&behind)?;
        for (scope, label) in aged {
            progress.rotated += self.make_next(scope, label, now_ms)?;
        }
        self.sync()?;
        progress.done = end;
        Ok(())
    }

    /// Wraps patients' keys by the keys that their projects have now.
    fn rewrap(&self, slots: &[u32]) -> Result<u32, Error> {
        if slots.is_empty() {
            return Ok(0);
        }
        // Nobody destroys one of them meanwhile: it would come back.
        let mut journal = self.changes.lock();
        self.settle(&mut journal)?;
        let mut changed = Vec::new();
        for slot in slots {
            changed.extend(self.rewrapped(*slot)?);
        }
        self.overwrite(&mut journal, &changed)?;
        Ok(changed.len() as u32)
    }

    /// The record of a slot, wrapped by the key that its project has now; `None` if it is already.
    pub(super) fn rewrapped(&self, slot: u32) -> Result<Option<Record>, Error> {
        let mut record = self.record(slot)?;
        let Some(to) = self.find(record.scope, None).map(Slot::number) else {
            return Ok(None);
        };
        if record.status == Status::Destroyed || record.wrapped_by == to {
            return Ok(None);
        }
        let from = self.project_key_held(record.wrapped_by)?;
        let secret = from
            .unwrap(&record.aad(), &record.wrapped)
            .map_err(|_| self.damaged(slot, "its key does not unwrap"))?;
        record.wrapped = self.project_key_held(to)?.wrap(&record.aad(), &secret)?;
        record.wrapped_by = to;
        Ok(Some(record))
    }

    /// The next key of a label, unless it was destroyed meanwhile.
    fn make_next(
        &self,
        scope: u32,
        label: super::record::LabelMac,
        now_ms: i64,
    ) -> Result<u32, Error> {
        let _one_at_a_time = self.making.lock();
        match self.labels.read().get(&label) {
            Held::Slot(_) => {}
            Held::Nothing | Held::Destroyed => return Ok(0),
        }
        let project = self.project_slot(scope, now_ms)?;
        self.make(scope, label, Some(project), now_ms)?;
        Ok(1)
    }

    fn is_newest(&self, record: &Record) -> bool {
        self.labels.read().get(&record.label) == Held::Slot(record.slot)
    }

    fn due_path(&self) -> PathBuf {
        self.dir.join(NAME)
    }
}

impl Due {
    fn wants(&self, record: &Record) -> bool {
        self.scope.is_none_or(|scope| scope == record.scope) && record.created_ms < self.before_ms
    }

    pub(super) fn text(&self) -> String {
        let scope = match self.scope {
            Some(scope) => scope.to_string(),
            None => "all".to_owned(),
        };
        let word = |yes| if yes { "yes" } else { "no" };
        format!(
            "{FIRST_LINE}\nscope {scope}\nprojects {}\npatients {}\nbefore {}\n",
            word(self.projects),
            word(self.patients),
            self.before_ms
        )
    }

    /// Reads the five lines; `None` if they are not that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut value = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let word = |text: &str| match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        Some(Self {
            scope: match value("scope")? {
                "all" => None,
                number => Some(number.parse().ok()?),
            },
            projects: word(value("projects")?)?,
            patients: word(value("patients")?)?,
            before_ms: value("before")?.parse().ok()?,
        })
    }
}
