//! Scopes, with searches behind a `?`: two sets, a line each. What both give is in each, and
//! what is printed is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_auth::{Level, Scopes};

fuzz_target!(|input: &str| {
    let (one, other) = input.split_once('\n').unwrap_or((input, input));
    let lenient = Scopes::known_of(one);
    let (one, other) = (Scopes::parse(one), Scopes::parse(other));
    check_read_again(&lenient);
    if let Ok(one) = &one {
        check_read_again(one);
        assert_eq!(*one, lenient, "nothing was left out");
        for granted in one.granted() {
            let search = granted.search.unwrap_or_default();
            assert!(granted.text.ends_with(search));
            assert!(granted.deeds().next().is_some(), "a scope gives something");
        }
    }
    let (Ok(one), Ok(other)) = (one, other) else {
        return;
    };
    let both = one.intersect(&other);
    check_read_again(&both);
    for granted in both.granted() {
        for set in [&one, &other] {
            assert!(is_within(&granted, set), "more than one of them gives");
        }
    }
    let levels = [Level::System, Level::User, Level::Patient];
    let records: usize = levels
        .iter()
        .map(|level| both.of(*level).granted().count())
        .sum();
    assert_eq!(records, both.granted().count());
});

fn check_read_again(scopes: &Scopes) {
    // What two sets have in common may be more than one may ask for.
    if scopes.text().split(' ').count() <= 64 {
        let again = Scopes::parse(&scopes.text()).expect("what we print can be read");
        assert_eq!(again, *scopes);
    }
}

/// Whether some scope of a set gives this, for these records or more.
fn is_within(granted: &salus_auth::Granted<'_>, set: &Scopes) -> bool {
    let pairs = |search: Option<&str>| -> Vec<String> {
        let pairs = search.into_iter().flat_map(|search| search.split('&'));
        pairs.map(str::to_owned).collect()
    };
    let narrowed = pairs(granted.search);
    set.granted().any(|one| {
        let fits = one.ty.is_none() || one.ty == granted.ty;
        let deeds: Vec<_> = one.deeds().collect();
        let all = granted.deeds().all(|deed| deeds.contains(&deed));
        let narrower = pairs(one.search).iter().all(|pair| narrowed.contains(pair));
        one.level == granted.level && fits && all && narrower
    })
}
