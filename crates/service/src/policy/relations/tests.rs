//! Worlds at random: whom records relate is who is found, on each day.

use std::collections::BTreeSet;
use std::sync::Arc;

use salus_auth::Subject;
use salus_auth::policy::{Deed, visible};
use salus_store::memory::Memory;
use salus_store::{Filter, Kind, Scope};
use serde_json::{Value, json};

use super::super::tests::user;
use crate::choice::Choice;
use crate::fhir::Handling;
use crate::fhir::search::host::{Host, context};

const SCOPE: Scope = Scope(1);
const DAY_MS: i64 = 86_400_000;
/// 2014-05-01T12:00Z.
const FIRST_NOON_MS: i64 = 1_398_945_600_000;

/// From one day of May 2014 to the end of another, either of which may be open.
#[derive(Clone, Copy, Debug)]
struct Days(Option<i64>, Option<i64>);

impl Days {
    fn any(choice: &mut Choice) -> Self {
        let mut day = || (!choice.one_in(3)).then(|| 1 + choice.below(12) as i64);
        match (day(), day()) {
            (Some(a), Some(b)) => Self(Some(a.min(b)), Some(a.max(b))),
            (from, to) => Self(from, to),
        }
    }

    fn has(self, day: i64) -> bool {
        self.0.is_none_or(|from| from <= day) && self.1.is_none_or(|to| day <= to)
    }

    fn longer(self, by: i64) -> Self {
        Self(self.0, self.1.map(|to| to + by))
    }

    fn json(self) -> Value {
        let day = |day: i64| format!("2014-05-{day:02}");
        let mut period = json!({});
        if let Some(from) = self.0 {
            period["start"] = day(from).into();
        }
        if let Some(to) = self.1 {
            period["end"] = day(to).into();
        }
        period
    }
}

/// Who may take part: one practitioner, their role, the organization of it, and others.
const WHO: [&str; 5] = [
    "Practitioner/d",
    "PractitionerRole/r",
    "Organization/o",
    "Practitioner/e",
    "Patient/p0",
];

/// A care team or an encounter.
#[derive(Debug)]
struct Link {
    ty: &'static str,
    patient: u64,
    status: &'static str,
    days: Days,
    who: Vec<(&'static str, Days)>,
}

impl Link {
    fn any(choice: &mut Choice) -> Self {
        let (ty, statuses) = match choice.one_in(2) {
            true => ("CareTeam", ["active", "active", "suspended", "inactive"]),
            false => (
                "Encounter",
                ["in-progress", "finished", "planned", "finished"],
            ),
        };
        let who = (0..1 + choice.below(3)).map(|_| {
            let who = WHO[choice.below(5) as usize];
            (who, Days::any(choice))
        });
        let who: Vec<_> = who.collect();
        let is_person = |(who, _): &(&str, Days)| ty == "CareTeam" || who.starts_with("Pract");
        Self {
            ty,
            patient: choice.below(6),
            status: statuses[choice.below(4) as usize],
            days: Days::any(choice),
            who: who.into_iter().filter(is_person).collect(),
        }
    }

    fn json(&self, id: usize) -> Value {
        let member = match self.ty {
            "CareTeam" => "member",
            _ => "individual",
        };
        let who = self.who.iter();
        let who = who.map(|(who, days)| period(*days, json!({member: {"reference": who}})));
        let mut resource = json!({"resourceType": self.ty, "id": format!("l{id}"),
            "status": self.status, "subject": {"reference": format!("Patient/p{}", self.patient)}});
        if !self.who.is_empty() {
            resource["participant"] = who.collect();
        }
        if self.days.0.is_some() || self.days.1.is_some() {
            resource["period"] = self.days.json();
        }
        if self.ty == "Encounter" {
            resource["class"] = json!({"code": "AMB"});
        }
        resource
    }

    /// Whether it relates the practitioner on a day, on which the role may be held.
    fn relates(&self, day: i64, role: bool) -> bool {
        let (counts, grace) = match (self.ty, self.status) {
            ("CareTeam", status) => (status == "active", 0),
            (_, "in-progress") => (true, 1),
            (_, "finished") => (self.days.1.is_some(), 1),
            _ => (false, 0),
        };
        let own = |who: &str| match who {
            "Practitioner/d" => true,
            "PractitionerRole/r" | "Organization/o" => role,
            _ => false,
        };
        let mut who = self.who.iter();
        // Both have to last when one of them ends; a day longer behind that.
        let lasts = |days: &Days| {
            let end = [self.days.1, days.1].into_iter().flatten().min();
            let start = [self.days.0, days.0].into_iter().flatten().max();
            Days(start, end).longer(grace).has(day)
        };
        counts && who.any(|(who, days)| own(who) && lasts(days))
    }
}

fn period(days: Days, mut of: Value) -> Value {
    if days.0.is_some() || days.1.is_some() {
        of["period"] = days.json();
    }
    of
}

struct Staged {
    host: Host,
    links: Vec<Link>,
    role: Days,
}

impl Staged {
    async fn new(choice: &mut Choice) -> Self {
        let host = Host::over(Arc::new(Memory::new())).await;
        let cx = context(Subject::operator(), SCOPE, FIRST_NOON_MS);
        let role = Days::any(choice);
        let links: Vec<Link> = (0..12).map(|_| Link::any(choice)).collect();
        let mut resources = vec![
            json!({"resourceType": "Organization", "id": "o", "name": "o"}),
            json!({"resourceType": "Practitioner", "id": "d"}),
            json!({"resourceType": "Practitioner", "id": "e"}),
            period(
                role,
                json!({"resourceType": "PractitionerRole", "id": "r",
                    "practitioner": {"reference": "Practitioner/d"},
                    "organization": {"reference": "Organization/o"}}),
            ),
        ];
        for patient in 0..6 {
            resources.push(json!({"resourceType": "Patient", "id": format!("p{patient}")}));
            resources.push(
                json!({"resourceType": "Observation", "id": format!("o{patient}"),
                "status": "final", "code": {"text": "x"},
                "subject": {"reference": format!("Patient/p{patient}")}}),
            );
        }
        let linked = links.iter().enumerate().map(|(id, link)| link.json(id));
        resources.extend(linked);
        for resource in resources {
            host.put(&cx, &resource).await.unwrap();
        }
        let rule = |relationship: &str| {
            json!({"id": relationship, "effect": "allow", "subjects": [format!("role:{relationship}")],
                "actions": ["*"], "kinds": ["Patient", "Observation"], "relationship": relationship})
        };
        let rules = json!({"rules": [rule("care-team"), rule("encounter")]}).to_string();
        let cx = context(Subject::operator(), SCOPE, FIRST_NOON_MS);
        let written = host.service.write_policy(&cx, "p", rules.as_bytes());
        written.await.unwrap();
        Self { host, links, role }
    }

    /// What somebody finds on a day.
    async fn finds(&self, role: &str, ty: &str, day: i64) -> BTreeSet<String> {
        let now_ms = FIRST_NOON_MS + (day - 1) * DAY_MS;
        let subject = user(role, &["Practitioner/d"]);
        let subject = self.host.service.under_policies(subject.into(), now_ms);
        let cx = crate::context::Context {
            subject: subject.await.unwrap(),
            ..context(Subject::anonymous(), SCOPE, now_ms)
        };
        let found = self.host.search(&cx, ty, Handling::Strict).await.unwrap();
        found
            .pages
            .into_iter()
            .flat_map(|page| page.matches)
            .collect()
    }

    fn meant(&self, ty: &str, of: &str, prefix: &str, day: i64) -> BTreeSet<String> {
        let role = self.role.has(day);
        let links = self.links.iter().filter(|link| link.ty == of);
        let links = links.filter(|link| link.relates(day, role));
        links
            .map(|link| format!("{ty}/{prefix}{}", link.patient))
            .collect()
    }
}

#[tokio::test]
async fn those_are_seen_to_whom_records_relate_on_that_day() {
    let mut seen = 0;
    for seed in 0..6 {
        let staged = Staged::new(&mut Choice(seed)).await;
        for day in 1..15 {
            for (role, of) in [("care-team", "CareTeam"), ("encounter", "Encounter")] {
                for (ty, prefix) in [("Patient", "p"), ("Observation", "o")] {
                    let found = staged.finds(role, ty, day).await;
                    let meant = staged.meant(ty, of, prefix, day);
                    seen += meant.len();
                    let links = &staged.links;
                    assert_eq!(found, meant, "seed {seed}, day {day}: {of} {links:#?}");
                }
            }
        }
    }
    assert!(seen > 100, "{seen} were to be seen");
}

#[tokio::test]
async fn what_is_known_holds_until_a_record_changes_or_its_time_comes() {
    let host = Host::over(Arc::new(Memory::new())).await;
    let cx = context(Subject::operator(), SCOPE, FIRST_NOON_MS);
    let team = |who: &str, days: Days| {
        let team = json!({"resourceType": "CareTeam", "id": "t", "status": "active",
            "subject": {"reference": "Patient/p"}, "participant": [{"member": {"reference": who}}]});
        period(days, team)
    };
    let patient = |id: &str| json!({"resourceType": "Patient", "id": id});
    host.put(&cx, &patient("p")).await.unwrap();
    host.put(&cx, &json!({"resourceType": "Practitioner", "id": "d"}))
        .await
        .unwrap();
    host.put(&cx, &json!({"resourceType": "Practitioner", "id": "e"}))
        .await
        .unwrap();
    let rule = json!({"id": "a", "effect": "allow", "subjects": ["everyone"], "actions": ["*"],
        "kinds": ["*"], "relationship": "care-team"});
    let rules = json!({"rules": [rule]}).to_string();
    host.service
        .write_policy(&cx, "p", rules.as_bytes())
        .await
        .unwrap();
    let known = async || {
        let subject = user("x", &["Practitioner/d"]);
        let subject = host.service.under_policies(subject.into(), FIRST_NOON_MS);
        subject.await.unwrap()
    };
    let now = |days: i64| FIRST_NOON_MS + days * DAY_MS;
    let one = known().await;
    // What is about others changes nothing.
    host.put(&cx, &patient("q")).await.unwrap();
    host.put(&cx, &team("Practitioner/e", Days(None, None)))
        .await
        .unwrap();
    assert!(one.is_fresh(now(1000)));
    host.put(&cx, &team("Practitioner/d", Days(None, Some(3))))
        .await
        .unwrap();
    assert!(!one.is_fresh(now(0)));
    let two = known().await;
    assert!(two.is_fresh(now(2)) && !two.is_fresh(now(3)));
    // Who is not in it any more is told, too.
    host.put(&cx, &team("Practitioner/e", Days(None, None)))
        .await
        .unwrap();
    assert!(!two.is_fresh(now(0)));
    let three = known().await;
    host.put(&cx, &team("Practitioner/d", Days(Some(5), None)))
        .await
        .unwrap();
    assert!(!three.is_fresh(now(0)));
    let four = known().await;
    assert!(four.is_fresh(now(3)) && !four.is_fresh(now(4)));
    host.delete(&cx, "CareTeam", "t").await;
    assert!(!four.is_fresh(now(0)));
}

#[tokio::test]
async fn a_parent_acts_for_a_child_until_it_may_be_of_age() {
    let host = Host::over(Arc::new(Memory::new())).await;
    let cx = context(Subject::operator(), SCOPE, FIRST_NOON_MS);
    let born = [
        ("a", "2000-01-01"),
        ("b", "1996-05-01"),
        ("c", "1996-05-02"),
        ("d", "1996"),
    ];
    for (id, date) in born {
        let child = json!({"resourceType": "Patient", "id": id, "birthDate": date});
        host.put(&cx, &child).await.unwrap();
    }
    host.put(&cx, &json!({"resourceType": "Patient", "id": "n"}))
        .await
        .unwrap();
    let related = |id: &str, of: &str, code: Option<&str>, more: Value| {
        let mut person = json!({"resourceType": "RelatedPerson", "id": id,
            "patient": {"reference": format!("Patient/{of}")}});
        if let Some(code) = code {
            person["relationship"] = json!([{"coding": [{"code": code}]}]);
        }
        person
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        person
    };
    let rule = json!({"id": "a", "effect": "allow", "subjects": ["everyone"], "actions": ["search"],
        "kinds": ["Patient"], "relationship": "proxy"});
    let rules = json!({"rules": [rule]}).to_string();
    host.service
        .write_policy(&cx, "p", rules.as_bytes())
        .await
        .unwrap();
    for (of, code, more, sees) in [
        ("a", Some("MTH"), json!({}), true),
        ("a", None, json!({"active": true}), true),
        ("a", Some("MTH"), json!({"active": false}), false),
        (
            "a",
            Some("MTH"),
            json!({"period": {"end": "2014-04-30"}}),
            false,
        ),
        (
            "a",
            Some("MTH"),
            json!({"period": {"end": "2014-05"}}),
            true,
        ),
        // Eighteen today, tomorrow, and nobody knows.
        ("b", Some("FTH"), json!({}), false),
        ("c", Some("FTH"), json!({}), true),
        ("d", Some("PRN"), json!({}), false),
        ("n", Some("PRN"), json!({}), false),
        ("n", Some("SPS"), json!({}), true),
        ("b", Some("GUARD"), json!({}), true),
    ] {
        let person = related("r", of, code, more);
        host.put(&cx, &person).await.unwrap();
        let subject = user("x", &["RelatedPerson/r"]);
        let subject = host.service.under_policies(subject.into(), FIRST_NOON_MS);
        let subject = subject.await.unwrap();
        let filter = visible(&subject, Deed::Search, Kind::named("Patient")).unwrap();
        assert_eq!(*filter != Filter::Ids(Vec::new()), sees, "{person}");
        if of == "c" {
            assert!(!subject.is_fresh(FIRST_NOON_MS + DAY_MS));
        }
    }
}
