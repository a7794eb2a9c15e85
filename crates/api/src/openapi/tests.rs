//! The document holds together, and has every route.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_route_is_in_it_once() {
    let document = whole();
    let mut ids = BTreeSet::new();
    for route in ROUTES {
        for path in route.mount.paths(route.path) {
            let path = match path.as_str() {
                "/" => "/",
                path => path.trim_end_matches('/'),
            };
            let method = route.method.as_str().to_lowercase();
            let operation = &document["paths"][path][method];
            let id = operation["operationId"].as_str().unwrap();
            assert!(id.ends_with(route.name), "{id} {path}");
            ids.insert(id.to_owned());
            let open = operation["security"].is_array();
            assert_eq!(open, route.access == Access::Public, "{path}");
            check_operation(operation, path);
        }
    }
    let methods = document["paths"].as_object().unwrap().values();
    let count: usize = methods.map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(ids.len(), count, "an operationId names one operation");
}

/// <https://spec.openapis.org/oas/v3.1.0#operation-object>
#[track_caller]
fn check_operation(operation: &Value, path: &str) {
    let answers = operation["responses"].as_object().unwrap();
    assert!(
        answers.keys().any(|status| status.starts_with(['2', '3'])),
        "{path}"
    );
    assert!(answers.contains_key("500"), "{path}");
    let components = parts::parameters();
    let mut in_path: Vec<String> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| match parameter["$ref"].as_str() {
            Some(name) => &components[name.rsplit('/').next().unwrap()],
            None => parameter,
        })
        .filter(|parameter| parameter["in"] == "path")
        .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
        .collect();
    let mut named: Vec<&str> = path
        .split('/')
        .filter(|part| part.starts_with('{'))
        .collect();
    in_path.sort();
    named.sort();
    assert_eq!(in_path, named, "{path}");
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, part: &Value, found: &mut usize) {
        match part {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let place = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(place).is_some(), "{reference}");
                    *found += 1;
                }
                members
                    .values()
                    .for_each(|part| walk(document, part, found));
            }
            Value::Array(items) => items.iter().for_each(|part| walk(document, part, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let (document, mut found) = (whole(), 0);
    walk(&document, &document, &mut found);
    assert!(found > 100);
}
