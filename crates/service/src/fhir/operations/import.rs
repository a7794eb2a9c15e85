//! `$import`: resources as NDJSON, one on a line of the body. It begins a job,
//! so it has a way of its own in: `crate::jobs`.

use salus_auth::Action;

use super::{Code, Level, Operation, Parameter};

pub(super) static IMPORT: Operation = Operation {
    name: "import",
    definition: "urn:salus:operation:import",
    types: &[],
    level: &[Level::System],
    affects_state: true,
    parameters: &[Parameter::given(
        "type",
        "code",
        "The type of the resources, if they have one",
    )],
    searches: false,
    action: Action::Job,
    code: Code::Aside,
};
