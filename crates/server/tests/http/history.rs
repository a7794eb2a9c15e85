//! What of a history is asked for, and in which order:
//! <https://hl7.org/fhir/R4/http.html#history>.

use serde_json::{Value, json};

use crate::host::{Project, project};

/// Three versions of Patient/a, one of Patient/b, and a deletion of it.
fn lived(slug: &str) -> Project {
    let project = project(slug);
    for (id, family) in [("a", "One"), ("b", "Other"), ("a", "Two"), ("a", "Three")] {
        let resource = json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]});
        project.put(&resource);
    }
    project.delete("Patient/b").expect(204);
    project
}

/// Ids and versions of a page, as `a 1`.
fn versions(page: &Value) -> Vec<String> {
    let entries = page["entry"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .map(|entry| {
            let url = text(&entry["fullUrl"]);
            let etag = text(&entry["response"]["etag"]);
            let version = etag.trim_start_matches("W/").trim_matches('"').to_owned();
            format!("{} {version}", url.rsplit('/').next().unwrap())
        })
        .collect()
}

/// These are the versions, on one page, and on pages of two, which lead back too.
#[track_caller]
fn check(project: &Project, path: &str, expect: &[&str]) {
    let page = project.get(path).expect(200);
    assert_eq!(versions(&page.json()), expect, "{path}");
    let join = if path.contains('?') { '&' } else { '?' };
    let (mut seen, mut pages) = (Vec::new(), Vec::new());
    let mut next = Some(format!("{path}{join}_count=2"));
    while let Some(path) = next {
        let page = project.get(&path).expect(200);
        seen.extend(versions(&page.json()));
        next = page.link("next");
        pages.push(page);
    }
    assert_eq!(seen, expect, "{path}");
    for (page, before) in pages.iter().skip(1).zip(&pages) {
        let shown = project.get(&page.link("previous").unwrap()).expect(200);
        assert_eq!(versions(&shown.json()), versions(&before.json()), "{path}");
    }
}

#[test]
fn a_history_is_sorted_either_way() {
    let project = lived("history-sort");
    let newest = ["b 2", "a 3", "a 2", "b 1", "a 1"];
    let mut oldest = newest;
    oldest.reverse();
    for path in ["_history", "Patient/_history"] {
        check(&project, path, &newest);
        check(&project, &format!("{path}?_sort=-_lastUpdated"), &newest);
        check(&project, &format!("{path}?_sort=none"), &newest);
        check(&project, &format!("{path}?_sort=_lastUpdated"), &oldest);
    }
    let path = "Patient/a/_history?_sort=_lastUpdated";
    check(&project, path, &["a 1", "a 2", "a 3"]);
    check(
        &project,
        &format!("{path}&_since=2020"),
        &["a 1", "a 2", "a 3"],
    );
    let own = project.get(path).expect(200).link("self").unwrap();
    assert!(own.ends_with(path), "{own}");
    // The request that made each is known in this order too.
    let page = project.get("Patient/_history?_sort=_lastUpdated").json();
    let methods: Vec<_> = page["entry"].as_array().unwrap().iter().collect();
    let status = |at: usize| methods[at]["response"]["status"].as_str().unwrap();
    assert_eq!((status(0), status(2), status(4)), ("201", "200", "204"));
}

#[test]
fn a_history_at_a_time_has_what_was_current_then() {
    let project = lived("history-at");
    for path in ["_history", "Patient/_history"] {
        check(&project, &format!("{path}?_at=2020"), &[]);
        check(
            &project,
            &format!("{path}?_at=2999-01-01T00:00:00Z"),
            &["a 3"],
        );
    }
    let year = &project.get("Patient/a").json()["meta"]["lastUpdated"];
    let path = format!("Patient/a/_history?_at={}", &year.as_str().unwrap()[..4]);
    check(&project, &path, &["a 3", "a 2", "a 1"]);
    check(
        &project,
        &format!("{path}&_sort=_lastUpdated"),
        &["a 1", "a 2", "a 3"],
    );
    check(&project, "Patient/a/_history?_at=2020-05", &[]);
    check(&project, "Patient/b/_history?_at=2999", &[]);
    project.get("Patient/none/_history").expect(404);
}

#[test]
fn what_is_no_time_and_no_order_is_refused() {
    let project = lived("history-refused");
    for query in [
        "_at=soon",
        "_sort=name",
        "_sort=",
        "_at=2020&_at=2021",
        "_list=1",
    ] {
        let answer = project
            .get(&format!("Patient/_history?{query}"))
            .expect(400);
        assert!(answer.body.contains("OperationOutcome"), "{query}");
    }
}

#[test]
fn a_deleted_version_is_gone_and_those_before_it_are_there() {
    let project = lived("history-vread");
    project.get("Patient/b/_history/1").expect(200);
    project.get("Patient/b/_history/2").expect(410);
    project.get("Patient/b/_history/3").expect(404);
}
