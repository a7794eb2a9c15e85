//! How like two words are: Jaro's measure with Winkler's weight for a common
//! beginning, between 0 and 1.

/// Letters that are looked at; names are shorter.
const LETTERS_MAX: usize = 64;
/// Letters of a common beginning that count, and by how much.
const PREFIX_MAX: usize = 4;
const PREFIX_WEIGHT: f64 = 0.1;

pub(super) fn likeness(one: &str, other: &str) -> f64 {
    let one: Vec<char> = one.chars().take(LETTERS_MAX).collect();
    let other: Vec<char> = other.chars().take(LETTERS_MAX).collect();
    let jaro = jaro(&one, &other);
    let pairs = one.iter().zip(&other).take(PREFIX_MAX);
    let prefix = pairs.take_while(|(a, b)| a == b).count() as f64;
    jaro + prefix * PREFIX_WEIGHT * (1.0 - jaro)
}

fn jaro(one: &[char], other: &[char]) -> f64 {
    if one.is_empty() || other.is_empty() {
        return 0.0;
    }
    let reach = (one.len().max(other.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; other.len()];
    let mut found = Vec::new();
    for (at, letter) in one.iter().enumerate() {
        let near = at.saturating_sub(reach)..(at + reach + 1).min(other.len());
        let place = near
            .into_iter()
            .find(|place| !taken[*place] && other[*place] == *letter);
        if let Some(place) = place {
            taken[place] = true;
            found.push(*letter);
        }
    }
    if found.is_empty() {
        return 0.0;
    }
    let there = other.iter().zip(&taken).filter(|(_, taken)| **taken);
    let moved = there.zip(&found).filter(|((a, _), b)| a != b).count() as f64 / 2.0;
    let count = found.len() as f64;
    (count / one.len() as f64 + count / other.len() as f64 + (count - moved) / count) / 3.0
}

#[cfg(test)]
mod tests {
    use super::likeness;

    #[track_caller]
    fn check(one: &str, other: &str, expect: f64) {
        for (one, other) in [(one, other), (other, one)] {
            let found = likeness(one, other);
            assert!((found - expect).abs() < 0.001, "{one} {other}: {found}");
        }
    }

    #[test]
    fn likeness_is_that_of_the_literature() {
        check("martha", "marhta", 0.961);
        check("dwayne", "duane", 0.84);
        check("dixon", "dicksonx", 0.813);
        check("same", "same", 1.0);
        check("abc", "xyz", 0.0);
        check("", "a", 0.0);
    }
}
