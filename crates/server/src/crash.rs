//! What a crash leaves behind: where it was, and no value. No core is dumped, since memory holds
//! keys and records, and a panic tells its place and not its message, unless that was written in
//! the code as it stands: others quote what they failed on.

use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, setrlimit};

/// From here on, for the whole process: no core dumps, no values in what a panic prints.
///
/// # Errors
/// When the system does not let a process have itself not dumped.
pub(crate) fn quietly() -> std::io::Result<()> {
    std::panic::set_hook(Box::new(tell));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    // A limit of none does not hold for a core that is piped to a program. This does, and keeps
    // other processes of the same user from reading the memory.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// One line of log, or of standard error for commands, which keep no log.
fn tell(info: &PanicHookInfo<'_>) {
    let number = PANICS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let rule = info
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("its message may hold values and is not told");
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(number, place, rule, "a fault of ours");
    } else {
        let line = format!("salus: a fault of ours, number {number}, at {place}: {rule}\n");
        // There is nowhere else to tell it.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const MARK: &str = "Unmistakäble";

    /// Panics in a process of its own, as all tests in one share a hook.
    #[test]
    fn panics() {
        let Ok(how) = std::env::var("SALUS_TEST_PANIC") else {
            return;
        };
        super::quietly().unwrap();
        if how.contains("log") {
            crate::telemetry::start("debug", how.contains("json")).unwrap();
        }
        let faults: [fn(&str); 4] = [
            // In the middle of a letter: the library quotes the text.
            |mark| assert!(mark.get(..9).is_none() && mark[..9].is_empty()),
            |mark| panic!("nobody is called {mark}"),
            |mark| assert_eq!(mark, "somebody else"),
            |mark| assert_eq!(mark.parse::<u8>().map_err(|_| mark.to_owned()).unwrap(), 0),
        ];
        for fault in faults {
            std::panic::catch_unwind(|| fault(std::hint::black_box(MARK))).unwrap_err();
        }
        std::panic::catch_unwind(|| panic!("a sentence of the code")).unwrap_err();
        std::thread::spawn(|| std::panic::panic_any(MARK.to_owned()))
            .join()
            .unwrap_err();
    }

    #[track_caller]
    fn printed(how: &str) -> String {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::tests::panics", "--nocapture"])
            .env("SALUS_TEST_PANIC", how)
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        let all = [run.stdout, run.stderr].concat();
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(run.status.success(), "{how}: {all}");
        all
    }

    #[test]
    fn a_panic_tells_its_place_and_no_value() {
        for how in ["plain", "log", "log json"] {
            let printed = printed(how);
            assert!(!printed.contains("Unmist"), "{how}: {printed}");
            assert!(!printed.contains("somebody else"), "{how}: {printed}");
            assert_eq!(printed.matches("a fault of ours").count(), 6, "{printed}");
            assert!(printed.contains("src/crash.rs:"), "{printed}");
            assert!(printed.contains("a sentence of the code"), "{printed}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_core_is_dumped() {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::tests::limits", "--nocapture"])
            .env("SALUS_TEST_LIMITS", "1")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&run.stdout);
        let limit = printed.lines().find(|line| line.contains("core file"));
        let words: Vec<&str> = limit.unwrap().split_whitespace().collect();
        assert!(
            words.contains(&"0") && !words.contains(&"unlimited"),
            "{words:?}"
        );
        assert!(printed.contains("NotDumpable"), "{printed}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn limits() {
        if std::env::var("SALUS_TEST_LIMITS").is_err() {
            return;
        }
        super::quietly().unwrap();
        println!("{}", std::fs::read_to_string("/proc/self/limits").unwrap());
        println!("{:?}", rustix::process::dumpable_behavior().unwrap());
    }
}
