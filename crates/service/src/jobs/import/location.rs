//! Where a file of an import lies: the origin, which the deployment must
//! allow (RFC 6454), and what is asked for there.
//!
//! Only this reads such URLs: whoever fetches is given the parts, so that no
//! second reading of a URL can lead elsewhere than the first. What stands
//! behind the origin may be a secret; nothing here shows it.

use std::fmt;
use std::net::Ipv6Addr;

/// The longest URL; signed ones are long.
const URL_BYTES_MAX: usize = 8192;
/// The longest name of a host (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// A scheme, a host and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    secure: bool,
    host: Box<str>,
    port: u16,
}
salus_phi::guard_debug!(Origin);

impl Origin {
    /// Reads an origin as `https://files.example.org`; a `/` may follow.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let location = Location::parse(text).ok()?;
        (location.target == "/" && !text.contains('?')).then_some(location.origin)
    }

    /// Whether it is asked over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The name or address, of IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        *self.host == *"localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Host and port as a `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.to_string(),
        };
        match self.port == usual {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// A URL, taken apart.
pub struct Location {
    /// Where to ask.
    pub origin: Origin,
    /// What to ask for: path and query.
    pub target: String,
}

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// What it must be instead.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        if url.len() > URL_BYTES_MAX {
            return Err("it must not be longer than 8,192 bytes");
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#');
        if !url.bytes().all(is_plain) {
            return Err("it must be of printable ASCII, without a fragment");
        }
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("it must begin with https:// or http://"),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it must not hold a user or a password");
        }
        let usual = if secure { 443 } else { 80 };
        let (host, port) = host_and_port(authority, usual).ok_or("it must name a host")?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            origin: Origin { secure, host, port },
            target: format!("{slash}{target}"),
        })
    }
}

fn host_and_port(authority: &str, usual: u16) -> Option<(Box<str>, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (address.to_string(), port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (name, port) = authority.split_at(end);
            let of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            let good = (1..=HOST_BYTES_MAX).contains(&name.len()) && name.bytes().all(of_name);
            (good.then(|| name.to_ascii_lowercase())?, port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => usual,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None | Some(_) => return None,
    };
    (port > 0).then_some((host.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(url: &str, origin: &str, target: &str) {
        let location = Location::parse(url).unwrap();
        assert_eq!(location.origin.to_string(), origin);
        assert_eq!(location.target, target);
    }

    #[track_caller]
    fn refuses(url: &str) {
        assert!(Location::parse(url).is_err(), "{url}");
    }

    #[test]
    fn a_url_is_an_origin_and_a_target() {
        reads("https://a.example", "https://a.example", "/");
        reads("https://a.example:443/x", "https://a.example", "/x");
        reads(
            "HTTPS://A.Example:8443/X?y=Z",
            "https://a.example:8443",
            "/X?y=Z",
        );
        reads("http://127.0.0.1:80?y", "http://127.0.0.1", "/?y");
        reads("http://[0:0::1]:99/", "http://[::1]:99", "/");
        reads(
            "https://a.example/@b?c=//d:e@f",
            "https://a.example",
            "/@b?c=//d:e@f",
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for url in [
            "",
            "a.example/x",
            "ftp://a.example/x",
            "https:///x",
            "https://user@a.example/",
            "https://a.example@b.example/",
            "https://a.example\\@b.example/",
            "https://a.example#@b.example/",
            "https://a.example:x/",
            "https://a.example:+1/",
            "https://a.example:0/",
            "https://a.example:65536/",
            "https://a.example/ x",
            "https://a.example/\r\nHost: b",
            "https://a_b%2e.example/",
            "https://[::1/",
            "https://[::1]x/",
            "https://é.example/",
        ] {
            refuses(url);
        }
        refuses(&format!("https://a.example/{}", "x".repeat(9000)));
        refuses(&format!("https://{}/", "x".repeat(300)));
    }

    #[test]
    fn an_origin_has_no_path() {
        assert!(Origin::parse("https://a.example/").is_some());
        assert_eq!(Origin::parse("https://a.example/x"), None);
        assert_eq!(Origin::parse("https://a.example?"), None);
        assert_eq!(Origin::parse("a.example"), None);
    }
}
