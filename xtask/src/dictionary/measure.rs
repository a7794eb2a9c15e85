//! How well and how fast bodies are compressed.

use std::time::{Duration, Instant};

use super::samples::Samples;
use crate::Outcome;

/// What compressing and opening all samples one by one came to.
pub(crate) struct Measured {
    before: usize,
    after: usize,
    packing: Duration,
    opening: Duration,
    count: usize,
}

impl Measured {
    pub(crate) fn ratio(&self) -> f64 {
        self.before as f64 / self.after.max(1) as f64
    }
}

/// Prints a row for each level, with and without the dictionary, over unseen
/// lives and over Synthea's if they are here.
pub(crate) fn run(dictionary: &[u8]) -> Outcome {
    println!(
        "dictionary of {} bytes; microseconds are a resource's",
        dictionary.len()
    );
    rows("synthetic", dictionary, &Samples::unseen())?;
    let folder = crate::shared().join("data/synthea");
    if !folder.is_dir() {
        println!("skipped: {} is not here", folder.display());
        return Ok(());
    }
    let samples = Samples::of_bundles(&folder)?;
    rows("synthea, indented", dictionary, &samples)?;
    rows("synthea, compact", dictionary, &samples.compact())
}

fn rows(name: &str, dictionary: &[u8], samples: &Samples) -> Outcome {
    let count = samples.texts().len();
    println!(
        "{name}: {count} resources, {} bytes each",
        samples.bytes() / count.max(1)
    );
    for level in 1..=3 {
        for (kind, dictionary) in [("without", &[][..]), ("with", dictionary)] {
            let measured = compress(dictionary, level, samples)?;
            let each = |time: Duration| time.as_secs_f64() * 1e6 / measured.count.max(1) as f64;
            println!(
                "  level {level} {kind:<8} {:6.2} to 1  {:4} bytes  pack {:5.2} us  open {:5.2} us",
                measured.ratio(),
                measured.after / measured.count.max(1),
                each(measured.packing),
                each(measured.opening),
            );
        }
    }
    Ok(())
}

/// Compresses each sample alone and opens it again.
pub(crate) fn compress(
    dictionary: &[u8],
    level: i32,
    samples: &Samples,
) -> std::io::Result<Measured> {
    let encoder = zstd::dict::EncoderDictionary::try_copy(dictionary, level)?;
    let decoder = zstd::dict::DecoderDictionary::try_copy(dictionary)?;
    let mut compressor = zstd::bulk::Compressor::with_prepared_dictionary(&encoder)?;
    let mut decompressor = zstd::bulk::Decompressor::with_prepared_dictionary(&decoder)?;
    let begun = Instant::now();
    let packed = samples
        .texts()
        .iter()
        .map(|text| compressor.compress(text.as_bytes()));
    let packed = packed.collect::<std::io::Result<Vec<Vec<u8>>>>()?;
    let packing = begun.elapsed();
    let begun = Instant::now();
    for (text, packed) in samples.texts().iter().zip(&packed) {
        if decompressor.decompress(packed, text.len())? != text.as_bytes() {
            return Err(std::io::Error::other("a body did not come back whole"));
        }
    }
    Ok(Measured {
        before: samples.bytes(),
        after: packed.iter().map(Vec::len).sum(),
        packing,
        opening: begun.elapsed(),
        count: packed.len(),
    })
}
