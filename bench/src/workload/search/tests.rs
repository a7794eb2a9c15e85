//! The checks of pages, on honest ones and on ones with a single fault.

use super::*;

fn population() -> Population {
    let mut population = Population::new(1_000, 3, 0);
    population.organizations = vec!["Organization/o".to_owned()];
    population.practitioners = vec!["Practitioner/p".to_owned()];
    for at in 0..population.facts.len() {
        population.remember(at, format!("i{at}").into(), None);
    }
    population
}

/// A page as an honest server would give it, changed by `lie`: matches, what is beside them, and the total.
#[track_caller]
fn check_page(name: &str, honest: bool, lie: fn(&mut Vec<usize>, &mut Vec<usize>, &mut usize)) {
    let population = population();
    let searches = prepare(&population, 5, true);
    let of_shape = searches.iter().filter(|search| search.shape.name == name);
    let search = of_shape.max_by_key(|search| search.matches).unwrap();
    let (mut found, mut beside) = answer_of(&population, search);
    let mut total = search.matches;
    lie(&mut found, &mut beside, &mut total);
    let entry = |at: &usize| {
        format!(
            r#"{{"resource":{{"resourceType":"{}","id":"i{at}"}}}}"#,
            kind_of(*at).name()
        )
    };
    let entries: Vec<String> = found.iter().chain(&beside).map(entry).collect();
    let body = format!(
        r#"{{"resourceType":"Bundle","total":{total},"entry":[{}]}}"#,
        entries.join(",")
    );
    let outcome = check(&Answer::of(200, body), &population, search);
    assert_eq!(outcome.is_ok(), honest, "{name}: {outcome:?}");
}

fn answer_of(population: &Population, search: &Search) -> (Vec<usize>, Vec<usize>) {
    let all = 0..population.facts.len();
    let mut found: Vec<usize> = all
        .filter(|at| matches(search.shape, population, search.witness, *at))
        .collect();
    match search.shape.order {
        Order::Any => {}
        Order::Oldest => found.sort_by_key(|at| population.facts[*at].date),
        Order::Newest => found.sort_by_key(|at| -population.facts[*at].date),
        Order::ByFamily => found.sort_by_key(|at| population.facts[*at].family().to_lowercase()),
    }
    found.truncate(search.shape.count);
    let beside = expected_beside(&found, search);
    (found, beside.into_iter().collect())
}

#[test]
fn honest_pages_of_every_shape_pass() {
    for shape in SHAPES.iter().filter(|shape| shape.extra != Extra::Pages) {
        check_page(shape.name, true, |_, _, _| {});
    }
}

#[test]
fn wrong_pages_are_caught() {
    check_page("patient, newest", false, |found, _, _| found.swap(0, 19));
    check_page("patient, newest", false, |found, _, _| found.truncate(19));
    check_page("patient, newest", false, |found, _, _| found[3] = found[2]);
    check_page("patient+code+date page", false, |found, _, _| found[0] = 0);
    check_page("identifier", false, |found, _, _| {
        found[0] = (found[0] + 100) % 1_000
    });
    check_page("_total accurate", false, |_, _, total| *total += 1);
    check_page("_include encounter", false, |_, beside, _| beside.clear());
    check_page("_revinclude conditions", false, |_, beside, _| {
        beside[0] += 20
    });
    check_page("organization, by family", false, |found, _, _| {
        found.reverse()
    });
}

#[test]
fn every_search_finds_its_witness_and_has_no_open_placeholder() {
    let population = population();
    for search in prepare(&population, 5, true) {
        let itself = matches(search.shape, &population, search.witness, search.witness);
        assert!(itself && search.matches > 0, "{}", search.path);
        assert!(
            !search.path.contains(['{', '}', ' ', '|']),
            "{}",
            search.path
        );
        assert!(
            !search.path.contains("=&") && !search.path.ends_with('='),
            "{}",
            search.path
        );
    }
}

#[test]
fn pages_must_hold_every_match_once() {
    let population = population();
    let searches = prepare(&population, 5, true);
    let search = searches
        .iter()
        .find(|search| search.shape.extra == Extra::Pages)
        .unwrap();
    let all: Vec<usize> = (0..population.facts.len())
        .filter(|at| matches(search.shape, &population, search.witness, *at))
        .collect();
    let ask = |ats: &[usize], link: &str, seen: &mut BTreeSet<usize>| {
        let entry =
            |at: &usize| format!(r#"{{"resource":{{"resourceType":"Observation","id":"i{at}"}}}}"#);
        let entries: Vec<String> = ats.iter().map(entry).collect();
        let body = format!(r#"{{"link":[{link}],"entry":[{}]}}"#, entries.join(","));
        page(&Answer::of(200, body), &population, search, seen)
    };
    let next = r#"{"relation":"next","url":"http://h/fhir/Observation?c=1"}"#;
    let mut seen = BTreeSet::new();
    assert!(ask(&all[..25], next, &mut seen).unwrap().is_some());
    assert!(ask(&all[20..25], "", &mut seen.clone()).is_err());
    assert!(ask(&all[25..50], "", &mut seen.clone()).is_err());
    assert_eq!(ask(&all[25..], "", &mut seen), Ok(None));
}
