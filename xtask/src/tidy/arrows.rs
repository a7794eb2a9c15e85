//! Which crate of ours may import which. ARCHITECTURE.md says why; a new arrow
//! deserves a record in docs/adr.

use serde_json::Value;

use super::Fault;
use super::tree::Tree;

/// A room, what it may import, and what only its tests may.
struct Room {
    name: &'static str,
    imports: &'static [&'static str],
    tests: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room {
        name: "salus-phi",
        imports: &[],
        tests: &[],
    },
    Room {
        name: "salus-fhir",
        imports: &["salus-phi"],
        tests: &[],
    },
    Room {
        name: "salus-terminology",
        imports: &["salus-phi", "salus-fhir"],
        tests: &[],
    },
    Room {
        name: "salus-crypto",
        imports: &[],
        tests: &[],
    },
    Room {
        name: "salus-store",
        imports: &["salus-phi", "salus-crypto"],
        tests: &[],
    },
    Room {
        name: "salus-store-embedded",
        imports: &["salus-phi", "salus-store", "salus-crypto"],
        tests: &[],
    },
    Room {
        name: "salus-archive",
        imports: &["salus-store", "salus-crypto"],
        tests: &["salus-store-embedded"],
    },
    Room {
        name: "salus-auth",
        imports: &["salus-phi", "salus-fhir", "salus-store", "salus-crypto"],
        tests: &[],
    },
    Room {
        name: "salus-synthetic",
        imports: &[],
        tests: &["salus-fhir"],
    },
    Room {
        name: "salus-service",
        imports: &[
            "salus-phi",
            "salus-fhir",
            "salus-terminology",
            "salus-store",
            "salus-crypto",
            "salus-auth",
        ],
        tests: &["salus-synthetic", "salus-store-embedded"],
    },
    Room {
        name: "salus-api",
        imports: &["salus-phi", "salus-fhir", "salus-service"],
        tests: &[
            "salus-store",
            "salus-crypto",
            "salus-auth",
            "salus-synthetic",
        ],
    },
    Room {
        name: "salus-server",
        imports: &[
            "salus-fhir",
            "salus-crypto",
            "salus-store",
            "salus-store-embedded",
            "salus-archive",
            "salus-auth",
            "salus-synthetic",
            "salus-service",
            "salus-api",
        ],
        tests: &[],
    },
    // Drives any FHIR server, so it may not lean on ours.
    Room {
        name: "salus-bench",
        imports: &[],
        tests: &["salus-synthetic"],
    },
    Room {
        name: "xtask",
        imports: &["salus-fhir", "salus-synthetic"],
        tests: &[],
    },
];

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let packages = tree.packages.as_array().into_iter().flatten();
    packages.flat_map(of_package).collect()
}

fn of_package(package: &Value) -> Vec<Fault> {
    let name = package["name"].as_str().unwrap_or_default();
    let folder = match name.strip_prefix("salus-") {
        Some("bench") => "bench".to_owned(),
        Some(room) => format!("crates/{room}"),
        None => name.to_owned(),
    };
    let manifest = format!("{folder}/Cargo.toml");
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        let message = format!("{name} has no row in xtask/src/tidy/arrows.rs");
        return vec![Fault::new(&manifest, 0, message)];
    };
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let ours = dependencies.filter(|d| d["path"].is_string());
    ours.filter(|dependency| !allowed(room, dependency))
        .map(|dependency| {
            let other = dependency["name"].as_str().unwrap_or_default();
            Fault::new(&manifest, 0, format!("{name} may not import {other}"))
        })
        .collect()
}

fn allowed(room: &Room, dependency: &Value) -> bool {
    let name = dependency["name"].as_str().unwrap_or_default();
    let tests = dependency["kind"].as_str() == Some("dev");
    room.imports.contains(&name) || tests && room.tests.contains(&name)
}
