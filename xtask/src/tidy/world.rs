//! Time, environment, randomness, files and sockets come in through the rooms
//! that own them, so that everything else can be tested with a fixed world.

use super::Fault;
use super::rust::{Line, each_line};
use super::tree::Tree;

/// Something of the world outside.
struct Thing {
    /// How code asks for it.
    calls: &'static [&'static str],
    /// Beginnings of the paths of those who may.
    owners: &'static [&'static str],
    /// What the others do.
    instead: &'static str,
}

const WORLD: &[Thing] = &[
    Thing {
        calls: &[
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
            "UtcDateTime::now",
        ],
        owners: &["crates/server/src/open.rs", "bench/", "xtask/"],
        instead: "take the time from `World` or as an argument",
    },
    Thing {
        calls: &["Instant::now"],
        owners: &[
            "crates/server/",
            "crates/api/",
            "crates/archive/",
            "crates/store-embedded/",
            "bench/",
            "xtask/",
        ],
        instead: "leave measuring to the edge, or take the time as an argument",
    },
    Thing {
        calls: &[
            "env::var",
            "env::vars",
            "env::args",
            "env::current_dir",
            "env::set_var",
        ],
        owners: &[
            "crates/server/src/config.rs",
            "crates/server/src/cli.rs",
            "bench/",
            "xtask/",
        ],
        instead: "let `server::config` read the environment and pass the setting on",
    },
    Thing {
        calls: &[
            "Uuid::new",
            "thread_rng",
            "rand::rng",
            "OsRng",
            "SystemRandom",
            "getrandom",
        ],
        owners: &["crates/crypto/src/random.rs"],
        instead: "take randomness from `World` or `salus_crypto::random`",
    },
    Thing {
        calls: &[
            "std::fs",
            "File::open",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
        ],
        owners: &[
            "crates/crypto/src/keyring",
            "crates/archive/src/folder.rs",
            "crates/store-embedded/",
            "crates/api/",
            "crates/server/",
            "bench/",
            "xtask/",
        ],
        instead: "this room does no input or output: take bytes as an argument",
    },
];

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    each_line(tree, |line| {
        if !line.test && !line.path.starts_with("fuzz/") {
            faults.extend(strays(line));
        }
    });
    faults
}

fn strays(line: &Line<'_>) -> Vec<Fault> {
    let foreign = WORLD.iter().filter(|thing| {
        !thing
            .owners
            .iter()
            .any(|owner| line.path.starts_with(owner))
    });
    foreign
        .filter_map(|thing| {
            let call = thing.calls.iter().find(|call| line.code.contains(**call))?;
            let message = format!("{call} here: {}", thing.instead);
            Some(Fault::new(line.path, line.number, message))
        })
        .collect()
}
