//! Whether a base is what was written, and has what the line had up to its end.

use salus_store::LogBatch;

use crate::reading::Line;
use crate::verify::{Follows, Progress};
use crate::{Archive, Base, BaseName, Contents, Error, Fault, What, Whole};

impl Archive {
    /// Reads the segments of a base, and compares their end with what it says of itself. Answers
    /// with the latest time of a commit.
    pub(crate) async fn check_line(
        &self,
        base: &Base,
        whole: &Whole,
        follows: &Follows<'_>,
        progress: &Progress<'_>,
    ) -> Result<i64, Error> {
        let mut line = Line::of_base(base, whole);
        let (mut chain, mut latest_ms) = ([0; 32], i64::MIN);
        while let Some(batches) = line.step(self).await? {
            chain = follow(chain, &batches, follows).ok_or_else(|| broken(base.name))?;
            latest_ms = latest_ms.max(latest(&batches));
            let (read, all) = line.progress();
            progress(read as u64, all as u64);
        }
        match line.reached.seq == base.name.seq {
            true => Ok(latest_ms),
            false => Err(Fault::new(base.name, What::Missing { until: None }).into()),
        }
    }

    /// Reads the line behind a base, up to where the base is of use. Answers with the latest time
    /// of a commit up to there.
    pub(crate) async fn check_behind(
        &self,
        contents: &Contents,
        name: BaseName,
        whole: &Whole,
        follows: &Follows<'_>,
    ) -> Result<i64, Error> {
        let mut line = Line::behind_base(contents, name, whole);
        let (mut chain, mut latest_ms) = (whole.chain, i64::MIN);
        while line.reached.seq < whole.valid.0 {
            let Some(mut batches) = line.step(self).await? else {
                let object = format!("seq {}", line.reached.seq.0 + 1);
                return Err(Fault::new(object, What::Missing { until: None }).into());
            };
            chain = follow(chain, &batches, follows).ok_or_else(|| broken(name))?;
            batches.retain(|batch| batch.last <= whole.valid.0);
            latest_ms = latest_ms.max(latest(&batches));
        }
        match latest_ms <= whole.valid.1 {
            true => Ok(latest_ms),
            false => Err(Fault::damaged(name, "a commit is later than it says").into()),
        }
    }
}

fn latest(batches: &[LogBatch]) -> i64 {
    let times = batches.iter().map(|batch| batch.time_ms);
    times.max().unwrap_or(i64::MIN)
}

/// The chain of changes behind some batches, if they follow it.
fn follow(mut chain: [u8; 32], batches: &[LogBatch], follows: &Follows<'_>) -> Option<[u8; 32]> {
    for batch in batches {
        if !follows(chain, batch) {
            return None;
        }
        chain = batch.chain;
    }
    Some(chain)
}

fn broken(name: BaseName) -> Error {
    Fault::damaged(name, "its chain of changes is broken").into()
}
