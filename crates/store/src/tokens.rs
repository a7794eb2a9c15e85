//! A set of tokens, such as the codes of a value set.

use std::sync::Arc;

/// Tokens to be tested at once. A clone shares them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Tokens(Arc<Set>);

#[derive(PartialEq, Eq, Hash, Default)]
struct Set {
    systems: Box<[Box<str>]>,
    /// Codes, each with the place of its system: in the order of codes, then of systems.
    codes: Box<[(Box<str>, u32)]>,
}
salus_phi::guard!(Set);

impl Tokens {
    /// The set of these, each a system and a code.
    #[must_use]
    pub fn of<'t>(tokens: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let tokens: Vec<(&str, &str)> = tokens.into_iter().collect();
        let mut systems: Vec<&str> = Vec::new();
        for (system, _) in &tokens {
            // They come by system, as a rule.
            if systems.last() != Some(system) {
                systems.push(system);
            }
        }
        systems.sort_unstable();
        systems.dedup();
        let place = |system| systems.binary_search(&system).unwrap_or(0);
        let codes = tokens.iter().map(|(s, code)| (*code, place(*s) as u32));
        let mut codes: Vec<(&str, u32)> = codes.collect();
        codes.sort_unstable();
        codes.dedup();
        Self(Arc::new(Set {
            systems: systems.into_iter().map(Into::into).collect(),
            codes: codes
                .into_iter()
                .map(|(code, system)| (code.into(), system))
                .collect(),
        }))
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.codes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.codes.is_empty()
    }

    /// Whether a token is one of them.
    #[must_use]
    pub fn contains(&self, system: &str, code: &str) -> bool {
        self.systems_of(code).any(|one| one == system)
    }

    /// All of them in the order of codes: code and system.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.codes.iter().map(|one| self.token(one))
    }

    /// The systems in which a code is.
    pub fn systems_of(&self, code: &str) -> impl Iterator<Item = &str> {
        let from = self.first_from(code);
        let rest = self.0.codes.get(from..).unwrap_or_default().iter();
        rest.take_while(move |one| *one.0 == *code)
            .map(|one| self.token(one).1)
    }

    /// The first code, byte by byte, that is not before this one.
    #[must_use]
    pub fn code_from(&self, code: &str) -> Option<&str> {
        let one = self.0.codes.get(self.first_from(code))?;
        Some(&one.0)
    }

    /// The first code, byte by byte, that is behind this one.
    #[must_use]
    pub fn code_behind(&self, code: &str) -> Option<&str> {
        let codes = &self.0.codes;
        let one = codes.get(codes.partition_point(|one| *one.0 <= *code))?;
        Some(&one.0)
    }

    fn first_from(&self, code: &str) -> usize {
        self.0.codes.partition_point(|one| *one.0 < *code)
    }

    fn token<'t>(&'t self, (code, system): &'t (Box<str>, u32)) -> (&'t str, &'t str) {
        let system = self.0.systems.get(*system as usize);
        (code, system.map_or("", |system| system))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Tokens {
        Tokens::of([("s", "b"), ("t", "a"), ("s", "a"), ("s", "b"), ("", "c")])
    }

    #[test]
    fn they_are_in_the_order_of_codes_each_once() {
        let tokens = some();
        let all: Vec<_> = tokens.iter().collect();
        assert_eq!(all, [("a", "s"), ("a", "t"), ("b", "s"), ("c", "")]);
        assert_eq!(tokens.len(), 4);
        assert_eq!(tokens, Tokens::of(all.iter().rev().map(|(c, s)| (*s, *c))));
    }

    #[test]
    fn one_is_in_the_set_with_its_system_only() {
        let tokens = some();
        assert!(tokens.contains("s", "a") && tokens.contains("t", "a"));
        assert!(!tokens.contains("t", "b") && !tokens.contains("", "a"));
        assert!(tokens.contains("", "c") && !tokens.contains("s", "d"));
        assert!(!Tokens::of([]).contains("", ""));
    }

    #[test]
    fn codes_are_found_from_a_place_on() {
        let tokens = some();
        assert_eq!(tokens.code_from("a"), Some("a"));
        assert_eq!(tokens.code_behind("a"), Some("b"));
        assert_eq!(tokens.code_from("aa"), Some("b"));
        assert_eq!(tokens.code_behind("c"), None);
        assert_eq!(tokens.systems_of("a").collect::<Vec<_>>(), ["s", "t"]);
    }
}
