//! `cargo xtask tidy`: what the compiler and the lints cannot know about this
//! repository.
//!
//! Each check is a file of its own with a row in [`CHECKS`]. A check reads a
//! [`Tree`], which its tests make by hand from a few lines, and names every
//! fault with its file and line.

mod arrows;
mod decisions;
mod dependencies;
mod fuzz;
mod held;
mod links;
mod phi;
mod rust;
mod source;
mod tree;
mod words;
mod world;

use std::fmt;

use crate::Outcome;
use tree::Tree;

struct Check {
    name: &'static str,
    rule: &'static str,
    faults: fn(&Tree) -> Vec<Fault>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "source",
        rule: "a file opens with its reason, is not long, leaves nothing unfinished",
        faults: source::faults,
    },
    Check {
        name: "world",
        rule: "time, environment, randomness and input come in through the rooms that own them",
        faults: world::faults,
    },
    Check {
        name: "arrows",
        rule: "a crate imports only the crates that ARCHITECTURE.md lets it",
        faults: arrows::faults,
    },
    Check {
        name: "dependencies",
        rule: "outside crates have an allowed licence and source, and the heavy ones one version",
        faults: dependencies::faults,
    },
    Check {
        name: "words",
        rule: "no paths of one machine, no hosts but those of standards",
        faults: words::faults,
    },
    Check {
        name: "decisions",
        rule: "docs/adr is numbered without a gap and listed in its README",
        faults: decisions::faults,
    },
    Check {
        name: "links",
        rule: "links between Markdown pages lead somewhere",
        faults: links::faults,
    },
    Check {
        name: "held",
        rule: "every test that docs/security names is there",
        faults: held::faults,
    },
    Check {
        name: "phi",
        rule: "what may hold protected health information does not print itself, nor goes to a log",
        faults: phi::faults,
    },
    Check {
        name: "fuzz",
        rule: "every fuzz target is in fuzz/Cargo.toml and has seeds",
        faults: fuzz::faults,
    },
];

/// Runs every check, or those named, and prints each fault.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments
        .iter()
        .find(|a| CHECKS.iter().all(|c| c.name != **a))
    {
        return Err(format!("there is no check named {unknown}").into());
    }
    let tree = Tree::read(&crate::root())?;
    let mut count = 0;
    for check in CHECKS {
        if !arguments.is_empty() && !arguments.iter().any(|a| a == check.name) {
            continue;
        }
        let faults = (check.faults)(&tree);
        println!(
            "{:<14}{} ({})",
            check.name,
            Verdict(faults.len()),
            check.rule
        );
        for fault in &faults {
            println!("  {fault}");
        }
        count += faults.len();
    }
    match count {
        0 => Ok(()),
        count => Err(format!("{count} to mend").into()),
    }
}

/// Something against a rule.
#[derive(Debug)]
struct Fault {
    path: String,
    /// Counted from 1; 0 when it is about the whole file.
    line: usize,
    message: String,
}

impl Fault {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

struct Verdict(usize);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("ok"),
            count => write!(f, "{count} FAULTS"),
        }
    }
}

#[cfg(test)]
mod tests;
