//! Text that ties the repository to one machine or one network.

use super::Fault;
use super::rust::each_line;
use super::tree::Tree;

/// Hosts of standards, code systems and publications that we refer to, and
/// everything below them.
const HOSTS: &[&str] = &[
    "apache.org",
    "aumasson.jp",
    "aws.amazon.com",
    "build.fhir.org",
    "c2sp.org",
    "cheatsheetseries.owasp.org",
    "dicom.nema.org",
    "genenames.org",
    // The index that Cargo.lock names, and nothing else.
    "github.com",
    "hashicorp.com",
    "hl7.org",
    "ihe.net",
    "loinc.org",
    "ncbi.nlm.nih.gov",
    "nlm.nih.gov",
    "openapis.org",
    "openid.net",
    "owasp.org",
    "refeds.org",
    "rfc-editor.org",
    "smarthealthit.org",
    "snomed.info",
    "spec.whatwg.org",
    "standardwebhooks.com",
    "ucum.org",
    "unitsofmeasure.org",
    "varnomen.hgvs.org",
    "w3.org",
];

/// Names that never are anybody's (RFC 2606, RFC 6761).
const NOBODY: &[&str] = &[
    "example",
    "example.org",
    "example.com",
    "example.net",
    "localhost",
    "test",
    "invalid",
];

/// The one place that outside crates come from, as Cargo itself names it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Folders of one person's machine, in pieces lest this file hold them.
const PLACES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
];

const SEEDS: &str = "fuzz/seeds/";

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |path: &str, number, message: Option<String>| {
        faults.extend(message.map(|message| Fault::new(path, number, message)));
    };
    for (path, text) in tree.files() {
        for (index, line) in text.lines().enumerate() {
            if path.ends_with("Cargo.lock") {
                add(path, index + 1, source(line));
                continue;
            }
            add(path, index + 1, place(line));
            // Derived tables repeat what the standard says; seeds are bytes.
            if ![".rs", ".tsv"].iter().any(|end| path.ends_with(end)) && !path.starts_with(SEEDS) {
                add(path, index + 1, host(line));
            }
        }
    }
    each_line(tree, |line| {
        // Tests invent hosts.
        if !line.test {
            add(line.path, line.number, host(line.text));
        }
    });
    faults
}

fn source(line: &str) -> Option<String> {
    let source = line.strip_prefix("source = ")?.trim_matches('"');
    (source != REGISTRY).then(|| format!("{source} is not the public registry"))
}

fn place(line: &str) -> Option<String> {
    let found = PLACES.iter().find(|place| stands_alone(line, place));
    found.map(|place| format!("{place} is a folder of one machine"))
}

/// Whether a path begins there: within a longer path or a URL it does not.
fn stands_alone(line: &str, place: &str) -> bool {
    let Some(at) = line.find(place) else {
        return false;
    };
    let before = at.checked_sub(1).and_then(|at| line.as_bytes().get(at));
    !before.is_some_and(|b| b.is_ascii_alphanumeric() || b"./_-}".contains(b))
}

fn host(line: &str) -> Option<String> {
    let urls = line.split("://").skip(1);
    let hosts = urls.map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-');
        rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest)
    });
    let strange = hosts.into_iter().find(|host| !is_known(host))?;
    Some(format!(
        "{strange} is no host of a standard: see xtask/src/tidy/words.rs"
    ))
}

fn is_known(host: &str) -> bool {
    let number = host.split('.').all(|part| part.parse::<u8>().is_ok());
    let below = |known: &str| {
        host.strip_suffix(known)
            .is_some_and(|left| left.is_empty() || left.ends_with('.'))
    };
    number || !host.contains('.') || HOSTS.iter().chain(NOBODY).any(|known| below(known))
}
