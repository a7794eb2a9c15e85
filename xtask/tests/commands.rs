//! The command line of `xtask`, run as a program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_xtask");
    Command::new(program).args(arguments).output().unwrap()
}

#[track_caller]
fn check_refused(arguments: &[&str], code: i32, message: &str) {
    let output = xtask(arguments);
    assert_eq!(output.status.code(), Some(code));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(message), "{told}");
}

#[test]
fn without_a_command_all_are_named() {
    for name in ["definitions", "dictionary", "fuzz", "tidy"] {
        check_refused(&[], 2, name);
    }
    check_refused(&["nothing"], 2, "usage: cargo xtask COMMAND");
}

#[test]
fn unknown_options_are_refused() {
    check_refused(&["tidy", "nothing"], 1, "there is no check named nothing");
    check_refused(&["fuzz", "nothing"], 1, "nothing is none of audit_entry");
    check_refused(&["fuzz", "--seconds"], 1, "--seconds needs a number");
    check_refused(&["definitions", "--nothing"], 1, "--nothing");
    check_refused(&["dictionary", "--nothing"], 1, "--check");
}
