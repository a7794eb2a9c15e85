//! Groups, and the two ways to find the records of their members.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::error::Kind;
use crate::fhir::Handling;
use crate::jobs::stage::{Exported, Stage};

/// Numbers that look random, and are the same in each run (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }
}

const PATIENTS: usize = 30;

fn patient(chance: &mut Chance) -> Value {
    reference("Patient", &format!("p{}", chance.below(PATIENTS)))
}

fn reference(ty: &str, id: &str) -> Value {
    json!({"reference": format!("{ty}/{id}")})
}

/// A resource of one patient, of two or of none, or a patient linked to another.
fn resource(chance: &mut Chance) -> Value {
    let id = chance.below(200);
    match chance.below(10) {
        0 => json!({"resourceType": "Basic", "id": format!("b{id}"), "code": {"text": "x"}}),
        1 => json!({"resourceType": "Patient", "id": format!("p{}", id % PATIENTS),
            "link": [{"other": patient(chance), "type": "seealso"}]}),
        2..6 => json!({"resourceType": "Observation", "id": format!("o{id}"), "status": "final",
            "code": {"text": "x"}, "subject": patient(chance)}),
        _ => json!({"resourceType": "Appointment", "id": format!("a{id}"), "status": "proposed",
            "participant": [{"actor": patient(chance), "status": "accepted"},
                {"actor": patient(chance), "status": "accepted"}]}),
    }
}

/// Writes some resources and deletes some.
async fn change(stage: &Stage, chance: &mut Chance, count: usize) {
    stage.advance(1000);
    for _ in 0..count {
        let resource = resource(chance);
        if chance.below(8) == 0 && resource["resourceType"] != "Patient" {
            stage.delete(&resource).await;
        } else {
            stage.write(&stage.cx(), &[resource]).await;
        }
    }
}

fn group(id: &str, members: &[Value]) -> Value {
    json!({"resourceType": "Group", "id": id, "type": "person", "actual": true, "member": members})
}

fn member(ty: &str, id: &str) -> Value {
    json!({"entity": reference(ty, id)})
}

/// What an export gives; in its middle, some changes happen.
async fn export(stage: &Stage, path: &str, changes: Option<&mut Chance>) -> Exported {
    let id = match changes {
        None => stage.export(path).await.unwrap(),
        Some(chance) => {
            stage.hold(3);
            let id = stage.export(path).await.unwrap();
            stage.held(3).await;
            change(stage, chance, 40).await;
            stage.let_go();
            id
        }
    };
    let manifest = stage.manifest(&id).await;
    let all = stage.exported(&id, &manifest).await;
    stage.service.cancel_job(&stage.cx(), &id).await.unwrap();
    all
}

#[tokio::test]
async fn few_patients_are_found_by_their_compartments_as_by_a_walk() {
    let mut stage = Stage::new(7).await;
    let mut chance = Chance(0x5eed);
    stage.run();
    let patients =
        (0..PATIENTS).map(|id| json!({"resourceType": "Patient", "id": format!("p{id}")}));
    stage
        .write(&stage.cx(), &patients.collect::<Vec<Value>>())
        .await;
    let members = ["p0", "p1", "p2"].map(|id| member("Patient", id));
    stage.write(&stage.cx(), &[group("g", &members)]).await;
    change(&stage, &mut chance, 900).await;
    let path = "Group/g?_type=Observation,Appointment,Patient,Group";
    let (walks, few) = (&stage.service.jobs.walks, &stage.service.jobs.few);
    for round in 0..4 {
        walks.store(round % 2 == 0, Ordering::Relaxed);
        let before = few.load(Ordering::Relaxed);
        let quiet = export(&stage, path, None).await;
        walks.store(round % 2 == 1, Ordering::Relaxed);
        let disturbed = export(&stage, path, Some(&mut chance)).await;
        assert_eq!(quiet, disturbed, "round {round}");
        assert!(quiet.len() > 30, "{}", quiet.len());
        // Of Observation and Appointment there are many.
        assert!(few.load(Ordering::Relaxed) >= before + 2, "round {round}");
    }
}

#[tokio::test]
async fn members_of_groups_that_are_members_are_members() {
    let mut stage = Stage::new(7).await;
    stage.run();
    let patients = (0..8).map(|id| json!({"resourceType": "Patient", "id": format!("p{id}")}));
    let patients: Vec<Value> = patients.collect();
    stage.write(&stage.cx(), &patients).await;
    let in_time = |id: &str, period: Value| {
        let mut member = member("Patient", id);
        member["period"] = period;
        member
    };
    let mut inactive = member("Patient", "p2");
    inactive["inactive"] = json!(true);
    let inner = [
        member("Patient", "p1"),
        inactive,
        // Around a circle.
        member("Group", "outer"),
        // The clock stands at the beginning of 1970.
        in_time("p3", json!({"end": "1969-12-31"})),
        in_time("p4", json!({"end": "1970-01-01"})),
        in_time("p5", json!({"start": "1970-01-02"})),
        in_time("p6", json!({"start": "1970"})),
    ];
    let outer = [
        member("Patient", "p0"),
        member("Group", "inner"),
        member("Group", "none"),
    ];
    let groups = [group("inner", &inner), group("outer", &outer)];
    stage.write(&stage.cx(), &groups).await;
    let all = export(&stage, "Group/outer?_type=Patient", None).await;
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["Patient/p0", "Patient/p1", "Patient/p4", "Patient/p6"]
    );

    let deep = (0..20).map(|id| {
        group(
            &format!("d{id}"),
            &[member("Group", &format!("d{}", id + 1))],
        )
    });
    let deep: Vec<Value> = deep.collect();
    stage.write(&stage.cx(), &deep).await;
    let refused = stage.export("Group/d0").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unprocessable);
    stage.export("Group/d15").await.unwrap();
}

#[tokio::test]
async fn what_is_not_known_is_refused_or_left_out() {
    let stage = Stage::new(7).await;
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueString": "Patient"},
        {"name": "organizeOutputBy", "valueString": "Patient"}]});
    let in_url = "?_type=Patient&organizeOutputBy=Patient";
    for (path, body) in [(in_url, String::new()), ("", body.to_string())] {
        let strict = stage.export_as(path, body.clone().into(), Handling::Strict);
        assert_eq!(strict.await.unwrap_err().kind(), Kind::Invalid, "{path}");
        let lenient = stage.export_as(path, body.into(), Handling::Lenient);
        lenient.await.unwrap();
    }
    // What is known is never left out.
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueString": "Nothing"}]});
    let refused = stage.export_as("", body.to_string().into(), Handling::Lenient);
    assert_eq!(refused.await.unwrap_err().kind(), Kind::Invalid);
}
