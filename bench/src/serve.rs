//! Starts a server of ours for the run, in an empty folder, and stops it afterwards.

use crate::error::Error;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to stop before we say so and kill it.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running server.
pub(crate) struct Served {
    child: Child,
    /// What it printed when it was ready.
    pub(crate) ready: Ready,
    /// Its data folder.
    pub(crate) data: PathBuf,
    /// From start to ready.
    pub(crate) start: Duration,
    /// Removes the folder when the run is over.
    _folder: Option<tempfile::TempDir>,
}

/// The line of JSON that `salus serve --json` prints.
#[derive(Deserialize)]
pub(crate) struct Ready {
    /// Base URL of FHIR.
    pub(crate) fhir: String,
    /// A bearer token.
    pub(crate) admin_token: String,
    /// A client that may ask for further tokens when that one has expired.
    pub(crate) client_id: String,
    /// Its secret.
    pub(crate) client_secret: String,
}

impl Served {
    /// Starts `binary serve` on a free loopback port. Without a folder it gets a temporary one.
    pub(crate) fn start(
        binary: &Path,
        data: Option<&Path>,
        log: Option<&Path>,
    ) -> Result<Self, Error> {
        let folder = match data {
            Some(_) => None,
            None => Some(tempfile::tempdir()?),
        };
        let data = data
            .or(folder.as_ref().map(|folder| folder.path()))
            .unwrap_or(Path::new("data"))
            .to_owned();
        let log = match log {
            Some(path) => Stdio::from(File::create(path)?),
            None => Stdio::null(),
        };
        let started = Instant::now();
        let mut child = Command::new(binary)
            .args([
                "serve",
                "--demo=0",
                "--listen",
                "127.0.0.1:0",
                "--json",
                "--data",
            ])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| Error::Serve(format!("{}: {error}", binary.display())))?;
        let ready = ready(&mut child).inspect_err(|_| {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self {
            child,
            ready,
            data,
            start: started.elapsed(),
            _folder: folder,
        })
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to stop and waits for it; the time it took.
    pub(crate) fn stop(mut self) -> Result<Duration, Error> {
        let started = Instant::now();
        Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()?;
        while started.elapsed() < STOP_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        self.child.wait()?;
        Err(Error::Serve(format!(
            "it did not stop within {} s of SIGTERM",
            STOP_MAX.as_secs()
        )))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Only on the way out of an error: a server that was stopped is gone already.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn ready(child: &mut Child) -> Result<Ready, Error> {
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| Error::Serve("no output".to_owned()))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    serde_json::from_str(&line)
        .map_err(|_| Error::Serve("it printed no line of JSON (--server-log shows why)".to_owned()))
}
