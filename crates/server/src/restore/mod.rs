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

use salus_archive::{Archive, Until};
use salus_crypto::Keyring;
use salus_store_embedded::{Embedded, Options};

pub(crate) use arguments::{EXAMPLES, RestoreArguments, until};
pub(crate) use finish::bring;
pub(crate) use keys::{
    copy_all as copy_keys, copy_without_root, is_empty_but_for_keys, write_private,
};
pub(crate) use report::{Partial, Report};
pub(crate) use standby::{is_torn, standby};

use crate::config::Archives;
use crate::open;
use crate::{backup, roots};

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
        let keys = to.join("keys");
        let root = roots::of(arguments.root_key.as_deref(), &keys)?;
        let keyring = open::keyring(keys, root).await?;
        let archive = backup::open_one(&arguments.from, &Archives::unlisted(), &keyring)?;
        let base_url = arguments.base_url.as_deref();
        let mut report = restore((&archive, until), (to, &keyring), base_url).await?;
        report.seconds = begun.elapsed().as_secs_f64();
        Ok::<Report, Failure>(report)
    })?;
    match arguments.json {
        true => println!("{}", report.json()),
        false => print!("{}", report.text(to)),
    }
    report.judge()
}

/// Makes a store in a folder, of an archive up to an instant, and checks it. Nothing of it serves
/// anybody.
pub(crate) async fn restore(
    (archive, until): (&Archive, Until),
    (to, keyring): (&Path, &Arc<Keyring>),
    base_url: Option<&str>,
) -> Result<Report, Failure> {
    let options = options(to, keyring);
    let begun = Instant::now();
    let mut report = replay::replay(archive, until, &options).await?;
    report.step("log", begun);
    finish::finish(archive, &options, base_url, &mut report).await?;
    Ok(report)
}

/// Opens a store that was restored into a folder, as a server would.
pub(crate) async fn open(to: &Path, keyring: &Arc<Keyring>) -> Result<Arc<Embedded>, Failure> {
    let options = Options {
        restoring: false,
        ..options(to, keyring)
    };
    Ok(tokio::task::spawn_blocking(move || Embedded::open(options)).await??)
}

fn options(to: &Path, keyring: &Arc<Keyring>) -> Options {
    Options {
        restoring: true,
        dictionary: open::DICTIONARY,
        ..Options::new(to.join("store"), Arc::clone(keyring))
    }
}
