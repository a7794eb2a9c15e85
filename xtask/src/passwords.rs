//! `cargo xtask passwords`: derives the list of passwords that nobody may choose from the published
//! lists of the packages `zxcvbn` and `@zxcvbn-ts/language-common` of npm, both under
//! the MIT licence, which counted them in leaks.
//!
//! `--from` names a folder with both as `npm pack` fetches them. Kept are those of eight
//! characters or more, in lower case, in order, each once: facts, without their ranks.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest;
use flate2::read::GzDecoder;

use crate::Outcome;

const SOURCE: &str = "data/passwords";
const FILE: &str = "crates/auth/src/credentials/common.txt";
const CHARS_MIN: usize = 8;

/// The package, and the file in it.
const SOURCES: [(&str, &str); 2] = [
    ("zxcvbn-4.4.2.tgz", "package/src/frequency_lists.coffee"),
    (
        "zxcvbn-ts-language-common-4.1.3.tgz",
        "package/src/passwords.json",
    ),
];

/// Runs the command: writes the list, or with `--check` says whether it is what the sources say.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (from, check) = crate::options(arguments, SOURCE, "a folder")?;
    if !from.is_dir() {
        if check {
            println!("skipped: {} is not here to compare with", from.display());
            return Ok(());
        }
        return Err(format!("{} is not there; name it with --from", from.display()).into());
    }
    let text = derive(&from)?;
    let file = crate::root().join(FILE);
    if check {
        if std::fs::read_to_string(file).ok().as_ref() != Some(&text) {
            return Err(format!("{FILE} is not current: run `cargo xtask passwords`").into());
        }
        println!("the passwords are current");
        return Ok(());
    }
    std::fs::write(file, &text)?;
    println!("{FILE}: {} bytes", text.len());
    Ok(())
}

fn derive(from: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = "# Derived by `cargo xtask passwords`; do not edit.\n".to_owned();
    let mut found = BTreeSet::new();
    for (package, file) in SOURCES {
        let packed = std::fs::read(from.join(package))?;
        let sum: String = digest::digest(&digest::SHA256, &packed)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        text.push_str(&format!("# source {package} sha256 {sum} (MIT)\n"));
        let listed = unpacked(&packed, file)?;
        let words = match file.ends_with(".json") {
            true => serde_json::from_str::<Vec<String>>(&listed)?,
            false => coffee(&listed)?,
        };
        let words = words.iter().map(|word| word.to_lowercase());
        found.extend(words.filter(|word| kept(word)));
    }
    for word in found {
        text.push_str(&word);
        text.push('\n');
    }
    Ok(text)
}

fn kept(word: &str) -> bool {
    word.chars().count() >= CHARS_MIN && !word.contains(char::is_control) && !word.starts_with("# ")
}

/// A file of a package.
fn unpacked(packed: &[u8], file: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut archive = tar::Archive::new(GzDecoder::new(packed));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.to_str() == Some(file) {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    Err(format!("there is no {file}").into())
}

/// The words of `passwords: "…,…"`.
fn coffee(text: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let behind = text.split_once("passwords: \"").map(|(_, behind)| behind);
    let list = behind.and_then(|behind| behind.split_once('"'));
    let (list, _) = list.ok_or("there are no passwords")?;
    Ok(list.split(',').map(str::to_owned).collect())
}
