//! `cargo xtask faults`: plays rounds in which a disk, a clock, an archive or a process fails under the
//! program, and counts what was acknowledged, what was found again, and what was not as it should be.
//!
//! The rounds themselves are `crates/server/tests/faults`, which a bounded number of runs with all tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::Outcome;

const TEST: &str = "nothing_acknowledged_is_lost_and_nothing_is_silently_wrong";
/// What a round counts, beside itself.
const COUNTS: [&str; 5] = ["hit", "acknowledged", "shipped", "recovered", "named"];
const USAGE: &str = "\
usage: cargo xtask faults [--rounds N] [--seed N] [--place P,..] [--kind K,..] [--jobs N]
                          [--program FILE] [--binary FILE] [--json]

  --rounds N      how many rounds (200); each has a seed of its own, from --seed (1) on
  --place P,..    store, keyring, rotation, archive, s3, several
  --kind K,..     write-error, short-write, sync-error, full-disk, power-cut, clock-jump, kill, rot,
                  mixed; of s3 busy, slow, cut, wrong-etag, lost-answer
  --jobs N        rounds side by side (2)
  --program FILE  the rounds, built before; else they are built
  --binary FILE   the salus that suffers; else the one that was built with them
  --json          print the counts as one line of JSON";

struct Options {
    rounds: u64,
    program: Option<PathBuf>,
    json: bool,
    variables: Vec<(&'static str, String)>,
}

/// The counts of a place and a kind.
#[derive(Default)]
struct Row {
    rounds: u64,
    counts: [u64; COUNTS.len()],
    findings: u64,
}

/// All that was told so far.
#[derive(Default)]
struct Tally {
    rows: BTreeMap<(String, String), Row>,
    findings: Vec<String>,
    rounds: u64,
}

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::read(arguments)?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => build()?,
    };
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(["--exact", TEST, "--nocapture"])
        .env("SALUS_FAULT_TELL", "1")
        .envs(options.variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut tally = Tally::default();
    let lines = child.stdout.take().map(BufReader::new);
    for line in lines.into_iter().flat_map(BufRead::lines) {
        let line = line?;
        if let Some(told) = line.strip_prefix("round ") {
            tally.take(&serde_json::from_str(told)?);
            progress(&tally, options.rounds, begun);
        }
    }
    let status = child.wait()?;
    let seconds = begun.elapsed().as_secs();
    eprintln!();
    match options.json {
        true => println!("{}", tally.json(seconds)),
        false => print!("{}", tally.text(seconds)),
    }
    match (tally.findings.len(), status.success()) {
        (0, true) if tally.rounds == options.rounds => Ok(()),
        (0, _) => Err(format!("{} of {} rounds were played", tally.rounds, options.rounds).into()),
        (findings, _) => Err(format!("{findings} findings").into()),
    }
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 200,
            program: None,
            json: false,
            variables: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--json" {
                options.json = true;
                continue;
            }
            let name = match argument.as_str() {
                "--rounds" => "SALUS_FAULT_ROUNDS",
                "--seed" => "SALUS_FAULT_SEED",
                "--place" => "SALUS_FAULT_PLACES",
                "--kind" => "SALUS_FAULT_KINDS",
                "--jobs" => "SALUS_FAULT_JOBS",
                "--binary" => "SALUS_BINARY",
                "--program" => "",
                _ => return Err(USAGE.into()),
            };
            let value = rest
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))?;
            match name {
                "" => options.program = Some(value.into()),
                name => options.variables.push((name, value.clone())),
            }
            if name == "SALUS_FAULT_ROUNDS" {
                let number = value.parse().map_err(|_| "--rounds needs a number");
                options.rounds = number?;
            }
        }
        let rounds = ("SALUS_FAULT_ROUNDS", options.rounds.to_string());
        options.variables.insert(0, rounds);
        Ok(options)
    }
}

/// Builds the rounds and the program under test; where the rounds are.
fn build() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let output = Command::new(env!("CARGO"))
        .args(["test", "-p", "salus-server", "--test", "faults", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(crate::root())
        .stderr(Stdio::inherit())
        .output()?;
    let told = String::from_utf8(output.stdout)?;
    let messages = told
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let built = messages
        .filter(|message: &Value| message["target"]["name"] == "faults")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    built.ok_or_else(|| "the rounds do not build".into())
}

fn progress(tally: &Tally, all: u64, begun: Instant) {
    let mut to = std::io::stderr().lock();
    let done = tally.rounds;
    if !to.is_terminal() && done < all && !done.is_multiple_of(100) {
        return;
    }
    let wide = (done * 30 / all.max(1)).min(30) as usize;
    let each = begun.elapsed().as_secs_f64() / done.max(1) as f64;
    let left = (each * all.saturating_sub(done) as f64) as u64;
    let end = if to.is_terminal() { "\r" } else { "\n" };
    // Who cannot be told goes without.
    let _ = write!(
        to,
        "[{:<30}] {done}/{all}  {} findings  {left} s left {end}",
        "#".repeat(wide),
        tally.findings.len()
    );
}

impl Tally {
    fn take(&mut self, told: &Value) {
        let word = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let (place, kind) = (word("place"), word("kind"));
        self.rounds += 1;
        let row = self.rows.entry((place.clone(), kind.clone())).or_default();
        row.rounds += 1;
        for (count, name) in row.counts.iter_mut().zip(COUNTS) {
            let told = &told[name];
            *count += told.as_u64().unwrap_or(u64::from(told == true));
        }
        if let Some(finding) = told["finding"].as_str() {
            row.findings += 1;
            let seed = &told["seed"];
            self.findings.push(format!(
                "cargo xtask faults --rounds 1 --seed {seed} --place {place} --kind {kind}: {finding}"
            ));
        }
    }

    fn sum(&self) -> Row {
        let mut sum = Row::default();
        for row in self.rows.values() {
            sum.rounds += row.rounds;
            sum.findings += row.findings;
            for (all, count) in sum.counts.iter_mut().zip(row.counts) {
                *all += count;
            }
        }
        sum
    }

    fn text(&self, seconds: u64) -> String {
        let mut text = format!("{:<10}{:<13}{:>8}", "PLACE", "KIND", "ROUNDS");
        for name in COUNTS {
            text.push_str(&format!("{:>14}", name.to_uppercase()));
        }
        text.push_str(&format!("{:>10}\n", "FINDINGS"));
        for ((place, kind), row) in &self.rows {
            text.push_str(&row.text(place, kind));
        }
        text.push_str(&self.sum().text("all", &format!("in {seconds} s")));
        for finding in &self.findings {
            text.push_str(&format!("\n{finding}\n"));
        }
        text
    }

    fn json(&self, seconds: u64) -> Value {
        let rows = self.rows.iter().map(|((place, kind), row)| {
            let mut shown = json!({"place": place, "kind": kind, "rounds": row.rounds, "findings": row.findings});
            for (name, count) in COUNTS.iter().zip(row.counts) {
                shown[name] = count.into();
            }
            shown
        });
        let rows: Vec<Value> = rows.collect();
        json!({"rounds": self.rounds, "seconds": seconds, "rows": rows, "findings": self.findings})
    }
}

impl Row {
    fn text(&self, place: &str, kind: &str) -> String {
        let mut text = format!("{place:<10}{kind:<13}{:>8}", self.rounds);
        for count in self.counts {
            text.push_str(&format!("{count:>14}"));
        }
        text.push_str(&format!("{:>10}\n", self.findings));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_counted_by_place_and_kind() {
        let mut tally = Tally::default();
        for finding in [Value::Null, "lost".into()] {
            tally.take(
                &json!({"place": "store", "kind": "kill", "seed": 7, "hit": true,
                "acknowledged": 30, "shipped": 0, "recovered": 30, "named": 0, "finding": finding}),
            );
        }
        let told = tally.json(3);
        assert_eq!(told["rows"][0]["acknowledged"], 60);
        assert_eq!(told["rows"][0]["hit"], 2);
        assert_eq!(told["rows"][0]["findings"], 1);
        let text = tally.text(3);
        assert!(
            text.contains("--seed 7 --place store --kind kill: lost"),
            "{text}"
        );
    }

    #[test]
    fn options_are_handed_on() {
        let words = ["--rounds", "5", "--kind", "kill,rot", "--json"].map(str::to_owned);
        let options = Options::read(&words).unwrap();
        assert_eq!(options.rounds, 5);
        assert!(options.json);
        assert!(
            options
                .variables
                .contains(&("SALUS_FAULT_KINDS", "kill,rot".into()))
        );
        assert!(Options::read(&["--other".to_owned()]).is_err());
    }
}
