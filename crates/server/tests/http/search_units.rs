//! Quantities in units of UCUM: <https://hl7.org/fhir/R4/search.html#quantity>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

const UCUM: &str = "http://unitsofmeasure.org";

fn observation(id: &str, code: &str, quantity: Value) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "code": {"coding": [{"system": "urn:c", "code": code}]},
        "valueQuantity": quantity,
    })
}

fn laboratory(slug: &str) -> Project {
    let project = project(slug);
    let ucum = |value: f64, code: &str, unit: &str| json!({"value": value, "system": UCUM, "code": code, "unit": unit});
    for resource in [
        observation("kilogram", "weight", ucum(1.0, "kg", "kg")),
        observation("grams", "weight", ucum(1000.0, "g", "grams")),
        observation("pound", "weight", ucum(2.0, "[lb_av]", "lbs")),
        observation(
            "other",
            "weight",
            json!({"value": 1, "system": "urn:u", "code": "kg"}),
        ),
        observation("words", "weight", json!({"value": 1, "unit": "kg"})),
        observation("fever", "heat", ucum(102.2, "[degF]", "F")),
        observation("warm", "heat", ucum(37.0, "Cel", "C")),
        observation("pulse", "beat", ucum(60.0, "{beats}/min", "bpm")),
        observation("second", "beat", ucum(1.0, "/s", "Hz")),
        observation("units", "dose", ucum(5.0, "[iU]", "IU")),
        observation("acid", "acid", ucum(7.4, "[pH]", "pH")),
        observation("typo", "typo", ucum(5.0, "mgg", "mg")),
        json!({
            "resourceType": "Observation", "id": "pressure", "status": "final", "code": {"text": "x"},
            "component": [
                {"code": {"coding": [{"code": "sys"}]}, "valueQuantity": ucum(120.0, "mm[Hg]", "mmHg")},
                {"code": {"coding": [{"code": "dia"}]}, "valueQuantity": ucum(80.0, "mm[Hg]", "mmHg")},
            ],
        }),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

/// `Observation?value-quantity=` and a value, whose bars may stand as they are.
#[track_caller]
fn finds(project: &Project, value: &str, expect: &[&str]) {
    let value = value.replace("UCUM", UCUM).replace('|', "%7C");
    check(
        project,
        &format!("Observation?value-quantity={value}"),
        expect,
    );
}

#[test]
fn a_unit_of_ucum_finds_its_amount_in_every_unit() {
    let project = laboratory("search-units");
    let finds = |value: &str, expect: &[&str]| finds(&project, value, expect);
    finds("1|UCUM|kg", &["grams", "kilogram", "pound"]);
    finds("1.0|UCUM|kg", &["grams", "kilogram"]);
    finds("1000|UCUM|g", &["grams", "kilogram"]);
    finds("907|UCUM|g", &["pound"]);
    finds("gt0.95|UCUM|kg", &["grams", "kilogram"]);
    finds("lt1|UCUM|kg", &["pound"]);
    finds("le1|UCUM|kg", &["grams", "kilogram", "pound"]);
    finds("ge1000000|UCUM|mg", &["grams", "kilogram"]);
    finds("ne1.0|UCUM|kg", &["pound"]);
    finds("ap1|UCUM|kg", &["grams", "kilogram", "pound"]);
    finds("2.2|UCUM|[lb_av]", &["grams", "kilogram"]);
    finds("39.0|UCUM|Cel", &["fever"]);
    finds("gt310|UCUM|K", &["fever", "warm"]);
    finds("98.6|UCUM|[degF]", &["warm"]);
    finds("60|UCUM|/min", &["pulse", "second"]);
    finds("1|UCUM|Hz", &["pulse", "second"]);
    finds("5|UCUM|[iU]", &["units"]);
    finds("5000|UCUM|m[IU]", &["units"]);
    finds("5|UCUM|1", &[]);
    finds("gt7|UCUM|[pH]", &["acid"]);
    finds("lt7|UCUM|[pH]", &[]);
    finds("1|UCUM|m", &[]);
    finds("5|UCUM|mgg", &["typo"]);
    finds("5|UCUM|mg", &[]);
}

#[test]
fn a_unit_without_a_system_is_that_unit() {
    let project = laboratory("search-units-own");
    let finds = |value: &str, expect: &[&str]| finds(&project, value, expect);
    finds("1||kg", &["kilogram", "other", "words"]);
    finds("gt0||kg", &["kilogram", "other", "words"]);
    finds("1000||g", &["grams"]);
    finds("1000||grams", &["grams"]);
    finds("2||lbs", &["pound"]);
    finds("2||[lb_av]", &["pound"]);
    finds("5||mg", &["typo"]);
    finds("5||mgg", &["typo"]);
    finds("1|urn:u|kg", &["other"]);
    finds("1|UCUM|Kg", &[]);
}

#[test]
fn a_number_alone_is_the_number_as_written() {
    let project = laboratory("search-units-bare");
    let finds = |value: &str, expect: &[&str]| finds(&project, value, expect);
    finds("1", &["kilogram", "other", "second", "words"]);
    finds("1000", &["grams"]);
    finds("907.2", &[]);
    finds("310.15", &[]);
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check("Observation?value-quantity:missing=true", &["pressure"]);
    check("Observation?code=weight&value-quantity:missing=true", &[]);
    let sorted = project
        .get("Observation?code=weight&_sort=-value-quantity")
        .expect(200);
    assert_eq!(
        sorted.found()[..2],
        ["Observation/grams", "Observation/pound"]
    );
    let (text, place) = refused(
        &project,
        &format!("Observation?value-quantity=5%7C{UCUM}%7C"),
    );
    assert!(text.contains("number||code"), "{text}");
    assert_eq!(place, "http.value-quantity");
}

#[test]
fn an_update_changes_what_is_found() {
    let project = laboratory("search-units-update");
    let lighter = json!({"value": 500, "system": UCUM, "code": "g"});
    project
        .put(&observation("kilogram", "weight", lighter))
        .expect(200);
    finds(&project, "1.0|UCUM|kg", &["grams"]);
    finds(&project, "0.50|UCUM|kg", &["kilogram"]);
    finds(&project, "500", &["kilogram"]);
    finds(&project, "1||kg", &["other", "words"]);
}

#[test]
fn parts_of_composites_are_compared_in_base_units_too() {
    let project = laboratory("search-units-composite");
    let check = |search: &str, expect: &[&str]| {
        let search = search
            .replace("UCUM", UCUM)
            .replace('|', "%7C")
            .replace('$', "%24");
        check(&project, &search, expect);
    };
    let of = "Observation?component-code-value-quantity=";
    check(&format!("{of}sys$gt15.9|UCUM|kPa"), &["pressure"]);
    check(&format!("{of}dia$gt15.9|UCUM|kPa"), &[]);
    check(&format!("{of}dia$80||mm[Hg]"), &["pressure"]);
    check(&format!("{of}dia$80||mmHg"), &["pressure"]);
    check(&format!("{of}dia$80"), &["pressure"]);
    check(&format!("{of}sys$80"), &[]);
    check(
        "Observation?code-value-quantity=urn:c|weight$1.0|UCUM|kg",
        &["grams", "kilogram"],
    );
    check(
        "Observation?code-value-quantity=urn:c|weight$1.0||kg",
        &["kilogram", "other", "words"],
    );
}
