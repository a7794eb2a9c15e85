//! Decision records: `docs/adr/NNNN-title.md`, one number each, none missing,
//! all listed in the README beside them.

use super::Fault;
use super::tree::Tree;

const FOLDER: &str = "docs/adr/";
const LIST: &str = "docs/adr/README.md";

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let list = tree.text(LIST).unwrap_or_default();
    let mut faults = Vec::new();
    let mut next = 1;
    for (path, text) in tree.files() {
        let Some(file) = path
            .strip_prefix(FOLDER)
            .filter(|file| *file != "README.md")
        else {
            continue;
        };
        let Some(number) = number(file) else {
            faults.push(Fault::new(path, 0, "name it NNNN-title.md"));
            continue;
        };
        if number != next {
            let message = format!("number {number:04} where {next:04} comes next");
            faults.push(Fault::new(path, 0, message));
        }
        next = number + 1;
        if !text.starts_with(&format!("# {number:04} ")) {
            let message = format!("begin with `# {number:04} ` and the title");
            faults.push(Fault::new(path, 1, message));
        }
        if !list.contains(&format!("]({file})")) {
            faults.push(Fault::new(LIST, 0, format!("{file} is not listed")));
        }
    }
    faults
}

fn number(file: &str) -> Option<u32> {
    let (number, title) = file.strip_suffix(".md")?.split_once('-')?;
    (number.len() == 4 && !title.is_empty()).then(|| number.parse().ok())?
}
