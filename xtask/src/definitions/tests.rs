//! A package of our own, packed, read and derived from.

use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{Package, derive};

/// Packs files into a package in a folder that only this process uses.
fn pack(name: &str, files: &[(&str, Value)]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("salus-{name}-{}.tgz", std::process::id()));
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let about = json!({"name": "test", "version": "1", "license": "CC0-1.0"});
    for (file, content) in files.iter().chain([&("package.json", about)]) {
        let text = content.to_string();
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        let inside = format!("package/{file}");
        archive
            .append_data(&mut header, inside, text.as_bytes())
            .unwrap();
    }
    let packed = archive.into_inner().unwrap().finish().unwrap();
    std::fs::write(&path, packed).unwrap();
    path
}

/// Derives one file from resources; compares the lines that are facts.
#[track_caller]
fn check(name: &str, file: &str, resources: &[(&str, Value)], expect: &[&str]) {
    let path = pack(name, resources);
    let first = derive(&Package::read(&path).unwrap()).unwrap();
    let second = derive(&Package::read(&path).unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(first, second);
    let text = &first[file];
    assert!(text.contains("# source test 1 (CC0-1.0)\n# sha256 "));
    let facts: Vec<&str> = text.lines().filter(|l| !l.starts_with("# ")).collect();
    assert_eq!(facts, expect);
}

fn thing() -> Value {
    let base = |path: &str| json!({"path": path});
    json!({
        "resourceType": "StructureDefinition", "url": "http://example.org/Thing", "type": "Thing",
        "kind": "resource", "abstract": false, "derivation": "specialization",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/DomainResource",
        "description": "prose",
        "snapshot": {"element": [
            {"path": "Thing", "base": base("Thing"), "min": 0, "max": "*", "constraint": [
                {"key": "thi-1", "severity": "error", "expression": "a.exists()\n or b"},
                {"key": "dom-1", "severity": "error", "expression": "true", "source": "DomainResource"}]},
            {"path": "Thing.id", "base": base("Resource.id"), "min": 0, "max": "1"},
            {"path": "Thing.part", "base": base("Thing.part"), "min": 1, "max": "*",
                "isModifier": true, "isSummary": true, "type": [{"code": "BackboneElement"}]},
            {"path": "Thing.part.value[x]", "base": base("Thing.part.value[x]"), "min": 0, "max": "1",
                "type": [
                    {"code": "Quantity", "profile": ["http://hl7.org/fhir/StructureDefinition/SimpleQuantity"]},
                    {"code": "Reference", "targetProfile": [
                        "http://hl7.org/fhir/StructureDefinition/A", "http://hl7.org/fhir/StructureDefinition/B"]}],
                "binding": {"strength": "required", "valueSet": "http://example.org/v|1", "description": "prose"}},
            {"path": "Thing.more", "base": base("Thing.more"), "min": 0, "max": "*",
                "contentReference": "#Thing.part"},
        ]}
    })
}

#[test]
fn types_are_derived_without_prose_and_without_what_is_inherited() {
    let mut profile = thing();
    profile["url"] = "http://example.org/Profile".into();
    profile["derivation"] = "constraint".into();
    check(
        "types",
        "types.tsv",
        &[
            ("StructureDefinition-Thing.json", thing()),
            ("StructureDefinition-Profile.json", profile),
            ("Patient-example.json", json!("not even read")),
        ],
        &[
            "T\tThing\tresource\tDomainResource",
            "I\tthi-1\terror\ta.exists() or b",
            "E\tThing.part\t1..*\tMS\tBackboneElement",
            "E\tThing.part.value[x]\t0..1\t-\tQuantity:SimpleQuantity Reference(A|B)\trequired http://example.org/v",
            "E\tThing.more\t0..*\t-\t@Thing.part",
        ],
    );
}

#[test]
fn search_parameters_are_those_of_the_core() {
    let parameter = |id: &str, targets: Value| {
        json!({
            "resourceType": "SearchParameter", "id": id, "url": format!("http://example.org/{id}"),
            "version": "4.0.1", "code": "x", "type": "reference", "base": ["Thing"],
            "expression": "Thing.x", "target": targets, "multipleOr": false,
            "component": [{"definition": "http://example.org/y", "expression": "y"}]
        })
    };
    check(
        "search",
        "search.tsv",
        &[
            ("StructureDefinition-Thing.json", thing()),
            ("SearchParameter-a.json", parameter("a", json!(["Thing"]))),
            ("SearchParameter-b.json", parameter("b", json!(["Other"]))),
            (
                "SearchParameter-c.json",
                parameter("c-extensions-c", json!([])),
            ),
        ],
        &[
            "S\tx\treference\tThing\t*\tO\thttp://example.org/a\tThing.x",
            "C\thttp://example.org/y\ty",
            "S\tx\treference\tThing\tOther\tO\thttp://example.org/b\tThing.x",
            "C\thttp://example.org/y\ty",
        ],
    );
}

#[test]
fn code_systems_keep_their_hierarchy() {
    let system = json!({
        "resourceType": "CodeSystem", "url": "http://example.org/c", "content": "complete",
        "caseSensitive": true, "version": "2",
        "concept": [{"code": "a", "display": "A\n letter", "definition": "prose",
            "concept": [{"code": "b", "property": [{"code": "child", "valueCode": "c"}]}]},
            {"code": "c", "property": [{"code": "status", "valueCode": "retired"}]}]
    });
    check(
        "codes",
        "codes.tsv",
        &[("CodeSystem-c.json", system)],
        &[
            "http://example.org/c\tcomplete\t=\t2",
            "\ta\tA letter",
            "\t\tb",
            "\tc",
            "^\tb\tc",
            "!\tc",
        ],
    );
}

#[test]
fn value_sets_keep_what_they_are_composed_of() {
    let set = json!({
        "resourceType": "ValueSet", "url": "http://example.org/v", "compose": {
            "include": [
                {"system": "http://example.org/c", "concept": [{"code": "a"}, {"code": "b"}]},
                {"system": "http://example.org/d", "filter": [{"property": "concept", "op": "is-a", "value": "e"}]},
                {"valueSet": ["http://example.org/w|2"]}],
            "exclude": [{"system": "http://example.org/d"}]}
    });
    check(
        "values",
        "values.tsv",
        &[("ValueSet-v.json", set)],
        &[
            "http://example.org/v\t",
            "\t+\thttp://example.org/c",
            "\t\t=\ta\tb",
            "\t+\thttp://example.org/d",
            "\t\t?\tconcept\tis-a\te",
            "\t+",
            "\t\t@\thttp://example.org/w",
            "\t-\thttp://example.org/d",
        ],
    );
}

#[test]
fn the_same_canonical_twice_is_an_error() {
    let path = pack(
        "twice",
        &[
            ("StructureDefinition-a.json", thing()),
            ("StructureDefinition-b.json", thing()),
        ],
    );
    let read = Package::read(&path);
    std::fs::remove_file(path).unwrap();
    assert!(read.is_err());
}
