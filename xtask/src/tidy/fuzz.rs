//! Fuzz targets: a file, a row in the manifest, and seeds to begin with.

use super::Fault;
use super::tree::Tree;

const MANIFEST: &str = "fuzz/Cargo.toml";
const TARGETS: &str = "fuzz/targets/";

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let manifest = tree.text(MANIFEST).unwrap_or_default();
    let mut faults = Vec::new();
    for (path, _) in tree.files().filter(|(path, _)| path.starts_with(TARGETS)) {
        let Some(name) = path
            .strip_prefix(TARGETS)
            .and_then(|file| file.strip_suffix(".rs"))
        else {
            continue;
        };
        if !manifest.contains(&format!("path = \"targets/{name}.rs\"")) {
            faults.push(Fault::new(MANIFEST, 0, format!("{name} has no [[bin]]")));
        }
        if !tree.holds(&format!("fuzz/seeds/{name}")) {
            faults.push(Fault::new(
                path,
                0,
                format!("fuzz/seeds/{name} has no seed"),
            ));
        }
    }
    faults
}
