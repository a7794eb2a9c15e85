//! Where in S3 an archive lies, as an operator writes it:
//! `s3://BUCKET/PREFIX?region=..&endpoint=..&lock=governance&lock-days=30`.

use std::fmt;

/// A prefix in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// Nothing, or what names of objects begin with; it ends with a slash.
    pub prefix: String,
    /// The region.
    pub region: String,
    /// Who is asked, if it is not Amazon.
    pub endpoint: Option<String>,
    /// How objects are locked.
    pub lock: Option<Lock>,
}

/// Object Lock: until when nobody can remove what is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// For whom.
    pub mode: Mode,
    /// For how many days.
    pub days: u16,
}

/// For whom a lock holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For all but those who may bypass it.
    Governance,
    /// For all.
    Compliance,
}

impl Mode {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

impl Place {
    /// Reads what an operator wrote, or says what is wrong with it.
    ///
    /// # Errors
    /// What to change.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text
            .strip_prefix("s3://")
            .ok_or("it does not begin with s3://")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let named = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte))
        };
        if bucket.is_empty() || !named(bucket) {
            return Err("the bucket has a name of letters, digits, dots and hyphens");
        }
        let prefix = prefix.trim_matches('/');
        if !named(prefix)
            || prefix.split('/').any(|part| part == "." || part == "..")
            || prefix.contains("//")
        {
            return Err("the prefix is of letters, digits, dots, hyphens and slashes");
        }
        let mut place = Self {
            bucket: bucket.to_owned(),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            region: String::new(),
            endpoint: None,
            lock: None,
        };
        place.read_query(query)?;
        Ok(place)
    }

    fn read_query(&mut self, query: &str) -> Result<(), &'static str> {
        let (mut mode, mut days) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "region" => self.region = value.into_owned(),
                "endpoint" => self.endpoint = Some(endpoint(&value)?),
                "lock" => {
                    mode = Some(match &*value {
                        "governance" => Mode::Governance,
                        "compliance" => Mode::Compliance,
                        _ => return Err("lock is governance or compliance"),
                    });
                }
                "lock-days" => {
                    let number = value.parse().ok().filter(|days| *days >= 1);
                    days = Some(number.ok_or("lock-days is a number of days")?);
                }
                _ => return Err("behind the ? go region, endpoint, lock and lock-days"),
            }
        }
        self.lock = match (mode, days) {
            (Some(mode), Some(days)) => Some(Lock { mode, days }),
            (None, None) => None,
            _ => return Err("lock and lock-days go together"),
        };
        Ok(())
    }

    /// Whether it is asked without TLS.
    pub(super) fn is_plain(&self) -> bool {
        let endpoint = self.endpoint.as_deref();
        endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
    }
}

/// An origin. Without TLS, only what is on this machine is asked.
fn endpoint(text: &str) -> Result<String, &'static str> {
    let text = text.trim_end_matches('/');
    let (scheme, authority) = text.split_once("://").ok_or("the endpoint is a URL")?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !authority.bytes().all(legal) {
        return Err("the endpoint is a URL as https://s3.example.org, without a path");
    }
    let here = matches!(host, "127.0.0.1" | "::1" | "localhost");
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if here => Ok(text.to_owned()),
        _ => Err("the endpoint is asked over https, unless it is on this machine"),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "s3://{}/{}",
            self.bucket,
            self.prefix.trim_end_matches('/')
        )?;
        match &self.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = Place::parse("s3://bucket/a/b/?region=eu-central-1").unwrap();
        assert_eq!((&*place.bucket, &*place.prefix), ("bucket", "a/b/"));
        assert_eq!(place.region, "eu-central-1");
        assert_eq!(place.to_string(), "s3://bucket/a/b");
        let text = "s3://bucket?endpoint=https%3A%2F%2Fs3.example.org&lock=compliance&lock-days=30";
        let place = Place::parse(text).unwrap();
        assert_eq!(place.endpoint.as_deref(), Some("https://s3.example.org"));
        assert_eq!(place.lock.unwrap().days, 30);
        for endpoint in ["http://127.0.0.1:9", "http://[::1]:9", "http://localhost"] {
            assert!(Place::parse(&format!("s3://b?endpoint={endpoint}")).is_ok());
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "bucket",
            "s3://",
            "s3:///prefix",
            "s3://b/../c",
            "s3://b/a//c",
            "s3://b/a c",
            "s3://b?else=1",
            "s3://b?lock=governance",
            "s3://b?lock=none&lock-days=1",
            "s3://b?lock=governance&lock-days=0",
            "s3://b?endpoint=s3.example.org",
            "s3://b?endpoint=http://s3.example.org",
            "s3://b?endpoint=https://user:word@s3.example.org",
            "s3://b?endpoint=https://s3.example.org/path",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
