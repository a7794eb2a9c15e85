//! `cargo xtask dictionary`: trains the dictionary with which stores compress
//! the bodies of single resources.
//!
//! It learns from our own synthetic population and nothing else, so that it
//! holds nothing of anybody. Stores keep bodies that only this dictionary can
//! open: once released it never changes, and a better one gets the next
//! number. `--check` therefore compares with the recorded checksum, and sees
//! that it still suits what the generator makes. `--measure` prints how well
//! and how fast it compresses.

mod measure;
mod samples;

use std::fmt::Write;

use crate::Outcome;
use samples::Samples;

const FOLDER: &str = "crates/server/dictionaries";
const FILE: &str = "resource-1.zdict";
const SHA_256: &str = "877fde6ad80a92c588f4ef02ac669517948f4c65fd7becd768b1025a299235f7";

/// Large enough for the common shapes of every kind of resource, and small
/// enough to stay in a processor's second cache.
const BYTES_MAX: usize = 64 * 1024;

/// The level stores are meant to use.
const LEVEL: i32 = 1;

/// What `--check` asks for at least on unseen lives: bytes before over bytes
/// after.
const RATIO_MIN: f64 = 5.0;

/// Runs the command: trains and writes the dictionary, or checks or measures
/// the one that is there.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments {
        [] => train(),
        [option] if option == "--check" => check(),
        [option] if option == "--measure" => measure::run(&read()?),
        _ => Err("takes --check or --measure, or nothing to train".into()),
    }
}

fn train() -> Outcome {
    let folder = crate::root().join(FOLDER);
    if folder.join(FILE).exists() {
        return Err(format!("{FILE} is in use: give a new dictionary the next number").into());
    }
    let samples = Samples::for_training();
    let dictionary = zstd::dict::from_samples(samples.texts(), BYTES_MAX)?;
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(FILE), &dictionary)?;
    println!(
        "{FOLDER}/{FILE}: {} bytes of {} samples\nsha256 {}",
        dictionary.len(),
        samples.texts().len(),
        sha_256(&dictionary)
    );
    Ok(())
}

fn check() -> Outcome {
    let dictionary = read()?;
    let sum = sha_256(&dictionary);
    if sum != SHA_256 {
        return Err(format!("{FILE} has sha256 {sum}, not the recorded one").into());
    }
    let ratio = measure::compress(&dictionary, LEVEL, &Samples::unseen())?.ratio();
    if ratio < RATIO_MIN {
        return Err(format!("{FILE} only compresses {ratio:.2} to 1").into());
    }
    println!("the dictionary is the recorded one and compresses {ratio:.2} to 1");
    Ok(())
}

fn read() -> std::io::Result<Vec<u8>> {
    std::fs::read(crate::root().join(FOLDER).join(FILE))
}

fn sha_256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut text = String::new();
    for byte in digest.as_ref() {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_recorded_one() {
        assert_eq!(sha_256(&read().unwrap()), SHA_256);
    }

    #[test]
    fn the_same_samples_train_the_same_dictionary() {
        let samples = Samples::of_lives(5, 12, 200);
        let train = || zstd::dict::from_samples(samples.texts(), 8 * 1024).unwrap();
        assert_eq!(train(), train());
    }

    #[test]
    fn bodies_come_back_whole() {
        let dictionary = read().unwrap();
        let samples = Samples::of_lives(6, 1, 40);
        let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, &dictionary).unwrap();
        let mut decompressor = zstd::bulk::Decompressor::with_dictionary(&dictionary).unwrap();
        for text in samples.texts() {
            let packed = compressor.compress(text.as_bytes()).unwrap();
            assert_eq!(
                decompressor.decompress(&packed, text.len()).unwrap(),
                text.as_bytes()
            );
        }
    }
}
