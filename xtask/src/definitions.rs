//! `cargo xtask definitions`: derives the facts of FHIR R4 (4.0.1) that Salus
//! embeds from the packages that HL7 published.
//!
//! The source is `hl7.fhir.r4.examples`, which holds every StructureDefinition,
//! SearchParameter, CodeSystem, ValueSet and CompartmentDefinition of the
//! release. Other packages that repackage the same files change them in
//! places, so none is mixed in. Prose (definitions, comments, narratives) is
//! left out. The output is text, a fact a line, sorted, so that a change of
//! source shows as a readable difference, and the same source always makes
//! the same bytes.

mod codes;
mod compartments;
mod package;
mod search;
mod types;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use crate::Outcome;
use package::Package;

const PACKAGE: &str = "hl7.fhir.r4.examples-4.0.1.tgz";
const FOLDER: &str = "crates/fhir/definitions/r4";

/// A derived file: its name, what its lines mean, and how it is made.
struct Derived {
    name: &'static str,
    shape: &'static [&'static str],
    derive: fn(&Package) -> Result<String, String>,
}

const FILES: &[Derived] = &[
    Derived {
        name: "types.tsv",
        shape: types::SHAPE,
        derive: types::derive,
    },
    Derived {
        name: "search.tsv",
        shape: search::SHAPE,
        derive: search::derive,
    },
    Derived {
        name: "compartments.tsv",
        shape: compartments::SHAPE,
        derive: compartments::derive,
    },
    Derived {
        name: "codes.tsv",
        shape: codes::SHAPE,
        derive: codes::derive,
    },
    Derived {
        name: "values.tsv",
        shape: values::SHAPE,
        derive: values::derive,
    },
];

/// Runs the command: writes the files, or with `--check` says whether they
/// are what the packages say.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (from, check) = crate::options(arguments, "data/fhir-packages", "a folder")?;
    let path = from.join(PACKAGE);
    if !path.is_file() {
        return absent(check, &path);
    }
    let package = Package::read(&path)?;
    let folder = crate::root().join(FOLDER);
    let files = derive(&package)?;
    if check {
        return compare(&folder, &files);
    }
    std::fs::create_dir_all(&folder)?;
    for (name, text) in &files {
        std::fs::write(folder.join(name), text)?;
        println!("{FOLDER}/{name}: {} bytes", text.len());
    }
    Ok(())
}

fn absent(check: bool, path: &Path) -> Outcome {
    if check {
        println!("skipped: {} is not here to compare with", path.display());
        return Ok(());
    }
    Err(format!(
        "{} is not there; name its folder with --from",
        path.display()
    )
    .into())
}

fn derive(package: &Package) -> Result<BTreeMap<&'static str, String>, String> {
    let mut files = BTreeMap::new();
    for file in FILES {
        let mut text = format!(
            "# Derived by `cargo xtask definitions`; do not edit.\n# source {} {} ({})\n# sha256 {}\n",
            package.name, package.version, package.license, package.sha256
        );
        for line in file.shape {
            text.push_str("# ");
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&(file.derive)(package)?);
        files.insert(file.name, text);
    }
    Ok(files)
}

fn compare(folder: &Path, files: &BTreeMap<&'static str, String>) -> Outcome {
    for (name, text) in files {
        if std::fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text) {
            return Err(format!("{name} is not current: run `cargo xtask definitions`").into());
        }
    }
    println!("the definitions are current");
    Ok(())
}

#[cfg(test)]
mod tests;
