//! Who keeps the root key, as `--root-key` names it: the one reader of such names.
//!
//! A name says where things are and never holds a secret: passphrases, tokens
//! and credentials are in files that it names. Parts behind `?` are
//! `name=value`, with `&` between them.

mod ask;
mod aws_kms;
mod passphrase;
mod pkcs11;
mod sigv4;
mod vault;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use salus_crypto::{RootFault, RootSource, WrapsRoot};
use zeroize::Zeroizing;

/// A name that is not that of a source, or a source that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "--root-key is file:PATH, passphrase:file:PATH, passphrase:fd:N, passphrase:terminal, \
         aws-kms:ARN, vault:URL/transit/KEY or pkcs11:…, as docs/keys.md tells"
    )]
    Unknown,
    #[error("{0} in --root-key: {1}")]
    Part(&'static str, &'static str),
    #[error("{0} is not known in this --root-key")]
    PartUnknown(String),
    #[error("cannot read {0}, which --root-key names: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("{0}, which --root-key names, may be read by others: set its mode to 0600")]
    Exposed(PathBuf),
    #[error("{0}, which --root-key names, does not hold {1}")]
    Content(PathBuf, &'static str),
}

/// Reads names for the use cases.
pub(crate) struct Named;

impl salus_service::keyring::Roots for Named {
    fn named(&self, name: &str) -> Result<RootSource, String> {
        named(name).map_err(|error| error.to_string())
    }
}

/// The source for a keyring in a folder: the one that somebody named, or the key file beside it.
pub(crate) fn of(name: Option<&str>, keys: &Path) -> Result<RootSource, Error> {
    match name {
        Some(name) => named(name),
        None => Ok(RootSource::File(keys.join("root.key"))),
    }
}

/// The source of this name. Files that it names are read when it is asked.
fn named(name: &str) -> Result<RootSource, Error> {
    if name.len() > 2048 || name.chars().any(char::is_control) {
        return Err(Error::Unknown);
    }
    let (scheme, rest) = name.split_once(':').ok_or(Error::Unknown)?;
    let by: Arc<dyn WrapsRoot> = match scheme {
        "file" if !rest.is_empty() => return Ok(RootSource::File(rest.into())),
        "passphrase" => Arc::new(passphrase::Source::parse(rest)?),
        "aws-kms" => Arc::new(aws_kms::Source::parse(rest)?),
        "vault" => Arc::new(vault::Source::parse(rest)?),
        "pkcs11" => Arc::new(pkcs11::Source::parse(rest)?),
        _ => return Err(Error::Unknown),
    };
    Ok(RootSource::Wrapped(by))
}

/// The parts behind `?`, each once.
struct Parts<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> (&'a str, Self) {
        let (before, parts) = text.split_once('?').unwrap_or((text, ""));
        let parts = parts.split('&').filter(|part| !part.is_empty());
        let pairs = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
        (before, Self(pairs.collect()))
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(part, _)| *part == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.take(name).map(PathBuf::from)
    }

    /// That nothing is left: a part that is misspelled must not be passed over.
    fn end(self) -> Result<(), Error> {
        match self.0.first() {
            Some((name, _)) => Err(Error::PartUnknown((*name).to_owned())),
            None => Ok(()),
        }
    }
}

/// A secret in a file that only its owner may read, without the line break at its end.
fn secret(path: &Path) -> Result<Zeroizing<String>, Error> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX));
    let read = file.take(SECRET_BYTES_MAX as u64).read_to_string(&mut text);
    read.map_err(unreadable)?;
    let kept = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(kept);
    match text.is_empty() {
        true => Err(Error::Content(path.to_owned(), "anything")),
        false => Ok(text),
    }
}

/// The root key in what somebody unwrapped.
fn key_of(plain: Option<Zeroizing<Vec<u8>>>) -> Result<Zeroizing<[u8; 32]>, RootFault> {
    let plain = plain.ok_or(RootFault::Garbled("no key in it"))?;
    let key = <&[u8; 32]>::try_from(plain.as_slice());
    let key = key.map_err(|_| RootFault::WrongKey("it unwrapped to another length"))?;
    Ok(Zeroizing::new(*key))
}

const SECRET_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(name: &str, expect: &str) {
        let error = named(name).unwrap_err().to_string();
        assert!(error.contains(expect), "{name}: {error}");
    }

    #[track_caller]
    fn is(name: &str, expect: &str) {
        assert_eq!(named(name).unwrap().name(), expect);
    }

    const ARN: &str = "aws-kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

    #[test]
    fn sources_have_names() {
        is("file:/etc/salus/root.key", "file:/etc/salus/root.key");
        is("passphrase:file:/run/secret", "passphrase");
        is("passphrase:fd:3", "passphrase");
        is("passphrase:terminal", "passphrase");
        is(&format!("{ARN}?credentials=/etc/salus/aws"), ARN);
        let vault = "vault:https://vault.example.org:8200/transit/salus";
        is(&format!("{vault}?token=/run/token"), vault);
        is(
            &format!("{vault}?role=/run/role&secret=/run/secret&namespace=ward"),
            vault,
        );
        let pkcs11 =
            "pkcs11:token=ward;object=salus?module-path=/usr/lib/none.so&pin-source=/run/pin";
        is(pkcs11, "pkcs11:token=ward;object=salus");
    }

    #[test]
    fn what_is_no_source_is_told() {
        for name in [
            "",
            "root.key",
            "file:",
            "ftp:x",
            "file:a\nb",
            "passphrase:secret",
        ] {
            refused(name, "--root-key is file:PATH");
        }
        refused(
            &format!("{ARN}?credentials=x&credential=x"),
            "credential is not known",
        );
        refused("aws-kms:arn:aws:s3:::bucket", "the ARN of a key");
        refused("vault:http://vault.example.org/transit/x?token=t", "https");
        refused(
            "vault:https://vault.example.org/transit?token=t",
            "transit/KEY",
        );
        refused("vault:https://vault.example.org/transit/x", "token=FILE");
        refused("pkcs11:token=t;object=x?pin-source=p", "module-path");
        refused("pkcs11:object=x;pin-value=1?module-path=m", "pin-value");
    }

    /// Names changed at random are read or refused, and what is read has the name it was given.
    #[test]
    fn any_name_is_read_or_refused() {
        let names = [
            format!("{ARN}?credentials=/etc/salus/aws&profile=ward"),
            "vault:https://vault.example.org:8200/a/transit/salus?role=r&secret=s".to_owned(),
            "pkcs11:token=my%20ward;object=salus?module-path=/m.so&pin-source=file:/p".to_owned(),
            "passphrase:fd:3".to_owned(),
        ];
        let mut seed = 1_u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let mut read = 0;
        for round in 0..20_000 {
            let mut name = names[round % names.len()].clone().into_bytes();
            for _ in 0..1 + next(3) {
                let at = next(name.len());
                name[at] = b"%?&=;:/.-_aZ0 \n"[next(15)];
            }
            let name = String::from_utf8(name).unwrap();
            if let Ok(source) = named(&name) {
                assert!(name.starts_with(&source.name()), "{name}");
                read += 1;
            }
        }
        assert!(read > 1_000, "{read}");
    }

    #[test]
    fn secrets_of_others_are_not_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "swordfish\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(secret(&path), Err(Error::Exposed(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret(&path).unwrap().as_str(), "swordfish");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(secret(&path), Err(Error::Content(..))));
    }
}
