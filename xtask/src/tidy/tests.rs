//! Each check on small trees: what it finds, and what it leaves alone.

use serde_json::json;

use super::tree::Crate;
use super::*;

/// Runs one check on a tree and compares the faults it prints.
#[track_caller]
fn check(name: &str, files: &[(&str, &str)], expected: &[&str]) {
    check_tree(name, &Tree::of(files), expected);
}

#[track_caller]
fn check_tree(name: &str, tree: &Tree, expected: &[&str]) {
    let check = CHECKS.iter().find(|check| check.name == name).unwrap();
    let found: Vec<String> = (check.faults)(tree)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_opens_with_its_reason() {
    check("source", &[("a.rs", "//! Why this file is here.\n")], &[]);
    let fault = "a.rs:1: open the file with `//!` and its reason";
    check(
        "source",
        &[("a.rs", "// Why this file is here.\n")],
        &[fault],
    );
    check("source", &[("a.rs", "//!\n")], &[fault]);
    check("source", &[("a.rs", "")], &[fault]);
}

#[test]
fn a_file_is_not_long() {
    let lines = |count: usize| format!("//! A long file.\n{}", "\n".repeat(count - 1));
    check("source", &[("a.rs", &lines(800))], &[]);
    check(
        "source",
        &[("a.rs", &lines(801))],
        &["a.rs:801: 801 lines, more than 800: it is two files"],
    );
}

#[test]
fn unfinished_work_is_found_in_code_only() {
    let call = concat!("to", "do!");
    let text = format!(
        "//! A file of ours.\nfn a() {{ {call}() }}\nfn b() {{ c(\"{call}\") }}\n// {call}\n"
    );
    check(
        "source",
        &[("a.rs", &text)],
        &[&format!("a.rs:2: {call} is left over")],
    );
}

#[test]
fn marks_are_found_in_comments_as_whole_words() {
    let mark = concat!("FIX", "ME");
    let text = format!("//! A file of ours.\n// {mark}: later\n// {mark}D is a word\n");
    let fault = format!("a.rs:2: {mark} in a comment: do it, or file an issue");
    check("source", &[("a.rs", &text)], &[&fault]);
}

#[test]
fn an_ignored_test_says_why() {
    let text = "//! A file of ours.\n#[ignore = \"an hour\"]\nfn a() {}\n#[ignore]\nfn b() {}\n";
    let fault = "a.rs:4: say why this test is ignored: #[ignore = \"...\"]";
    check("source", &[("a.rs", text)], &[fault]);
}

#[test]
fn the_clock_is_read_by_its_owners_only() {
    let text = "//! A file.\nfn a() { Timestamp::now() }\n";
    check(
        "world",
        &[
            ("crates/server/src/open.rs", text),
            ("bench/src/main.rs", text),
        ],
        &[],
    );
    check(
        "world",
        &[("crates/service/src/a.rs", text)],
        &[
            "crates/service/src/a.rs:2: Timestamp::now here: take the time from `World` or as an argument",
        ],
    );
}

#[test]
fn tests_may_read_the_world() {
    let text =
        "//! A file.\nfn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { std::fs::read() }\n}\n";
    check("world", &[("crates/fhir/src/a.rs", text)], &[]);
    let declared = "//! A file.\n#[cfg(test)]\nmod corpus;\n";
    let shared = declared.replace("mod", "pub(crate) mod");
    let reads = "//! A file.\nfn b() { std::fs::read() }\n";
    let found = [
        "crates/fhir/src/a/corpus/c.rs",
        "crates/fhir/src/a/corpus.rs",
        "crates/fhir/tests/d.rs",
    ];
    for path in found {
        for declared in [declared, &shared] {
            check(
                "world",
                &[("crates/fhir/src/a.rs", declared), (path, reads)],
                &[],
            );
        }
    }
    let fault = "crates/fhir/src/a/other.rs:2: std::fs here: this room does no input or output: take bytes as an argument";
    check(
        "world",
        &[
            ("crates/fhir/src/a.rs", declared),
            ("crates/fhir/src/a/other.rs", reads),
        ],
        &[fault],
    );
}

#[test]
fn what_is_not_code_is_left_alone() {
    let text = concat!(
        "//! A file: std::fs.\n",
        "/* std::fs /* inside */ std::fs */\n",
        "fn a<'a>(x: &'a str) -> char { b(\"std::fs \\\" std::fs\"); '\"' }\n",
        "const C: &str = r#\"std::fs \" std::fs\"#;\n",
        "const D: char = '\\'';\n",
        "use std::fs;\n",
    );
    let fault = "crates/fhir/src/a.rs:6: std::fs here: this room does no input or output: take bytes as an argument";
    check("world", &[("crates/fhir/src/a.rs", text)], &[fault]);
}

#[test]
fn arrows_point_down() {
    let check = |name: &str, kind: Option<&str>, other: &str, expected: &[&str]| {
        let mut tree = Tree::of(&[]);
        tree.packages = json!([{ "name": name, "dependencies": [
            { "name": other, "kind": kind, "path": "/x" },
            { "name": "bytes", "kind": null },
        ]}]);
        check_tree("arrows", &tree, expected);
    };
    check("salus-api", None, "salus-service", &[]);
    check("salus-synthetic", Some("dev"), "salus-fhir", &[]);
    let fault = "crates/synthetic/Cargo.toml: salus-synthetic may not import salus-fhir";
    check("salus-synthetic", None, "salus-fhir", &[fault]);
    let fault = "crates/api/Cargo.toml: salus-api may not import salus-store";
    check("salus-api", None, "salus-store", &[fault]);
    let fault = "crates/new/Cargo.toml: salus-new has no row in xtask/src/tidy/arrows.rs";
    check("salus-new", None, "salus-store", &[fault]);
}

#[test]
fn licences_are_read_as_expressions() {
    let allowed = ["MIT", "ISC", "Apache-2.0"].into();
    let good = [
        "MIT",
        "MIT OR GPL-3.0",
        "Apache-2.0/MIT",
        "(MIT OR GPL-3.0) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
    ];
    for text in good {
        assert!(dependencies::permitted(text, &allowed), "{text}");
    }
    let bad = [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC",
        "MIT ISC",
        "AGPL-3.0 OR BUSL-1.1",
    ];
    for text in bad {
        assert!(!dependencies::permitted(text, &allowed), "{text}");
    }
}

#[test]
fn outside_crates_are_allowed_single_and_wanted() {
    let rules = "[licenses]\nallow = ['MIT']\n[bans]\ndeny = [
        { crate = 'ring', reason = 'a second one' },
        { crate = 'tokio', deny-multiple-versions = true },
    ]";
    let check = |printed: &[&str], expected: &[&str]| {
        let mut tree = Tree::of(&[("deny.toml", rules)]);
        tree.crates = printed
            .iter()
            .filter_map(|line| Crate::printed(line))
            .collect();
        check_tree("dependencies", &tree, expected);
    };
    check(
        &[
            "tokio v1.0.0|MIT",
            "bytes v1.0.0|MIT",
            "bytes v2.0.0|MIT",
            "ours v0.1.0 (/x)|MIT",
        ],
        &[],
    );
    check(
        &[
            "tokio v1.0.0|MIT",
            "tokio v2.0.0|MIT",
            "sneaky v0.1.0|AGPL-3.0",
            "odd v0.1.0|",
            "ring v0.17.0|MIT",
        ],
        &[
            "Cargo.lock: sneaky 0.1.0 is under AGPL-3.0: see deny.toml",
            "Cargo.lock: odd 0.1.0 is under no licence: see deny.toml",
            "Cargo.lock: ring 0.17.0 came in: a second one",
            "Cargo.lock: tokio comes in as 1.0.0 and 2.0.0: one is enough",
        ],
    );
}

#[test]
fn outside_crates_have_a_reason_and_a_use() {
    let manifest = "[workspace.dependencies]\nours = { path = 'x' }\nbytes = '1'\nhttp = '1'\n";
    let user = "[dependencies]\nhttp.workspace = true\nbytes-more = '1'\n";
    check(
        "dependencies",
        &[
            ("Cargo.toml", manifest),
            (
                "docs/adr/0002-dependencies.md",
                "| `bytes` | shared slices |\n",
            ),
            ("crates/a/Cargo.toml", user),
        ],
        &[
            "Cargo.toml: no crate uses `bytes`",
            "docs/adr/0002-dependencies.md: say what `http` is for",
        ],
    );
}

#[test]
fn folders_of_one_machine_are_found() {
    let place = concat!("/ho", "me/");
    let text = format!("see {place}anna/notes\nsee docs{place}page\nhttps://hl7.org{place}page\n");
    check(
        "words",
        &[("a.md", &text)],
        &[&format!("a.md:1: {place} is a folder of one machine")],
    );
}

#[test]
fn hosts_are_those_of_standards() {
    let known = "https://hl7.org/fhir http://build.hl7.org http://localhost:80 http://127.0.0.1/ https://fhir.example.org";
    check("words", &[("a.md", known)], &[]);
    let strange = "https://mirror.inside.net/x";
    let message = "mirror.inside.net is no host of a standard: see xtask/src/tidy/words.rs";
    check(
        "words",
        &[("a.md", strange)],
        &[&format!("a.md:1: {message}")],
    );
    check("words", &[("b/tests.rs", strange), ("c.tsv", strange)], &[]);
    check(
        "words",
        &[("b/c.rs", strange)],
        &[&format!("b/c.rs:1: {message}")],
    );
}

#[test]
fn locked_crates_come_from_the_public_registry() {
    let text = "name = \"a\"\nsource = \"git+https://mirror.inside.net/a\"\n";
    let fault = "Cargo.lock:2: git+https://mirror.inside.net/a is not the public registry";
    check("words", &[("Cargo.lock", text)], &[fault]);
}

#[test]
fn decisions_are_numbered_and_listed() {
    let list = ("docs/adr/README.md", "- [a](0001-a.md)\n- [b](0002-b.md)\n");
    let first = ("docs/adr/0001-a.md", "# 0001 A\n");
    check(
        "decisions",
        &[list, first, ("docs/adr/0002-b.md", "# 0002 B\n")],
        &[],
    );
    check(
        "decisions",
        &[
            list,
            first,
            ("docs/adr/0003-c.md", "# 0002 C\n"),
            ("docs/adr/notes.md", ""),
        ],
        &[
            "docs/adr/0003-c.md: number 0003 where 0002 comes next",
            "docs/adr/0003-c.md:1: begin with `# 0003 ` and the title",
            "docs/adr/README.md: 0003-c.md is not listed",
            "docs/adr/notes.md: name it NNNN-title.md",
        ],
    );
}

#[test]
fn links_lead_somewhere() {
    let page = "# A page\n[b](b.md) [root](../README.md#the-top) [self](#a-page) [out](https://hl7.org/x)\n`[no](link)`\n```\n[no](link)\n```\n";
    let root = ("README.md", "# The top!\n");
    check(
        "links",
        &[("docs/a.md", page), ("docs/b.md", ""), root],
        &[],
    );
    check(
        "links",
        &[
            (
                "docs/a.md",
                "[b](b.md)\n[c](../README.md#below)\n\n[d]: ../e/\n",
            ),
            root,
        ],
        &[
            "docs/a.md:1: b.md leads nowhere: there is no docs/b.md",
            "docs/a.md:2: ../README.md#below leads nowhere: README.md has no such heading",
            "docs/a.md:4: ../e/ leads nowhere: there is no e",
        ],
    );
}

#[test]
fn fuzz_targets_are_listed_and_seeded() {
    let target = ("fuzz/targets/json.rs", "//! A target.\n");
    let manifest = ("fuzz/Cargo.toml", "[[bin]]\npath = \"targets/json.rs\"\n");
    check(
        "fuzz",
        &[target, manifest, ("fuzz/seeds/json/empty", "{}")],
        &[],
    );
    check(
        "fuzz",
        &[target],
        &[
            "fuzz/Cargo.toml: json has no [[bin]]",
            "fuzz/targets/json.rs: fuzz/seeds/json has no seed",
        ],
    );
}

#[test]
fn tests_that_pages_name_are_there() {
    let tests = (
        "a/b.rs",
        "#[test]\nfn one() {}\n#[tokio::test]\nasync fn two() {}\nfn three() {}\n",
    );
    let page = |text| [("docs/security/a.md", text), tests];
    check("held", &page("`a/b.rs::one`, `a/b.rs::two`"), &[]);
    let faults = [
        "docs/security/a.md:2: there is no test a/b.rs::three",
        "docs/security/a.md:2: there is no test a/c.rs::one",
    ];
    check(
        "held",
        &page("x\n`a/b.rs::three` and `a/c.rs::one`"),
        &faults,
    );
    check("held", &[("docs/api.md", "`a/c.rs::one`")], &[]);
}

#[test]
fn a_type_that_holds_texts_does_not_print_them() {
    let path = "crates/service/src/a.rs";
    let fault = "crates/service/src/a.rs:2: Name holds texts and derives Debug: guard it with \
                 `salus_phi::guard!(Name)`, or say above it `// No PHI: ` and what it holds";
    for (text, expected) in [
        (
            "#[derive(Clone, Debug)]\npub struct Name(String);",
            &[fault][..],
        ),
        (
            "#[derive(Debug)]\n#[serde(x)]\npub(crate) struct Name<'a> {\n a: &'a str,\n}",
            &[fault],
        ),
        (
            "#[derive(Debug)]\nenum Name {\n A(Vec<u8>),\n B,\n}",
            &[fault],
        ),
        ("#[derive(Clone)]\npub struct Name(String);", &[]),
        ("#[derive(Debug)]\nstruct Name(&'static str, u8);", &[]),
        ("#[derive(Debug)]\nenum Name {\n String,\n Uri(u8),\n}", &[]),
    ] {
        let text = format!("//! A file.\n{text}\n");
        check("phi", &[(path, &text)], expected);
    }
    let said = "//! A file.\n// No PHI: names of types.\n#[derive(Debug)]\nstruct Name(String);\n";
    check("phi", &[(path, said)], &[]);
    // Tests print what they like, and settings of the server are nobody's health.
    let text = "//! A file.\n#[derive(Debug)]\nstruct Name(String);\n";
    check("phi", &[("crates/service/src/a/tests.rs", text)], &[]);
    check("phi", &[("crates/server/src/config.rs", text)], &[]);
}

#[test]
fn a_line_of_log_has_known_fields_and_no_values() {
    let fault = |what: &str| vec![format!("crates/server/src/a.rs:2: {what}")];
    let unknown = |name: &str| {
        fault(&format!(
            "{name} is no field that logs may have: xtask/src/tidy/phi.rs lists them with what \
             each says"
        ))
    };
    let value = fault("a message of log has no values: give them as fields");
    for (call, expected) in [
        (
            "tracing::warn!(%error, status = call(1, 2), \"failed\");",
            Vec::new(),
        ),
        ("tracing::info!(\"é, and no value\");", Vec::new()),
        ("tracing::warn!(?request, \"failed\");", unknown("request")),
        (
            "tracing::warn!(patient = %id, \"failed\");",
            unknown("patient"),
        ),
        ("tracing::warn!(\"failed on {id}\");", value.clone()),
        (
            "tracing::warn!(\"failed on {}\", patient);",
            [value, unknown("patient")].concat(),
        ),
        (
            "use tracing::{Level, warn};",
            fault("write tracing's macros with their path, so that this check finds them"),
        ),
        (
            "#[tracing::instrument]",
            fault("spans carry values to every line of log within them: log fields"),
        ),
    ] {
        let text = format!("//! A file.\nfn a() {{ {call} }}\n");
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check("phi", &[("crates/server/src/a.rs", &text)], &expected);
    }
}
