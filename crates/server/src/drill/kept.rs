//! The reports of drills, kept in the data folder: `drills/` has a file for each, the newest ones,
//! and `since`, when drills were first to be run.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use salus_crypto::ed25519::PUBLIC_BYTES;
use salus_service::drill::REPORT;
use salus_service::statement::{BYTES_MAX, verify};
use serde_json::Value;

/// Reports that are kept.
const KEPT_MAX: usize = 50;

/// Where reports are.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    dir: PathBuf,
}

impl Kept {
    pub(super) fn of(data: &Path) -> Self {
        Self {
            dir: data.join("drills"),
        }
    }

    /// Where a store is restored to, unless somebody wants it elsewhere.
    pub(super) fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// Makes sure of the folder.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.dir)
    }

    /// Holds the only place for a drill, as long as what it gives lives.
    pub(super) fn lock(&self) -> Result<File, String> {
        let path = self.dir.join("lock");
        let told = |error: io::Error| format!("{}: {error}", path.display());
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(told)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                Err("a drill is being run on this data folder; one at a time".into())
            }
            Err(fs::TryLockError::Error(error)) => Err(told(error)),
        }
    }

    /// Keeps a report, and removes the oldest if there are too many.
    pub(super) fn add(&self, ended_ms: i64, report: &Value) -> io::Result<()> {
        self.make()?;
        let (path, part) = (
            self.dir.join(format!("{ended_ms:015}.json")),
            self.dir.join("part"),
        );
        write(&part, format!("{report}\n").as_bytes())?;
        fs::rename(&part, &path)?;
        File::open(&self.dir)?.sync_all()?;
        let names = self.names()?;
        for name in names.iter().rev().skip(KEPT_MAX) {
            fs::remove_file(self.dir.join(name))?;
        }
        Ok(())
    }

    /// What the kept reports say, the newest first. What cannot be read is left out.
    pub(super) fn all(&self) -> Vec<Value> {
        let names = self.names().unwrap_or_default();
        let reports = names.iter().rev().filter_map(|name| self.read(name));
        reports.collect()
    }

    /// When drills were first to be run; from now on, if that was never said.
    pub(super) fn since_ms(&self, now_ms: i64) -> io::Result<i64> {
        let path = self.dir.join("since");
        let said = fs::read_to_string(&path).ok();
        if let Some(since_ms) = said.and_then(|text| text.trim().parse().ok()) {
            return Ok(since_ms);
        }
        self.make()?;
        write(&path, format!("{now_ms}\n").as_bytes())?;
        Ok(now_ms)
    }

    /// What those say that this key signed, the newest first.
    pub(super) fn proved(&self, key: &[u8; PUBLIC_BYTES]) -> impl Iterator<Item = Value> {
        let names = self.names().unwrap_or_default();
        let texts = names.into_iter().rev().filter_map(|name| self.text(&name));
        texts.filter_map(|text| verify(text.as_bytes(), REPORT, key).ok())
    }

    fn read(&self, name: &str) -> Option<Value> {
        let signed: Value = serde_json::from_str(&self.text(name)?).ok()?;
        signed.get(REPORT.shown).cloned()
    }

    fn text(&self, name: &str) -> Option<String> {
        let mut text = String::new();
        let file = File::open(self.dir.join(name)).ok()?;
        file.take(BYTES_MAX as u64).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Of reports, the oldest first.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let name = file?.file_name().to_string_lossy().into_owned();
            let number = name.strip_suffix(".json");
            if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_reports_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::of(dir.path());
        assert_eq!(kept.all().len(), 0);
        for number in 0..60 {
            kept.add(number, &json!({"report": {"number": number}}))
                .unwrap();
        }
        fs::write(dir.path().join("drills/000000000000099.json"), "{").unwrap();
        let all = kept.all();
        assert_eq!((all.len(), &all[0]["number"]), (50, &json!(59)));
        // Nobody signed them.
        assert_eq!(kept.proved(&[1; 32]).count(), 0);
        assert_eq!(kept.since_ms(7).unwrap(), 7);
        assert_eq!(kept.since_ms(8).unwrap(), 7);
    }

    #[test]
    fn there_is_one_drill_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::of(dir.path());
        kept.make().unwrap();
        let held = kept.lock().unwrap();
        assert!(kept.lock().is_err());
        drop(held);
        kept.lock().unwrap();
    }
}
