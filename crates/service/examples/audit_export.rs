//! Writes an export of a made-up audit log, to measure `salus audit verify` with:
//! `cargo run --release -p salus-service --example audit_export 1000000 export.ndjson` prints its key.
#![allow(clippy::print_stdout, reason = "the key goes to standard output")]

use std::fs::File;
use std::io::{self, BufWriter, Write};

use base64ct::{Base64, Encoding};
use salus_crypto::SecretKey;
use salus_crypto::checkpoint::{Checkpoint, Note, Signer};
use salus_crypto::merkle::Frontier;
use salus_service::audit::log::checkpoint_line;
use salus_store::{LeafForm, Scope};

const ORIGIN: &str = "salus.audit/made-up";
/// Bytes of an entry: as a read of a record by a user has them.
const ENTRY: usize = 180;
/// Entries between two checkpoints: 30 a second.
const EVERY: u64 = 1800;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::other("audit_export ENTRIES FILE");
    let entries = arguments.next().and_then(|number| number.parse().ok());
    let (entries, path) = entries.zip(arguments.next()).ok_or_else(usage)?;
    let signer = Signer::new(ORIGIN, &SecretKey::from_bytes([1; 32])).map_err(io::Error::other)?;
    let (mut leaves, mut checkpoints) = (Vec::new(), String::new());
    let mut frontier = Frontier::default();
    for number in 0..entries {
        put_leaf(&mut leaves, &mut frontier, number)?;
        if frontier.size().is_multiple_of(EVERY) || frontier.size() == entries {
            let (size, root) = (frontier.size(), frontier.root());
            let text = Checkpoint::new(ORIGIN, size, root, size / 30).text();
            let note = Note::new(text.clone(), signer.sign(&text, 0));
            checkpoints.push_str(&checkpoint_line(&note));
        }
    }
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(
        file,
        "{{\"salus\":\"audit export\",\"version\":1,\"origin\":\"{ORIGIN}\",\"size\":{entries},\
         \"after\":0,\"frontier\":[],\"projects\":{{\"1\":\"default\"}}}}"
    )?;
    file.write_all(checkpoints.as_bytes())?;
    file.write_all(&leaves)?;
    file.flush()?;
    println!("{}", signer.public());
    Ok(())
}

fn put_leaf(leaves: &mut Vec<u8>, frontier: &mut Frontier, number: u64) -> io::Result<()> {
    let mut salt = [0; 32];
    salt[..8].copy_from_slice(&number.to_be_bytes());
    let body: Vec<u8> = salt.iter().cycle().take(ENTRY).copied().collect();
    let (scope, time_ms) = (Scope(1), 1_700_000_000_000 + number.cast_signed());
    let leaf = LeafForm::Placed.leaf(&salt, scope, time_ms, &body);
    frontier.append(leaf);
    let [leaf, salt, body] = [&leaf[..], &salt, &body].map(Base64::encode_string);
    writeln!(
        leaves,
        "{{\"n\":{number},\"leaf\":\"{leaf}\",\"seq\":{number},\"time\":{time_ms},\"scope\":1,\
         \"form\":2,\"salt\":\"{salt}\",\"entry\":\"{body}\"}}"
    )
}
