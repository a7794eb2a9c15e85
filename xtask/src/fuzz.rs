//! `cargo xtask fuzz`: builds the fuzz targets and lets each look for inputs
//! that break it, for some seconds or for as long as one likes, or the same so
//! many inputs each time.
//!
//! What libFuzzer needs of the compiler is stable: coverage comes from a pass
//! of LLVM. The address sanitizer would need another toolchain, and there is
//! no `unsafe` of ours for it to look at.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Outcome;

/// How each crate is compiled: with counters on every edge and hooks in every
/// comparison, which tell libFuzzer what an input reached.
const FLAGS: &str = "--cfg fuzzing \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Most that one input may cost.
const LIMITS: &[&str] = &["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"];

struct Options {
    seconds: u32,
    /// With a number of inputs their order is the same each time, too.
    inputs: Option<u32>,
    targets: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let root = crate::root().join("fuzz");
    let options = Options::read(arguments, &all(&root)?)?;
    let built = build(&root)?;
    let mut broken = Vec::new();
    for target in &options.targets {
        if !fuzz(&root, &built.join(target), target, &options)? {
            broken.push(target.as_str());
        }
    }
    match broken.as_slice() {
        [] => Ok(()),
        broken => Err(format!(
            "inputs that break {} are in fuzz/artifacts",
            broken.join(", ")
        )
        .into()),
    }
}

impl Options {
    fn read(arguments: &[String], all: &[String]) -> Result<Self, String> {
        let (mut seconds, mut inputs, mut targets) = (60, None, Vec::new());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--seconds" || argument == "--inputs" {
                let number = rest.next().and_then(|number| number.parse().ok());
                let number = number.ok_or_else(|| format!("{argument} needs a number"))?;
                match argument.as_str() {
                    "--seconds" => seconds = number,
                    _ => inputs = Some(number),
                }
            } else if all.contains(argument) {
                targets.push(argument.clone());
            } else {
                return Err(format!("{argument} is none of {}", all.join(", ")));
            }
        }
        if targets.is_empty() {
            targets = all.to_vec();
        }
        Ok(Self {
            seconds,
            inputs,
            targets,
        })
    }
}

/// The targets, by their files.
fn all(root: &Path) -> std::io::Result<Vec<String>> {
    let files = fs::read_dir(root.join("targets"))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        names.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

/// Builds every target; answers where they are.
fn build(root: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let outer = std::env::var_os("CARGO_TARGET_DIR");
    let outer = outer.map_or_else(|| crate::root().join("target"), PathBuf::from);
    let folder = outer.join("fuzz");
    let host = host()?;
    let status = Command::new(env!("CARGO"))
        .args(["build", "--bins", "--target", &host])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", &folder)
        // With a target named, build scripts are spared the instrumentation.
        .env("RUSTFLAGS", FLAGS)
        .status()?;
    if !status.success() {
        return Err("the targets do not build".into());
    }
    Ok(folder.join(host).join("debug"))
}

/// The platform that we run on, as the compiler names it.
fn host() -> Result<String, Box<dyn std::error::Error>> {
    let told = Command::new("rustc").arg("-vV").output()?;
    let told = String::from_utf8(told.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not say its host")?.to_owned())
}

/// Runs a target over its seeds and what it found before, then lets it search.
fn fuzz(
    root: &Path,
    program: &Path,
    target: &str,
    options: &Options,
) -> Result<bool, Box<dyn std::error::Error>> {
    let artifacts = root.join("artifacts").join(target);
    let corpus = match options.inputs {
        None => root.join("corpus").join(target),
        Some(_) => emptied(artifacts.join("corpus"))?,
    };
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let log_path = artifacts.join("log");
    let log = File::create(&log_path)?;
    let began = Instant::now();
    let status = Command::new(program)
        .args(LIMITS)
        .arg(format!("-max_total_time={}", options.seconds))
        .args(options.inputs.iter().flat_map(same))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-dict={}", root.join("dictionary").display()))
        .arg("-print_final_stats=1")
        .env("RUST_BACKTRACE", "0")
        .arg(&corpus)
        .arg(root.join("seeds").join(target))
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()?;
    let told = fs::read(&log_path)?;
    let told = String::from_utf8_lossy(&told);
    let verdict = if status.success() { "ok" } else { "BROKEN" };
    println!(
        "{target:<16}{verdict:<8}{:>4} s  {}",
        began.elapsed().as_secs(),
        reached(&told)
    );
    if !status.success() {
        for line in why(&told) {
            println!("    {line}");
        }
    }
    Ok(status.success())
}

/// A folder with nothing in it: what was found before changes what is tried.
fn emptied(folder: PathBuf) -> std::io::Result<PathBuf> {
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(folder),
    }
}

/// So many inputs, made by the same chance each time.
fn same(inputs: &u32) -> [String; 2] {
    [format!("-runs={inputs}"), "-seed=1".to_owned()]
}

/// The lines of a log that say what went wrong, and with which input.
fn why(told: &str) -> Vec<&str> {
    let lines: Vec<&str> = told.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let mut found: Vec<&str> = lines
        .iter()
        .skip(panic.unwrap_or(lines.len()))
        .take(4)
        .copied()
        .collect();
    let told = ["ERROR: libFuzzer", "Test unit written to", "Base64: "];
    found.extend(
        lines
            .iter()
            .filter(|line| told.iter().any(|part| line.contains(part))),
    );
    found
}

/// What libFuzzer said of its work.
fn reached(told: &str) -> String {
    let number = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("?", str::trim).to_owned()
    };
    let edges = told.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(" cov: ")?;
        rest.split(' ').next()
    });
    format!(
        "{} inputs, {} a second, {} edges",
        number("stat::number_of_executed_units:"),
        number("stat::average_exec_per_sec:"),
        edges.unwrap_or("?")
    )
}
