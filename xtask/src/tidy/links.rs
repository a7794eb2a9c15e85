//! Links in Markdown pages to files and headings of this repository.

use super::Fault;
use super::tree::Tree;

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (line, target) in links(text) {
            if let Some(message) = broken(tree, path, target) {
                faults.push(Fault::new(path, line, message));
            }
        }
    }
    faults
}

/// Targets of `[text](target)` and `[name]: target`, outside code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let inline = outside_code(line).flat_map(|part| part.split("](").skip(1));
        found.extend(inline.filter_map(|rest| Some((index + 1, rest.split_once(')')?.0))));
        let named = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "));
        found.extend(named.map(|(_, target)| (index + 1, target.trim())));
    }
    found
}

/// The parts of a line that are not between backquotes.
fn outside_code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').step_by(2)
}

fn broken(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => from.to_owned(),
        file => resolved(from, file)?,
    };
    if !tree.holds(&path) {
        return Some(format!("{target} leads nowhere: there is no {path}"));
    }
    let text = tree.text(&path).unwrap_or_default();
    let known = heading.is_empty() || !path.ends_with(".md") || anchors(text).any(|a| a == heading);
    (!known).then(|| format!("{target} leads nowhere: {path} has no such heading"))
}

/// A relative path, seen from the folder of a file.
fn resolved(from: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            // Above the root lies nothing of ours.
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The names that pages give to headings: lower case, dashes for spaces.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}
