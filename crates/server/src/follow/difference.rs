//! What a fenced store has that the one that was promoted in its place does not have.

use std::path::Path;

use salus_archive::Archive;
use salus_service::instant;
use salus_store::{Log, LogPart};
use serde_json::{Value, json};

use super::Failure;
use crate::fencing::{Generation, replaced};

/// Commits that are listed; further ones are counted.
const LISTED_MAX: usize = 1000;
const BYTES_AT_ONCE: usize = 4 << 20;

/// Compares a store with an archive, if that says that the store was replaced.
pub(crate) async fn difference(
    data: &Path,
    log: &dyn Log,
    archive: &Archive,
) -> Result<Value, Failure> {
    let own = Generation::read(data)?;
    let Some(fence) = replaced(archive, &own).await? else {
        return Ok(json!({"archive": archive.label(), "fenced": false}));
    };
    let common = archive.common(log, fence.seq).await?;
    let head = log.head().await?.seq;
    let (mut commits, mut versions, mut entries) = (0_u64, 0_u64, 0_u64);
    let (mut listed, mut times) = (Vec::new(), None);
    let mut after = common;
    loop {
        let batches = log.batches(after, BYTES_AT_ONCE).await?;
        let Some(last) = batches.last() else { break };
        after = last.last;
        for batch in &batches {
            let count = |of: fn(&LogPart) -> bool| {
                batch.parts.iter().filter(|part| of(part)).count() as u64
            };
            let of_batch = count(|part| matches!(part, LogPart::Version(_)));
            commits += 1;
            versions += of_batch;
            entries += count(|part| matches!(part, LogPart::Audit { .. }));
            let (first, _) = times.unwrap_or((batch.time_ms, batch.time_ms));
            times = Some((first, batch.time_ms));
            if listed.len() < LISTED_MAX {
                listed.push(json!({
                    "seq": batch.first.0,
                    "upto": batch.last.0,
                    "time": instant(batch.time_ms),
                    "versions": of_batch,
                }));
            }
        }
    }
    Ok(json!({
        "archive": archive.label(),
        "fenced": true,
        "fence": fence.number,
        "fencedAt": instant(fence.time_ms),
        "by": fence.who,
        "commonSeq": common.0,
        "seq": head.0,
        "commits": commits,
        "versions": versions,
        "auditEntries": entries,
        "earliest": times.map(|(first, _)| instant(first)),
        "latest": times.map(|(_, last)| instant(last)),
        "listed": listed,
    }))
}

/// For people: a line for each thing.
pub(super) fn text(answer: &Value) -> String {
    let mut text = String::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Array(lines) => {
                for line in lines {
                    let part = |name: &str| {
                        let value = &line[name];
                        let text = value.as_str().map(str::to_owned);
                        text.unwrap_or_else(|| value.to_string())
                    };
                    text += &format!(
                        "  seq {}-{}  {}  {} versions\n",
                        part("seq"),
                        part("upto"),
                        part("time"),
                        part("versions")
                    );
                }
            }
            Value::String(value) => text += &format!("{name:<16}{value}\n"),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                text += &format!("{name:<16}{value}\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_lines() {
        let answer = json!({"commits": 1, "latest": null, "listed": [
            {"seq": 3, "upto": 4, "time": "2026-11-23T10:00:00Z", "versions": 1},
        ]});
        assert_eq!(
            text(&answer),
            "commits         1\n  seq 3-4  2026-11-23T10:00:00Z  1 versions\n"
        );
    }
}
