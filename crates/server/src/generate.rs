//! `salus generate`: a synthetic population as files.
#![allow(
    clippy::print_stdout,
    reason = "the population goes to standard output when asked"
)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use salus_synthetic::Population;

use crate::cli::GenerateArguments;

/// Writes the population.
pub(crate) fn run(arguments: &GenerateArguments) -> Result<(), Box<dyn std::error::Error>> {
    let population = Population::new(arguments.seed, arguments.patients, arguments.today);
    match &arguments.out {
        None => lines(&population, BufWriter::new(io::stdout().lock()))?,
        Some(dir) => {
            fs::create_dir_all(dir)?;
            if arguments.ndjson {
                let file = File::create(dir.join("bundles.ndjson"))?;
                lines(&population, BufWriter::new(file))?;
            } else {
                files(&population, dir)?;
            }
            println!("{} patients in {}", arguments.patients, dir.display());
        }
    }
    Ok(())
}

/// One bundle a line: the directory first, then each patient.
fn lines(population: &Population, mut out: impl Write) -> io::Result<()> {
    writeln!(out, "{}", population.directory().0)?;
    for life in population.lives() {
        writeln!(out, "{}", life.text)?;
    }
    out.flush()
}

/// One file for the directory and for each patient, in an order that loads.
fn files(population: &Population, dir: &Path) -> io::Result<()> {
    fs::write(dir.join("00000-directory.json"), population.directory().0)?;
    for (index, life) in population.lives().enumerate() {
        fs::write(
            dir.join(format!("{:05}-patient.json", index + 1)),
            life.text,
        )?;
    }
    Ok(())
}
