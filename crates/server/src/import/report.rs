//! What an import did, for people and for scripts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::send::Sent;

/// How many faults are kept; more are only counted.
const FAULTS_SHOWN: usize = 100;

/// Something that could not be loaded.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    file: PathBuf,
    line: Option<usize>,
    reason: String,
}

impl Fault {
    pub(super) fn new(file: &Path, line: Option<usize>, reason: String) -> Self {
        Self {
            file: file.to_owned(),
            line,
            reason,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.reason),
            None => write!(f, "{}: {}", self.file.display(), self.reason),
        }
    }
}

/// The summary of an import.
pub(super) struct Report {
    files: usize,
    loaded: usize,
    pub(super) faults: Vec<Fault>,
    pub(super) seconds: f64,
}

impl Report {
    pub(super) fn new(files: usize) -> Self {
        Self {
            files,
            loaded: 0,
            faults: Vec::new(),
            seconds: 0.0,
        }
    }

    pub(super) fn add(&mut self, sent: Sent) {
        self.loaded += sent.loaded;
        self.faults.extend(sent.faults);
    }

    /// Entries a second, as text.
    pub(super) fn rate(&self, elapsed: Duration) -> String {
        let rate = self.loaded as f64 / elapsed.as_secs_f64().max(0.001);
        format!("{} entries, {rate:.0}/s", self.loaded)
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        let faults: Vec<_> = self
            .faults
            .iter()
            .map(|fault| {
                serde_json::json!({
                    "file": fault.file.display().to_string(),
                    "line": fault.line,
                    "reason": fault.reason,
                })
            })
            .collect();
        serde_json::json!({
            "files": self.files,
            "entries": self.loaded,
            "seconds": self.seconds,
            "faults": faults,
        })
        .to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in self.faults.iter().take(FAULTS_SHOWN) {
            writeln!(f, "{fault}")?;
        }
        if self.faults.len() > FAULTS_SHOWN {
            writeln!(f, "… and {} more", self.faults.len() - FAULTS_SHOWN)?;
        }
        let rate = self.loaded as f64 / self.seconds.max(0.001);
        writeln!(f, "files         {:>10}", self.files)?;
        writeln!(f, "entries       {:>10}", self.loaded)?;
        writeln!(f, "not loaded    {:>10}", self.faults.len())?;
        writeln!(f, "seconds       {:>10.1}", self.seconds)?;
        writeln!(f, "entries/s     {rate:>10.0}")
    }
}
