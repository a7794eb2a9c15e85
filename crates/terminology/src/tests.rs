//! Value sets of our own and of the release, expanded.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use salus_fhir::definitions;
use salus_fhir::json::{Document, Limits};

use crate::{CodeSystem, Content, Direction, Error, Library, Members, ValueSet};

const SYSTEM: &str = r#"{"resourceType":"CodeSystem","url":"urn:s","version":"1","content":"complete",
    "property":[{"code":"broader","uri":"http://hl7.org/fhir/concept-properties#parent","type":"code"}],
    "concept":[
        {"code":"animal","display":"Animal","concept":[
            {"code":"dog","display":"Dog","property":[{"code":"legs","valueInteger":4}],
                "concept":[{"code":"pug"}]},
            {"code":"bird","property":[{"code":"legs","valueInteger":2},{"code":"wings","valueBoolean":true}]},
            {"code":"dodo","property":[{"code":"broader","valueCode":"bird"},{"code":"status","valueCode":"retired"}]}]},
        {"code":"plant","concept":[{"code":"oak"}]},
        {"code":"sponge","property":[{"code":"parent","valueCode":"animal"},{"code":"parent","valueCode":"plant"}]}]}"#;

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

fn system(text: &str) -> Result<CodeSystem, Error> {
    CodeSystem::read(document(text).root())
}

fn set(text: &str) -> Result<ValueSet, Error> {
    ValueSet::read(document(text).root())
}

fn library() -> Library {
    let mut library = Library::default();
    library.add_system("urn:s", Arc::new(system(SYSTEM).unwrap()));
    library
}

fn composed(compose: &str) -> Result<Members, Error> {
    let text = format!(r#"{{"resourceType":"ValueSet","url":"urn:v","compose":{{{compose}}}}}"#);
    library().expand(&set(&text)?)
}

fn names(members: &Members) -> String {
    let codes = members.codes().map(|(_, code)| code);
    let systems = members.systems();
    codes.chain(systems).collect::<Vec<_>>().join(" ")
}

/// What `compose` has, codes in their order, then whole systems.
#[track_caller]
fn check(compose: &str, expected: &str) {
    assert_eq!(names(&composed(compose).unwrap()), expected, "{compose}");
}

#[track_caller]
fn filtered(property: &str, op: &str, value: &str, expected: &str) {
    let filter = format!(r#"{{"property":"{property}","op":"{op}","value":"{value}"}}"#);
    let compose = format!(r#""include":[{{"system":"urn:s","filter":[{filter}]}}]"#);
    check(&compose, expected);
}

#[test]
fn parts_are_joined_and_taken_away() {
    let all = r#"{"system":"urn:s"}"#;
    let pets = r#"{"system":"urn:s","concept":[{"code":"dog"},{"code":"cat"}]}"#;
    check(
        &format!(r#""include":[{all}]"#),
        "animal bird dodo dog oak plant pug sponge",
    );
    check(&format!(r#""include":[{pets}]"#), "cat dog");
    check(
        &format!(r#""include":[{all},{pets}],"exclude":[{pets}]"#),
        "animal bird dodo oak plant pug sponge",
    );
    check(
        &format!(r#""inactive":false,"include":[{all}]"#),
        "animal bird dog oak plant pug sponge",
    );
    check(r#""include":[{"system":"urn:other"}]"#, "urn:other");
    let but_one = r#""include":[{"system":"urn:other"}],
        "exclude":[{"system":"urn:other","concept":[{"code":"a"}]}]"#;
    assert_eq!(composed(but_one), Err(Error::UnknownSystemOfPart));
    check(
        r#""include":[{"system":"urn:other"},{"system":"urn:s"}],"exclude":[{"system":"urn:s"}]"#,
        "urn:other",
    );
}

#[test]
fn filters_go_by_hierarchy_and_properties() {
    filtered(
        "concept",
        "is-a",
        "animal",
        "animal bird dodo dog pug sponge",
    );
    filtered(
        "concept",
        "descendent-of",
        "animal",
        "bird dodo dog pug sponge",
    );
    filtered("code", "is-not-a", "animal", "oak plant");
    filtered("concept", "generalizes", "pug", "animal dog pug");
    filtered("concept", "generalizes", "sponge", "animal plant sponge");
    filtered("concept", "is-a", "bird", "bird dodo");
    filtered("concept", "is-a", "unicorn", "");
    filtered(
        "concept",
        "is-not-a",
        "unicorn",
        "animal bird dodo dog oak plant pug sponge",
    );
    filtered("concept", "in", "dog, oak,unicorn", "dog oak");
    filtered("legs", "in", "2,3,4", "bird dog");
    filtered("legs", "=", "4", "dog");
    filtered(
        "legs",
        "not-in",
        "4",
        "animal bird dodo oak plant pug sponge",
    );
    filtered("wings", "exists", "true", "bird");
    filtered(
        "legs",
        "exists",
        "false",
        "animal dodo oak plant pug sponge",
    );
    filtered("display", "=", "Dog", "dog");
    filtered("parent", "=", "plant", "oak sponge");
    filtered("child", "=", "pug", "dog");
    filtered("code", "regex", "[do]+.*", "dodo dog oak");
    filtered("code", "regex", "do|og", "");
    filtered("inactive", "=", "true", "dodo");
}

#[test]
fn what_cannot_be_decided_is_an_error() {
    let filter = |op: &str, value: &str| {
        let filter = format!(r#"{{"property":"code","op":"{op}","value":"{value}"}}"#);
        composed(&format!(
            r#""include":[{{"system":"urn:s","filter":[{filter}]}}]"#
        ))
    };
    for (op, value) in [
        ("regex", "("),
        ("regex", "(a{1000}){1000}"),
        ("exists", "maybe"),
        ("like", "x"),
    ] {
        assert!(
            matches!(filter(op, value), Err(Error::Unsupported(_))),
            "{op} {value}"
        );
    }
    let unknown = r#""include":[{"system":"urn:t","filter":[{"property":"concept","op":"is-a","value":"x"}]}]"#;
    assert_eq!(composed(unknown), Err(Error::UnknownSystemOfPart));
    let part = r#""include":[{"valueSet":["urn:nowhere"]}]"#;
    assert_eq!(composed(part), Err(Error::UnknownPart));
    assert!(set(r#"{"resourceType":"Patient"}"#).is_err());
    assert!(system(r#"{"resourceType":"CodeSystem"}"#).is_err());
    let empty = set(r#"{"resourceType":"ValueSet"}"#).unwrap();
    assert!(matches!(
        library().expand(&empty),
        Err(Error::Unsupported(_))
    ));
}

#[test]
fn value_sets_build_on_each_other_but_not_on_themselves() {
    let mut library = library();
    let mut add = |url: &str, include: &str| {
        let text = format!(
            r#"{{"resourceType":"ValueSet","url":"{url}","compose":{{"include":[{include}]}}}}"#
        );
        let set = Arc::new(set(&text).unwrap());
        library.add_set(url, Arc::clone(&set)).unwrap();
        set
    };
    let is_a = |code: &str| {
        format!(
            r#"{{"system":"urn:s","filter":[{{"property":"concept","op":"is-a","value":"{code}"}}]}}"#
        )
    };
    add("urn:animals", &is_a("animal"));
    add("urn:plants", &is_a("plant"));
    let both = add("urn:both", r#"{"valueSet":["urn:animals","urn:plants"]}"#);
    let either = add(
        "urn:either",
        r#"{"valueSet":["urn:plants"]},{"valueSet":["urn:both"]}"#,
    );
    let of_system = add(
        "urn:of-system",
        r#"{"system":"urn:s","concept":[{"code":"oak"},{"code":"pug"}],"valueSet":["urn:plants"]}"#,
    );
    let one = add("urn:one", r#"{"valueSet":["urn:two"]}"#);
    add("urn:two", r#"{"valueSet":["urn:one"]}"#);
    let mut deep = add("urn:0", r#"{"system":"urn:s"}"#);
    for at in 0..20 {
        deep = add(
            &format!("urn:{}", at + 1),
            &format!(r#"{{"valueSet":["urn:{at}"]}}"#),
        );
    }
    let expand = |set: &ValueSet| library.expand(set).map(|members| names(&members));
    assert_eq!(expand(&both), Ok("sponge".to_owned()));
    assert_eq!(expand(&either), Ok("oak plant sponge".to_owned()));
    assert_eq!(expand(&of_system), Ok("oak".to_owned()));
    assert_eq!(expand(&one), Err(Error::Circular));
    assert_eq!(expand(&deep), Err(Error::TooManySets));
    assert_eq!(
        both.builds_on().collect::<Vec<_>>(),
        ["urn:animals", "urn:plants"]
    );
}

#[test]
fn an_expansion_counts_where_nothing_else_is_known() {
    let contains = r#""contains":[{"system":"urn:t","code":"a","contains":[{"system":"urn:t","code":"b"}]},
        {"system":"urn:t","code":"group","abstract":true}]"#;
    let expand = |text: &str| library().expand(&set(text).unwrap()).map(|it| names(&it));
    let given = format!(r#"{{"resourceType":"ValueSet","expansion":{{{contains}}}}}"#);
    assert_eq!(expand(&given), Ok("a b".to_owned()));
    let unknown = r#""compose":{"include":[{"system":"urn:t","filter":[{"property":"concept","op":"is-a","value":"x"}]}]}"#;
    let with = format!(r#"{{"resourceType":"ValueSet",{unknown},"expansion":{{{contains}}}}}"#);
    assert_eq!(expand(&with), Ok("a b".to_owned()));
    let page =
        format!(r#"{{"resourceType":"ValueSet",{unknown},"expansion":{{"total":9,{contains}}}}}"#);
    assert_eq!(expand(&page), Err(Error::UnknownSystemOfPart));
}

#[test]
fn codes_subsume_each_other_along_the_hierarchy() {
    let system = system(SYSTEM).unwrap();
    assert_eq!(system.subsumes("animal", "pug"), Ok(true));
    assert_eq!(system.subsumes("pug", "animal"), Ok(false));
    assert_eq!(system.subsumes("dog", "dog"), Ok(true));
    assert_eq!(system.subsumes("dog", "cat"), Err(Error::UnknownCode));
    let related = |code, direction| {
        let all = system.related(code, direction).unwrap();
        all.collect::<BTreeSet<_>>()
    };
    assert_eq!(
        related("dog", Direction::Below),
        BTreeSet::from(["dog", "pug"])
    );
    assert_eq!(
        related("sponge", Direction::Above),
        BTreeSet::from(["animal", "plant", "sponge"])
    );
    let parts = SYSTEM.replace(
        "\"content\"",
        "\"hierarchyMeaning\":\"part-of\",\"content\"",
    );
    let parts = self::system(&parts).unwrap();
    assert_eq!(parts.subsumes("animal", "pug"), Ok(false));
}

#[test]
fn a_hierarchy_that_is_a_circle_ends() {
    let text = r#"{"resourceType":"CodeSystem","url":"urn:c","content":"complete","concept":[
        {"code":"a","property":[{"code":"parent","valueCode":"b"}]},
        {"code":"b","property":[{"code":"parent","valueCode":"a"},{"code":"child","valueCode":"b"}]}]}"#;
    let circle = system(text).unwrap();
    assert_eq!(circle.subsumes("a", "b"), Ok(true));
    assert_eq!(circle.related("a", Direction::Below).unwrap().count(), 2);
}

#[test]
fn too_many_codes_are_refused() {
    let list = |from: usize| {
        let codes = (from..from + 60_000).map(|at| format!(r#"{{"code":"{at}"}}"#));
        codes.collect::<Vec<_>>().join(",")
    };
    let include = |from| format!(r#"{{"system":"urn:x","concept":[{}]}}"#, list(from));
    let (one, other) = (include(0), include(60_000));
    assert_eq!(
        composed(&format!(r#""include":[{one}]"#))
            .unwrap()
            .codes()
            .len(),
        60_000
    );
    let both = composed(&format!(r#""include":[{one},{other}]"#));
    assert!(both.is_err_and(Error::is_costly));
}

/// A library with a value set of the definitions and all that it builds on.
fn of_release(url: &str) -> (ValueSet, Library) {
    let mut library = Library::default();
    let set = ValueSet::defined(url).unwrap();
    let mut sets: Vec<String> = set.builds_on().map(str::to_owned).collect();
    let mut systems: Vec<String> = set.needs().collect();
    while let Some(canonical) = sets.pop() {
        let Some(set) = ValueSet::defined(&canonical).filter(|_| !library.has_set(&canonical))
        else {
            continue;
        };
        sets.extend(set.builds_on().map(str::to_owned));
        systems.extend(set.needs());
        library.add_set(&canonical, Arc::new(set)).unwrap();
    }
    for canonical in systems {
        if let Some(system) = CodeSystem::defined(&canonical) {
            library.add_system(&canonical, Arc::new(system));
        }
    }
    (set, library)
}

#[test]
fn value_sets_of_the_release_have_the_codes_that_validation_knows() {
    let (mut equal, mut others) = (0, 0);
    let table = include_str!("../../fhir/definitions/r4/values.tsv");
    for line in table.lines().filter(|line| !line.starts_with(['#', '\t'])) {
        let url = line.split('\t').next().unwrap();
        let known = definitions::r4().value_set(url).unwrap().codes();
        let (set, library) = of_release(url);
        let found = library.expand(&set);
        let (Some(known), Ok(found)) = (known, found) else {
            others += 1;
            continue;
        };
        if set.builds_on().next().is_none() && found.systems().len() == 0 {
            let known: BTreeSet<_> = known.iter().copied().collect();
            let found: BTreeSet<_> = found.codes().collect();
            assert_eq!(known, found, "{url}");
            equal += 1;
        }
    }
    assert!(equal > 1_000, "{equal} equal, {others} others");
}

#[test]
fn the_release_has_versions() {
    let gender = "http://hl7.org/fhir/administrative-gender";
    let system = CodeSystem::defined(gender).unwrap();
    assert_eq!((system.url(), system.version()), (gender, Some("4.0.1")));
    assert_eq!((system.content(), system.len()), (Content::Complete, 4));
    assert!(CodeSystem::defined(&format!("{gender}|4.0.1")).is_some());
    assert!(CodeSystem::defined(&format!("{gender}|3.0.0")).is_none());
    assert!(ValueSet::defined("http://hl7.org/fhir/ValueSet/nothing").is_none());
}

/// The resources of a published package, if it is here.
fn package(name: &str) -> Vec<Document> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("SALUS_SHARED").map_or(root, PathBuf::from);
    let Ok(file) = std::fs::File::open(shared.join("data/fhir-packages").join(name)) else {
        eprintln!("skipped: no {name} (SALUS_SHARED names the folder)");
        return Vec::new();
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if name.contains("/CodeSystem-") || name.contains("/ValueSet-") {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut text).unwrap();
            all.push(Document::parse(text, &Limits::default()).unwrap());
        }
    }
    all
}

#[test]
fn published_terminology_is_read_and_expanded() {
    let documents = package("hl7.terminology.r4-7.0.1.tgz");
    if documents.is_empty() {
        return;
    }
    let (mut library, mut sets) = (Library::default(), Vec::new());
    for document in &documents {
        let root = document.root();
        if let Ok(system) = CodeSystem::read(root) {
            let url = system.url().to_owned();
            library.add_system(&url, Arc::new(system));
        } else if let Ok(set) = ValueSet::read(root) {
            sets.push(Arc::new(set));
        }
    }
    assert!(sets.len() > 1_500, "{}", sets.len());
    let mut expanded = 0;
    for set in &sets {
        match library.expand(set) {
            Ok(_) => expanded += 1,
            Err(error) => assert!(
                error.is_absence() || matches!(error, Error::Unsupported(_)),
                "{error}"
            ),
        }
    }
    assert!(
        expanded * 10 > sets.len() * 8,
        "{expanded} of {}",
        sets.len()
    );
    let kinds = sets
        .iter()
        .find(|set| set.url() == Some("http://terminology.hl7.org/ValueSet/v3-FamilyMember"));
    let members = library.expand(kinds.unwrap()).unwrap();
    let role = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";
    assert!(members.contains(role, "FAMMEMB") && members.contains(role, "MTH"));
    assert!(!members.contains(role, "DOC"));
}
