//! `near`: <https://hl7.org/fhir/R4/location.html#search>.

use serde_json::json;

use crate::host::{Project, project};
use crate::search::{check, refused};

fn map(slug: &str) -> Project {
    let project = project(slug);
    for (id, latitude, longitude) in [
        ("paris", 48.8566, 2.3522),
        ("versailles", 48.8014, 2.1301),
        ("london", 51.5074, -0.1278),
        ("fiji", -17.7134, 178.065),
        ("samoa", -13.759, -172.1046),
        ("pole", 90.0, 12.0),
        ("nowhere", 95.0, 12.0),
    ] {
        let location = json!({
            "resourceType": "Location", "id": id, "status": "active", "name": id,
            "position": {"latitude": latitude, "longitude": longitude},
        });
        project.put(&location).expect(201);
    }
    project
        .put(&json!({"resourceType": "Location", "id": "unplaced", "status": "suspended"}))
        .expect(201);
    let encounter = json!({
        "resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"},
        "location": [{"location": {"reference": "Location/versailles"}}],
    });
    project.put(&encounter).expect(201);
    project
}

#[test]
fn locations_are_found_by_their_distance() {
    let project = map("near");
    let find = |value: &str, expect: &[&str]| {
        check(&project, &format!("Location?near={value}"), expect);
    };
    find("48.8566|2.3522|1|km", &["paris"]);
    find("48.8566|2.3522|20", &["paris", "versailles"]);
    find("48.8566|2.3522", &["paris"]);
    find("48.8566|2.3522|17000|m", &["paris"]);
    find("48.8566|2.3522|12|[mi_i]", &["paris", "versailles"]);
    find("48.8566|2.3522|344|km", &["london", "paris", "versailles"]);
    find("-15|180|900|km", &["fiji", "samoa"]);
    find("-15|-180|900|km", &["fiji", "samoa"]);
    find("89|-100|120|km", &["pole"]);
    find("48.8566|2.3522|1|km,51.5|-0.1|10|km", &["london", "paris"]);
    find(
        "0|0|30000|km",
        &["fiji", "london", "paris", "pole", "samoa", "versailles"],
    );
    check(
        &project,
        "Location?near=48.8566|2.3522|20&name=vers",
        &["versailles"],
    );
    check(&project, "Location?near:missing=true", &["unplaced"]);
    check(
        &project,
        "Encounter?location.near=48.8|2.1|5|km",
        &["visit"],
    );
    // Once moved, it is found where it is.
    let moved = json!({
        "resourceType": "Location", "id": "paris", "status": "active",
        "position": {"latitude": 33.6609, "longitude": -95.5555},
    });
    project.put(&moved).expect(200);
    find("48.8566|2.3522|1|km", &[]);
    find("33.66|-95.55|1|km", &["paris"]);
}

#[test]
fn what_is_no_place_is_refused() {
    let project = map("near-refused");
    for (value, words) in [
        ("48", "latitude|longitude|distance|units"),
        ("91|0|1|km", "latitude from -90 to 90"),
        ("0|x|1|km", "longitude from -180 to 180"),
        ("0|0|far|km", "number"),
        ("0|0|1|kg", "unit of length"),
    ] {
        let (details, place) = refused(&project, &format!("Location?near={value}"));
        assert!(details.contains(words), "{value}: {details}");
        assert_eq!(place, "http.near");
    }
    let (details, _) = refused(&project, "Location?near:exact=0|0");
    assert!(details.contains("missing"), "{details}");
    refused(&project, "Location?_sort=near");
}
