//! What the measured processes use, as Linux counts it: CPU seconds and
//! resident memory from `/proc` (proc(5)), bytes from the data folder.

use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `USER_HZ`: Linux reports process times in this unit on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where to look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    /// The server's process.
    pub(crate) pid: Option<u32>,
    /// The server's data folder.
    pub(crate) data: Option<PathBuf>,
}

/// What was used up to one moment.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Usage {
    /// User and system CPU seconds of the server since it started.
    pub(crate) server_cpu_seconds: Option<f64>,
    /// The same of this program.
    pub(crate) bench_cpu_seconds: f64,
    /// The server's resident memory.
    pub(crate) server_rss_bytes: Option<u64>,
    /// The server's largest resident memory so far.
    pub(crate) server_rss_peak_bytes: Option<u64>,
    /// Blocks that the data folder occupies.
    pub(crate) disk_bytes: Option<u64>,
}

impl Meter {
    /// Reads all counters now. What cannot be read is absent.
    pub(crate) fn read(&self) -> Usage {
        Usage {
            server_cpu_seconds: self.pid.and_then(|pid| cpu_seconds(&pid.to_string())),
            bench_cpu_seconds: cpu_seconds("self").unwrap_or_default(),
            server_rss_bytes: self.pid.and_then(|pid| memory(pid, "VmRSS:")),
            server_rss_peak_bytes: self.pid.and_then(|pid| memory(pid, "VmHWM:")),
            disk_bytes: self.data.as_deref().map(folder_bytes),
        }
    }
}

/// How often an idle server is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// A server that uses less of a core than this is idle.
const IDLE_CORES: f64 = 0.03;

impl Meter {
    /// Waits until the server is idle, at most so long.
    pub(crate) async fn settle(&self, most: Duration) {
        let deadline = Instant::now() + most;
        let used = || self.pid.and_then(|pid| cpu_seconds(&pid.to_string()));
        let mut before = used();
        while let Some(last) = before
            && Instant::now() < deadline
        {
            tokio::time::sleep(LOOK).await;
            let now = used();
            if now.is_none_or(|now| now - last <= IDLE_CORES * LOOK.as_secs_f64()) {
                return;
            }
            before = now;
        }
    }
}

fn cpu_seconds(process: &str) -> Option<f64> {
    parse_stat(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

// The second field is the command in parentheses, which may itself hold spaces and parentheses.
fn parse_stat(stat: &str) -> Option<f64> {
    let mut fields = stat[stat.rfind(')')? + 1..]
        .split_ascii_whitespace()
        .skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn memory(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Files may vanish while we walk (the server compacts): those count as nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_times_survive_a_hostile_command_name() {
        let stat = "7 (a) R (b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(parse_stat(stat), Some(3.0));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn this_very_process_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/file"), vec![1; 10_000]).unwrap();
        let meter = Meter {
            pid: Some(std::process::id()),
            data: Some(folder.path().to_owned()),
        };
        let usage = meter.read();
        assert!(usage.server_cpu_seconds.is_some());
        assert!(usage.server_rss_bytes.unwrap() > 100_000);
        assert!(usage.disk_bytes.unwrap() >= 10_000);
    }
}
