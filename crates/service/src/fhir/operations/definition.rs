//! The OperationDefinitions of what can be called, made from the table:
//! <https://hl7.org/fhir/R4/operationdefinition.html>.
//!
//! They are read at `[base]/OperationDefinition/[id]` like the project's own,
//! which come first. Searches find the project's own only.

use serde_json::{Value, json};

use super::{Level, OPERATIONS, Operation, Parameter};

/// The id of the definition of `$versions`, which is answered without a use case.
pub const VERSIONS: &str = "CapabilityStatement-versions";

impl Operation {
    /// The id of its definition: types and name.
    #[must_use]
    pub fn id(&self) -> String {
        let types = match self.types {
            [] => "Resource".to_owned(),
            types => types.join("-"),
        };
        format!("{types}-{}", self.name)
    }
}

/// The definition of this id, as a project with this base URL has it.
pub(crate) fn definition(id: &str, base: &str) -> Option<Value> {
    if id == VERSIONS {
        return Some(versions(base));
    }
    let operation = OPERATIONS.iter().find(|operation| operation.id() == id)?;
    let types = match operation.types {
        [] => &["Resource"],
        types => types,
    };
    let levels = operation.level;
    let mut definition = described(
        id,
        base,
        operation.name,
        (types, levels),
        operation.parameters,
    );
    definition["affectsState"] = json!(operation.affects_state);
    if operation.definition.starts_with("http://hl7.org/") {
        definition["base"] = json!(operation.definition);
    }
    Some(definition)
}

/// <https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html>
fn versions(base: &str) -> Value {
    const VERSION: Parameter =
        Parameter::given("version", "code", "A version of FHIR that is served");
    const DEFAULT: Parameter = Parameter::given("default", "code", "The one without fhirVersion");
    let parameters = [VERSION.repeated(), DEFAULT].map(|parameter| Parameter {
        out: true,
        ..parameter.required()
    });
    let on = (&["CapabilityStatement"][..], &[Level::System][..]);
    let mut definition = described(VERSIONS, base, "versions", on, &parameters);
    definition["affectsState"] = json!(false);
    definition["base"] =
        json!("http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions");
    definition
}

fn described(
    id: &str,
    base: &str,
    code: &str,
    (types, levels): (&[&str], &[Level]),
    parameters: &[Parameter],
) -> Value {
    let parameters: Vec<Value> = parameters.iter().map(parameter).collect();
    json!({
        "resourceType": "OperationDefinition",
        "id": id,
        "url": format!("{base}/OperationDefinition/{id}"),
        "version": env!("CARGO_PKG_VERSION"),
        // A name for machines (invariant opd-0).
        "name": id.split('-').map(capitalised).collect::<String>(),
        "title": format!("${code}"),
        "status": "active",
        "kind": "operation",
        "code": code,
        "resource": types,
        "system": levels.contains(&Level::System),
        "type": levels.contains(&Level::Type),
        "instance": levels.contains(&Level::Instance),
        "parameter": parameters,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let mut definition = json!({
        "name": parameter.name,
        "use": if parameter.out { "out" } else { "in" },
        "min": parameter.min,
        "max": parameter.max.map_or("*".to_owned(), |max| max.to_string()),
        "documentation": parameter.documentation,
    });
    // It has one of the two (invariant opd-1).
    match parameter.parts {
        [] => definition["type"] = json!(parameter.ty),
        parts => definition["part"] = parts.iter().map(self::parameter).collect(),
    }
    definition
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_a_valid_definition_of_its_own() {
        let mut ids: Vec<String> = OPERATIONS.iter().map(|operation| operation.id()).collect();
        ids.push(VERSIONS.to_owned());
        for id in &ids {
            let text = definition(id, "http://localhost/fhir").unwrap().to_string();
            let limits = salus_fhir::json::Limits::default();
            let document = salus_fhir::json::Document::parse(text.into_bytes(), &limits).unwrap();
            if let Err(issues) = salus_fhir::validate::resource(document.root()) {
                panic!("{id}: {issues:?}");
            }
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), OPERATIONS.len() + 1);
        assert_eq!(definition("Patient-nothing", "http://localhost/fhir"), None);
    }
}
