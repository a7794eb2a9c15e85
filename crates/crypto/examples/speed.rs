//! How long sealing, opening and finding a key take:
//! `cargo run --release -p salus-crypto --example speed`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use salus_crypto::{Founding, Keyring, merkle, random};

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("keys");
    let ring = Keyring::open(&dir, Founding::New, 0).unwrap();
    let slot = ring.slot(1, Some("p"), 0).unwrap();
    let plain = vec![b'x'; 1024];
    let mut out = Vec::new();
    time("seal 1 KB", 200_000, |_| {
        out.clear();
        ring.seal(slot, b"aad", &plain, &mut out).unwrap();
    });
    time("open 1 KB", 200_000, |_| {
        black_box(ring.open_sealed(slot, b"aad", &out).unwrap());
    });
    time("find a slot", 200_000, |_| {
        black_box(ring.find(1, Some("p")));
    });
    time("24 random bytes", 200_000, |_| {
        black_box(random::bytes::<24>().unwrap());
    });
    time("sync of nothing", 200_000, |_| ring.sync().unwrap());
    time("make a key", 100_000, |i| {
        ring.slot(1, Some(&i.to_string()), 0).unwrap();
    });
    let start = Instant::now();
    ring.sync().unwrap();
    println!("{:24}{:9.1} ms", "sync of 100 k keys", ms(start));
    drop(ring);
    let start = Instant::now();
    let ring = Keyring::open(&dir, Founding::Existing, 0).unwrap();
    println!("{:24}{:9.1} ms", "load 100 k keys", ms(start));
    let slot = ring.find(1, Some("7")).unwrap();
    out.clear();
    ring.seal(slot, b"aad", &plain, &mut out).unwrap();
    time("key not in cache", 50_000, |i| {
        let slot = ring.find(1, Some(&i.to_string())).unwrap();
        black_box(ring.open_sealed(slot, b"aad", &out).is_ok());
    });
    let mut frontier = merkle::Frontier::default();
    let entry = vec![b'x'; 300];
    time("append an audit leaf", 200_000, |i| {
        frontier.append(merkle::leaf(&[i as u8; 32], &[&entry]));
    });
}

fn time(what: &str, times: usize, mut act: impl FnMut(usize)) {
    let start = Instant::now();
    (0..times).for_each(&mut act);
    println!(
        "{what:24}{:9.3} us",
        start.elapsed().as_secs_f64() * 1e6 / times as f64
    );
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
