//! `$import`: resources as NDJSON, one on a line of the body, or of files that
//! Parameters list. It begins a job, so it has a way of its own in: `crate::jobs`.

use salus_auth::Action;

use super::{Code, Level, Operation, Parameter};

pub(super) static IMPORT: Operation = Operation {
    name: "import",
    definition: "urn:salus:operation:import",
    types: &[],
    level: &[Level::System],
    affects_state: true,
    parameters: &[
        Parameter::given(
            "type",
            "code",
            "Of lines in the body: the type of the resources, if they have one",
        ),
        Parameter::given("inputFormat", "code", "application/fhir+ndjson"),
        Parameter::given("inputSource", "uri", "Whose the resources are; not used"),
        Parameter::of_parts("storageDetail", STORAGE, "How the files are kept"),
        Parameter::of_parts("input", INPUT, "A file, up to 1,000 times").repeated(),
    ],
    searches: false,
    action: Action::Job,
    code: Code::Aside,
};

const STORAGE: &[Parameter] = &[
    Parameter::given("type", "code", "https or http"),
    Parameter::given(
        "contentEncoding",
        "code",
        "gzip or plain; either is noticed",
    ),
];

const INPUT: &[Parameter] = &[
    Parameter::given(
        "type",
        "code",
        "The type of its resources, if they have one",
    ),
    Parameter::given("url", "url", "Where it is fetched from").required(),
];
