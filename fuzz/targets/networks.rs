//! Networks and addresses, a line each: what is read is printed as the same, and an address
//! is within as its bits say.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::net::IpAddr;

use salus_auth::Network;

fuzz_target!(|input: &str| {
    let (network, address) = input.split_once('\n').unwrap_or((input, ""));
    let Ok(read) = Network::parse(network) else {
        return;
    };
    let printed = read.to_string();
    assert_eq!(
        Network::parse(&printed).expect("what we print can be read"),
        read
    );
    let (first, bits) = printed.split_once('/').expect("with its bits");
    let (first, bits): (IpAddr, usize) = (
        first.parse().expect("an address"),
        bits.parse().expect("a number"),
    );
    assert!(read.contains(first), "its first address is in it");
    if let Ok(address) = address.parse::<IpAddr>() {
        let address = address.to_canonical();
        let (ours, theirs) = (digits(first), digits(address));
        let within = ours.len() == theirs.len() && ours[..bits] == theirs[..bits];
        assert_eq!(read.contains(address), within, "its first bits decide");
    }
});

/// The bits of an address, by another way than the one that is tried.
fn digits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address
            .octets()
            .map(|octet| format!("{octet:08b}"))
            .concat(),
        IpAddr::V6(address) => address
            .octets()
            .map(|octet| format!("{octet:08b}"))
            .concat(),
    }
}
