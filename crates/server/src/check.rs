//! `salus check`: reads a data folder back and says what does not fit together.
#![allow(clippy::print_stdout, reason = "the findings go to standard output")]

use salus_crypto::Keyring;
use salus_service::audit::log;
use salus_store::Store;

use crate::cli::CheckArguments;
use crate::config::Config;
use crate::{checkpoints, open};

/// Checks a folder; an error when something is wrong with it.
pub(crate) fn run(arguments: &CheckArguments) -> Result<(), Box<dyn std::error::Error>> {
    let (config, runtime) = open::existing(&arguments.place)?;
    let findings = runtime.block_on(async {
        let (keyring, engine) = open::store(&config).await?;
        let mut findings = engine.check().await?;
        findings.extend(checkpoints(&config, &keyring, &*engine).await?);
        engine.close().await?;
        Ok::<_, Box<dyn std::error::Error>>(findings)
    })?;
    if arguments.json {
        println!("{}", serde_json::json!({"findings": findings}));
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

/// What the checkpoints that were kept beside the store say of its audit log.
async fn checkpoints(
    config: &Config,
    keyring: &Keyring,
    store: &dyn Store,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let kept = checkpoints::beside(&config.data);
    if !kept.exists() {
        return Ok(Vec::new());
    }
    let (notes, unreadable) = checkpoints::read_all(&kept)?;
    let notes = notes.into_iter().map(|(_, note)| note);
    let key = keyring.derive(log::KEY_PURPOSE)?;
    let findings = log::compare(store, &key, notes).await?;
    if unreadable > 0 {
        // One that was being written when the machine stopped proves nothing, and hides nothing.
        tracing::debug!(unreadable, "checkpoints that cannot be read");
    }
    Ok(findings)
}
