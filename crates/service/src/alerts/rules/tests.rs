//! Each rule with entries that it finds, and entries that it does not.

use std::sync::Arc;

use salus_auth::{Agent, PurposeOfUse};

use super::*;
use crate::audit::entry::Entity;
use crate::context::RequestId;

/// Noon of the first day of 2026, UTC.
const NOON_MS: i64 = 1_767_268_800_000;

fn entry(what: What, agent: &str, patients: &[&str]) -> Entry {
    let entity = |id: &&str| Entity {
        ty: "Patient".into(),
        id: (*id).into(),
        version: 1,
    };
    Entry {
        what,
        outcome: Outcome::Success,
        agent: agent.into(),
        by: Arc::new(Agent::named(agent)),
        rule: "policy".into(),
        request_id: RequestId(1),
        remote: Some([192, 0, 2, 1].into()),
        ty: "Patient".into(),
        query: "".into(),
        purpose: Some(PurposeOfUse::TREAT),
        entities: patients.iter().map(entity).collect(),
        about: Vec::new(),
    }
}

fn refused(rule: &str) -> Entry {
    Entry {
        outcome: Outcome::Refused,
        rule: rule.into(),
        ..entry(What::SignIn, "Anonymous", &[])
    }
}

/// What the rules find in entries, one a minute, with what is known besides.
#[track_caller]
fn found(setting: &str, facts: &Facts, entries: &[Entry]) -> Vec<Vec<&'static str>> {
    let setting: Alerting = serde_json::from_str(setting).unwrap();
    setting.check().unwrap();
    let mut memory = Memory::default();
    let look = |(at, entry): (usize, &Entry)| {
        let time_ms = NOON_MS + at as i64 * MINUTE_MS;
        let met = memory.look(&setting, Event { time_ms, entry }, facts);
        met.into_iter().map(AlertRule::name).collect()
    };
    entries.iter().enumerate().map(look).collect()
}

/// What they find in the last of them.
#[track_caller]
fn last(setting: &str, facts: &Facts, entries: &[Entry]) -> Vec<&'static str> {
    found(setting, facts, entries).pop().unwrap()
}

fn words(texts: &[&str]) -> HashSet<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn person(families: &[&str], addresses: &[&str]) -> Person {
    Person {
        families: words(families),
        addresses: words(addresses),
    }
}

fn facts(user: Person, own: &[&str], charts: &[(&str, Chart)]) -> Facts {
    let charts = charts.iter();
    Facts {
        user,
        own: own.iter().map(|&id| id.into()).collect(),
        charts: charts
            .map(|(id, chart)| ((*id).into(), chart.clone()))
            .collect(),
    }
}

fn none() -> Facts {
    Facts::default()
}

#[test]
fn a_read_of_a_colleague_at_noon_is_nothing() {
    let facts = facts(person(&["adams"], &[]), &[], &[("1", Chart::default())]);
    let read = entry(What::Read, "User/u", &["1"]);
    assert_eq!(found("{}", &facts, &[read]), [Vec::<&str>::new()]);
}

#[test]
fn sign_ins_that_fail_from_one_place() {
    let setting = r#"{"rules": {"sign-in-burst": {"failures": 3, "minutes": 5}}}"#;
    let wrong = refused("wrong secret");
    let all = vec![wrong.clone(); 4];
    let found = found(setting, &none(), &all);
    assert_eq!(
        found,
        [vec![], vec![], vec!["sign-in-burst"], vec!["sign-in-burst"]]
    );
    // From several places, or with a long pause, they are people who mistype.
    let elsewhere = Entry {
        remote: Some([192, 0, 2, 2].into()),
        ..wrong.clone()
    };
    let mixed = [wrong.clone(), elsewhere.clone(), wrong.clone(), elsewhere];
    assert!(last(setting, &none(), &mixed).is_empty());
    let pause = vec![entry(What::Read, "User/u", &[]); 6];
    let slow = [vec![wrong.clone(); 2], pause, vec![wrong]].concat();
    assert!(last(setting, &none(), &slow).is_empty());
}

#[test]
fn somebody_who_left_comes_back() {
    let rule = ["use-after-termination"];
    assert_eq!(last("{}", &none(), &[refused("suspended")]), rule);
    let token = Entry {
        what: What::Unauthenticated,
        ..refused("token of a suspended account")
    };
    assert_eq!(last("{}", &none(), &[token]), rule);
    assert!(last("{}", &none(), &[refused("wrong secret")]).is_empty());
}

#[test]
fn many_patients_in_a_short_time() {
    let setting = r#"{"rules": {"unusual-volume": {"patients": 4, "minutes": 10}}}"#;
    let search = |ids: &[&str]| entry(What::Search, "User/u", ids);
    let many = [search(&["1", "2"]), search(&["2", "3"]), search(&["4"])];
    let all = found(setting, &none(), &many);
    assert_eq!(all, [vec![], vec![], vec!["unusual-volume"]]);
    // The same ones again, a client, or what was shown too long ago.
    let same = vec![search(&["1", "2"]); 5];
    assert!(last(setting, &none(), &same).is_empty());
    let client = vec![entry(What::Search, "Client/c", &["1", "2", "3", "4", "5"])];
    assert!(last(setting, &none(), &client).is_empty());
    let pause = vec![entry(What::Read, "User/other", &[]); 12];
    let slow = [vec![search(&["1", "2", "3"])], pause, vec![search(&["4"])]].concat();
    assert!(last(setting, &none(), &slow).is_empty());
}

#[test]
fn hours_at_which_nobody_works() {
    let at = |from: u32, until: u32, offset: i32| {
        format!(
            r#"{{"rules": {{"unusual-hours":
                {{"on": true, "from": {from}, "until": {until}, "utc_offset_minutes": {offset}}}}}}}"#
        )
    };
    let read = [entry(What::Read, "User/u", &["1"])];
    assert_eq!(last(&at(11, 13, 0), &none(), &read), ["unusual-hours"]);
    assert!(last(&at(13, 11, 0), &none(), &read).is_empty());
    // Where it is ten in the evening then.
    assert_eq!(last(&at(22, 5, 600), &none(), &read), ["unusual-hours"]);
    assert!(last(&at(22, 5, 540), &none(), &read).is_empty());
    assert!(last("{}", &none(), &read).is_empty());
}

#[test]
fn ids_one_after_the_other() {
    let setting = r#"{"rules": {"sequential-ids": {"ids": 4}}}"#;
    let reads = |ids: &[&str]| -> Vec<Entry> {
        let read = |id: &&str| entry(What::Read, "User/u", &[*id]);
        ids.iter().map(read).collect()
    };
    let rule = ["sequential-ids"];
    assert_eq!(last(setting, &none(), &reads(&["7", "8", "9", "10"])), rule);
    assert_eq!(
        last(
            setting,
            &none(),
            &reads(&["p12", "p11", "p11", "p10", "p9"])
        ),
        rule
    );
    assert!(last(setting, &none(), &reads(&["7", "8", "10", "11"])).is_empty());
    assert!(last(setting, &none(), &reads(&["a", "b", "c", "d"])).is_empty());
    let mut refused = reads(&["1", "2", "3", "4"]);
    refused
        .iter_mut()
        .for_each(|entry| entry.outcome = Outcome::Refused);
    assert_eq!(last(setting, &none(), &refused), rule);
}

#[test]
fn people_who_may_be_related() {
    let chart = Chart {
        person: person(&["müller"], &["hauptstr. 1 12345"]),
        ..Chart::default()
    };
    let read = [entry(What::Read, "User/u", &["1"])];
    let with = |user: Person, own: &[&str]| facts(user, own, &[("1", chart.clone())]);
    let namesake = with(person(&["meier", "müller"], &[]), &[]);
    assert_eq!(last("{}", &namesake, &read), ["same-surname"]);
    let neighbour = with(person(&["meier"], &["hauptstr. 1 12345"]), &[]);
    assert_eq!(last("{}", &neighbour, &read), ["same-address"]);
    let own = with(person(&["müller"], &["hauptstr. 1 12345"]), &["1"]);
    assert_eq!(last("{}", &own, &read), ["own-chart"]);
    let off = r#"{"rules": {"own-chart": {"on": false}}}"#;
    assert!(last(off, &own, &read).is_empty());
    let client = [entry(What::Read, "Client/c", &["1"])];
    assert!(last("{}", &own, &client).is_empty());
}

#[test]
fn patients_whom_one_should_leave_alone() {
    let read = [entry(What::Search, "User/u", &["2", "1"])];
    let of = |chart: Chart| facts(Person::default(), &[], &[("1", chart)]);
    let colleague = Chart {
        is_user: true,
        ..Chart::default()
    };
    assert_eq!(last("{}", &of(colleague), &read), ["co-worker"]);
    let label = "http://terminology.hl7.org/CodeSystem/v3-ActCode|CEL".to_owned();
    let famous = Chart {
        labels: vec![label],
        ..Chart::default()
    };
    assert_eq!(last("{}", &of(famous.clone()), &read), ["vip"]);
    assert!(last(r#"{"labels": []}"#, &of(famous), &read).is_empty());
    let before = |days: i64| {
        of(Chart {
            before_ms: Some(NOON_MS - days * DAY_MS),
            ..Chart::default()
        })
    };
    assert_eq!(last("{}", &before(731), &read), ["dormant-chart"]);
    assert!(last("{}", &before(729), &read).is_empty());
}

#[test]
fn exports_of_many_in_a_day() {
    let setting = r#"{"rules": {"export-size": {"patients": 3}}}"#;
    let export = |ids: &[&str]| entry(What::Export, "Client/c", ids);
    let found = found(
        setting,
        &none(),
        &[export(&["1", "2"]), export(&["2", "3"])],
    );
    assert_eq!(found, [vec![], vec!["export-size"]]);
    assert!(last(setting, &none(), &vec![export(&["1", "2"]); 3]).is_empty());
}

#[test]
fn what_administrators_are_told_in_any_case() {
    for (what, rule) in [
        (What::BreakGlass, "break-glass"),
        (What::PolicyChange, "change"),
        (What::SettingChange, "change"),
        (What::KeyDestroyed, "change"),
    ] {
        let done = entry(what, "User/u", &[]);
        assert_eq!(last("{}", &none(), std::slice::from_ref(&done)), [rule]);
        let refused = Entry {
            outcome: Outcome::Refused,
            ..done
        };
        assert!(last("{}", &none(), &[refused]).is_empty());
    }
    let check = |outcome| Entry {
        outcome,
        ..entry(What::SystemCheck, "Operator", &[])
    };
    assert_eq!(
        last("{}", &none(), &[check(Outcome::Failed)]),
        ["integrity"]
    );
    assert!(last("{}", &none(), &[check(Outcome::Success)]).is_empty());
    let drill = |outcome, rule: &str| Entry {
        outcome,
        rule: rule.into(),
        ..entry(What::SystemDrill, "Operator", &[])
    };
    let failed = drill(Outcome::Failed, "operator");
    assert_eq!(last("{}", &none(), &[failed]), ["drill-failed"]);
    let overdue = drill(Outcome::Failed, "drill-overdue");
    assert_eq!(last("{}", &none(), &[overdue]), ["drill-overdue"]);
    let passed = drill(Outcome::Success, "operator");
    assert!(last("{}", &none(), &[passed]).is_empty());
}
