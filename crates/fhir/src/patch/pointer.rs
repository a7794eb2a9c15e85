//! JSON Pointer: RFC 6901.

use super::Error;
use crate::json::{Kind, Node};

/// A pointer, taken apart.
#[derive(Clone, Default, Eq, PartialEq)]
pub(super) struct Pointer(Vec<String>);
salus_phi::guard!(Pointer);

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Pointer, Error> {
        let refused = || {
            Error::malformed(
                "a path is a JSON Pointer: empty, or names and indexes each behind a /, with ~0 \
                 for ~ and ~1 for /",
            )
        };
        let Some(rest) = text.strip_prefix('/') else {
            return match text {
                "" => Ok(Pointer(Vec::new())),
                _ => Err(refused()),
            };
        };
        let tokens = rest
            .split('/')
            .map(|token| unescape(token).ok_or_else(refused));
        tokens.collect::<Result<_, _>>().map(Pointer)
    }

    /// A member of what it points at.
    pub(super) fn child(&self, key: &str) -> Pointer {
        let names = self.0.iter().map(String::as_str).chain([key]);
        Pointer(names.map(str::to_owned).collect())
    }

    /// What it points at.
    pub(super) fn find<'a>(&self, root: Node<'a>) -> Option<Node<'a>> {
        self.0
            .iter()
            .try_fold(root, |node, token| step(node, token))
    }

    /// What holds the place that it points at, and its name there; none for the whole.
    pub(super) fn place<'a, 's>(&'s self, root: Node<'a>) -> Option<(Option<Node<'a>>, &'s str)> {
        let (last, before) = self.0.split_last()?;
        let holder = before
            .iter()
            .try_fold(root, |node, token| step(node, token));
        Some((holder, last))
    }

    /// Does it point into what the other points at?
    pub(super) fn is_within(&self, other: &Pointer) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }
}

/// An index of an array: digits without leading zeros.
pub(super) fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with('0');
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    if plain && digits {
        token.parse().ok()
    } else {
        None
    }
}

fn step<'a>(node: Node<'a>, token: &str) -> Option<Node<'a>> {
    match node.kind() {
        Kind::Object => node.get(token),
        Kind::Array => node.children().nth(index(token)?),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => None,
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut letters = token.chars();
    while let Some(letter) = letters.next() {
        out.push(match letter {
            '~' => match letters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&[&str]>) {
        let read = Pointer::parse(text).ok().map(|pointer| pointer.0);
        let expect = expect.map(|tokens| tokens.iter().map(|token| (*token).to_owned()).collect());
        assert_eq!(read, expect, "{text:?}");
    }

    #[test]
    fn reads_names_and_escapes() {
        check("", Some(&[]));
        check("/", Some(&[""]));
        check("/a/0/-", Some(&["a", "0", "-"]));
        check("/a~1b/~0/~01", Some(&["a/b", "~", "~1"]));
        for bad in ["a", "a/b", "/~", "/~2", "#/a"] {
            check(bad, None);
        }
    }

    #[test]
    fn an_index_is_written_in_one_way() {
        let indexes = [
            "0",
            "10",
            "01",
            "-",
            "+1",
            "1.0",
            "",
            "99999999999999999999999",
        ];
        let read = indexes.map(index);
        assert_eq!(
            read,
            [Some(0), Some(10), None, None, None, None, None, None]
        );
    }
}
