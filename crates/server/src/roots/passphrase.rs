//! `passphrase:file:PATH`, `passphrase:fd:N`, `passphrase:terminal`: where a passphrase is read.
//!
//! Never an argument or a variable: those are seen in lists of processes. A descriptor or a
//! terminal gives it once, so that is kept in memory for the questions that come later.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use salus_crypto::{Passphrase, RootFault, WrapsRoot};
use zeroize::Zeroizing;

use super::Error;

/// The longest passphrase, in bytes.
const BYTES_MAX: u64 = 4096;

enum Place {
    File(PathBuf),
    Descriptor(u32),
    Terminal,
}

/// A passphrase, read when it is first needed.
pub(super) struct Source {
    from: Place,
    read: OnceLock<Passphrase>,
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let from = match text.split_once(':').unwrap_or((text, "")) {
            ("file", path) if !path.is_empty() => Place::File(path.into()),
            ("fd", number) => Place::Descriptor(number.parse().map_err(|_| Error::Unknown)?),
            ("terminal", "") => Place::Terminal,
            _ => return Err(Error::Unknown),
        };
        let read = OnceLock::new();
        Ok(Self { from, read })
    }

    fn passphrase(&self) -> Result<&Passphrase, RootFault> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let text = match &self.from {
            Place::File(path) => {
                let text = super::secret(path).map_err(|error| not_ready(&error))?;
                Zeroizing::new(text.as_bytes().to_vec())
            }
            // The process's own list of open files: whoever started us has opened it for us.
            Place::Descriptor(number) => line(&format!("/proc/self/fd/{number}"))?,
            Place::Terminal => typed()?,
        };
        Ok(self.read.get_or_init(|| Passphrase::new(text)))
    }
}

impl WrapsRoot for Source {
    fn name(&self) -> &str {
        "passphrase"
    }

    fn wrap(&self, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault> {
        self.passphrase()?.wrap(id, key)
    }

    fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, RootFault> {
        self.passphrase()?.unwrap(id, wrapped)
    }
}

fn not_ready(error: &dyn std::fmt::Display) -> RootFault {
    RootFault::NotReady(error.to_string())
}

fn line(path: &str) -> Result<Zeroizing<Vec<u8>>, RootFault> {
    let file = File::open(path).map_err(|error| not_ready(&error))?;
    first_line(file)
}

fn first_line(from: impl Read) -> Result<Zeroizing<Vec<u8>>, RootFault> {
    let mut text = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize));
    let read = BufReader::new(from.take(BYTES_MAX)).read_until(b'\n', &mut text);
    read.map_err(|error| not_ready(&error))?;
    Ok(text)
}

/// Asks at the terminal, where nothing shows while somebody types.
#[expect(clippy::print_stderr, reason = "it speaks to whoever sits there")]
fn typed() -> Result<Zeroizing<Vec<u8>>, RootFault> {
    let terminal = File::open("/dev/tty").map_err(|error| not_ready(&error))?;
    if !terminal.is_terminal() {
        return Err(RootFault::NotReady("there is no terminal".to_owned()));
    }
    let before = tcgetattr(&terminal).map_err(|error| not_ready(&error))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let set = |modes| tcsetattr(&terminal, OptionalActions::Flush, modes);
    eprint!("Passphrase of the root key: ");
    set(&silent).map_err(|error| not_ready(&error))?;
    let text = first_line(&terminal);
    // As it was, whatever came of it.
    let restored = set(&before);
    eprintln!();
    restored.map_err(|error| not_ready(&error))?;
    text
}
