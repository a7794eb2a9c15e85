//! The log of an archive, read ahead by one task and put into a new store by another.

use indicatif::{ProgressBar, ProgressStyle};
use salus_archive::{Archive, Error, Reached, Reading, Until};
use salus_store::{Finished, LogBatch, LogHead, Restoring};
use salus_store_embedded::{Embedded, Options};
use tokio::sync::mpsc;

use super::Failure;
use super::report::{Based, Report};

/// Reads of the archive that wait to be put in.
const AHEAD: usize = 4;

/// What the reader has to tell.
enum Read {
    Batches(Vec<LogBatch>, (usize, usize)),
    /// Something is not what was written; all before it was told.
    Fault(String),
    End(Box<Reached>),
    /// It is read from a base that is of use from this seq and time on.
    Base(Based),
    /// A base was passed over: nothing is missing for it.
    PassedOver(String),
    Trouble(Error),
}

/// Puts the log into a new store, as far as it is wanted and whole.
pub(super) async fn replay(
    archive: &Archive,
    until: Until,
    options: &Options,
) -> Result<Report, Failure> {
    let dictionaries = archive.dictionaries().await?;
    let mut restoring = Embedded::restore(options.clone(), &dictionaries)?;
    let (tell, mut told) = mpsc::channel(AHEAD);
    let reader = tokio::spawn(read(archive.clone(), until, tell));
    let bar = bar();
    let mut report = Report::default();
    let (mut reached, mut passed_over) = (None, Vec::new());
    while let Some(read) = told.recv().await {
        match read {
            Read::Batches(batches, (segment, segments)) => {
                bar.set_length(segments as u64);
                bar.set_position(segment as u64);
                let time_ms = batches.last().map(|batch| batch.time_ms);
                if let Err(error) = add(&mut restoring, batches).await {
                    report.damaged.push(damage(error)?);
                    break;
                }
                report.time_ms = time_ms.or(report.time_ms);
            }
            Read::Fault(fault) => report.damaged.push(fault),
            Read::End(end) => reached = Some(end),
            Read::Base(base) => report.base = Some(base),
            Read::PassedOver(fault) => passed_over.push(fault),
            Read::Trouble(error) => return Err(error.into()),
        }
    }
    reader.abort();
    bar.finish_and_clear();
    let Finished { head, lost } = restoring.finish().await?;
    report.head = Some(head);
    report.lost = lost;
    if let Some(reached) = reached.filter(|_| report.damaged.is_empty()) {
        report.findings.extend(differences(&head, &reached));
    }
    report.damaged.append(&mut passed_over);
    Ok(report)
}

async fn add(
    restoring: &mut Box<dyn Restoring>,
    batches: Vec<LogBatch>,
) -> Result<(), salus_store::Error> {
    restoring.add(batches).await
}

/// What is wrong with the log, if it is that; else nothing can be restored.
fn damage(error: salus_store::Error) -> Result<String, Failure> {
    if let salus_store::Error::Damaged(what) = error {
        return Ok(what);
    }
    Err(error.into())
}

async fn read(archive: Archive, until: Until, tell: mpsc::Sender<Read>) {
    let mut reading = match archive.read(until).await {
        Ok(reading) => reading,
        Err(error) => {
            drop(tell.send(Read::Trouble(error)).await);
            return;
        }
    };
    loop {
        let read = match reading.next().await {
            Ok(Some(batches)) => Read::Batches(batches, reading.progress()),
            Ok(None) => Read::End(Box::new(reading.reached().clone())),
            Err(Error::Fault(fault)) => Read::Fault(fault.to_string()),
            Err(error) => Read::Trouble(error),
        };
        let goes_on = matches!(read, Read::Batches(..));
        // Nobody listens when it was given up.
        if tell.send(read).await.is_err() {
            return;
        }
        if !goes_on {
            return tell_of_bases(&reading, &tell).await;
        }
    }
}

/// Tells at the end what it was read from.
async fn tell_of_bases(reading: &Reading, tell: &mpsc::Sender<Read>) {
    let base = reading.base().map(|(name, whole)| Based {
        seq: name.seq,
        time_ms: whole.valid.1,
    });
    let passed_over = reading.damaged().iter().map(ToString::to_string);
    let told = base.map(Read::Base).into_iter();
    for read in told.chain(passed_over.map(Read::PassedOver)) {
        if tell.send(read).await.is_err() {
            return;
        }
    }
}

/// What the store is not as the archive says.
fn differences(head: &LogHead, reached: &Reached) -> Vec<String> {
    let mut differences = Vec::new();
    if (head.seq, head.chain) != (reached.seq, reached.chain) {
        differences.push("the chain of changes is not that of the archive".to_owned());
    }
    let (size, root) = (reached.frontier.size(), reached.frontier.root());
    if (head.audit_size, head.audit_root) != (size, root) {
        differences.push("the audit log is not that of the archive".to_owned());
    }
    differences
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("segments {pos}/{len} {wide_bar} {elapsed}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
