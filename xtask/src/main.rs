//! Chores of the repository, run as `cargo xtask COMMAND`.
//!
//! Each command is a file of its own with a `run` function and a row in
//! [`COMMANDS`].

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod definitions;
mod dictionary;
mod faults;
mod fuzz;
mod passwords;
mod tidy;
mod ucum;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a command answers: nothing, or why it failed.
type Outcome = Result<(), Box<dyn Error>>;

struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "definitions",
        help: "derive crates/fhir/definitions from the published packages [--check] [--from DIR]",
        run: definitions::run,
    },
    Command {
        name: "dictionary",
        help: "train the dictionary that bodies are compressed with [--check] [--measure]",
        run: dictionary::run,
    },
    Command {
        name: "faults",
        help: "let disks, clocks, archives and processes fail, and count what is lost [--rounds N] [--seed N] [--place P] [--kind K] [--json]",
        run: faults::run,
    },
    Command {
        name: "fuzz",
        help: "let fuzz targets search for inputs that break them [--seconds N] [TARGET...]",
        run: fuzz::run,
    },
    Command {
        name: "passwords",
        help: "derive the list of common passwords from published ones [--check] [--from DIR]",
        run: passwords::run,
    },
    Command {
        name: "tidy",
        help: "check what the compiler does not know about this repository [CHECK...]",
        run: tidy::run,
    },
    Command {
        name: "ucum",
        help: "derive crates/fhir/definitions/ucum from the published table [--check] [--from FILE]",
        run: ucum::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen = arguments
        .first()
        .and_then(|name| COMMANDS.iter().find(|c| c.name == name));
    let Some(command) = chosen else {
        eprintln!("usage: cargo xtask COMMAND");
        for command in COMMANDS {
            eprintln!("  {:<14}{}", command.name, command.help);
        }
        return ExitCode::from(2);
    };
    match (command.run)(arguments.get(1..).unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", command.name);
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The folder with the published packages and test data that this repository
/// reads but does not contain: `SALUS_SHARED`, or `../shared`.
fn shared() -> PathBuf {
    match std::env::var_os("SALUS_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("../shared"),
    }
}

/// The options of a command that derives facts: from where, `default` in the
/// published data unless `--from` names another `what`, and whether to compare
/// only (`--check`).
fn options(arguments: &[String], default: &str, what: &str) -> Result<(PathBuf, bool), String> {
    let mut from = shared().join(default);
    let mut check = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--from" => from = rest.next().ok_or(format!("--from needs {what}"))?.into(),
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok((from, check))
}
