//! Records that are of use for a while only: sign-ins, codes, sessions. Each is found by its
//! end, so that what is over can be removed (`service/src/keeping/ended.rs`).

use salus_store::{Comparison, Filter, Kind, Param, Query, Row, Sort, Test, Value};

use super::{
    Assertion, Authorization, Code, Device, InitialToken, Launch, Link, ProviderRequest, Pushed,
    Session, SetupLink, SignIn, SystemRecord, matching,
};

/// A kind of such records.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// Its name.
    pub name: &'static str,
    /// Its kind in the store.
    pub kind: Kind,
    find: fn(i64, usize) -> Query,
}

/// All of them.
pub const PASSING: &[Passing] = &[
    Passing::of::<Assertion>(),
    Passing::of::<Authorization>(),
    Passing::of::<Code>(),
    Passing::of::<Device>(),
    Passing::of::<InitialToken>(),
    Passing::of::<Launch>(),
    Passing::of::<Link>(),
    Passing::of::<ProviderRequest>(),
    Passing::of::<Pushed>(),
    Passing::of::<Session>(),
    Passing::of::<SetupLink>(),
    Passing::of::<SignIn>(),
];

impl Passing {
    const fn of<T: SystemRecord>() -> Self {
        Self {
            name: T::NAME,
            kind: T::KIND,
            find: ended::<T>,
        }
    }

    /// Some of those that ended before a time, to remove them.
    #[must_use]
    pub fn ended(&self, before_ms: i64, limit: usize) -> Query {
        (self.find)(before_ms, limit)
    }
}

fn ended<T: SystemRecord>(before_ms: i64, limit: usize) -> Query {
    let ended = Test::Date(Comparison::Before, before_ms, before_ms.saturating_add(1));
    Query {
        sort: vec![Sort::Id { descending: false }],
        limit,
        ..matching::<T>(Filter::Value(expires::<T>(), ended))
    }
}

/// By when a record has no more use.
pub(super) fn expires_row<T: SystemRecord>(expires_ms: i64) -> Row {
    Row {
        param: expires::<T>(),
        value: Value::Date {
            from_ms: expires_ms,
            to_ms: expires_ms.saturating_add(1),
        },
    }
}

fn expires<T: SystemRecord>() -> Param {
    Param::named(T::NAME, "expires")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever gives a record an end has it removed then.
    #[test]
    fn every_record_with_an_end_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/record");
        let mut with_an_end = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let ours = path.file_stem().is_some_and(|name| name == "passing");
            let text = std::fs::read_to_string(&path).unwrap();
            if ours || !text.contains("expires_row::<Self>(") {
                continue;
            }
            with_an_end += 1;
            let listed = |one: &&Passing| text.contains(&format!("\"{}\";", one.name));
            assert!(PASSING.iter().any(|one| listed(&one)), "{}", path.display());
        }
        assert_eq!(with_an_end, PASSING.len());
    }
}
