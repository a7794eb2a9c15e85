//! `salus audit verify`: says what was done to a log, with nothing but an export and a key.
#![allow(clippy::print_stdout, reason = "the result goes to standard output")]

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use indicatif::ProgressBar;
use salus_crypto::checkpoint::VerifierKey;
use salus_service::audit::verify::{Means, Report, verify};
use serde_json::{Value, json};

use super::{Failure, VerifyArguments};
use crate::checkpoints::{read_all, read_place};
use crate::{backup, config, open};

const BUFFER: usize = 1 << 20;

pub(super) fn run(arguments: &VerifyArguments) -> Result<(), Failure> {
    let (means, unreadable) = means(arguments)?;
    let named = |error: std::io::Error| format!("{}: {error}", arguments.file.display());
    let file = File::open(&arguments.file).map_err(named)?;
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let bar = ProgressBar::new(0);
    let mut progress = |read, of| {
        bar.set_length(of);
        bar.set_position(read);
    };
    let report = verify(&mut reader, &means, &mut progress).map_err(named)?;
    bar.finish_and_clear();
    let lacking = lacking(&report);
    match arguments.json {
        true => println!("{}", as_json(&report, &lacking, unreadable)),
        false => print!("{}", as_text(&report, &lacking, unreadable)),
    }
    match report.findings.len() + lacking.len() {
        0 => Ok(()),
        1 => Err("the log does not hold: 1 finding".into()),
        n => Err(format!("the log does not hold: {n} findings").into()),
    }
}

fn means(arguments: &VerifyArguments) -> Result<(Means, u64), Failure> {
    let mut keys = arguments.keys.clone();
    for path in &arguments.key_files {
        let named = |error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(named)?;
        keys.extend(
            text.lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    let mut means = Means {
        keys: parsed(&keys)?,
        witnesses: parsed(&arguments.witnesses)?,
        elsewhere: Vec::new(),
        part: arguments.part,
    };
    let mut unreadable = 0;
    for path in &arguments.checkpoints {
        unreadable += add_checkpoints(path, &mut means)?;
    }
    Ok((means, unreadable))
}

fn add_checkpoints(path: &Path, means: &mut Means) -> Result<u64, Failure> {
    let named = |error: String| format!("{}: {error}", path.display());
    let text = path.to_str().filter(|text| text.starts_with("s3://"));
    let (found, unreadable) = match text {
        Some(text) => {
            let place = backup::destination(text, &config::Archives::unlisted())?;
            open::runtime()?.block_on(read_place(&*place))?
        }
        None => read_all(path).map_err(|error| named(error.to_string()))?,
    };
    if found.is_empty() {
        return Err(format!("{} holds no checkpoint", path.display()).into());
    }
    means.elsewhere.extend(found);
    Ok(unreadable)
}

fn parsed(texts: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let key =
        |text: &String| VerifierKey::parse(text.trim()).map_err(|error| format!("{text}: {error}"));
    Ok(texts.iter().map(key).collect::<Result<_, _>>()?)
}

/// Witnesses that were asked for and have cosigned nothing.
fn lacking(report: &Report) -> Vec<String> {
    let none = report.witnesses.iter().filter(|(_, seen)| seen.is_none());
    none.map(|(name, _)| format!("the witness {name} has cosigned no checkpoint"))
        .collect()
}

fn as_json(report: &Report, lacking: &[String], unreadable: u64) -> Value {
    let found = report.findings.iter().map(|finding| {
        let mut value = serde_json::to_value(finding).unwrap_or_default();
        value["text"] = finding.to_string().into();
        value
    });
    let lacking = lacking
        .iter()
        .map(|text| json!({"kind": "not-cosigned", "text": text}));
    let findings: Vec<Value> = found.chain(lacking).collect();
    let newest = report
        .newest
        .map(|(size, time_s)| json!({"size": size, "time": time_s}));
    json!({
        "good": findings.is_empty(),
        "origin": report.origin,
        "size": report.size,
        "after": report.after,
        "shown": report.shown,
        "hidden": report.hidden,
        "undated": report.undated,
        "checkpoints": report.checkpoints,
        "elsewhere": report.elsewhere,
        "unreadable_checkpoints": unreadable,
        "newest": newest,
        "witnesses": report.witnesses,
        "findings": findings,
        "further": report.further,
        "not_compared": report.not_compared,
        "later": report.later,
    })
}

fn as_text(report: &Report, lacking: &[String], unreadable: u64) -> String {
    let mut lines = vec![
        ("log", report.origin.clone()),
        ("entries", entries(report)),
        ("checkpoints", checkpoints(report, unreadable)),
    ];
    for (name, seen) in &report.witnesses {
        let seen = seen.map_or("nothing".to_owned(), |size| format!("{size} entries"));
        lines.push(("witness", format!("{name} has cosigned {seen}")));
    }
    for finding in &report.findings {
        lines.push(("wrong", finding.to_string()));
    }
    lines.extend(lacking.iter().map(|text| ("wrong", text.clone())));
    if report.further > 0 {
        lines.push(("wrong", format!("{} more", report.further)));
    }
    if report.not_compared > 0 {
        let text = format!(
            "{} checkpoints, behind entries that are missing",
            report.not_compared
        );
        lines.push(("not compared", text));
    }
    if report.later > 0 {
        let text = format!("{} checkpoints that cover more of the log", report.later);
        lines.push(("left out", text));
    }
    let good = report.is_good() && lacking.is_empty();
    let result = if good {
        "the log holds"
    } else {
        "the log does not hold"
    };
    lines.push(("result", result.to_owned()));
    let line = |(name, text): (&str, String)| format!("{name:<13} {text}\n");
    lines.into_iter().map(line).collect()
}

fn entries(report: &Report) -> String {
    let mut text = format!(
        "{} to {}: {} shown",
        report.after, report.size, report.shown
    );
    if report.hidden > 0 {
        text.push_str(&format!(", {} as hashes alone", report.hidden));
    }
    if report.undated > 0 {
        text.push_str(&format!(", {} whose time is not proved", report.undated));
    }
    text
}

fn checkpoints(report: &Report, unreadable: u64) -> String {
    let mut text = format!(
        "{} in the export, {} from elsewhere",
        report.checkpoints, report.elsewhere
    );
    if unreadable > 0 {
        text.push_str(&format!(", {unreadable} that cannot be read"));
    }
    if let Some((size, time_s)) = report.newest {
        let time = time_s.and_then(|time_s| i64::try_from(time_s).ok());
        let time = time.and_then(|time_s| jiff::Timestamp::from_second(time_s).ok());
        let time = time.map(|time| format!(" of {time}")).unwrap_or_default();
        text.push_str(&format!("; the newest{time} covers {size}"));
    }
    text
}
