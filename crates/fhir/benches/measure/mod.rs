//! How long something takes.

use std::sync::LazyLock;
use std::time::Instant;

/// Prints the mean time of a call.
pub(crate) fn measure(name: &str, mut run: impl FnMut()) {
    const ENOUGH_NANOS: u64 = 400_000_000;
    let (start, mut calls) = (cpu_nanos(), 0);
    let nanos = loop {
        (0..10_000).for_each(|_| run());
        calls += 10_000;
        let nanos = cpu_nanos() - start;
        if nanos > ENOUGH_NANOS {
            break nanos;
        }
    };
    println!("{:>10}  {name}", nanos / calls);
}

/// Processor time of this thread where Linux tells it, so that a busy machine does not count.
fn cpu_nanos() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    first.unwrap_or_else(|| u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
