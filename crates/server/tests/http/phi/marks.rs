//! Marks: words that stand nowhere else, one for each place that something is sent in, and the
//! search for them in what a server leaves behind.

use std::path::Path;
use std::sync::Mutex;

use base64ct::{Base64Unpadded, Encoding};
use memchr::memmem::Finder;

/// How every mark begins: long enough that none comes by chance.
const BEGINNING: &str = "zqxphimarkzq";
const DIGITS: usize = 5;

/// Where marks may be found, whose, and why.
///
/// The first is how the name of the place begins where one was found, the second how that begins
/// where it was sent.
const BY_DESIGN: &[(&str, &str, &str)] = &[
    (
        "answer ",
        "name ",
        "who sent a parameter or a member that is not known is told its name",
    ),
    (
        "answer 403 of ",
        "form link of ",
        "a page shows its form again to who sent it, with the link that it is for",
    ),
    (
        "audit export",
        "",
        "an export of the audit is for auditors: it has ids, searches and names of staff",
    ),
    (
        "command ",
        "id of a command",
        "who typed a command is told what it was about",
    ),
    (
        "mail",
        "mail ",
        "a mail is for whom it is addressed to, and says what its project wrote",
    ),
];

/// The marks that were made.
#[derive(Default)]
pub(super) struct Marks {
    /// Where each was sent.
    sent: Mutex<Vec<String>>,
    faults: Mutex<Vec<String>>,
}

impl Marks {
    /// A word for this place, of letters and digits.
    pub(super) fn of(&self, place: &str) -> String {
        let mut sent = self.sent.lock().unwrap();
        sent.push(place.to_owned());
        format!("{BEGINNING}{:0DIGITS$}", sent.len() - 1)
    }

    pub(super) fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Whether a text has any, wherever it may be.
    pub(super) fn are_in(&self, text: &[u8]) -> bool {
        !self.found(text).is_empty()
    }

    /// Notes every mark in a text that may not be there.
    pub(super) fn look(&self, place: &str, text: &[u8]) {
        for found in self.found(text) {
            let by_design = BY_DESIGN
                .iter()
                .any(|(there, sent, _)| place.starts_with(there) && found.starts_with(sent));
            if !by_design {
                let mut faults = self.faults.lock().unwrap();
                faults.push(format!("{place} has what was sent as {found}"));
            }
        }
    }

    /// Looks at all files of a folder, and at their names: how many there are.
    pub(super) fn look_at_files(&self, kind: &str, folder: &Path) -> usize {
        let mut count = 0;
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            let name = format!("{kind} {}", path.display());
            self.look(&name, name.as_bytes());
            let about = std::fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                count += self.look_at_files(kind, &path);
            } else if about.is_file() {
                self.look(&name, &std::fs::read(&path).unwrap());
                count += 1;
            }
        }
        count
    }

    /// Says all that was noted.
    #[track_caller]
    pub(super) fn check(&self) {
        let faults = self.faults.lock().unwrap();
        let first: Vec<&String> = faults.iter().take(40).collect();
        assert!(faults.is_empty(), "{} faults: {first:#?}", faults.len());
    }

    /// Where the marks in a text were sent; of those that are coded, that they are there.
    fn found(&self, text: &[u8]) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        let plain = Finder::new(BEGINNING);
        let mut found: Vec<String> = plain
            .find_iter(text)
            .map(|at| {
                let digits = text.get(at + BEGINNING.len()..at + BEGINNING.len() + DIGITS);
                let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                let number = digits.and_then(|digits| digits.parse::<usize>().ok());
                number
                    .and_then(|number| sent.get(number))
                    .map_or_else(|| "a mark that was cut".to_owned(), Clone::clone)
            })
            .collect();
        found.sort();
        found.dedup();
        let coded = coded();
        found.extend(coded.iter().filter_map(|(how, coded)| {
            let is_there = memchr::memmem::find(text, coded).is_some();
            is_there.then(|| format!("some mark in {how}"))
        }));
        found
    }
}

/// The beginning of marks in other forms.
fn coded() -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = BEGINNING.bytes().map(|b| format!("{b:02x}")).collect();
    let wide = BEGINNING.encode_utf16().flat_map(u16::to_le_bytes);
    let mut coded = vec![
        ("UTF-16", wide.collect()),
        ("percent-encoding", percent(BEGINNING).into_bytes()),
        ("upper-case hexadecimal", hex.to_uppercase().into_bytes()),
        ("capitals", BEGINNING.to_uppercase().into_bytes()),
        ("hexadecimal", hex.into_bytes()),
        ("reverse", BEGINNING.bytes().rev().collect()),
    ];
    // Base64 depends on where in three bytes a mark begins; its ends mix with what is beside it.
    for offset in 0..3 {
        let shifted = [&b"xx"[..offset], BEGINNING.as_bytes()].concat();
        let text = Base64Unpadded::encode_string(&shifted);
        let inner = &text.as_bytes()[if offset == 0 { 0 } else { 4 }..text.len() - 1];
        coded.push(("Base64", inner.to_vec()));
    }
    coded
}

/// Every byte of a text percent-encoded, as nothing has to do and a client may.
pub(super) fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[test]
fn a_mark_is_found_in_every_form() {
    let marks = Marks::default();
    let mark = marks.of("here");
    let offsets = (0..3)
        .map(|n| Base64Unpadded::encode_string(format!("{}{mark}.", &"ab"[..n.min(2)]).as_bytes()));
    let others = [
        mark.clone(),
        format!("x{mark}y"),
        percent(&mark),
        mark.to_uppercase(),
    ];
    for text in offsets.chain(others) {
        assert_eq!(marks.found(text.as_bytes()).len(), 1, "{text}");
    }
    marks.look("answer 400", mark.as_bytes());
    assert_eq!(marks.faults.lock().unwrap().len(), 1);
    marks.look("audit export", mark.as_bytes());
    assert_eq!(marks.faults.lock().unwrap().len(), 1);
}
