//! The same over S3: what decides are conditional puts, and what hangs or is lost is the network.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Room, must_put, patient, put, two_promotions, until};
use crate::support::http::Client;
use crate::support::s3::{Bucket, Mishap};
use crate::support::server::check;

#[test]
fn of_two_promotions_over_s3_one_wins_and_the_other_follows_it() {
    let bucket = Bucket::start();
    two_promotions(&Room::with(&bucket), || {
        // Both have seen that there is no such fence when the first of them puts it.
        bucket.gather("fence/000000000001", 2);
        // S3 may say to each that the other is at it; then nothing is decided.
        bucket.mishap("fence/000000000001", Mishap::Conflict);
        bucket.mishap("fence/000000000001", Mishap::Conflict);
    });
    assert!(bucket.is_done());
    assert_eq!(bucket.unconditional(), [""; 0]);
}

#[test]
fn a_promotion_over_s3_whose_answers_are_lost_is_one_all_the_same() {
    let bucket = Bucket::start();
    let room = Room::with(&bucket);
    let mut primary = room.serve("primary", None);
    must_put(&mut primary.client(), "Patient/a", &patient("a", "A"));
    let follower = room.follow("standby", &room.path("primary/keys"), &[]);
    follower.has(room.shipped("primary"));
    primary.kill();
    // The fence, and the segment that nobody else can make then.
    bucket.mishap("/fence/", Mishap::Lost);
    bucket.mishap("/segments/", Mishap::Lost);
    let promoted = room.asked(&["follow", "promote"], "standby");
    assert_eq!(promoted["promoted"], 1, "{promoted}");
    assert!(bucket.is_done());
    let new = room.serve("standby", None);
    must_put(&mut new.client(), "Patient/b", &patient("b", "B"));
    room.shipped("standby");
    let verify = ["backup", "verify", "--archive", &room.archive()];
    let verified = room.asked(&verify, "standby");
    assert_eq!(verified["archives"][0]["faults"], json!([]), "{verified}");
    assert_eq!(bucket.unconditional(), [""; 0]);
}

#[test]
fn a_primary_over_s3_acknowledges_nothing_when_its_lease_is_over() {
    let bucket = Bucket::start();
    let room = Room::with(&bucket);
    let primary = room.serve("primary", Some("4s"));
    let mut client = primary.client();
    until("it has its lease", || {
        let answer = put(&mut client, "Patient/a", &patient("a", "A")).unwrap();
        (answer.status < 300).then_some(())
    });
    let follower = room.follow("standby", &room.path("primary/keys"), &[]);
    follower.has(room.shipped("primary"));
    bucket.down(true);
    until("the lease ends", || {
        let answer = client.get("/health/ready").unwrap();
        (answer.json()["status"] == "no-lease").then_some(())
    });
    bucket.down(false);
    until("the lease comes back", || {
        (client.get("Patient/a").unwrap().status == 200).then_some(())
    });
    // One look that hangs ends no lease for long: the next is on a connection of its own. When all is
    // shipped, nobody but the guard looks.
    room.shipped("primary");
    bucket.mishap("/fence/000000000001", Mishap::Hangs);
    until("it hangs", || bucket.is_done().then_some(()));
    let hung = Instant::now();
    until("it looks again", || {
        let (answered, looked) = (client.get("Patient/a").unwrap(), bucket.hung() == 0);
        (looked && answered.status == 200).then_some(())
    });
    assert!(hung.elapsed() < Duration::from_secs(20), "{hung:?}");

    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::default());
    let (promoted, before) = std::thread::scope(|scope| {
        let client = primary.client();
        let (stop, acknowledged) = (&stop, &acknowledged);
        // Whatever fails, the writer is not waited for.
        let _stop = Stop(stop);
        scope.spawn(move || write_until_refused(client, stop, acknowledged));
        until("it writes", || {
            let count: usize = acknowledged.lock().unwrap().len();
            (count > 5).then_some(())
        });
        let before = acknowledged.lock().unwrap().clone();
        follower.has(room.seq("primary"));
        let promote = ["follow", "promote", "--wait", "4"];
        let promoted = room.asked(&promote, "standby");
        // From here on nobody but the new one acknowledges anything.
        let late = put(
            &mut primary.client(),
            "Patient/late",
            &patient("late", "Late"),
        );
        assert_eq!(late.unwrap().status, 503);
        (promoted, before)
    });
    assert_eq!(promoted["promoted"], 1, "{promoted}");
    let new = room.serve("standby", Some("4s"));
    let mut client = new.client();
    until("it has its lease", || {
        (client.get("Patient/a").unwrap().status == 200).then_some(())
    });
    for id in before {
        let found = client.get(&format!("Patient/{id}")).unwrap();
        assert_eq!(found.status, 200, "{id} was shipped");
    }
    assert_eq!(client.get("Patient/late").unwrap().status, 404);
    let difference = ["follow", "difference", "--archive", &room.archive()];
    let difference = room.asked(&difference, "primary");
    assert_eq!(difference["archives"][0]["fence"], promoted["promoted"]);
    assert!(primary.stop());
    let refused = room.try_serve("primary", None).err().expect("it is fenced");
    assert!(refused.contains("fenced"), "{refused}");
    assert!(new.stop());
    assert!(check(&room.path("standby")).status.success());
    assert_eq!(bucket.unconditional(), [""; 0]);
}

#[test]
fn jobs_of_a_primary_over_s3_write_nothing_while_its_lease_is_over() {
    let bucket = Bucket::start();
    let room = Room::with(&bucket);
    let primary = room.serve("primary", Some("2s"));
    let mut client = primary.client();
    until("it has its lease", || {
        (client.get("Patient/a").unwrap().status == 404).then_some(())
    });
    // Done aside, one commit after the other; there is always more to do when the lease ends.
    let mut follow = None;
    for number in 0.. {
        let entry = |n: u64| {
            json!({"resource": {"resourceType": "Patient", "id": format!("j{number}-{n}")},
                "request": {"method": "PUT", "url": format!("Patient/j{number}-{n}")}})
        };
        let entries: Vec<Value> = (0..2_000).map(entry).collect();
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let aside = [("Prefer", "respond-async")];
        // Who is refused before all was sent may not hear why.
        let begun = client.send("POST", "", &aside, &batch.to_string());
        if let Some(begun) = begun.ok().filter(|begun| begun.status == 202) {
            let place = begun.header("content-location").unwrap();
            follow = Some(place.split_once("/fhir/").unwrap().1.to_owned());
            bucket.down(true);
        }
        // Nor does the connection last then.
        client = primary.client();
        let ready = client.get("/health/ready").unwrap();
        if ready.json()["status"] == "no-lease" {
            break;
        }
    }
    let follow = follow.unwrap();
    let seq = || room.seq("primary");
    // What was under way when it ended is durable by now.
    let held = until("nothing is committed", || {
        let before = seq();
        (seq() == before).then_some(before)
    });
    for _ in 0..10 {
        assert_eq!(seq(), held);
    }
    bucket.down(false);
    until("the job is done", || {
        let answer = client.get(&follow).unwrap();
        (answer.status == 200).then_some(())
    });
    assert!(seq() > held + 100, "there was nothing left to do");
}

/// Tells writers to stop when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes patients one behind the other until it is told to stop; those that were acknowledged.
fn write_until_refused(mut client: Client, stop: &AtomicBool, acknowledged: &Mutex<Vec<String>>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("s{number}");
        let answer = put(&mut client, &format!("Patient/{id}"), &patient(&id, "Some"));
        match answer.unwrap().status {
            201 => acknowledged.lock().unwrap().push(id),
            503 => {}
            status => panic!("{status}"),
        }
    }
}
