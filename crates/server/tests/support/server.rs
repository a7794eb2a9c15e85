//! The binary `salus` as a child process.

use super::http::Client;
use super::ledger::SYSTEM;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A server on a free loopback port. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    token: String,
    log: PathBuf,
}

impl Server {
    /// Starts on a folder and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(data: &Path) -> Self {
        Self::try_start(data).unwrap_or_else(|reason| panic!("the server did not start: {reason}"))
    }

    /// The same, where failing to start is an answer: the reason is the end of its log.
    pub(crate) fn try_start(data: &Path) -> Result<Self, String> {
        Self::try_start_with(data, &[])
    }

    /// The same with variables.
    pub(crate) fn try_start_with(
        data: &Path,
        variables: &[(&str, String)],
    ) -> Result<Self, String> {
        let log = log_of(data);
        let mut child = spawn(data, &log, variables);
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .unwrap_or_default();
        }
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = ready["base"]
            .as_str()
            .and_then(|base| base.strip_prefix("http://")?.parse().ok());
        let (Some(address), Some(token)) = (address, ready["admin_token"].as_str()) else {
            end(&mut child);
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("it printed {line:?}, its log ends: {}", tail(&log)));
        };
        Ok(Self {
            child,
            address,
            token: token.to_owned(),
            log,
        })
    }

    /// Starts on a folder and kills it after this many microseconds, ready or not.
    pub(crate) fn start_and_kill(data: &Path, micros: u64) {
        let mut child = spawn(data, &log_of(data), &[]);
        // The moment is the point of the test; whatever it interrupts must be harmless.
        std::thread::sleep(std::time::Duration::from_micros(micros));
        end(&mut child);
    }

    /// A client with an administrator's token.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, &self.token)
    }

    /// SIGKILL: the process gets no chance to write anything.
    pub(crate) fn kill(&mut self) {
        end(&mut self.child);
    }

    /// Sends a signal, as `KILL`, without waiting for what it does; whether it could be sent.
    pub(crate) fn signal(&self, name: &str) -> bool {
        Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .is_ok_and(|status| status.success())
    }

    /// SIGTERM; whether it ended with success.
    pub(crate) fn stop(mut self) -> bool {
        let sent = self.signal("TERM");
        sent && self.child.wait().is_ok_and(|status| status.success())
    }

    /// The end of the log.
    pub(crate) fn log(&self) -> String {
        tail(&std::fs::read_to_string(&self.log).unwrap_or_default()).to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
        // Whatever failed: what clients store is no matter of the log.
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(
            !log.contains(SYSTEM) || std::thread::panicking(),
            "the log has an identifier of a patient"
        );
    }
}

/// `salus check` on a folder that no server uses.
pub(crate) fn check(data: &Path) -> Output {
    salus(&["check"], data)
}

/// Another command on a folder.
pub(crate) fn salus(arguments: &[&str], data: &Path) -> Output {
    Command::new(program())
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap_or_else(|error| panic!("salus {arguments:?}: {error}"))
}

/// The program under test: `SALUS_BINARY`, for one that was built otherwise, or the one built with the tests.
pub(crate) fn program() -> PathBuf {
    let named = std::env::var_os("SALUS_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_salus").into(), PathBuf::from)
}

fn spawn(data: &Path, log: &Path, variables: &[(&str, String)]) -> Child {
    let log = File::options().create(true).append(true).open(log);
    Command::new(program())
        .args([
            "serve",
            "--demo=0",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--log",
            "debug",
            "--data",
        ])
        .arg(data)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.map_or(Stdio::null(), Stdio::from))
        .spawn()
        .unwrap_or_else(|error| panic!("salus serve: {error}"))
}

/// Beside the folder: the folder may be on a disk that is full.
fn log_of(data: &Path) -> PathBuf {
    let name = data.to_string_lossy().replace('/', "_");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("{}{name}.log", std::process::id()))
}

fn end(child: &mut Child) {
    // An error says that it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(2_000);
    (start..log.len())
        .find_map(|at| log.get(at..))
        .unwrap_or_default()
}
