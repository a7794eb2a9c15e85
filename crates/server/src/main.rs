//! The binary `salus`: command line, configuration, wiring.
#![allow(clippy::print_stderr, reason = "the command line speaks to people")]

mod audit;
mod backup;
mod check;
mod checkpoints;
mod cli;
mod cold;
mod config;
mod connect;
mod control;
mod crash;
mod demo;
mod drill;
mod fencing;
mod fetch;
mod follow;
mod generate;
mod import;
mod keeping;
mod keys;
mod listen;
mod mail;
mod open;
mod policy;
mod providers;
mod reindex;
mod restore;
mod roots;
mod serve;
mod signed;
mod span;
#[cfg(test)]
#[path = "../tests/support"]
#[allow(dead_code)] // tests of the binary use the rest
mod support {
    pub(crate) mod draw;
    pub(crate) mod http;
    pub(crate) mod s3;
}
mod table;
mod telemetry;
mod tls;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;

// The default allocator costs a sixth of a read; see docs/adr/0003.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Err(error) = crash::quietly() {
        eprintln!("salus: the system does not keep this process from being dumped: {error}");
        return ExitCode::FAILURE;
    }
    let cli = cli::Cli::parse();
    let done = match cli.command {
        cli::Command::Serve(arguments) => serve::run(&arguments),
        cli::Command::Import(arguments) => import::run(&arguments),
        cli::Command::Generate(arguments) => generate::run(&arguments),
        cli::Command::Check(arguments) => check::run(&arguments),
        cli::Command::Keys(arguments) => keys::run(&arguments),
        cli::Command::Audit(arguments) => audit::run(&arguments),
        cli::Command::Reindex(arguments) => reindex::run(&arguments),
        cli::Command::Policy(arguments) => policy::run(&arguments),
        cli::Command::Backup(arguments) => backup::run(&arguments),
        cli::Command::Drill(arguments) => drill::run(&arguments),
        cli::Command::Follow(arguments) => follow::run(&arguments),
        cli::Command::Restore(arguments) => restore::run(&arguments),
        cli::Command::Retention(arguments) => keeping::retention::run(&arguments),
        cli::Command::Cold(arguments) => keeping::cold::run(&arguments),
        cli::Command::Hold(arguments) => keeping::hold::run(&arguments),
        cli::Command::Shred(arguments) => keeping::shred::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("salus: {}", whole(&*error));
            match error.is::<restore::Partial>() || error.is::<drill::Failed>() {
                true => ExitCode::from(3),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// An error with its causes, each said once.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
