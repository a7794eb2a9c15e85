//! Where a request comes from, where proxies stand between.
//!
//! `X-Forwarded-For` and `Forwarded` (<https://www.rfc-editor.org/rfc/rfc7239>) are lists to which each
//! proxy adds, at the right, whom it was asked by. Anyone can send such a list, so it is read from the
//! right, as far as it was written by proxies that are trusted: the first address that is none of
//! theirs is the caller's. Of the two headers only that one is read which the proxies write: most
//! pass the other on as their client has made it up.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use salus_service::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word counts, and where they leave it.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Where they are; nowhere by default, and then no header is believed.
    pub trusted: Vec<Network>,
    /// The header that they write.
    pub header: ProxyHeader,
}

/// A header in which proxies say whom they were asked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// What nearly all of them write.
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ProxyHeader {
    /// The header of a name, as a setting has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Some(Self::XForwardedFor),
            "forwarded" => Some(Self::Forwarded),
            _ => None,
        }
    }

    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        }
    }

    /// The address that one entry of the list names.
    fn address(self, entry: &str) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => address(entry),
            Self::Forwarded => forwarded_for(entry),
        }
    }
}

impl Proxies {
    /// The address of who asks: of the peer, or of whom trusted proxies name. What they
    /// wrote and nobody can read is as good as nothing: the peer's.
    pub(crate) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        let mut caller = peer;
        for line in headers.get_all(self.header.name()).iter().rev() {
            // No address has a comma, so quotes are not looked at: one that a client leaves
            // open must not swallow what the proxy has added behind it, nor must bytes that are no text.
            for entry in line.as_bytes().rsplit(|&byte| byte == b',') {
                let entry = std::str::from_utf8(entry).ok();
                match entry.and_then(|entry| self.header.address(entry.trim())) {
                    Some(address) if self.trust(address) => caller = address,
                    Some(address) => return address,
                    None => return peer,
                }
            }
        }
        caller
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|one| one.contains(address))
    }
}

/// The `for` of an element (RFC 7239, 4): once, as a token or in quotes.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let is_for = |name: &str| name.trim().eq_ignore_ascii_case("for");
    let (_, node) = pairs.find(|(name, _)| is_for(name))?;
    if pairs.any(|(name, _)| is_for(name)) {
        return None;
    }
    let node = node.trim();
    let quoted = node
        .strip_prefix('"')
        .and_then(|node| node.strip_suffix('"'));
    address(quoted.unwrap_or(node))
}

/// An address with or without a port; of IPv6 also in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let alone = text.parse::<IpAddr>().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address = alone.or_else(with_port).or_else(in_brackets)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// Whom a request is from that came from `peer` with these lines of the header.
    #[track_caller]
    fn check(header: ProxyHeader, peer: &str, lines: &[&str], expect: &str) {
        let networks = ["10.0.0.0/8", "2001:db8:ffff::/48"];
        let trusted = networks.map(|text| Network::parse(text).unwrap());
        let proxies = Proxies {
            trusted: trusted.into(),
            header,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(header.name(), value);
        }
        let caller = proxies.caller(peer.parse().unwrap(), &headers);
        assert_eq!(caller.to_string(), expect, "{lines:?}");
    }

    #[track_caller]
    fn plain(peer: &str, lines: &[&str], expect: &str) {
        check(ProxyHeader::XForwardedFor, peer, lines, expect);
    }

    #[track_caller]
    fn forwarded(lines: &[&str], expect: &str) {
        check(ProxyHeader::Forwarded, PROXY, lines, expect);
    }

    #[test]
    fn strangers_are_where_their_connection_is_from() {
        plain("192.0.2.1", &["203.0.113.7"], "192.0.2.1");
        plain("::ffff:192.0.2.1", &["203.0.113.7"], "192.0.2.1");
        plain("192.0.2.1", &["10.0.0.1"], "192.0.2.1");
    }

    #[test]
    fn the_first_from_the_right_that_is_no_proxy_counts() {
        plain(PROXY, &["203.0.113.7"], "203.0.113.7");
        plain(PROXY, &["198.51.100.1, 203.0.113.7"], "203.0.113.7");
        plain(
            PROXY,
            &["198.51.100.1,203.0.113.7 , 10.0.0.2"],
            "203.0.113.7",
        );
        plain(
            PROXY,
            &["198.51.100.1", "203.0.113.7", "10.0.0.2"],
            "203.0.113.7",
        );
        plain(PROXY, &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        plain(PROXY, &[], PROXY);
        plain("2001:db8:ffff::1", &["2001:db8::7"], "2001:db8::7");
        plain("::ffff:10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7");
    }

    #[test]
    fn ports_are_left_out() {
        plain(PROXY, &["203.0.113.7:4711"], "203.0.113.7");
        plain(PROXY, &["[2001:db8::7]:4711"], "2001:db8::7");
        plain(PROXY, &["[2001:db8::7]"], "2001:db8::7");
    }

    #[test]
    fn what_a_client_made_up_hides_nobody() {
        plain(PROXY, &["unknown, 203.0.113.7"], "203.0.113.7");
        plain(PROXY, &["\u{ff}", "203.0.113.7"], "203.0.113.7");
        forwarded(&["for=\"x, for=203.0.113.7"], "203.0.113.7");
    }

    /// Numbers from a seed (Marsaglia's xorshift).
    fn next(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 32) as usize
    }

    #[test]
    fn whatever_a_client_made_up_in_front_the_proxy_names_it() {
        const SIGNS: &[u8] = b"for=\";,:[].% \\_-10af\xff\t";
        let mut state = 0x5a10_5000_0043;
        println!("seed {state:#x}");
        for round in 0..5_000 {
            let length = next(&mut state) % 40;
            let made_up: Vec<u8> = (0..length)
                .map(|_| SIGNS[next(&mut state) % SIGNS.len()])
                .collect();
            let (header, named) = match round % 2 {
                0 => (ProxyHeader::XForwardedFor, "203.0.113.7"),
                _ => (ProxyHeader::Forwarded, "for=203.0.113.7;proto=https"),
            };
            let proxies = Proxies {
                trusted: vec![Network::parse(PROXY).unwrap()],
                header,
            };
            let added = [&made_up, &b", "[..], named.as_bytes()].concat();
            let lines = [&made_up[..], named.as_bytes()];
            for lines in [&lines[..], &[&added[..]]] {
                let mut headers = HeaderMap::new();
                for line in lines {
                    headers.append(header.name(), HeaderValue::from_bytes(line).unwrap());
                }
                let caller = proxies.caller(PROXY.parse().unwrap(), &headers);
                assert_eq!(caller.to_string(), "203.0.113.7", "{lines:?}");
            }
        }
    }

    #[test]
    fn what_a_proxy_wrote_and_nobody_can_read_is_nothing() {
        plain(PROXY, &["203.0.113.7, unknown"], PROXY);
        plain(PROXY, &["203.0.113.7, "], PROXY);
        plain(PROXY, &["203.0.113.7", "\u{ff}"], PROXY);
        plain(PROXY, &["203.0.113.7, x, 10.0.0.2"], PROXY);
        forwarded(&["for=203.0.113.7;for=198.51.100.1"], PROXY);
        forwarded(&["for=_hidden"], PROXY);
        forwarded(&["by=203.0.113.7"], PROXY);
        forwarded(&["203.0.113.7"], PROXY);
    }

    #[test]
    fn elements_have_an_address_among_other_pairs() {
        forwarded(&["for=203.0.113.7;proto=https;by=10.0.0.1"], "203.0.113.7");
        forwarded(&["proto=https; For=\"203.0.113.7:4711\""], "203.0.113.7");
        forwarded(
            &["for=198.51.100.1, for=\"[2001:db8::7]:4711\""],
            "2001:db8::7",
        );
    }

    #[test]
    fn the_header_that_the_proxies_do_not_write_is_not_read() {
        let proxies = Proxies {
            trusted: vec![Network::parse(PROXY).unwrap()],
            header: ProxyHeader::XForwardedFor,
        };
        let mut headers = HeaderMap::new();
        headers.append(
            header::FORWARDED,
            HeaderValue::from_static("for=203.0.113.7"),
        );
        let caller = proxies.caller(PROXY.parse().unwrap(), &headers);
        assert_eq!(caller.to_string(), PROXY);
    }
}
