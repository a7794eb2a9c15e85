//! Which web pages may call a project: <https://fetch.spec.whatwg.org/#http-cors-protocol>.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;
use crate::Error;

const ORIGINS_MAX: usize = 100;
const ORIGIN_LEN_MAX: usize = 200;
/// A day; browsers keep an answer no longer than two hours anyway.
const SECONDS_MAX: u32 = 86_400;

/// The policy of a project. It has one such record at most.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Origins as browsers send them, `https://app.example.org`, or `*` alone for all; none is no page.
    pub origins: Vec<String>,
    /// How long a browser may rely on what it was told.
    pub max_age_seconds: u32,
}
salus_phi::guard!(Cors);

impl SystemRecord for Cors {
    const NAME: &'static str = "salus:Cors";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Cors {
    /// A policy.
    ///
    /// # Errors
    /// When an origin is not one, there are too many, or the time is too long.
    pub fn new(origins: Vec<String>, max_age_seconds: u32) -> Result<Self, Error> {
        let any = origins.iter().any(|origin| origin == "*");
        let known = if any {
            origins.len() == 1
        } else {
            origins.iter().all(|origin| is_origin(origin))
        };
        if !known || origins.len() > ORIGINS_MAX {
            return Err(Error::Name {
                what: "origin",
                form: "scheme://host or scheme://host:port in lower case without a path, 100 at \
                       most, or * alone",
            });
        }
        if max_age_seconds > SECONDS_MAX {
            return Err(Error::Name {
                what: "max_age_seconds",
                form: "86400 at most",
            });
        }
        Ok(Self {
            origins,
            max_age_seconds,
        })
    }
}

/// What a browser could send: serialized, not opaque (RFC 6454, 6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let in_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    let in_host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    text.len() <= ORIGIN_LEN_MAX
        && scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(in_scheme)
        && !host.is_empty()
        && host.bytes().all(in_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origins: &[&str], good: bool) {
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        assert_eq!(Cors::new(origins.clone(), 600).is_ok(), good, "{origins:?}");
    }

    #[test]
    fn origins_are_those_that_browsers_send() {
        check(&[], true);
        check(&["*"], true);
        check(&["https://app.example.org", "http://localhost:3000"], true);
        check(&["capacitor://localhost", "http://[::1]:80"], true);
        check(&["*", "https://app.example.org"], false);
        check(&["https://*.example.org"], false);
        check(&["https://app.example.org/"], false);
        check(&["https://App.example.org"], false);
        check(&["app.example.org"], false);
        check(&["null"], false);
        check(&["https://"], false);
        check(&["https://a\r\nSet-Cookie: b"], false);
        check(&["https://a.example"; 101], false);
        assert!(Cors::new(Vec::new(), 86_401).is_err());
    }
}
