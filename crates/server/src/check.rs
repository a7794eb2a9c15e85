//! `salus check`: reads a data folder back and says what does not fit together.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the findings go to standard output, what is no fault beside it"
)]

use salus_crypto::Keyring;
use salus_service::audit::log;
use salus_store::Store;

use crate::cli::CheckArguments;
use crate::config::Config;
use crate::{checkpoints, open};

/// Checks a folder; an error when something is wrong with it.
pub(crate) fn run(arguments: &CheckArguments) -> Result<(), Box<dyn std::error::Error>> {
    let (config, runtime) = open::existing(&arguments.place)?;
    let (findings, unreadable) = runtime.block_on(async {
        let (keyring, engine) = open::store(&config).await?;
        let mut findings = engine.check().await?;
        let (of_checkpoints, unreadable) = checkpoints(&config, &keyring, &*engine).await?;
        findings.extend(of_checkpoints);
        engine.close().await?;
        Ok::<_, Box<dyn std::error::Error>>((findings, unreadable))
    })?;
    // One that was being written when the machine stopped looks like one that was damaged since.
    // Neither proves anything, and neither is a fault of the store.
    if unreadable > 0 {
        eprintln!(
            "{unreadable} checkpoints beside the store are cut short or damaged, and prove nothing"
        );
    }
    if arguments.json {
        let told = serde_json::json!({"findings": findings, "unreadableCheckpoints": unreadable});
        println!("{told}");
    } else if findings.is_empty() {
        println!("everything fits together");
    } else {
        findings.iter().for_each(|finding| println!("{finding}"));
    }
    match findings.len() {
        0 => Ok(()),
        n => Err(format!("{n} findings").into()),
    }
}

/// What the checkpoints that were kept beside the store say of its audit log, and how many of them
/// cannot be read.
async fn checkpoints(
    config: &Config,
    keyring: &Keyring,
    store: &dyn Store,
) -> Result<(Vec<String>, u64), Box<dyn std::error::Error>> {
    let kept = checkpoints::beside(&config.data);
    if !kept.exists() {
        return Ok((Vec::new(), 0));
    }
    let (notes, unreadable) = checkpoints::read_all(&kept)?;
    let notes = notes.into_iter().map(|(_, note)| note);
    let key = keyring.derive(log::KEY_PURPOSE)?;
    let findings = log::compare(store, &key, notes).await?;
    Ok((findings, unreadable))
}
