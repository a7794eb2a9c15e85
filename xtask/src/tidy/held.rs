//! Tests that pages name: a requirement is held by a test that there is.
//!
//! In pages of docs/security, `path/to/file.rs::name` between backquotes is a test.

use super::Fault;
use super::tree::Tree;

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let pages = tree.ending(".md");
    for (path, text) in pages.filter(|(path, _)| path.starts_with("docs/security/")) {
        for (index, line) in text.lines().enumerate() {
            let code = line.split('`').skip(1).step_by(2);
            for (file, name) in code.filter_map(|code| code.split_once(".rs::")) {
                if !is_test(tree, &format!("{file}.rs"), name) {
                    let message = format!("there is no test {file}.rs::{name}");
                    faults.push(Fault::new(path, index + 1, message));
                }
            }
        }
    }
    faults
}

/// Whether a file has a function of this name right below the attribute of a test.
fn is_test(tree: &Tree, file: &str, name: &str) -> bool {
    let lines: Vec<&str> = tree.text(file).unwrap_or_default().lines().collect();
    let starts = [format!("fn {name}("), format!("async fn {name}(")];
    lines.windows(2).any(|pair| {
        let [above, line] = pair else { return false };
        let attribute = matches!(above.trim(), "#[test]" | "#[tokio::test]");
        attribute && starts.iter().any(|start| line.trim().starts_with(start))
    })
}
