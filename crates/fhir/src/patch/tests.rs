//! Patches by their text, and the public cases of JSON Patch.

mod public;

use super::*;
use crate::json::Limits;

fn parse(text: &str) -> Document {
    Document::parse(text.into(), &Limits::default()).unwrap()
}

#[track_caller]
fn check(patch: Result<Patch, Error>, before: &str, expect: Result<&str, &str>) {
    let after = patch.and_then(|patch| patch.apply(before, &Limits::default()));
    match (after, expect) {
        (Ok(after), Ok(expect)) => assert_eq!(after, expect),
        (Err(error), Err(expect)) => {
            let said = error.to_string();
            assert!(said.contains(expect), "{said:?} does not say {expect:?}");
        }
        (after, expect) => panic!("{after:?} is not {expect:?}"),
    }
}

#[track_caller]
fn json(patch: &str, before: &str, expect: Result<&str, &str>) {
    check(Patch::json(parse(patch)), before, expect);
}

#[track_caller]
fn merge(patch: &str, before: &str, expect: Result<&str, &str>) {
    check(Patch::merge(parse(patch)), before, expect);
}

/// Operations as `type path | part=value ...`, values as members of a part.
#[track_caller]
fn path(operations: &[&str], before: &str, expect: Result<&str, &str>) {
    let operations: Vec<String> = operations.iter().map(|line| operation(line)).collect();
    let operations = operations.join(",");
    let text = format!(r#"{{"resourceType":"Parameters","parameter":[{operations}]}}"#);
    check(Patch::parameters(parse(&text)), before, expect);
}

fn operation(line: &str) -> String {
    let mut parts = line.split(" | ");
    let (ty, path) = parts.next().unwrap().split_once(' ').unwrap();
    let mut out = format!(
        r#"{{"name":"operation","part":[{{"name":"type","valueCode":"{ty}"}},{{"name":"path","valueString":"{path}"}}"#
    );
    for part in parts {
        let (name, value) = part.split_once('=').unwrap();
        let value = match (name, value) {
            ("name", name) => format!(r#""valueString":"{name}""#),
            ("index" | "source" | "destination", number) => format!(r#""valueInteger":{number}"#),
            (_, member) => member.to_owned(),
        };
        out.push_str(&format!(r#",{{"name":"{name}",{value}}}"#));
    }
    out + "]}"
}

#[test]
fn every_other_byte_stays() {
    let before = "{\n  \"a\": 1.50,\n  \"b\" : [ 1e2, 2 ],\n  \"c\": \"\\u0041\"\n}";
    let after = "{\n  \"a\": 1.50,\n  \"b\" : [ 1e2, 0.10,2 ],\n  \"c\": \"\\u0041\",\"d\":3.00\n}";
    let patch =
        r#"[{"op":"add","path":"/b/1","value":0.10},{"op":"add","path":"/d","value":3.00}]"#;
    json(patch, before, Ok(after));
    json("[]", before, Ok(before));
}

/// The examples of RFC 7396, appendix A, that begin and end as objects, but for what is empty.
#[test]
fn merge_patches_do_as_their_standard_says() {
    merge(r#"{"a":"c"}"#, r#"{"a":"b"}"#, Ok(r#"{"a":"c"}"#));
    merge(r#"{"b":"c"}"#, r#"{"a":"b"}"#, Ok(r#"{"a":"b","b":"c"}"#));
    merge(r#"{"a":null}"#, r#"{"a":"b"}"#, Ok("{}"));
    let both = r#"{"a":"b","b":"c"}"#;
    merge(r#"{"a":null}"#, both, Ok(r#"{"b":"c"}"#));
    merge(r#"{"a":"c"}"#, r#"{"a":["b"]}"#, Ok(r#"{"a":"c"}"#));
    merge(r#"{"a":["b"]}"#, r#"{"a":"c"}"#, Ok(r#"{"a":["b"]}"#));
    let nested = r#"{"a":{"b":"d","c":null}}"#;
    merge(nested, r#"{"a":{"b":"c"}}"#, Ok(r#"{"a":{"b":"d"}}"#));
    let list = r#"{"a":[{"b":"c"}]}"#;
    merge(r#"{"a":[1]}"#, list, Ok(r#"{"a":[1]}"#));
    merge(r#"{"a":1}"#, r#"{"e":null}"#, Ok(r#"{"e":null,"a":1}"#));
    let deep = r#"{"a":{"bb":{"ccc":null,"d":1.0}}}"#;
    merge(deep, r#"{}"#, Ok(r#"{"a":{"bb":{"d":1.0}}}"#));
}

#[test]
fn merge_patches_leave_every_other_byte_and_are_bounded() {
    let before = "{\n  \"a\": 1.50,\n  \"b\" : { \"c\": 1e2, \"d\":[ 0.10 ] }\n}";
    let after = "{\n  \"a\": 1.50,\n  \"b\" : { \"c\": 2.0, \"d\":[ 0.10 ] }\n}";
    merge(r#"{"b":{"c":2.0}}"#, before, Ok(after));
    merge("{}", before, Ok(before));
    merge("[]", before, Err("is an object"));
    let members: Vec<_> = (0..=OPERATIONS_MAX)
        .map(|n| format!("\"m{n}\":1"))
        .collect();
    merge(
        &format!("{{{}}}", members.join(",")),
        "{}",
        Err("1000 operations"),
    );
}

#[test]
fn members_and_items_are_removed_with_one_comma() {
    let remove = |place: &str| format!(r#"[{{"op":"remove","path":"{place}"}}]"#);
    json(
        &remove("/a"),
        r#"{"a":1,"b":2,"c":3}"#,
        Ok(r#"{"b":2,"c":3}"#),
    );
    json(
        &remove("/b"),
        r#"{"a":1,"b":2,"c":3}"#,
        Ok(r#"{"a":1,"c":3}"#),
    );
    json(
        &remove("/c"),
        r#"{"a":1,"b":2,"c":3}"#,
        Ok(r#"{"a":1,"b":2}"#),
    );
    json(&remove("/a"), r#"{"a":1}"#, Ok("{}"));
    json(&remove("/a/1"), r#"{"a":[1,2]}"#, Ok(r#"{"a":[1]}"#));
    // What is empty then goes too.
    json(
        &remove("/a/0/b"),
        r#"{"a":[{"b":1}],"c":2}"#,
        Ok(r#"{"c":2}"#),
    );
    json(
        &remove("/a/2"),
        r#"{"a":[1,2]}"#,
        Err("operation 0 of the patch: there is nothing"),
    );
    json(
        &remove("/a/-"),
        r#"{"a":[1,2]}"#,
        Err("there is nothing at its path"),
    );
    json(
        &remove("/b"),
        r#"{"a":1}"#,
        Err("there is nothing at its path"),
    );
    json(
        &remove(""),
        r#"{"a":1}"#,
        Err("the whole cannot be removed"),
    );
    // Within a patch an array may be empty for a while.
    let refill = r#"[{"op":"remove","path":"/a/0"},{"op":"add","path":"/a/-","value":2}]"#;
    json(refill, r#"{"a":[1]}"#, Ok(r#"{"a":[2]}"#));
}

#[test]
fn values_are_moved_and_copied_as_they_are() {
    let one = |op: &str, from: &str, path: &str| {
        format!(r#"[{{"op":"{op}","from":"{from}","path":"{path}"}}]"#)
    };
    let before = r#"{"a":[1.0,2.00],"b":{"c":3e0}}"#;
    json(
        &one("move", "/a/0", "/b/d"),
        before,
        Ok(r#"{"a":[2.00],"b":{"c":3e0,"d":1.0}}"#),
    );
    json(
        &one("move", "/a/0", "/a/1"),
        before,
        Ok(r#"{"a":[2.00,1.0],"b":{"c":3e0}}"#),
    );
    json(&one("move", "/a", "/a"), before, Ok(before));
    json(&one("move", "/b", "/b/c"), before, Err("moved into itself"));
    json(
        &one("move", "/a/0", "/a/2"),
        before,
        Err("no index of the array"),
    );
    json(
        &one("copy", "/b/c", "/a/-"),
        before,
        Ok(r#"{"a":[1.0,2.00,3e0],"b":{"c":3e0}}"#),
    );
    json(
        &one("copy", "", "/x"),
        r#"{"a":1}"#,
        Ok(r#"{"a":1,"x":{"a":1}}"#),
    );
    json(
        &one("copy", "/x", "/y"),
        before,
        Err("there is nothing at its path"),
    );
}

#[test]
fn a_test_stops_the_patch() {
    let tested = |value: &str| {
        format!(r#"[{{"op":"test","path":"/a","value":{value}}},{{"op":"remove","path":"/b"}}]"#)
    };
    json(&tested("1.0"), r#"{"a":1,"b":2}"#, Ok(r#"{"a":1}"#));
    json(
        &tested("2"),
        r#"{"a":1,"b":2}"#,
        Err("operation 0 of the patch: the test fails"),
    );
    json(
        &tested("null"),
        r#"{"b":2}"#,
        Err("there is nothing at its path"),
    );
}

#[test]
fn what_is_no_json_patch_is_refused() {
    for (patch, expect) in [
        ("{}", "an array of operations"),
        (r#"[{"op":"add"}]"#, "`path`"),
        (r#"[{"path":"/a"}]"#, "`op`"),
        (r#"[{"op":"add","path":"/a"}]"#, "`value`"),
        (r#"[{"op":"move","path":"/a"}]"#, "`from`"),
        (r#"[{"op":"add","path":"a","value":1}]"#, "JSON Pointer"),
        (r#"[{"op":"spam","path":"/a"}]"#, "allowed: add, remove"),
        ("[1]", "`path`"),
    ] {
        json(patch, "{}", Err(expect));
    }
    let many = r#"{"op":"test","path":"","value":{}},"#.repeat(OPERATIONS_MAX);
    json(&format!("[{}]", many.trim_end_matches(',')), "{}", Ok("{}"));
    let more = format!(r#"[{many}{{"op":"remove","path":"/a"}}]"#);
    json(&more, "{}", Err("1000 operations"));
}

#[test]
fn growth_has_an_end() {
    let double = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
    let doubled = format!("[{}]", [double; 40].join(","));
    let limits = Limits {
        bytes_max: 1 << 16,
        ..Limits::default()
    };
    let patch = Patch::json(parse(&doubled)).unwrap();
    let refused = patch.apply(r#"{"a":["some text"]}"#, &limits).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooCostly);
}

const PATIENT: &str = r#"{"resourceType":"Patient","birthDate":"1920-01-01","_birthDate":{"id":"x"},"name":[{"given":["A","B"],"_given":[null,{"id":"b"}]},{"family":"C"}],"multipleBirthInteger":1.0}"#;

#[track_caller]
fn patient(operation: &str, old: &str, new: &str) {
    assert!(PATIENT.contains(old));
    path(&[operation], PATIENT, Ok(&PATIENT.replace(old, new)));
}

#[track_caller]
fn refused(operation: &str, expect: &str) {
    path(&[operation], PATIENT, Err(expect));
}

#[test]
fn an_element_is_replaced_with_all_it_has() {
    let birth = r#""birthDate":"1920-01-01","_birthDate":{"id":"x"}"#;
    patient(
        r#"replace Patient.birthDate | value="valueDate":"1930-01-01""#,
        birth,
        r#""birthDate":"1930-01-01""#,
    );
    patient(
        r#"replace Patient.birthDate | value="valueDate":"1930","_valueDate":{"id":"y"}"#,
        birth,
        r#""birthDate":"1930","_birthDate":{"id":"y"}"#,
    );
    patient(
        r#"replace Patient.name[0].given[1] | value="valueString":"D""#,
        r#""given":["A","B"],"_given":[null,{"id":"b"}]"#,
        r#""given":["A","D"]"#,
    );
    patient(
        r#"replace Patient.name.where(family='C') | value="valueHumanName":{"text":"D"}"#,
        r#"{"family":"C"}"#,
        r#"{"text":"D"}"#,
    );
    refused(
        r#"replace Patient.gender | value="valueCode":"male""#,
        "nothing at its path",
    );
    refused(
        r#"replace Patient.name | value="valueHumanName":{}"#,
        "several elements",
    );
    refused(
        r#"replace Patient | value="valueString":"x""#,
        "leads to the resource",
    );
}

#[test]
fn a_choice_may_become_another_type() {
    patient(
        r#"replace Patient.multipleBirth | value="valueBoolean":true"#,
        r#","multipleBirthInteger":1.0"#,
        r#","multipleBirthBoolean":true"#,
    );
    patient(
        r#"replace Patient.multipleBirth | value="valueInteger":2"#,
        r#""multipleBirthInteger":1.0"#,
        r#""multipleBirthInteger":2"#,
    );
    refused(
        r#"add Patient | name=multipleBirth | value="valueBoolean":true"#,
        "with another type",
    );
    patient(
        r#"add Patient | name=deceased | value="valueBoolean":true"#,
        r#""multipleBirthInteger":1.0"#,
        r#""multipleBirthInteger":1.0,"deceasedBoolean":true"#,
    );
    refused(
        r#"add Patient | name=deceased | value="valueCode":"x""#,
        "no element of this name",
    );
}

#[test]
fn elements_are_added_behind_the_others() {
    patient(
        r#"add Patient | name=name | value="valueHumanName":{"text":"D"}"#,
        r#"{"family":"C"}]"#,
        r#"{"family":"C"},{"text":"D"}]"#,
    );
    patient(
        r#"add Patient.name[0] | name=given | value="valueString":"D""#,
        r#""given":["A","B"],"_given":[null,{"id":"b"}]"#,
        r#""given":["A","B","D"],"_given":[null,{"id":"b"},null]"#,
    );
    patient(
        r#"add Patient.birthDate | name=extension | value="valueExtension":{"url":"urn:e","valueCode":"f"}"#,
        r#"{"id":"x"}"#,
        r#"{"id":"x","extension":[{"url":"urn:e","valueCode":"f"}]}"#,
    );
    patient(
        r#"add Patient.name[1].family | name=extension | value="part":[{"name":"url","valueUri":"urn:e"},{"name":"value","valueCode":"f"}]"#,
        r#"{"family":"C"}"#,
        r#"{"family":"C","_family":{"extension":[{"url":"urn:e","valueCode":"f"}]}}"#,
    );
    patient(
        r#"add Patient | name=contact | value="part":[{"name":"name","valueHumanName":{"text":"x"}},{"name":"telecom","valueContactPoint":{"value":"1"}},{"name":"telecom","valueContactPoint":{"value":"2"}}]"#,
        r#""multipleBirthInteger":1.0"#,
        r#""multipleBirthInteger":1.0,"contact":[{"name":{"text":"x"},"telecom":[{"value":"1"},{"value":"2"}]}]"#,
    );
    patient(
        r#"add Patient | name=contained | value="resource":{"resourceType":"Basic","id":"b"}"#,
        r#""multipleBirthInteger":1.0"#,
        r#""multipleBirthInteger":1.0,"contained":[{"resourceType":"Basic","id":"b"}]"#,
    );
    refused(
        r#"add Patient | name=birthDate | value="valueDate":"1930""#,
        "is there already",
    );
    refused(
        r#"add Patient | name=what | value="valueDate":"1930""#,
        "no element of this name",
    );
    refused(
        r#"add Patient.photo | name=title | value="valueString":"x""#,
        "nothing at its path",
    );
}

#[test]
fn lists_are_changed_by_index() {
    let given = r#""given":["A","B"],"_given":[null,{"id":"b"}]"#;
    patient(
        r#"insert Patient.name[0].given | index=1 | value="valueString":"D""#,
        given,
        r#""given":["A","D","B"],"_given":[null,null,{"id":"b"}]"#,
    );
    patient(
        r#"insert Patient.name[0].given | index=2 | value="valueString":"D""#,
        given,
        r#""given":["A","B","D"],"_given":[null,{"id":"b"},null]"#,
    );
    patient(
        "move Patient.name[0].given | source=1 | destination=0",
        given,
        r#""given":["B","A"],"_given":[{"id":"b"},null]"#,
    );
    patient(
        r#"insert Patient.address | index=0 | value="valueAddress":{"text":"x"}"#,
        r#""multipleBirthInteger":1.0"#,
        r#""multipleBirthInteger":1.0,"address":[{"text":"x"}]"#,
    );
    refused(
        r#"insert Patient.name | index=3 | value="valueHumanName":{}"#,
        "behind the end",
    );
    refused(
        "move Patient.name | source=2 | destination=0",
        "behind the end",
    );
    refused(
        "move Patient.name | source=0 | destination=2",
        "behind the end",
    );
    refused(
        r#"insert Patient.birthDate | index=1 | value="valueDate":"1930""#,
        "does not repeat",
    );
}

#[test]
fn what_is_deleted_leaves_nothing_empty() {
    patient(
        "delete Patient.birthDate",
        r#""birthDate":"1920-01-01","_birthDate":{"id":"x"},"#,
        "",
    );
    patient(
        "delete Patient.name[0].given[1]",
        r#""given":["A","B"],"_given":[null,{"id":"b"}]"#,
        r#""given":["A"]"#,
    );
    patient("delete Patient.name[1].family", r#",{"family":"C"}"#, "");
    path(
        &["delete Patient.name[0].family"],
        r#"{"resourceType":"Patient","name":[{"family":"A"}]}"#,
        Ok(r#"{"resourceType":"Patient"}"#),
    );
    // What is not there is deleted already.
    path(&["delete Patient.photo"], PATIENT, Ok(PATIENT));
    refused("delete Patient.name", "several elements");
    refused("delete Patient", "leads to the resource");
    refused("delete Patient.name.count()", "must lead to elements");
    refused("delete Patient.what", "cannot be followed");
    refused("delete Observation.status", "cannot be followed");
    refused("delete Patient.name[", "cannot be followed");
}

#[test]
fn operations_see_what_those_before_did() {
    path(
        &[
            r#"add Patient | name=contact | value="part":[{"name":"gender","valueCode":"male"}]"#,
            r#"add Patient.contact[0] | name=name | value="valueHumanName":{"text":"x"}"#,
            r#"replace Patient.contact[0].gender | value="valueCode":"female""#,
        ],
        r#"{"resourceType":"Patient"}"#,
        Ok(r#"{"resourceType":"Patient","contact":[{"gender":"female","name":{"text":"x"}}]}"#),
    );
}

#[test]
fn what_is_no_fhirpath_patch_is_refused() {
    let parameters = |parameter: &str| {
        let text = format!(r#"{{"resourceType":"Parameters","parameter":[{parameter}]}}"#);
        Patch::parameters(parse(&text))
    };
    check(
        Patch::parameters(parse("{}")),
        "{}",
        Err("a Parameters resource"),
    );
    check(
        parameters(r#"{"name":"x"}"#),
        "{}",
        Err("named `operation`"),
    );
    check(
        parameters(r#"{"name":"operation"}"#),
        "{}",
        Err("a part `type`"),
    );
    check(
        parameters(&operation("spoil Patient")),
        "{}",
        Err("allowed: add"),
    );
    check(
        parameters(&operation("add Patient | value=\"valueDate\":\"1930\"")),
        "{}",
        Err("`name`"),
    );
    check(
        parameters(&operation("insert Patient | index=-1")),
        "{}",
        Err("whole number"),
    );
    check(
        parameters(&operation("add Patient | name=birthDate | value=\"x\":1")),
        PATIENT,
        Err("with a value"),
    );
}

#[track_caller]
fn xml(operations: &str, before: &str, expect: Result<&str, &str>) {
    let patch = format!(r#"<diff xmlns="http://hl7.org/fhir">{operations}</diff>"#);
    check(Patch::xml(&patch), before, expect);
}

const OBSERVATION: &str = r#"{ "resourceType": "Observation", "status": "final", "code": {"text": "a<b"}, "valueQuantity": {"value": 1.50} }"#;

#[test]
fn an_xml_patch_changes_the_xml_form() {
    let read = |rest: &str| {
        format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"a<b"}},"valueQuantity":{rest}}}"#
        )
    };
    xml(
        r#"<add sel="f:Observation/f:valueQuantity"><unit value="k&quot;g"/></add>"#,
        OBSERVATION,
        Ok(&read(r#"{"value":1.50,"unit":"k\"g"}"#)),
    );
    xml(
        r#"<replace sel="Observation/valueQuantity[value/@value='1.50']/value/@value">0.10</replace>"#,
        OBSERVATION,
        Ok(&read(r#"{"value":0.10}"#)),
    );
    xml(
        r#"<p:add xmlns:p="urn:p" xmlns:q="http://hl7.org/fhir" sel="/*/q:valueQuantity/q:value" pos="before"><q:extension url="urn:e"><q:valueCode value="c"/></q:extension></p:add>"#,
        OBSERVATION,
        Ok(&read(
            r#"{"extension":[{"url":"urn:e","valueCode":"c"}],"value":1.50}"#,
        )),
    );
    // What changes nothing leaves every byte.
    xml(
        r#"<replace sel="f:Observation/f:status/@value">final</replace>"#,
        OBSERVATION,
        Ok(OBSERVATION),
    );
    // The result has to be in the order of the definitions, and known.
    xml(
        r#"<add sel="f:Observation"><status value="final"/></add>"#,
        OBSERVATION,
        Err("the result is no resource"),
    );
    xml(
        r#"<add sel="f:Observation"><what/></add>"#,
        OBSERVATION,
        Err("the result is no resource"),
    );
    xml(
        r#"<remove sel="f:Observation"/>"#,
        OBSERVATION,
        Err("the whole cannot be removed"),
    );
}

#[test]
fn what_is_no_xml_patch_is_refused() {
    for (operations, expect) in [
        ("", "add, replace or remove"),
        ("<remove/>", "`sel`"),
        (r#"<spoil sel="f:a"/>"#, "allowed: add, replace, remove"),
        (r#"<remove sel="//f:a"/>"#, "cannot be read"),
        (r#"<remove sel="g:a"/>"#, "cannot be read"),
        (r#"<remove sel="id('x')"/>"#, "cannot be read"),
        (r#"<remove sel="f:a[0]"/>"#, "cannot be read"),
        (r#"<remove sel="f:a" ws="all"/>"#, "`ws`"),
        (r#"<add sel="f:a" pos="inside"/>"#, "`pos`"),
        (r#"<add sel="f:a" type="@a b"/>"#, "`type`"),
        (
            r#"<remove sel="f:Observation/f:subject"/>"#,
            "operation 0 of the patch: its `sel` finds nothing",
        ),
        (r#"<remove sel="f:Observation/*"/>"#, "finds several"),
        (
            r#"<replace sel="f:Observation/f:code">x</replace>"#,
            "one element",
        ),
    ] {
        xml(operations, OBSERVATION, Err(expect));
    }
    check(
        Patch::xml("<diff>"),
        OBSERVATION,
        Err("the patch is no XML"),
    );
    check(
        Patch::xml("<!DOCTYPE diff><diff/>"),
        OBSERVATION,
        Err("the patch is no XML"),
    );
}
