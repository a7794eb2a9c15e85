//! Writes under rules as they are written: of records at random, what may be
//! updated, patched and deleted is what the conditions of each action find,
//! before and afterwards, and what cannot be seen is not there.

use std::collections::BTreeSet;

use super::policies::{rules, under};
use super::*;
use crate::fhir::PatchFormat;

const WRITES: [&str; 3] = ["update", "patch", "delete"];

/// What is there, and may be done with it.
struct Rights {
    visible: BTreeMap<Kind, Filter>,
    /// By action, as in [`WRITES`].
    writable: [BTreeMap<Kind, Filter>; 3],
}

/// Whether a record is among those of a filter.
async fn is_in(
    host: &Host,
    scope: Scope,
    filters: &BTreeMap<Kind, Filter>,
    (kind, id): (Kind, &str),
) -> bool {
    let snapshot = host.service.store.snapshot(scope, At::Now).await.unwrap();
    let filter = filters.get(&kind).cloned().unwrap_or(Filter::Everything);
    let query = Query {
        kind,
        filter: Filter::All(vec![Filter::Ids(vec![id.into()]), filter]),
        sort: Vec::new(),
        limit: 1,
        after: None,
        rows: Vec::new(),
    };
    !snapshot.find(&query).await.unwrap().hits.is_empty()
}

/// What a write is answered, if it is refused.
async fn tried(
    host: &Host,
    cx: &Context,
    action: &str,
    (ty, id): (&str, &str),
    body: &Value,
) -> Option<ErrorKind> {
    let options = WriteOptions {
        condition: WriteCondition::None,
        idempotency_key: None,
    };
    let (which, sent) = (Which::Id(id), body.to_string());
    let done = match action {
        "update" => {
            host.service
                .update(cx, ty, which, sent.into(), &options)
                .await
        }
        "patch" => {
            let sent = (PatchFormat::Merge, sent.into());
            host.service.patch(cx, ty, which, sent, &options).await
        }
        _ => host.service.delete(cx, ty, which, &options).await,
    };
    // What was deleted is gone for who may know of it, and not there for others.
    done.err()
        .map(|error| match error.kind() == ErrorKind::Gone {
            true => ErrorKind::NotFound,
            false => error.kind(),
        })
}

/// One write by a user, beside what the operator sees of the same write in a
/// world that is the same.
async fn write_one(
    choice: &mut Choice,
    [host, copy]: [&Host; 2],
    (cx, rights): (&Context, &Rights),
    tally: &mut BTreeSet<String>,
) -> Result<(), String> {
    let ty = choice.of(&TYPES);
    let (id, at) = (choice.below(6), choice.below(3) as usize);
    if ty == "Binary" || ty == "OperationDefinition" {
        return Ok(());
    }
    let (action, writable) = (WRITES[at], &rights.writable[at]);
    let mut body = world::resource(choice, ty, id);
    let (id, kind) = (id.to_string(), ResourceType::named(ty).unwrap().kind);
    if action == "patch" {
        let members = body.as_object().unwrap().keys();
        let may = |member: &&String| !["resourceType", "id", "contained"].contains(&&***member);
        let members: Vec<String> = members.filter(may).cloned().collect();
        let one = choice.of(&Vec::from_iter(members.iter().map(String::as_str)));
        let whole = choice.one_in(2);
        let changed = members.iter().filter(|member| whole || **member == one);
        body = changed
            .map(|member| (member.clone(), body[member].clone()))
            .collect();
    }
    let all = BTreeMap::new();
    let there = is_in(host, cx.scope, &all, (kind, &id)).await;
    let seen = there && is_in(host, cx.scope, &rights.visible, (kind, &id)).await;
    let before = there && is_in(host, cx.scope, writable, (kind, &id)).await;
    let operator = context(Subject::operator(), cx.scope, cx.now_ms);
    let all_may = tried(copy, &operator, action, (ty, &id), &body).await;
    let after = is_in(copy, cx.scope, writable, (kind, &id)).await;
    let want = match (action, there, seen) {
        // As what is not there, whatever it would become.
        ("patch", false, _) => all_may,
        ("patch", true, false) => Some(ErrorKind::NotFound),
        ("patch", true, true) if !before => Some(ErrorKind::NotFound),
        // What it would leave may be no resource of the type.
        ("patch", ..) if all_may.is_some() => all_may,
        ("delete", _, false) => None,
        ("delete", _, true) => (!before).then_some(ErrorKind::Forbidden),
        (_, true, true) if !before => Some(ErrorKind::Forbidden),
        _ if !after => Some(ErrorKind::Forbidden),
        (_, true, false) => Some(ErrorKind::NotFound),
        _ => None,
    };
    let have = tried(host, cx, action, (ty, &id), &body).await;
    tally.insert(format!("{action} {want:?}"));
    if have != want {
        return Err(format!(
            "{action} {ty}/{id}: {have:?} and not {want:?} (there {there}, seen {seen}, \
             before {before}, after {after}): {body}"
        ));
    }
    if want.is_some() || action == "delete" && !seen {
        // The copy is to be the same again: as the operator does it here, too.
        tried(host, &operator, action, (ty, &id), &body).await;
    }
    Ok(())
}

async fn one(seed: u64, tally: &mut BTreeSet<String>) {
    let choice = &mut Choice(seed);
    let scope = Scope(1);
    let (host, copy) = (
        Host::over(Arc::new(Memory::new())).await,
        Host::over(Arc::new(Memory::new())).await,
    );
    for writing in world::at_random(choice) {
        write(&host, scope, &writing).await;
        write(&copy, scope, &writing).await;
    }
    let seeing = clauses(choice, scope);
    let writing = WRITES.map(|_| clauses(choice, scope));
    let mut all = rules("see", &["read", "search", "history", "create"], &seeing);
    for (action, clauses) in WRITES.iter().zip(&writing) {
        all.extend(rules(action, &[action], clauses));
    }
    let text = format!("seed {seed}: {}", json!(all));
    let rights = Rights {
        visible: policy(scope, &seeing).0,
        writable: writing.map(|clauses| policy(scope, &clauses).0),
    };
    let subject = under(&host, scope, all).await;
    // Behind all that was written, so that a change is one.
    let cx = context(subject, scope, NOW_MS);
    for _ in 0..100 {
        let done = write_one(choice, [&host, &copy], (&cx, &rights), tally).await;
        done.unwrap_or_else(|error| panic!("{error} under {text}"));
    }
}

#[test]
fn writes_are_allowed_on_what_rules_find_before_and_afterwards() {
    let (seeds, runtime) = (seeds_or(40), runtime());
    let many = seeds.clone().count();
    let mut tally = BTreeSet::new();
    for seed in seeds {
        runtime.block_on(one(seed, &mut tally));
    }
    for told in [
        "update None",
        "update Some(Forbidden)",
        "update Some(NotFound)",
        "patch None",
        "patch Some(Forbidden)",
        "patch Some(NotFound)",
        "delete None",
        "delete Some(Forbidden)",
    ] {
        assert!(many < 40 || tally.contains(told), "{told} of {tally:?}");
    }
}
