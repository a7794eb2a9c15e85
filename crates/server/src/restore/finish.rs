//! What a restored log lacks of a store: the rows of its records, and its blobs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use salus_archive::Archive;
use salus_service::context::World;
use salus_service::restored::{Bared, Given, Progress, give_rows, leave_out, note};
use salus_store::{SealedBlob, Seq, Store};
use salus_store_embedded::{Embedded, Options};

use super::Failure;
use super::report::Report;
use crate::open::Machine;

/// How often the progress is shown.
const LOOK: Duration = Duration::from_millis(200);
/// What blobs of Binaries begin with: of these only those that are named come back.
const BINARY: &str = "binary-";

/// Gives the records their rows, brings the blobs, checks all of it, and makes it a
/// store like any other.
pub(super) async fn finish(
    archive: &Archive,
    options: &Options,
    base_url: Option<&str>,
    report: &mut Report,
) -> Result<(), Failure> {
    let (engine, given, upto) = whole(archive, options, base_url, report).await?;
    let begun = Instant::now();
    note(&*engine, Machine.now_ms(), upto).await?;
    engine.restored()?;
    report.unfit = engine.check().await?;
    report.given = given;
    engine.close().await?;
    report.step("check", begun);
    Ok(())
}

/// Opens a store whose log is there, leaves out what is lost, gives its records their rows and
/// brings the blobs.
pub(super) async fn whole(
    archive: &Archive,
    options: &Options,
    base_url: Option<&str>,
    report: &mut Report,
) -> Result<(Arc<Embedded>, Given, Seq), Failure> {
    let upto = report.head.map_or(Seq(0), |head| head.seq);
    let options = options.clone();
    let begun = Instant::now();
    let engine = tokio::task::spawn_blocking(move || Embedded::open(options)).await??;
    // First: what rows are made by may be among it.
    leave_out(&*engine, &report.lost, Machine.now_ms())
        .await
        .map_err(failure)?;
    let given = rows(&engine, upto, base_url).await?;
    leave_out(&*engine, &given.contained, Machine.now_ms())
        .await
        .map_err(failure)?;
    report.step("records", begun);
    let begun = Instant::now();
    blobs(archive, &engine, &given, report).await?;
    report.step("blobs", begun);
    Ok((engine, given, upto))
}

async fn rows(engine: &Arc<Embedded>, upto: Seq, base_url: Option<&str>) -> Result<Given, Failure> {
    let progress = Arc::new(Progress::default());
    let style = ProgressStyle::with_template("records {msg} {wide_bar} {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(upto.0).with_style(style);
    let shown = tokio::spawn({
        let (progress, bar) = (Arc::clone(&progress), bar.clone());
        async move {
            loop {
                bar.set_position(progress.seq.load(Ordering::Relaxed));
                bar.set_message(progress.records.load(Ordering::Relaxed).to_string());
                tokio::time::sleep(LOOK).await;
            }
        }
    });
    let store = Bared {
        store: engine.clone(),
        restored: engine.clone(),
    };
    let given = give_rows(&store, upto, base_url, &progress).await;
    shown.abort();
    bar.finish_and_clear();
    given.map_err(failure)
}

fn failure(error: salus_service::error::Error) -> Failure {
    let cause = error.cause();
    cause.unwrap_or_else(|| error.to_string()).into()
}

/// Brings the blobs that versions name, and those of jobs.
async fn blobs(
    archive: &Archive,
    engine: &Arc<Embedded>,
    given: &Given,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut missing: BTreeSet<&SealedBlob> = given.blobs.iter().collect();
    for (blob, _) in archive.blobs().await? {
        if blob.id.starts_with(BINARY) && !missing.remove(&blob) {
            continue;
        }
        match bring(archive, engine, &blob).await {
            Ok(true) => report.blobs += 1,
            Ok(false) => {
                let lacks = format!("the blob {}: its beginning is not in the archive", blob.id);
                report.damaged.push(lacks);
            }
            Err(error) => report
                .damaged
                .push(format!("the blob {}: {error}", blob.id)),
        }
    }
    let missing = missing.into_iter();
    let missing = missing.map(|blob| format!("the blob {} is not in the archive", blob.id));
    report.damaged.extend(missing);
    Ok(())
}

/// Brings a blob of the archive; false if it is not there.
pub(crate) async fn bring(
    archive: &Archive,
    engine: &Embedded,
    blob: &SealedBlob,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let Some(first) = archive.blob_part(blob, 0).await? else {
        return Ok(false);
    };
    let mut refill = engine.refill(blob)?;
    refill.append(&first)?;
    let mut part = 1;
    while let Some(bytes) = archive.blob_part(blob, part).await? {
        refill.append(&bytes)?;
        part += 1;
    }
    refill.finish()?;
    Ok(true)
}
