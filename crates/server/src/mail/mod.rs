//! Where mail goes: to an SMTP server, into a folder, or, in a demo, to the terminal.
//!
//! A mail has an address and often a link that opens an account. A folder is the operator's
//! affair, as the data folder is; the terminal gets mails of a demo only, which has nobody's
//! accounts, and no log ever does.
#![allow(
    clippy::print_stderr,
    reason = "a demo shows its mails at the terminal, never in the log"
)]

mod message;
mod smtp;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use salus_service::Email;
use salus_service::mail::{Outgoing, Post, Unsent};

use message::Message;

/// Where mail goes, as it was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) way: Way,
    /// Whom mail comes from unless a project says otherwise.
    pub(crate) from: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) roots: Option<PathBuf>,
}

/// The ways that mail can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A server of this name and port.
    Smtp(String, u16, Security),
    /// A folder, a file for each mail.
    Folder(PathBuf),
    /// The terminal of a demo.
    Terminal,
}

/// What keeps a connection secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// TLS from the start (RFC 8314, 3.3).
    Tls,
    /// TLS after `STARTTLS`, or nothing is sent.
    StartTls,
    /// Nothing: on this machine only.
    None,
}

/// Mail that cannot be configured so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "mail goes to smtp://HOST[:PORT] (STARTTLS), smtps://HOST[:PORT], smtp-plain://127.0.0.1[:PORT], \
         folder:PATH or, in a demo, terminal: {0:?} is none of them"
    )]
    Way(String),
    #[error("--mail {0} is for --demo only: it would show addresses and links of real people")]
    NotADemo(&'static str),
    #[error("--mail needs --mail-from with an e-mail address")]
    From,
    #[error("cannot read the password of mail in {0}: {1}")]
    Password(PathBuf, std::io::Error),
    #[error("--mail-user and --mail-password-file go together, and need TLS")]
    HalfPassword,
    #[error("cannot make the folder for mail {0}: {1}")]
    Folder(PathBuf, std::io::Error),
    #[error(transparent)]
    Roots(#[from] crate::connect::Error),
}

impl Way {
    /// Reads what `--mail` says.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::Way(text.to_owned());
        if text == "terminal" {
            return Ok(Self::Terminal);
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(refused)?;
        let (security, usual) = match scheme {
            "folder" if !rest.is_empty() => return Ok(Self::Folder(rest.into())),
            "smtp" => (Security::StartTls, 587),
            "smtps" => (Security::Tls, 465),
            "smtp-plain" => (Security::None, 25),
            _ => return Err(refused()),
        };
        let place = rest.strip_prefix("//").ok_or_else(refused)?;
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| refused())?),
            None => (place, usual),
        };
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        let local = host == "localhost" || host == "127.0.0.1";
        if host.is_empty() || !host.bytes().all(letter) || security == Security::None && !local {
            return Err(refused());
        }
        Ok(Self::Smtp(host.to_owned(), port, security))
    }
}

/// Makes what sends mail.
pub(crate) fn post(config: &Config, demo: bool) -> Result<Arc<dyn Post>, Error> {
    let from = match (&config.from, &config.way) {
        (Some(from), _) => Email::parse(from).map_err(|_| Error::From)?,
        // Nothing is sent to anyone there.
        (None, Way::Terminal | Way::Folder(_)) => {
            Email::parse("salus@localhost").map_err(|_| Error::From)?
        }
        (None, Way::Smtp(..)) => return Err(Error::From),
    };
    match &config.way {
        Way::Terminal if !demo => Err(Error::NotADemo("terminal")),
        Way::Terminal => Ok(Arc::new(Terminal { from })),
        Way::Folder(path) => {
            let failed = |error| Error::Folder(path.clone(), error);
            private(path).map_err(failed)?;
            let folder = path.clone();
            Ok(Arc::new(Folder { folder, from }))
        }
        Way::Smtp(host, port, security) => {
            let login = login(config, *security)?;
            let roots = config.roots.as_deref();
            let tls = match security {
                Security::None => None,
                Security::Tls | Security::StartTls => Some(crate::connect::trusting(roots)?),
            };
            Ok(Arc::new(smtp::Smtp {
                host: host.clone(),
                port: *port,
                security: *security,
                tls,
                login,
                from,
            }))
        }
    }
}

/// Name and password, which go over TLS only.
fn login(config: &Config, security: Security) -> Result<Option<smtp::Login>, Error> {
    match (&config.user, &config.password_file) {
        (None, None) => Ok(None),
        (Some(user), Some(path)) if security != Security::None => {
            let failed = |error| Error::Password(path.clone(), error);
            let text = std::fs::read_to_string(path).map_err(failed)?;
            let password = text.trim_end_matches(['\r', '\n']).to_owned();
            Ok(Some(smtp::Login::new(user, password)))
        }
        (Some(_), Some(_) | None) | (None, Some(_)) => Err(Error::HalfPassword),
    }
}

fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(path)
}

/// A folder with a file for each mail, by its id: the same mail is the same file.
struct Folder {
    folder: PathBuf,
    from: Email,
}

impl Post for Folder {
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Unsent>> {
        Box::pin(async move {
            let text = Message::of(mail, &self.from).text();
            let path = self.folder.join(format!("{}.eml", mail.id));
            let beside = self.folder.join(format!(".{}.part", mail.id));
            let done = tokio::task::spawn_blocking(move || {
                std::fs::write(&beside, text)?;
                std::fs::rename(&beside, &path)
            });
            let unreachable = Unsent::Unreachable("the folder for mail cannot be written to");
            match done.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(unreachable),
            }
        })
    }
}

/// The terminal of whoever tries a demo.
struct Terminal {
    from: Email,
}

impl Post for Terminal {
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Unsent>> {
        Box::pin(async move {
            let from = mail.from.as_ref().unwrap_or(&self.from).expose();
            let (to, subject, text) = (mail.to.expose(), &mail.subject, &mail.text);
            eprintln!("--- mail from {from} to {to}: {subject}\n{text}---");
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<Way>) {
        assert_eq!(Way::parse(text).ok(), expect, "{text}");
    }

    #[test]
    fn ways_are_read() {
        let smtp = |host: &str, port, security| Some(Way::Smtp(host.to_owned(), port, security));
        check(
            "smtp://m.example",
            smtp("m.example", 587, Security::StartTls),
        );
        check("smtps://m.example:1", smtp("m.example", 1, Security::Tls));
        check(
            "smtp-plain://127.0.0.1:9",
            smtp("127.0.0.1", 9, Security::None),
        );
        check("folder:/tmp/x", Some(Way::Folder("/tmp/x".into())));
        check("terminal", Some(Way::Terminal));
        for text in [
            "",
            "smtp",
            "smtp:m.example",
            "smtp://",
            "smtp://a b",
            "smtp://a:x",
            "smtp://user@m.example",
            "smtp-plain://m.example",
            "folder:",
            "log",
        ] {
            check(text, None);
        }
    }
}
