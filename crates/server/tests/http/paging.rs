//! Pages show one state of the store, to the one who asked for it.

use serde_json::json;

use crate::host::{Project, project};

fn basics(slug: &str, count: usize) -> Project {
    let project = project(slug);
    for n in 0..count {
        let id = format!("b{n:02}");
        project.put(&json!({"resourceType": "Basic", "id": id, "code": {"text": "x"}, "created": format!("20{n:02}-01-01")})).expect(201);
    }
    project
}

/// Follows `next` to the end, with something done before each further page.
#[track_caller]
fn pages(project: &Project, first: &str, mut between: impl FnMut(usize)) -> Vec<String> {
    let (mut found, mut next, mut page) = (Vec::new(), Some(first.to_owned()), 0);
    while let Some(path) = next {
        let answer = project.get(&path).expect(200);
        found.extend(answer.found());
        next = answer.link("next");
        page += 1;
        between(page);
    }
    found
}

#[test]
fn pages_show_what_was_there_at_the_first() {
    let project = basics("paging-stable", 10);
    let expect: Vec<String> = (0..10).map(|n| format!("Basic/b{n:02}")).collect();
    for (search, reversed) in [
        ("Basic?_sort=created&_count=3", false),
        ("Basic?_sort=-created&_count=3", true),
        ("Basic?_sort=_id&_count=3", false),
        ("Basic?_sort=-_id&_count=4", true),
        ("Basic?created=ge2000&_sort=_id&_count=1", false),
    ] {
        let found = pages(&project, search, |page| {
            let change = |id: &str, created: &str| {
                let body = json!({"resourceType": "Basic", "id": id, "code": {"text": "y"}, "created": created});
                project.put(&body);
            };
            match page {
                1 => change("b99", "2099-01-01"),
                2 => change("a00", "1999-01-01"),
                3 => drop(project.delete("Basic/b05")),
                _ => change("b08", "1990-01-01"),
            }
        });
        let mut expect = expect.clone();
        if reversed {
            expect.reverse();
        }
        assert_eq!(found, expect, "{search}");
        for id in ["b99", "a00"] {
            project.delete(&format!("Basic/{id}")).expect(204);
        }
        for n in [5, 8] {
            let id = format!("b{n:02}");
            project.put(&json!({"resourceType": "Basic", "id": id, "code": {"text": "x"}, "created": format!("20{n:02}-01-01")}));
        }
    }
}

#[test]
fn a_total_is_that_of_the_first_page() {
    let project = basics("paging-total", 5);
    let first = project.get("Basic?_count=2&_total=accurate").expect(200);
    project
        .put(&json!({"resourceType": "Basic", "id": "new", "code": {"text": "x"}}))
        .expect(201);
    let second = project.get(&first.link("next").unwrap()).expect(200);
    assert_eq!(
        (&first.json()["total"], &second.json()["total"]),
        (&json!(5), &json!(5))
    );
}

#[test]
fn a_cursor_works_only_for_the_one_it_was_given_to() {
    let (mine, other) = (basics("paging-mine", 5), basics("paging-other", 5));
    let next = mine.get("Basic?_count=2").expect(200).link("next").unwrap();
    let cursor = next.split_once("_cursor=").unwrap().1.to_owned();
    mine.get(&next).expect(200);
    mine.with(&mine.client("second", "system/*.cruds"))
        .get(&next)
        .expect(400);
    other.get(&format!("Basic?_cursor={cursor}")).expect(400);
    mine.get(&format!("Patient?_cursor={cursor}")).expect(400);
    mine.get(&format!("Basic?_cursor={cursor}&created=2001"))
        .expect(400);
    mine.get(&format!("Basic/_history?_cursor={cursor}"))
        .expect(400);
    mine.get("Basic?_cursor=").expect(400);
    for at in [0, cursor.len() / 2, cursor.len() - 1] {
        let mut tampered = cursor.clone().into_bytes();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        mine.get(&format!("Basic?_cursor={tampered}")).expect(400);
    }
    let history = mine
        .get("Basic/_history?_count=2")
        .expect(200)
        .link("next")
        .unwrap();
    let cursor = history.split_once("_cursor=").unwrap().1;
    mine.get(&format!("Basic?_cursor={cursor}")).expect(400);
    mine.get(&format!("_history?_cursor={cursor}")).expect(400);
    other
        .get(&format!("Basic/_history?_cursor={cursor}"))
        .expect(400);
}

#[test]
fn links_hold_no_search_values() {
    let project = basics("paging-values", 5);
    let first = project
        .get("Basic?created=ge1987-06-05&_count=2")
        .expect(200);
    assert!(!first.link("next").unwrap().contains("1987"));
}
