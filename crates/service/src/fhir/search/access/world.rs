//! Worlds made at random: few ids, codes, words and days, so that they meet
//! often, and references in all directions, some of them to nothing.

use serde_json::{Map, Value, json};

use crate::choice::Choice;
use crate::fhir::search::named::EXTENSION as NAMED_QUERY;

/// The types of resources, each with so many ids.
pub(super) const TYPES: [&str; 13] = [
    "Organization",
    "Patient",
    "Encounter",
    "Observation",
    "List",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "ValueSet",
    "CodeSystem",
    "Location",
    "OperationDefinition",
    "Binary",
];
const IDS: u64 = 5;
/// References go to these ids; the last are of nothing.
const TARGETS: u64 = 6;

pub(super) const WORDS: [&str; 6] = [
    "amber",
    "amber fish",
    "fish amber",
    "Birch",
    "bírch fishes",
    "cedar",
];
pub(super) const DAYS: [&str; 6] = [
    "2013",
    "2013-02",
    "2013-02-10",
    "2013-02-11T08:00:00Z",
    "2013-03-01",
    "2014-01-01",
];

/// Places that are near each other and far, beside the date line and a pole.
pub(super) const PLACES: [(f64, f64); 7] = [
    (48.85, 2.35),
    (48.86, 2.36),
    (48.7, 2.1),
    (0.01, 179.99),
    (-0.01, -179.99),
    (89.99, 10.0),
    (89.98, -170.0),
];

/// A resource as it is written at some time.
#[derive(Clone)]
pub(super) struct Writing {
    pub(super) ty: &'static str,
    pub(super) id: String,
    pub(super) time_ms: i64,
    /// Nothing is the end of it.
    pub(super) resource: Option<Value>,
}

/// What is written, one after the other.
pub(super) fn at_random(choice: &mut Choice) -> Vec<Writing> {
    let mut writings = Vec::new();
    let mut time_ms = 1_360_000_000_000;
    let mut names: Vec<(&str, u64)> = TYPES
        .iter()
        .flat_map(|ty| (0..IDS).map(move |id| (*ty, id)))
        .collect();
    for at in (1..names.len()).rev() {
        names.swap(at, choice.below(at as u64 + 1) as usize);
    }
    // Some are written again, and some of these are deleted.
    for at in 0..names.len() / 5 {
        names.push(names[at]);
    }
    let once = TYPES.len() * IDS as usize;
    for (at, (ty, id)) in names.into_iter().enumerate() {
        // Some come at the same time.
        time_ms += 40_000_000 * choice.below(3).cast_signed();
        let deleted = at >= once && choice.below(3) == 0;
        writings.push(Writing {
            ty,
            id: id.to_string(),
            time_ms,
            resource: (!deleted).then(|| resource(choice, ty, id)),
        });
    }
    writings
}

/// A resource of a type, whose members are there or not by chance.
pub(super) fn resource(choice: &mut Choice, ty: &'static str, id: u64) -> Value {
    let mut made = Made {
        choice,
        members: Map::new(),
    };
    made.set("resourceType", ty);
    made.set("id", id.to_string());
    made.maybe("meta", |choice| json!({"tag": [coding(choice)]}));
    if ty != "Binary" && made.choice.below(3) == 0 {
        let words = choice_of_words(made.choice);
        let div = format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>"#);
        made.set("text", json!({"status": "generated", "div": div}));
    }
    match ty {
        "Organization" => made.organization(),
        "Patient" => made.patient(),
        "Encounter" => made.encounter(),
        "Observation" => made.observation(),
        "List" => made.list(),
        "Provenance" => made.provenance(),
        "Questionnaire" => made.questionnaire(),
        "ValueSet" => made.value_set(),
        "CodeSystem" => made.code_system(),
        "Location" => made.location(),
        "OperationDefinition" => made.named_query(id),
        "Binary" => made.binary(id),
        _ => made.response(),
    }
    made.members.into()
}

struct Made<'c> {
    choice: &'c mut Choice,
    members: Map<String, Value>,
}

impl Made<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.members.insert(key.to_owned(), value.into());
    }

    fn maybe(&mut self, key: &str, make: impl FnOnce(&mut Choice) -> Value) {
        if self.choice.below(4) > 0 {
            let value = make(self.choice);
            self.set(key, value);
        }
    }

    fn organization(&mut self) {
        let name = choice_of_words(self.choice);
        self.set("name", name);
        self.maybe("active", |choice| (choice.below(2) == 0).into());
        self.maybe("identifier", |choice| json!([identifier(choice)]));
        self.maybe("type", |choice| json!([concept(choice)]));
        self.maybe("partOf", |choice| reference(choice, &["Organization"]));
    }

    fn patient(&mut self) {
        self.maybe("identifier", |choice| json!([identifier(choice)]));
        self.maybe("active", |choice| (choice.below(2) == 0).into());
        self.maybe("name", |choice| {
            json!([{"family": choice_of_words(choice), "given": [choice_of_words(choice)]}])
        });
        self.maybe("gender", |choice| choice.of(&["male", "female"]).into());
        self.maybe("birthDate", |choice| choice.of(&DAYS[..3]).into());
        self.maybe("managingOrganization", |choice| {
            reference(choice, &["Organization"])
        });
        self.maybe("generalPractitioner", |choice| {
            json!([
                reference(choice, &["Organization"]),
                reference(choice, &["Organization"])
            ])
        });
    }

    fn encounter(&mut self) {
        self.set("status", "finished");
        self.set("class", json!({"code": "AMB"}));
        self.maybe("identifier", |choice| json!([identifier(choice)]));
        self.maybe("type", |choice| json!([concept(choice)]));
        self.maybe("subject", |choice| reference(choice, &["Patient"]));
        self.maybe("period", period);
        self.maybe("serviceProvider", |choice| {
            reference(choice, &["Organization"])
        });
        self.maybe("partOf", |choice| reference(choice, &["Encounter"]));
        if self.choice.below(3) == 0 {
            let mut location = resource(self.choice, "Location", 0);
            location["id"] = "l".into();
            self.set("contained", json!([location]));
            self.set("location", json!([{"location": {"reference": "#l"}}]));
        } else {
            self.maybe(
                "location",
                |choice| json!([{"location": reference(choice, &["Location"])}]),
            );
        }
    }

    fn location(&mut self) {
        self.set("status", "active");
        self.maybe("name", |choice| choice_of_words(choice).into());
        self.maybe("type", |choice| json!([concept(choice)]));
        self.maybe("identifier", |choice| json!([identifier(choice)]));
        self.maybe("position", |choice| {
            let (latitude, longitude) = choice.of(&PLACES);
            json!({"latitude": latitude, "longitude": longitude})
        });
        self.maybe("managingOrganization", |choice| {
            reference(choice, &["Organization"])
        });
        self.maybe("partOf", |choice| reference(choice, &["Location"]));
    }

    /// A search of all types, or of one.
    fn named_query(&mut self, id: u64) {
        let (ty, (name, value)) = match self.choice.below(3) {
            0 => ("Resource", super::questions::common(self.choice)),
            _ => {
                let ty = self.choice.of(&["Patient", "Observation", "Location"]);
                (ty, super::questions::clause(self.choice, ty, 2))
            }
        };
        let mut search = form_urlencoded::Serializer::new(String::new());
        let search = search.append_pair(&name, &value).finish();
        let search = format!(
            "{search}&_id={{ids}}&_sort={}",
            self.choice.of(&["_id", ""])
        );
        let search = search.trim_end_matches("&_sort=");
        self.set("name", "Query");
        let status = self.choice.of(&["active", "active", "draft"]);
        self.set("status", status);
        self.set("kind", "query");
        let code = self.choice.of(&[id, id, id, 0]);
        self.set("code", format!("q{code}"));
        self.set("resource", json!([ty]));
        self.set("system", false);
        self.set("type", true);
        self.set("instance", false);
        self.set(
            "extension",
            json!([{"url": NAMED_QUERY, "valueString": search}]),
        );
        self.set(
            "parameter",
            json!([{"name": "ids", "use": "in", "min": 0, "max": "*", "type": "string",
                "searchType": "token"}]),
        );
    }

    fn observation(&mut self) {
        self.set("status", "final");
        let code = concept(self.choice);
        self.set("code", code);
        self.maybe("identifier", |choice| json!([identifier(choice)]));
        if self.choice.below(4) == 0 {
            let mut patient = resource(self.choice, "Patient", 0);
            patient["id"] = "p".into();
            self.set("contained", json!([patient]));
            self.set("subject", json!({"reference": "#p"}));
        } else {
            self.maybe("subject", |choice| {
                reference(choice, &["Patient", "Patient", "Organization"])
            });
        }
        self.maybe("encounter", |choice| reference(choice, &["Encounter"]));
        match self.choice.below(3) {
            0 => self.set("effectiveDateTime", DAYS[2]),
            1 => self.maybe("effectivePeriod", period),
            _ => {}
        }
        self.maybe("valueQuantity", quantity);
        self.maybe("performer", |choice| {
            json!([reference(choice, &["Organization", "Patient"])])
        });
        self.maybe("hasMember", |choice| {
            json!([reference(choice, &["Observation"])])
        });
        let components: Vec<Value> = (0..self.choice.below(3))
            .map(|_| {
                // Without a display it is no coding of the whole, as obs-7 has it.
                let code = format!("c{}", self.choice.below(4));
                let code = json!({"coding": [{"system": "urn:s", "code": code}]});
                json!({"code": code, "valueQuantity": quantity(self.choice)})
            })
            .collect();
        if !components.is_empty() {
            self.set("component", components);
        }
    }

    fn list(&mut self) {
        self.set("status", "current");
        self.set("mode", "working");
        self.maybe("title", |choice| choice_of_words(choice).into());
        self.maybe("code", concept);
        self.maybe("subject", |choice| reference(choice, &["Patient"]));
        let entries = (0..=self.choice.below(4)).map(|_| {
            let types = ["Patient", "Observation", "Encounter", "Binary"];
            let item = reference(self.choice, &types);
            json!({"item": item})
        });
        let entries: Vec<Value> = entries.collect();
        self.set("entry", entries);
    }

    fn provenance(&mut self) {
        let targets: Vec<Value> = (0..=self.choice.below(2))
            .map(|_| reference(self.choice, &TYPES))
            .collect();
        self.set("target", targets);
        self.set("recorded", "2013-02-11T08:00:00Z");
        let who = reference(self.choice, &["Organization", "Patient"]);
        self.set("agent", json!([{"who": who}]));
    }

    fn binary(&mut self, id: u64) {
        self.set("contentType", "text/plain");
        self.set("data", "YW1iZXI=");
        if let Some((ty, id)) = context_of(&id.to_string()) {
            let context = json!({"reference": format!("{ty}/{id}")});
            self.set("securityContext", context);
        }
    }

    fn questionnaire(&mut self) {
        self.set("status", "active");
        let url = format!("urn:q:{}", self.choice.below(3));
        self.set("url", url);
        self.maybe("version", |choice| choice.of(&["1", "2"]).into());
        self.maybe("title", |choice| choice_of_words(choice).into());
        self.maybe("code", |choice| json!([coding(choice)]));
    }

    /// Codes one by one: what a set builds on is read for whoever may read the set.
    fn value_set(&mut self) {
        let status = self.choice.of(&["active", "active", "draft"]);
        self.set("status", status);
        let url = format!("urn:vs:{}", self.choice.below(3));
        self.set("url", url);
        self.maybe("version", |choice| choice.of(&["1", "2"]).into());
        let codes: Vec<Value> = (0..=self.choice.below(2))
            .map(|_| json!({"code": format!("c{}", self.choice.below(4))}))
            .collect();
        let include = json!([{"system": "urn:s", "concept": codes}]);
        self.set("compose", json!({"include": include}));
    }

    fn code_system(&mut self) {
        self.set("status", "active");
        self.set("content", "complete");
        let url = self.choice.of(&["urn:s", "urn:t"]);
        self.set("url", url);
        self.maybe("version", |choice| choice.of(&["1", "2"]).into());
        let (upper, lower) = self.choice.of(&[("c0", "c1"), ("c1", "c2"), ("c3", "c0")]);
        let concepts = json!([{"code": upper, "concept": [{"code": lower}]}]);
        self.set("concept", concepts);
    }

    fn response(&mut self) {
        self.set("status", "completed");
        self.maybe("questionnaire", |choice| {
            let url = choice.of(&["urn:q:0", "urn:q:1", "urn:q:0|1", "urn:q:1|2", "urn:q:9"]);
            url.into()
        });
        self.maybe("subject", |choice| reference(choice, &["Patient"]));
        self.maybe("encounter", |choice| reference(choice, &["Encounter"]));
        self.maybe("authored", |choice| choice.of(&DAYS[..4]).into());
    }
}

fn choice_of_words(choice: &mut Choice) -> &'static str {
    choice.of(&WORDS)
}

fn identifier(choice: &mut Choice) -> Value {
    json!({"system": "urn:i", "value": choice.below(4).to_string()})
}

fn coding(choice: &mut Choice) -> Value {
    let code = format!("c{}", choice.below(4));
    json!({"system": "urn:s", "code": code, "display": choice_of_words(choice)})
}

fn concept(choice: &mut Choice) -> Value {
    let codings: Vec<Value> = (0..=choice.below(2)).map(|_| coding(choice)).collect();
    match choice.below(3) {
        0 => json!({"coding": codings, "text": choice_of_words(choice)}),
        _ => json!({"coding": codings}),
    }
}

fn quantity(choice: &mut Choice) -> Value {
    json!({"value": choice.below(5), "unit": "mg", "system": "http://unitsofmeasure.org",
        "code": choice.of(&["mg", "g"])})
}

fn period(choice: &mut Choice) -> Value {
    match choice.below(3) {
        0 => json!({"start": "2013-02-10"}),
        1 => json!({"end": "2013-03-01"}),
        _ => json!({"start": "2013-02", "end": "2014-01-01"}),
    }
}

/// The security context of a Binary, in all its versions.
pub(super) fn context_of(binary: &str) -> Option<(&'static str, String)> {
    let id: u64 = binary.parse().unwrap();
    match id % 3 {
        0 => None,
        1 => Some(("Patient", id.to_string())),
        _ => Some(("Organization", id.to_string())),
    }
}

fn reference(choice: &mut Choice, types: &[&'static str]) -> Value {
    let ty = choice.of(types);
    let id = choice.below(TARGETS);
    match choice.below(8) {
        0 => json!({"reference": format!("{ty}/{id}"), "display": choice_of_words(choice)}),
        1 => json!({"reference": format!("{ty}/{id}"),
            "identifier": {"system": "urn:i", "value": choice.below(4).to_string()}}),
        _ => json!({"reference": format!("{ty}/{id}")}),
    }
}
