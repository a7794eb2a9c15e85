//! `GET [base]/metadata`: the CapabilityStatement, made from the route table
//! and the definitions, so that it cannot promise what is not served.
//! <https://hl7.org/fhir/R4/capabilitystatement.html>

use axum::response::Response;
use http::StatusCode;
use salus_fhir::definitions;
use salus_fhir::search::Parameters;
use salus_service::fhir::PatchFormat;
use salus_service::fhir::binary::BINARY;
use salus_service::fhir::operations::{Level, OPERATIONS, Operation, VERSIONS};
use salus_service::fhir::reply::{Reply, Status};
use salus_service::fhir::search::served;
use salus_service::fhir::types::ResourceType;
use serde_json::{Value, json};

use super::preferences::Preferences;
use crate::call::Call;
use crate::failure::Failure;
use crate::route::{Mount, ROUTES};

/// When what is stated here changed.
const DATE: &str = "2026-11-23";

/// Interactions with one type, in the order in which the statement lists them.
const OF_TYPE: [&str; 9] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
];
const OF_SYSTEM: [&str; 4] = ["transaction", "batch", "history-system", "search-system"];

/// `GET [base]/metadata`
pub(crate) async fn capabilities(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let statement = match mode(call)? {
        Mode::Full => full(call),
        Mode::Normative => normative(full(call)),
        Mode::Terminology => terminology(&call.cx.base),
    };
    let reply = Reply {
        body: Some(statement.to_string().into()),
        ..Reply::with(Status::Ok)
    };
    super::finish(call, &wanted, reply)
}

/// What is asked for: <https://hl7.org/fhir/R4/http.html#capabilities>.
#[derive(Clone, Copy)]
enum Mode {
    Full,
    Normative,
    Terminology,
}

fn mode(call: &Call) -> Result<Mode, Failure> {
    let mut mode = Mode::Full;
    for (name, value) in call.query_pairs()? {
        mode = match (&*name, &*value) {
            ("mode", "full") => Mode::Full,
            ("mode", "normative") => Mode::Normative,
            ("mode", "terminology") => Mode::Terminology,
            ("mode", _) => return Err(NO_SUCH_MODE),
            (_, _) => mode,
        };
    }
    Ok(mode)
}

const NO_SUCH_MODE: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "mode must be full, normative or terminology",
);

fn full(call: &Call) -> Value {
    let policy = call.service().cors(call.cx.scope);
    let pages = policy.is_some_and(|policy| !policy.origins.is_empty());
    let mut statement = statement(&call.cx.base, &call.cx.parameters);
    statement["rest"][0]["security"]["cors"] = json!(pages);
    let settings = &call.app.settings;
    let limits = limits(settings.body_bytes_max, settings.binary_bytes_max);
    statement["rest"][0]["documentation"] = json!(limits);
    statement
}

/// The same without the elements that R4 marks as for trial use.
fn normative(mut statement: Value) -> Value {
    let rest = &mut statement["rest"][0];
    without(rest, &["security"]);
    for resource in rest["resource"].as_array_mut().into_iter().flatten() {
        without(resource, &OF_TRIAL_USE);
    }
    statement
}

/// The elements of `CapabilityStatement.rest.resource` whose standards status is trial use.
const OF_TRIAL_USE: [&str; 11] = [
    "supportedProfile",
    "versioning",
    "readHistory",
    "updateCreate",
    "conditionalCreate",
    "conditionalRead",
    "conditionalUpdate",
    "conditionalDelete",
    "referencePolicy",
    "searchInclude",
    "searchRevInclude",
];

fn without(object: &mut Value, names: &[&str]) {
    if let Some(members) = object.as_object_mut() {
        members.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// <https://hl7.org/fhir/R4/terminologycapabilities.html>: no operation of
/// terminology is served, so it is about searches, and the code systems that
/// every project knows.
fn terminology(base: &str) -> Value {
    let systems = definitions::r4().code_systems().map(|system| {
        let mut listed = json!({"uri": system.url, "subsumption": true});
        if !system.version.is_empty() {
            listed["version"] = json!([{"code": system.version, "isDefault": true}]);
        }
        listed
    });
    json!({
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": DATE,
        "kind": "instance",
        "description": "Searches know codes by value set and by subsumption (:in, :not-in, :above, \
            :below), in the code systems listed here and those of the project. There are no \
            operations of terminology.",
        "software": {"name": "Salus", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Salus", "url": base},
        "codeSystem": systems.collect::<Vec<Value>>(),
        // ValueSet?code= finds what a set names, not what it means.
        "codeSearch": "explicit",
    })
}

/// `GET [base]/$versions`
/// <https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html>
pub(crate) async fn versions(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let versions = json!({
        "resourceType": "Parameters",
        "parameter": [
            {"name": "version", "valueCode": "4.0"},
            {"name": "default", "valueCode": "4.0"},
        ],
    });
    let reply = Reply {
        body: Some(versions.to_string().into()),
        ..Reply::with(Status::Ok)
    };
    super::finish(call, &wanted, reply)
}

/// What a client must not go beyond, in words: the statement has no elements for it.
fn limits(body_bytes_max: usize, binary_bytes_max: u64) -> String {
    format!(
        "A body has {body_bytes_max} bytes at most, also when it came compressed (gzip, br, zstd); \
         the content of a Binary that is sent as it is has {binary_bytes_max}. A page of a search or a history has 1000 entries at most; a parameter has 1000 \
         alternatives at most. Searches are strict unless Prefer says handling=lenient."
    )
}

fn statement(base: &str, known: &Parameters) -> Value {
    let interactions = served(&OF_TYPE);
    let resources: Vec<Value> = ResourceType::all()
        .into_iter()
        .map(|ty| resource(base, ty, &interactions, known))
        .collect();
    let mut statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": DATE,
        "kind": "instance",
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "software": {"name": "Salus", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Salus", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": PatchFormat::MEDIA_TYPES,
        "rest": [{
            "mode": "server",
            "security": security(base),
            "resource": resources,
            "interaction": served(&OF_SYSTEM),
            "compartment": compartments(),
        }],
    });
    let mut operations = operations(base, |operation| operation.level.contains(&Level::System));
    operations.push(named("versions", base, VERSIONS));
    statement["rest"][0]["operation"] = json!(operations);
    statement
}

/// Where tokens come from (<https://hl7.org/fhir/R4/security.html#oauth>).
fn security(base: &str) -> Value {
    let project = base.strip_suffix("/fhir").unwrap_or(base);
    json!({
        "extension": [{
            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
            "extension": [
                {"url": "authorize", "valueUri": format!("{project}/auth/authorize")},
                {"url": "token", "valueUri": format!("{project}/auth/token")},
                {"url": "introspect", "valueUri": format!("{project}/auth/introspect")},
                {"url": "revoke", "valueUri": format!("{project}/auth/revoke")},
            ],
        }],
        "service": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
        }]}],
        "description": "Tokens of OAuth 2.1, sent as Bearer; .well-known/smart-configuration tells how to get them",
    })
}

/// Operations, by name and by where their definitions are read.
fn operations(base: &str, is_wanted: impl Fn(&Operation) -> bool) -> Vec<Value> {
    let wanted = OPERATIONS.iter().filter(|operation| is_wanted(operation));
    wanted
        .map(|operation| named(operation.name, base, &operation.id()))
        .collect()
}

fn named(name: &str, base: &str, id: &str) -> Value {
    json!({"name": name, "definition": format!("{base}/OperationDefinition/{id}")})
}

/// Those of the codes that the route table serves.
fn served(codes: &[&str]) -> Vec<Value> {
    codes
        .iter()
        // One route takes both kinds of bundle.
        .filter(|code| {
            let name = if **code == "batch" {
                "transaction"
            } else {
                code
            };
            ROUTES
                .iter()
                .any(|route| route.mount == Mount::Fhir && route.name == name)
        })
        .map(|code| json!({"code": code}))
        .collect()
}

/// <https://hl7.org/fhir/R4/compartmentdefinition.html>
fn compartments() -> Vec<String> {
    let names = salus_service::fhir::search::compartments().iter();
    names
        .map(|name| {
            let name = name.to_lowercase();
            format!("http://hl7.org/fhir/CompartmentDefinition/{name}")
        })
        .collect()
}

fn resource(base: &str, ty: ResourceType, interactions: &[Value], known: &Parameters) -> Value {
    let audit = ty.name == ResourceType::AUDIT_EVENT;
    let interactions: Vec<&Value> = interactions
        .iter()
        .filter(|i| !audit || matches!(i["code"].as_str(), Some("read" | "search-type")))
        .collect();
    let specials = served::specials(ty).into_iter();
    let specials = specials.map(|name| json!({"name": name, "type": "special"}));
    let parameters: Vec<Value> = served::parameters(known, ty)
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.code,
                "type": parameter.kind.name(),
                "definition": parameter.url,
            })
        })
        .chain(specials)
        .collect();
    let mut resource = json!({
        "type": ty.name,
        "interaction": interactions,
        "versioning": "versioned",
        "readHistory": !audit,
        "updateCreate": !audit,
        "conditionalCreate": !audit,
        "conditionalRead": "full-support",
        "conditionalUpdate": !audit,
        "conditionalDelete": if audit { "not-supported" } else { "multiple" },
        "referencePolicy": ["literal", "local"],
        "searchParam": parameters,
    });
    if ty.name == BINARY {
        let documentation = "Content of any type is taken and given as it is, also in parts \
            (Range), unless a format of FHIR is asked for by name.";
        resource["documentation"] = json!(documentation);
    }
    let (includes, reverse) = (
        served::includes(known, ty),
        served::reverse_includes(known, ty),
    );
    let operations = operations(base, |operation| operation.is_of(Some(ty)));
    if !audit && !operations.is_empty() {
        resource["operation"] = json!(operations);
    }
    // A search of audit events brings nothing else.
    if !audit && !includes.is_empty() {
        resource["searchInclude"] = json!(includes);
    }
    if !audit && !reverse.is_empty() {
        resource["searchRevInclude"] = json!(reverse);
    }
    resource
}
