//! Signed statements, reports and certificates, as commands that verify them are given them.

use std::path::Path;

use salus_crypto::ed25519::PUBLIC_BYTES;
use salus_service::statement;

/// The content of a file, and the key that `--key` is, or that is in the file of this name.
pub(crate) fn read(file: &Path, key: &str) -> Result<(Vec<u8>, [u8; PUBLIC_BYTES]), String> {
    let read = std::fs::read(file);
    let text = read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let key = std::fs::read_to_string(key).unwrap_or_else(|_| key.to_owned());
    let key = statement::read_key(&key).ok_or("--key is no file with a public key, and no key")?;
    Ok((text, key))
}
