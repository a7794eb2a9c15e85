//! `salus restore`: makes a data folder of an archive, as the store was at an instant.
//!
//! The log of the archive goes into a new store as it is (`replay.rs`), then the
//! records get their rows and the blobs that they name (`finish.rs`), then the
//! engine's check reads all of it back. What the archive lacks is named, and what
//! comes before it is restored all the same.
#![allow(clippy::print_stdout, reason = "the report goes to standard output")]

mod arguments;
mod finish;
mod keys;
mod replay;
mod report;
mod standby;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use salus_archive::Archive;
use salus_crypto::{Founding, Keyring};
use salus_store_embedded::Options;

pub(crate) use arguments::{EXAMPLES, RestoreArguments};
pub(crate) use keys::{copy as copy_keys, write_private};
pub(crate) use report::Partial;
use report::Report;
pub(crate) use standby::{bring, is_torn, standby};

use crate::backup;
use crate::config::Archives;
use crate::open::{self, Machine};
use salus_service::context::World;

type Failure = Box<dyn std::error::Error>;

/// Restores; an error if not all of it could be.
pub(crate) fn run(arguments: &RestoreArguments) -> Result<(), Failure> {
    let until = arguments.until()?;
    let to = &arguments.to;
    keys::is_empty_but_for_keys(to)?;
    keys::bring(arguments.keys.as_deref(), &to.join("keys"))?;
    let runtime = open::runtime()?;
    let report = runtime.block_on(async {
        let begun = Instant::now();
        let keyring = Keyring::open(&to.join("keys"), Founding::Existing, Machine.now_ms())?;
        let archive = archive(&arguments.from, &keyring)?;
        let options = options(to, &keyring);
        let mut report = replay::replay(&archive, until, &options).await?;
        finish::finish(
            &archive,
            &options,
            arguments.base_url.as_deref(),
            &mut report,
        )
        .await?;
        report.seconds = begun.elapsed().as_secs_f64();
        Ok::<Report, Failure>(report)
    })?;
    match arguments.json {
        true => println!("{}", report.json()),
        false => print!("{}", report.text(to)),
    }
    report.judge()
}

fn archive(from: &str, keyring: &Keyring) -> Result<Archive, Failure> {
    Ok(backup::open_one(from, &Archives::unlisted(), keyring)?)
}

fn options(to: &Path, keyring: &Arc<Keyring>) -> Options {
    Options {
        restoring: true,
        dictionary: open::DICTIONARY,
        ..Options::new(to.join("store"), Arc::clone(keyring))
    }
}
