//! Which passwords may be chosen: NIST SP 800-63B-4, 3.1.1.2, and OWASP ASVS 5.0, 6.2.
//!
//! Length, a list of known ones, and words that belong to the account; no rules about kinds of
//! characters. The list has what leaked most often; decorations that everyone thinks of
//! (`Passw0rd2024!`) are taken off before a password is looked up in it
//! ([0034](../../../../docs/adr/0034-passwords.md)).

use std::cmp::Reverse;

use crate::Error;
use crate::record::Email;

/// The longest password, in characters and bytes.
const CHARS_MAX: usize = 256;
pub(super) const BYTES_MAX: usize = 1024;
/// The shortest that is known to be common, and the shortest word that means something.
const COMMON_MIN: usize = 8;
const WORD_MIN: usize = 4;

/// Passwords that leaked often, in order, behind lines that say where they are from: written by
/// `cargo xtask passwords`.
const COMMON: &str = include_str!("common.txt");

/// Rows of a keyboard, of digits and of the alphabet, which are walked along.
const ROWS: [&str; 6] = [
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
];

/// Checks that a password may be chosen: of so many characters at least, and not made of words that
/// belong to the account (`context`) or the address.
///
/// # Errors
/// [`Error::Password`] says what is wrong with it.
pub fn check_strength(
    password: &str,
    chars_min: u32,
    email: &Email,
    context: &[&str],
) -> Result<(), Error> {
    let refused = |why: &'static str| Err(Error::Password(why.into()));
    let chars = password.chars().count();
    if chars < usize::try_from(chars_min).unwrap_or(CHARS_MAX) {
        let why = format!("needs at least {chars_min} characters");
        return Err(Error::Password(why.into()));
    }
    if chars > CHARS_MAX || password.len() > BYTES_MAX {
        return refused("is longer than 256 characters");
    }
    let folded = password.to_lowercase();
    if forms(&folded).any(|form| is_common(&form)) {
        return refused("is one of the most common, or nearly");
    }
    if is_pattern(&folded) {
        return refused("repeats itself, or walks along the keyboard or alphabet");
    }
    if is_of_context(&folded, email, context) {
        return refused(
            "is little more than the name or address of the account, or of this server",
        );
    }
    Ok(())
}

/// A password as it is, and without what people add to a common one.
fn forms(folded: &str) -> impl Iterator<Item = String> {
    let bare = folded.trim_matches(|c: char| !c.is_alphabetic());
    let end = folded.trim_end_matches(|c: char| !c.is_alphabetic());
    let plain = [folded, end, bare].map(unmasked);
    let given = [folded, end, bare].map(str::to_owned);
    let double = halved(folded).map(str::to_owned);
    given.into_iter().chain(plain).chain(double)
}

/// The letters that digits and signs stand for.
fn unmasked(text: &str) -> String {
    let letter = |c| match c {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '7' => 't',
        c => c,
    };
    text.chars().map(letter).collect()
}

/// The half of a text that is it twice.
fn halved(text: &str) -> Option<&str> {
    let (first, second) = text.split_at_checked(text.len() / 2)?;
    (first == second).then_some(first)
}

/// Whether a text is in the list.
fn is_common(text: &str) -> bool {
    text.len() >= COMMON_MIN && find(list(), text)
}

/// The list behind its head.
fn list() -> &'static str {
    let mut rest = COMMON;
    while rest.starts_with("# ") {
        rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
    }
    rest
}

/// Whether a line of these, which are in order, is this.
fn find(mut lines: &str, text: &str) -> bool {
    while !lines.is_empty() {
        let mut middle = lines.len() / 2;
        while !lines.is_char_boundary(middle) {
            middle -= 1;
        }
        let start = lines[..middle].rfind('\n').map_or(0, |at| at + 1);
        let end = lines[start..]
            .find('\n')
            .map_or(lines.len(), |at| start + at);
        match lines[start..end].cmp(text) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => lines = lines.get(end + 1..).unwrap_or_default(),
            std::cmp::Ordering::Greater => lines = &lines[..start],
        }
    }
    false
}

/// Whether a text is few characters again and again, or mostly steps along a row.
fn is_pattern(folded: &str) -> bool {
    let chars: Vec<char> = folded.chars().collect();
    let mut kinds = chars.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let again = (1..=4).any(|step| {
        let (later, before) = (chars.iter().skip(step), chars.iter());
        chars.len() > step && later.zip(before).all(|(one, other)| one == other)
    });
    let steps = chars.windows(2).filter(|pair| is_step(pair[0], pair[1]));
    kinds.len() < 4 || again || steps.count() * 4 >= (chars.len() - 1) * 3
}

/// Whether two characters are beside each other, or the same.
fn is_step(one: char, next: char) -> bool {
    let beside = |row: &str| {
        let mut pairs = row.chars().zip(row.chars().skip(1));
        pairs.any(|(a, b)| (a, b) == (one, next) || (b, a) == (one, next))
    };
    one == next || ROWS.iter().any(|row| beside(row))
}

/// Whether a password is a word of the account with less beside it than would do alone.
fn is_of_context(folded: &str, email: &Email, context: &[&str]) -> bool {
    let address = email.expose();
    let texts = context.iter().map(|text| text.to_lowercase());
    let texts: Vec<String> = texts
        .chain([address.to_owned(), "salus".to_owned()])
        .collect();
    let words = texts
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let mut parts: Vec<&str> = texts.iter().map(|text| &**text).chain(words).collect();
    parts.retain(|part| part.chars().count() >= WORD_MIN);
    // An address goes before the words in it: what is between them is of it, too.
    parts.sort_unstable_by_key(|part| Reverse(part.len()));
    let mut rest = folded.to_owned();
    for part in parts {
        rest = rest.replace(part, "");
    }
    rest.len() < folded.len() && rest.chars().count() < COMMON_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), String> {
        let email = Email::parse("ada.wintermoor@example.org").unwrap();
        let context = ["Ada Wintermoor", "St. Mary's Polyclinic"];
        check_strength(password, 8, &email, &context).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(password: &str, why: &str) {
        let error = check(password).unwrap_err();
        assert!(error.contains(why), "{password}: {error}");
    }

    #[test]
    fn good_passwords_are_good() {
        for password in [
            "a quiet green bicycle",
            "seven loud violet kettles",
            "\u{c4}\u{d6}\u{dc}\u{e4}\u{f6}\u{fc}\u{df}\u{e9}\u{e8}\u{ea}\u{f1}\u{e7}",
            "correct horse battery staple",
            "kJ8-vw2Lq",
            "polyclinic bicycle kettles",
            &"x7qw ".repeat(51),
        ] {
            check(password).unwrap();
        }
    }

    #[test]
    fn weak_passwords_are_refused() {
        refused("kJ8-vw2", "8 characters");
        refused("\u{e4}\u{f6}\u{fc}\u{e4}\u{f6}\u{fc}\u{e4}", "8 characters");
        refused(&"ab3 ".repeat(65), "256 characters");
        refused("password", "common");
        refused("Password1234", "common");
        refused("P@ssw0rd!", "common");
        refused("p4$$w0rd2024!", "common");
        refused("passwordpassword", "common");
        refused("QWERTYUIOP123", "common");
        refused("aaaaaaaaaaaaaaaa", "repeats");
        refused("abcabcabcabcabc", "repeats");
        refused("87654321098", "repeats");
        refused("asdfghjklkjhgfdsa", "repeats");
        refused("Wintermoor-1815", "name or address");
        refused("ada.wintermoor@example.org", "name or address");
        refused("polyclinic2026", "name or address");
        refused("salus-salus!", "name or address");
    }

    #[test]
    fn every_line_of_the_list_is_found() {
        let lines: Vec<&str> = list().lines().collect();
        assert!(lines.len() > 15_000, "{}", lines.len());
        assert!(lines.is_sorted());
        for line in &lines {
            assert!(
                line.chars().count() >= COMMON_MIN && is_common(line),
                "{line}"
            );
            assert_eq!(*line, line.to_lowercase());
        }
        for text in [
            "",
            "\n",
            "passwor",
            "zzzzzzzzzzzzz",
            "!",
            "\u{fc}\u{fc}\u{fc}\u{fc}",
        ] {
            assert!(!find(list(), text), "{text}");
        }
    }
}
