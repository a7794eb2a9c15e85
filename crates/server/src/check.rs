//! `salus check`: reads a data folder back and says what does not fit together.
#![allow(clippy::print_stdout, reason = "the findings go to standard output")]

use salus_store::Store;

use crate::cli::CheckArguments;
use crate::open;

/// Checks a folder; an error when something is wrong with it.
pub(crate) fn run(arguments: &CheckArguments) -> Result<(), Box<dyn std::error::Error>> {
    let (config, runtime) = open::existing(&arguments.place)?;
    let findings = runtime.block_on(async {
        let (_, engine) = open::store(&config).await?;
        let findings = engine.check().await?;
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
