//! Networks, as `192.0.2.0/24` or `2001:db8::/32` (RFC 4632, RFC 4291).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The addresses that have their first bits in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads a network, or one address, which is a network of its own.
    ///
    /// # Errors
    /// [`Error::Name`] when it is neither, or has bits behind those that count.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or(Error::Name {
            what: "address",
            form: "one as 192.0.2.7, or a network as 192.0.2.0/24 or 2001:db8::/32",
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(bits.parse::<u8>().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        // IPv4 in IPv6 is IPv4, as it is of the addresses that are compared.
        let address = written.to_canonical();
        let mapped = written.is_ipv6() && address.is_ipv4();
        let bits = match bits {
            Some(bits) if mapped => Some(bits.checked_sub(96)?),
            bits => bits,
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        let network = Self { address, bits };
        let whole = bits <= width && network.first_bits(address) == Some(number(address));
        whole.then_some(network)
    }

    /// Whether an address is in it. IPv4 in IPv6 is IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let same = address.is_ipv4() == self.address.is_ipv4();
        same && self.first_bits(address) == Some(number(self.address))
    }

    /// Whether it has every address of its kind.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.bits == 0
    }

    fn first_bits(&self, address: IpAddr) -> Option<u128> {
        let width = if address.is_ipv4() { 32u32 } else { 128 };
        let rest = width.checked_sub(u32::from(self.bits))?;
        let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
        Some(number(address) & mask)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, address: &str, inside: bool) {
        let network = Network::parse(network).unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), inside);
        assert_eq!(Network::parse(&network.to_string()).unwrap(), network);
    }

    #[test]
    fn an_address_is_in_its_networks() {
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.0/24", "::ffff:192.0.2.1", true);
        check("::ffff:192.0.2.0/120", "192.0.2.255", true);
        check("::ffff:192.0.2.7", "192.0.2.7", true);
        check("::ffff:192.0.2.7", "192.0.2.8", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.8", false);
        check("0.0.0.0/0", "203.0.113.1", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "2001:db9::1", true);
    }

    #[test]
    fn other_texts_are_no_networks() {
        for bad in [
            "",
            "/",
            "192.0.2.0/33",
            "192.0.2.1/24",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "a/8",
            "::/129",
            "::ffff:0.0.0.0/95",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }
}
