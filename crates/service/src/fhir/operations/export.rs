//! `$export`: <https://hl7.org/fhir/uv/bulkdata/STU2/export.html>. It begins a
//! job, so it has a way of its own in: `crate::jobs::export`.

use salus_auth::Action;

use super::{Code, Level, Operation, Parameter};

const fn operation(
    definition: &'static str,
    types: &'static [&'static str],
    level: &'static [Level],
    parameters: &'static [Parameter],
) -> Operation {
    Operation {
        name: "export",
        definition,
        types,
        level,
        affects_state: false,
        parameters,
        searches: false,
        action: Action::Job,
        code: Code::Aside,
    }
}

pub(super) static SYSTEM: Operation = operation(
    "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
    &[],
    &[Level::System],
    &[FORMAT, SINCE, UNTIL, TYPE, FILTER, ELEMENTS, ASSOCIATED],
);

pub(super) static PATIENT: Operation = operation(
    "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
    &["Patient"],
    &[Level::Type],
    &OF_PATIENTS,
);

pub(super) static GROUP: Operation = operation(
    "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export",
    &["Group"],
    &[Level::Instance],
    &OF_PATIENTS,
);

static OF_PATIENTS: [Parameter; 8] = [
    FORMAT,
    SINCE,
    UNTIL,
    TYPE,
    FILTER,
    ELEMENTS,
    ASSOCIATED,
    Parameter::given("patient", "Reference", "Only of these patients").repeated(),
];

const FORMAT: Parameter =
    Parameter::given("_outputFormat", "string", "NDJSON, which there is only");
const SINCE: Parameter = Parameter::given("_since", "instant", "Only versions from then or later");
const UNTIL: Parameter = Parameter::given("_until", "instant", "Only versions from before");
const TYPE: Parameter = Parameter::given("_type", "string", "Only these types").repeated();
const FILTER: Parameter = Parameter::given(
    "_typeFilter",
    "string",
    "Of a type only what one of its searches finds",
)
.repeated();
const ELEMENTS: Parameter = Parameter::given(
    "_elements",
    "string",
    "Only these elements, and mandatory ones",
)
.repeated();
const ASSOCIATED: Parameter = Parameter::given(
    "includeAssociatedData",
    "string",
    "Provenance of what is exported",
)
.repeated();
