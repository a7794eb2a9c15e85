//! A store that goes on with the log that it was made of: the beginning of a standby. Nothing of
//! its own is in it, not even a note that it was restored.

use std::path::Path;

use salus_archive::{Archive, Until};
use salus_store::{Seq, Store as _};
use salus_store_embedded::Options;

use super::{finish, replay};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Makes a store of an archive up to a seq, and says what the archive lacks; all before that is
/// in the store.
pub(crate) async fn standby(
    archive: &Archive,
    upto: Seq,
    options: &Options,
    base_url: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let options = Options {
        restoring: true,
        ..options.clone()
    };
    let made = async {
        let mut report = replay::replay(archive, Until::Seq(upto), &options).await?;
        if !report.lost.is_empty() {
            // To leave them out would be a commit of its own.
            return Err(format!(
                "{} records are without content at the end of the archive: begin when it holds \
                 what came after",
                report.lost.len()
            )
            .into());
        }
        let (engine, _, _) = finish::whole(archive, &options, base_url, &mut report).await?;
        engine.restored()?;
        report.findings.extend(engine.check().await?);
        engine.close().await?;
        Ok::<_, super::Failure>(report)
    };
    let report = made.await.map_err(|error| error.to_string())?;
    match report.findings.first() {
        None => Ok(report.damaged),
        Some(finding) => Err(format!("the restored store does not fit together: {finding}").into()),
    }
}

/// Whether a restore into the folder of a store was cut off, or never begun.
pub(crate) fn is_torn(store: &Path) -> bool {
    store.join("restoring").exists() || !store.exists()
}
