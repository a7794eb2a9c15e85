//! `$validate`: <https://hl7.org/fhir/R4/resource-operation-validate.html>.
//!
//! A resource is held against the definitions of R4, as on a write, and
//! nothing is stored. References to types that the definitions do not name,
//! which a write takes, are warnings. Profiles are not checked: whoever asks
//! for one is told so.

use salus_auth::{Action, Target};
use salus_fhir::issue::{Issue, IssueType, operation_outcome};
use salus_fhir::json::Node;
use salus_fhir::validate::{self, Limits};

use super::parameters::{invalid, items};
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::reply::Reply;
use crate::fhir::types::ResourceType;

pub(super) static VALIDATE: Operation = Operation {
    name: "validate",
    definition: "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    types: &[],
    level: &[Level::Type, Level::Instance],
    affects_state: false,
    parameters: &[
        Parameter::given(
            "resource",
            "Resource",
            "What to validate; on an instance, else the instance",
        ),
        Parameter::given(
            "mode",
            "code",
            "create, update, delete or profile: for what",
        ),
        Parameter::given(
            "profile",
            "uri",
            "A profile, which is an error but for the definitions of R4: others are not checked",
        ),
        Parameter::returned("OperationOutcome", "What is wrong, or that all is well"),
    ],
    searches: false,
    action: Action::Validate,
    code: Code::Validate,
};

/// Where the definitions of R4 are.
const DEFINITIONS: &str = "http://hl7.org/fhir/StructureDefinition/";

/// For what something is validated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

const MODES: [(&str, Mode); 4] = [
    ("create", Mode::Create),
    ("update", Mode::Update),
    ("delete", Mode::Delete),
    ("profile", Mode::Profile),
];

impl Service {
    pub(super) async fn validate(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let mode = mode(asked)?;
        let profile = asked.arguments.text("profile")?;
        if mode == Some(Mode::Profile) && profile.is_none() {
            return Err(invalid("profile", "the mode profile needs one"));
        }
        let mut issues = Vec::new();
        let mut entry = asked.entry(cx, "");
        match asked.arguments.node("resource")? {
            Some(resource) => check(resource, asked, ty, mode, &mut issues),
            None if asked.id.is_empty() => {
                return Err(invalid(
                    "resource",
                    "it is required, as the body or in Parameters",
                ));
            }
            // What is stored.
            None => {
                let (what, target) = (What::Operation, Target::Type(ty.name));
                let read = self.authorize_on(cx, what, Action::Read, target, asked.id);
                let record = self.current(cx, &read.await?, asked).await?;
                if mode != Some(Mode::Delete) {
                    let document = self.document_of(&record)?;
                    check(document.root(), asked, ty, mode, &mut issues);
                }
                entry.shows([&record]);
            }
        }
        issues.extend(other_profile(profile.as_deref(), ty));
        self.record(cx, entry).await?;
        Ok(reply(operation_outcome(&issues)))
    }
}

fn mode(asked: &Asked<'_>) -> Result<Option<Mode>, Error> {
    let Some(text) = asked.arguments.text("mode")? else {
        return Ok(None);
    };
    let known = MODES.iter().find(|(name, _)| *name == text);
    let (_, mode) = known.ok_or_else(|| {
        let names = MODES.map(|(name, _)| name).join(", ");
        invalid("mode", format!("it must be one of {names}"))
    })?;
    let on_instance = matches!(mode, Mode::Update | Mode::Delete);
    if on_instance && asked.id.is_empty() {
        return Err(invalid(
            "mode",
            "update and delete are of an instance: [type]/[id]/$validate",
        ));
    }
    Ok(Some(*mode))
}

/// Adds what is wrong with a resource.
fn check(
    resource: Node<'_>,
    asked: &Asked<'_>,
    ty: ResourceType,
    mode: Option<Mode>,
    issues: &mut Vec<Issue>,
) {
    let named = resource.get("resourceType").and_then(Node::plain_str);
    if named.is_some_and(|named| named != ty.name) {
        let details = format!(
            "the resource is not of type {}, which the URL names",
            ty.name
        );
        issues.push(Issue::error(IssueType::Invalid, "", details));
    }
    let id = resource.get("id").and_then(Node::plain_str);
    if mode == Some(Mode::Update) && id != Some(asked.id) {
        let details = "an update needs the id of the URL";
        issues.push(Issue::error(
            IssueType::Value,
            format!("{}.id", ty.name),
            details,
        ));
    }
    if ty.name == ResourceType::AUDIT_EVENT && mode.is_some_and(|mode| mode != Mode::Profile) {
        let details = "audit events are written by the server alone";
        issues.push(Issue::error(IssueType::Forbidden, "", details));
    }
    let faults = validate::resource(resource).err().unwrap_or_default();
    let strict = Limits {
        reference_targets: true,
        ..Limits::default()
    };
    let all = validate::resource_within(resource, &strict).err();
    let warnings = all
        .into_iter()
        .flatten()
        .filter(|issue| !faults.contains(issue));
    let warnings =
        warnings.map(|issue| Issue::warning(issue.code, issue.expression, issue.details));
    let warnings: Vec<Issue> = warnings.collect();
    issues.extend(faults);
    issues.extend(warnings);
    if let Some(meta) = resource.get("meta") {
        let declared = items(meta, "profile").filter_map(Node::str);
        if declared.into_iter().any(|profile| !is_base(&profile, ty)) {
            let details = "the resource declares profiles, which were not checked: \
                only the definitions of R4 were";
            issues.push(Issue::information(details));
        }
    }
}

fn other_profile(profile: Option<&str>, ty: ResourceType) -> Option<Issue> {
    profile.filter(|profile| !is_base(profile, ty)).map(|_| {
        let details = "this profile was not checked: only the definitions of R4 were";
        // Who names a profile must not take silence for conformance:
        // "if the server cannot validate against it, it SHALL return an error".
        Issue::error(IssueType::NotSupported, "", details)
    })
}

/// Whether a profile is the definition of the type itself, or of what all types are.
fn is_base(profile: &str, ty: ResourceType) -> bool {
    let plain = profile.split_once('|').map_or(profile, |(url, _)| url);
    let name = plain.strip_prefix(DEFINITIONS);
    name.is_some_and(|name| [ty.name, "Resource", "DomainResource"].contains(&name))
}
